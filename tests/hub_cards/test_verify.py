"""A copy of an exported folder is compared with it, as read where this project is not installed."""

import pytest

from hub_cards.card_fields import CardFields
from hub_cards.errors import HubError
from hub_cards.export import export
from hub_cards.verify import is_same
from tests.hub_cards.readers import TEXT
from tests.hub_cards.runs import make_run


def test_another_model_is_not_the_same_and_one_without_its_code_is_not_read(run, tiny_encoder_dir, tokenizer, tmp_path):
    exported = export(run, tmp_path / "exported", "org/x", CardFields(note=TEXT))
    copy = make_run(tmp_path / "copy", tiny_encoder_dir, tokenizer, seed=2) / "model"
    assert exported.expected and is_same(exported.expected, exported.read(tmp_path / "exported"))
    assert not is_same(exported.expected, exported.read(copy))
    (copy / "modeling_clinx.py").unlink()  # which is there on this machine, and nowhere else
    with pytest.raises(HubError, match="cannot be read where this project is not installed: .*modeling_clinx.py"):
        exported.read(copy)
