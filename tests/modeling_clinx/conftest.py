"""One model, and its repo, for each file of tests."""

import pytest

from hub_cards.repo import save_model_repo
from tests.modeling_clinx.models import new_model


@pytest.fixture(scope="module")
def model(tiny_encoder_dir):
    return new_model(tiny_encoder_dir)


@pytest.fixture(scope="module")
def repo(model, tokenizer, tmp_path_factory):
    return save_model_repo(model, tokenizer, tmp_path_factory.mktemp("hub") / "clinical-ner")
