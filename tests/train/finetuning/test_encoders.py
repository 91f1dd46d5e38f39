"""Which models descend from the same pretrained encoder."""

import pytest
import torch
from transformers import XLMRobertaModel

from clinx.errors import InputError
from clinx.finetuning.encoders import describe_encoder, refuse_other_encoder
from tests.modeling_clinx.models import new_model, tiny_config


def encoder(tokenizer, seed=0, **settings):
    torch.manual_seed(seed)
    config = tiny_config(tokenizer)
    for name, value in settings.items():
        setattr(config, name, value)
    return XLMRobertaModel(config)


def fine_tuned(model):
    """The model with every weight moved, as far as no fine-tuning moves them."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * parameter.std() * torch.randn_like(parameter) if parameter.numel() > 1 else 0.0
    return model


def test_models_that_were_fine_tuned_from_one_encoder_are_known_again(tiny_encoder_dir, tokenizer):
    one = describe_encoder(XLMRobertaModel.from_pretrained(tiny_encoder_dir), tokenizer)
    for model in (new_model(tiny_encoder_dir), fine_tuned(new_model(tiny_encoder_dir, ["X"]))):
        refuse_other_encoder(one, describe_encoder(model, tokenizer))


def test_encoders_that_were_pretrained_apart_are_refused_though_they_are_alike_in_size(tokenizer):
    one, other = (describe_encoder(encoder(tokenizer, seed), tokenizer) for seed in (0, 1))
    with pytest.raises(InputError, match=r"different encoders.*cosine of their word embeddings is -?0\.\d\d .*apart"):
        refuse_other_encoder(one, other)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [({"hidden_size": 64}, "hidden size: 32 and 64"), ({"num_hidden_layers": 3}, "n layers: 2 and 3")],
)
def test_encoders_of_different_sizes_are_refused_with_what_differs(settings, fault, tokenizer):
    one, other = (describe_encoder(encoder(tokenizer, **part), tokenizer) for part in ({}, settings))
    with pytest.raises(InputError, match=f"different encoders, .*: they differ in {fault}"):
        refuse_other_encoder(one, other)


def test_encoders_of_other_vocabularies_are_refused(tokenizer, byte_tokenizer):
    model = encoder(tokenizer)
    with pytest.raises(InputError, match="they differ in vocabulary$"):
        refuse_other_encoder(describe_encoder(model, tokenizer), describe_encoder(model, byte_tokenizer))
