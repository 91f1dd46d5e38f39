"""`clinx push`: a dry run, and what it refuses."""

import pytest

from clinx.cli import main
from tests.hub_cards.runs import make_app, make_language_model


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """What runs a command that has to be refused, in a folder of its own, and returns the error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        assert main(["push", *arguments]) == 2
        return capsys.readouterr().err

    return run


def test_a_dry_run_lists_and_pushes_nothing(run, capsys):
    assert main(["push", str(run), "org/notes-ner", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # no bars of transformers, as of weights that are loaded
    assert "model.safetensors" in out and "bytes in 20 files" in out and "nothing was pushed" in out


def test_a_folder_that_does_not_exist_is_refused(refused):
    assert "org/notes-ner: there is no such folder" in refused("org/notes-ner", "org/copy")


def test_a_name_without_an_organization_is_refused(run, refused):
    assert "'notes-ner': expected the repo's name as ORG/NAME" in refused(str(run), "notes-ner", "--dry-run")


def test_members_are_refused_where_there_are_none(refused, tmp_path, tokenizer):
    make_language_model(tmp_path / "lm", tokenizer)
    message = "lm: there are no members (member-1 …), only a run with splits has them"
    assert message in refused("lm", "org/x", "--members")


def test_options_that_would_do_nothing_are_refused(run, refused, tmp_path):
    (tmp_path / "corpus/data").mkdir(parents=True)
    (tmp_path / "corpus/data/train-00000-of-00001.parquet").touch()
    assert "leave out --license" in refused("corpus", "org/notes", "--license", "mit", "--dry-run")
    assert "corpus: there are no members (member-1 …)" in refused("corpus", "org/notes", "--members", "--dry-run")
    assert "there is no app.py: leave out --model" in refused(str(run), "org/x", "--model", "org/y", "--dry-run")


def test_the_space_of_no_model_is_refused(refused):
    """It would be built, and end at once."""
    message = "this app shows the models that its card names: add --model ORG/NAME"
    assert message in refused("space", "org/demo", "--dry-run")


def test_a_space_with_notes_in_it_is_refused(refused, tmp_path):
    (make_app(tmp_path / "app") / "notes.csv").write_text("a note")
    assert "found notes.csv, which a space repo does not hold" in refused("app", "org/demo", "--dry-run")


@pytest.mark.parametrize("model", ["runs/notes", "/runs/notes/model", "notes"])
def test_a_space_that_shows_a_model_of_this_machine_is_refused(refused, tmp_path, model):
    """Its card would tell a local path, and it could not load it."""
    make_app(tmp_path / "app")
    (tmp_path / "runs/notes").mkdir(parents=True)
    message = f"--model {model}: expected ORG/NAME of a model on the Hub"
    assert message in refused("app", "org/demo", "--model", "org/ner", "--model", model, "--dry-run")


@pytest.mark.parametrize("folder", ["run", "run/model"])
def test_a_run_that_is_not_finished_is_refused(run, refused, folder):
    (run / "metrics.json").rename(run / "recipe.yaml")
    assert "run: this run is not finished" in refused(folder, "org/x", "--dry-run")


def test_a_language_model_without_its_tokenizer_is_refused(refused, tmp_path, tokenizer):
    make_language_model(tmp_path / "lm", tokenizer)
    for path in (tmp_path / "lm/model").glob("tokenizer*"):
        path.unlink()
    assert "lm/model: found no tokenizer" in refused("lm", "org/x", "--dry-run")
