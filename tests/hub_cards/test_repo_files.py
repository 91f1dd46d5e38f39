"""Only files of known kinds are pushed."""

import pytest

from hub_cards.errors import HubError
from hub_cards.repo_files import files_to_push


@pytest.mark.parametrize(
    "name", ["training_args.bin", "notes.txt", "optimizer.pt", "data/a.json", "x.pkl", "a/b_clinx.py"]
)
def test_what_a_model_repo_does_not_hold_is_refused_by_name(run, name):
    (run / "model" / name).parent.mkdir(exist_ok=True)
    (run / "model" / name).write_text("x")
    with pytest.raises(HubError, match=f"found {name}, which a model repo does not hold"):
        files_to_push(run / "model", "model")
