"""What of a run's figures is published."""

import json

import pytest

from hub_cards.figures import published_figures


@pytest.mark.parametrize("publishable", ["split_kind"])
@pytest.mark.parametrize("name", ["split", "split_kind"])
def test_the_kind_of_split_is_published_under_the_name_that_the_run_has_for_it(tmp_path, name, publishable):
    (tmp_path / "metrics.json").write_text(json.dumps({"settings": {name: "random", "train": "/home/secret"}}))
    figures = published_figures(tmp_path, ["seed", publishable])
    assert figures == {"settings": {name: "random"}, "split": "random"}


def test_that_the_test_notes_were_held_out_is_always_published(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"settings": {"test_fraction": 0.1, "train": "/home/secret"}}))
    assert published_figures(tmp_path, [])["settings"] == {"test_fraction": 0.1}
