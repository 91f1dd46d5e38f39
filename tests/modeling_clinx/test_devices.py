"""Devices without float64: the CRF is computed on the CPU then, the encoder where the model is."""

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map_only

from modeling_clinx import DocumentPredictor
from modeling_clinx.crf_clinx import ClinXCRF
from modeling_clinx.lattice_clinx import with_float64
from tests.modeling_clinx.models import new_model


class Mps(torch.Tensor):
    """A tensor that says it is on Apple's MPS: it knows no float64, and does not mix with tensors of the CPU."""

    device = torch.device("mps", 0)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name == "cpu" or (name == "to" and "cpu" in map(str, (*args[1:], *kwargs.values()))):
            with torch._C.DisableTorchFunctionSubclass():
                return args[0].as_subclass(torch.Tensor).to(*(a for a in args[1:] if isinstance(a, torch.dtype)))
        on_cpu = [t for t in tree_leaves((args, kwargs)) if type(t) in (torch.Tensor, nn.Parameter) and t.dim()]
        assert not on_cpu or name in ("__get__", "__set__"), f"{name} mixes tensors of MPS and of the CPU"
        result = super().__torch_function__(function, types, args, kwargs)
        leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Mps)]
        assert not any(leaf.dtype == torch.float64 for leaf in leaves), f"{name} makes float64 on MPS"
        return result


def on_mps(tensors):
    return tree_map_only(torch.Tensor, lambda tensor: tensor.detach().as_subclass(Mps), tensors)


@pytest.mark.parametrize("linear", [False, True])
def test_a_crf_on_a_device_without_float64_is_computed_on_the_cpu(linear):
    torch.manual_seed(0)
    crf = ClinXCRF(2, "BIOSE", linear)
    for parameter in crf.parameters():
        nn.init.normal_(parameter)
    emissions, lengths, edges = torch.randn(3, 7, 9), torch.tensor([7, 3, 5]), torch.ones(3, 2, dtype=torch.bool)
    labels, mask = torch.zeros(3, 7, dtype=torch.int64), torch.arange(7) < lengths[:, None]
    expected = crf(emissions, mask, edges, labels)
    path = crf.decode(emissions, lengths, edges)
    for name, parameter in list(crf.named_parameters()):
        delattr(crf, name)
        setattr(crf, name, on_mps(parameter))
    actual = crf(emissions, mask, edges, labels)
    assert torch.equal(actual[0], expected[0]) and torch.equal(actual[1], expected[1])
    assert torch.equal(crf.decode(emissions, lengths, edges), path)


def test_what_has_float64_stays_where_it_is():
    tensor = torch.zeros(2)
    assert with_float64(tensor) is tensor
    assert type(with_float64(on_mps(tensor))) is torch.Tensor


def test_emissions_of_a_model_on_mps_go_to_the_cpu(tiny_encoder_dir, tokenizer):
    model = new_model(tiny_encoder_dir)
    text = "La Dra. García pauta ibuprofeno 600 mg por fiebre; niega náuseas."
    expected = next(DocumentPredictor(model, tokenizer)([text]))
    classifier = model.classifier.forward
    model.classifier.forward = lambda hidden: on_mps(classifier(hidden))
    for name, parameter in list(model.crf.named_parameters()):
        delattr(model.crf, name)
        setattr(model.crf, name, on_mps(parameter))
    actual = next(DocumentPredictor(model, tokenizer)([text]))
    assert actual.labels == expected.labels and (actual.scores == expected.scores).all()
