"""Fixtures of this room: a run to push."""

import pytest

from tests.hub_cards.runs import make_run


@pytest.fixture
def run(tmp_path, tiny_encoder_dir, tokenizer):
    return make_run(tmp_path / "run", tiny_encoder_dir, tokenizer)
