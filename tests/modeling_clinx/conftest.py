"""One model, its repo, and the members of an ensemble, for each file of tests."""

import pytest
import torch

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXForTokenClassification
from tests.modeling_clinx.models import new_model


@pytest.fixture(scope="module")
def model(tiny_encoder_dir):
    return new_model(tiny_encoder_dir)


@pytest.fixture(scope="module")
def repo(model, tokenizer, tmp_path_factory):
    return save_model_repo(model, tokenizer, tmp_path_factory.mktemp("hub") / "clinical-ner")


@pytest.fixture(scope="module")
def member_folders(tiny_encoder_dir, tokenizer, tmp_path_factory):
    """Five members, each in a folder called `best`."""
    folders = [tmp_path_factory.mktemp(f"member-{seed}") / "best" for seed in range(5)]
    for seed, folder in enumerate(folders):
        model = new_model(tiny_encoder_dir, seed=seed, window_length=128, context_size=16)
        if seed:  # members of one ensemble agree on most of what they find
            first = ClinXForTokenClassification.from_pretrained(folders[0])
            model.classifier.load_state_dict(first.classifier.state_dict())
            model.classifier.weight.data += 0.4 * torch.randn_like(model.classifier.weight)
        save_model_repo(model, tokenizer, folder)
    return folders
