"""Synthetic notes and a tiny recipe."""

import pytest

from clinx import cli
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.synthetic import synthetic_notes
from clinx.recipe import Recipe


@pytest.fixture(scope="session")
def notes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    for split, n in (("train", 12), ("validation", 4)):
        for note in synthetic_notes(n, split=split):
            write_brat(note, folder / split)
    return folder


@pytest.fixture(scope="session")
def recipe(notes, tiny_encoder_dir):
    file = notes / "recipe.yaml"
    file.write_text(
        f"encoder: {tiny_encoder_dir}\ntrain: {notes}/train\nvalidation: {notes}/validation\n"
        "window_length: 128\ncontext_size: 16\nbatch_subwords: 1024\nlearning_rate: 1e-3\nmax_steps: 6\n"
        "eval_strategy: steps\neval_steps: 2\nsave_strategy: steps\nsave_steps: 2\nlogging_steps: 2\nseed: 3\n"
        "use_cpu: true\ndisable_tqdm: true\ncalibrate: true\n"
    )
    return file


@pytest.fixture(scope="session")
def few(recipe, notes):
    """The recipe, in which all annotated notes but those that judge are divided in three."""
    file = notes / "splits.yaml"
    text = recipe.read_text().replace("max_steps: 6", "max_steps: 4").replace("seed: 3", "seed: 5\ntest_fraction: 0.2")
    file.write_text(text)
    return file


@pytest.fixture(scope="session")
def run(recipe, tmp_path_factory):
    """A finished run of the recipe."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert cli.main(["finetune", str(recipe), "--output_dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def ensemble_run(few, tmp_path_factory):
    """A finished run of three members, their ensemble and soup."""
    folder = tmp_path_factory.mktemp("runs") / "ensemble"
    assert cli.main(["finetune", str(few), "--splits", "3", "--soup", "--output_dir", str(folder)]) == 0
    return folder


@pytest.fixture
def parse(tmp_path):
    def parse(text: str, *overrides: str):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(text, encoding="utf-8")
        return Recipe.read(recipe, overrides)

    return parse
