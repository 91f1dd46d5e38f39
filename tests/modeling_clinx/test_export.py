"""Models turned into other forms: exported by torch, as ONNX, and with quantized layers."""

import pytest
import torch
from torch import nn

from modeling_clinx import DocumentPredictor
from tests.modeling_clinx.models import new_model


TEXTS = ["La Dra. García pauta ibuprofeno 600 mg por fiebre; niega náuseas. " * 30, "", "Toma paracetamol."]


class Emissions(nn.Module):
    """As README shows it: the encoder with the emission layer; the CRF stays outside."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model.compute_emissions(input_ids, attention_mask)


@pytest.fixture(scope="module", params=["crf", "linear"])
def model(request, tiny_encoder_dir):
    return new_model(tiny_encoder_dir, head=request.param, window_length=128, context_size=16)


@pytest.fixture(scope="module")
def example(tokenizer):
    encoded = tokenizer(["Toma paracetamol 500 mg.", "No."], padding=True, return_tensors="pt")
    return encoded["input_ids"], encoded["attention_mask"]


@pytest.fixture(scope="module")
def shapes():
    windows, subwords = torch.export.Dim("windows"), torch.export.Dim("subwords", max=512)
    return ({0: windows, 1: subwords},) * 2


def read(model, tokenizer):
    return list(DocumentPredictor(model, tokenizer)(TEXTS))


def assert_reads_the_same_with(compute_emissions, model, tokenizer):
    expected = read(model, tokenizer)
    model.compute_emissions = compute_emissions
    try:
        actual = read(model, tokenizer)
    finally:
        del model.compute_emissions
    assert any(prediction.labels for prediction in expected)
    for prediction, reference in zip(actual, expected, strict=True):
        assert prediction.labels == reference.labels and (prediction.starts == reference.starts).all()
        assert abs(prediction.scores - reference.scores).max(initial=0) < 1e-4


def test_an_exported_encoder_reads_documents_of_any_length(model, tokenizer, example, shapes):
    exported = torch.export.export(Emissions(model).eval(), example, dynamic_shapes=shapes).module()
    assert_reads_the_same_with(lambda *inputs: exported(*inputs), model, tokenizer)


def test_an_encoder_as_onnx_reads_documents_of_any_length(model, tokenizer, example, shapes, tmp_path):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    onnxruntime = pytest.importorskip("onnxruntime")
    names = {"input_names": ["input_ids", "attention_mask"], "output_names": ["emissions"]}
    program = torch.onnx.export(Emissions(model).eval(), example, dynamo=True, dynamic_shapes=shapes, **names)
    program.save(tmp_path / "emissions.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "emissions.onnx")

    def compute_emissions(input_ids, attention_mask):
        inputs = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        return torch.from_numpy(session.run(None, inputs)[0])

    assert_reads_the_same_with(compute_emissions, model, tokenizer)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_model_with_quantized_layers_reads_documents(model, tokenizer):
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    assert not isinstance(quantized.classifier, nn.Linear)
    expected = read(model, tokenizer)
    for prediction, reference in zip(read(quantized, tokenizer), expected, strict=True):
        assert bool(prediction.labels) == bool(reference.labels)
