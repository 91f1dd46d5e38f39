"""The app of `space/`, whose files lie flat and import each other by name, as they are deployed."""

import sys

import pytest

from tests.hub_cards.runs import make_ensemble_run
from tests.modeling_clinx.models import PROJECT


pytest.importorskip("gradio", reason="the Space needs gradio")
sys.path.insert(0, str(PROJECT / "space"))


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """An ensemble that learned nothing, as a model folder."""
    return make_ensemble_run(tmp_path_factory.mktemp("shown"), tiny_encoder_dir, tokenizer) / "model"
