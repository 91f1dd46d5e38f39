"""Predictions belong to a text and a model: what is stale is made again, and nothing stale looks complete."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from clinx.corpora.formats.jsonl import write_jsonl
from clinx.corpora.registry import read_corpus
from clinx.errors import InputError
from clinx.prediction.journal import Journal
from clinx.prediction.predict import predict

from .conftest import predictions, train_again


FORMATS = pytest.mark.parametrize("format", ["brat", "jsonl"])


@pytest.fixture
def copy(notes, tmp_path):
    """Notes that may be changed."""
    return shutil.copytree(notes / "validation", tmp_path / "notes")


@pytest.fixture
def command(model, copy, tmp_path):
    return ["predict", "--model", model, "--input", copy, "--output", tmp_path / "out"]


def anew(model, notes, format, folder) -> dict:
    """Predictions in a folder of their own."""
    predict(str(model), str(notes), str(folder), format)
    return predictions(folder)


def change(notes: Path) -> dict[str, str]:
    """One note of four changes, one comes in the middle, one leaves."""
    first, second, third, _ = sorted(notes.glob("*.txt"))
    third.write_text(third.read_text() + "\nDolor torácico. Paciente: Ana Ruiz.", encoding="utf-8")
    (notes / f"{second.stem}-more.txt").write_text("Ingresa con dolor torácico.", encoding="utf-8")
    first.unlink()
    return {"gone": first.stem, "new": f"{second.stem}-more", "changed": third.stem}


@FORMATS
def test_all_notes_are_read_again_with_a_model_that_was_trained_again(command, model, copy, tmp_path, clinx, format):
    clinx(*command, "--format", format)
    before = predictions(tmp_path / "out")
    train_again(model)
    status, out, err = clinx(*command, "--format", format)
    assert status == 0 and out.startswith("4 notes read;") and "the model has changed: 4 notes are read again" in err
    assert predictions(tmp_path / "out") == anew(model, copy, format, tmp_path / "anew") != before
    assert clinx(*command, "--format", format)[1].startswith("0 notes read, 4 as before;")


@FORMATS
def test_nothing_of_the_old_model_is_left_when_reading_with_the_new_one_is_interrupted(
    command, model, copy, tmp_path, clinx, interrupted, format
):
    clinx(*command, "--format", format)
    train_again(model)
    with interrupted(format, after=2):
        predict(str(model), str(copy), str(tmp_path / "out"), format)
    assert clinx("score", "--gold", copy, "--pred", tmp_path / "out")[0] == 2  # not complete
    assert clinx(*command, "--format", format)[1].startswith("2 notes read, 2 as before;")
    assert predictions(tmp_path / "out") == anew(model, copy, format, tmp_path / "anew")


@FORMATS
def test_notes_that_changed_came_or_went_are_said_and_predicted_anew(command, model, copy, tmp_path, clinx, format):
    clinx(*command, "--format", format)
    change(copy)
    status, out, _ = clinx(*command, "--format", format)
    assert status == 0
    assert out.startswith("2 notes read (1 changed, 1 new), 2 as before, 1 removed since their notes are gone;")
    expected = anew(model, copy, format, tmp_path / "anew")
    assert predictions(tmp_path / "out") == expected and list(predictions(tmp_path / "out")) == list(expected)
    if format == "jsonl":
        both = [(tmp_path / name / "predictions.jsonl").read_bytes() for name in ("out", "anew")]
        assert both[0].count(b"\n") == both[1].count(b"\n") == 4
    assert clinx(*command, "--format", format)[1].startswith("0 notes read, 4 as before;")


def test_notes_in_another_order_are_put_into_that_order(model, notes, tmp_path):
    documents = list(read_corpus(notes / "validation"))
    for order in (documents[:2], documents[::-1], documents):
        write_jsonl(order, tmp_path / "notes.jsonl")
        predict(str(model), str(tmp_path / "notes.jsonl"), str(tmp_path / "out"), "jsonl")
        assert list(predictions(tmp_path / "out")) == [document.id for document in order]


def test_the_same_model_in_another_place_reads_nothing_again(command, model, clinx, tmp_path):
    clinx(*command)
    shutil.move(model, tmp_path / "moved")
    (tmp_path / "moved" / "README.md").write_text("a card")
    os.utime(tmp_path / "moved" / "model.safetensors", (1, 1))
    command[2] = tmp_path / "moved"
    assert clinx(*command)[1].startswith("0 notes read, 4 as before;")


FROM_THE_HUB = """
import sys
from clinx import cli
from huggingface_hub import HfApi
from tests.train.prediction.conftest import train_again
from pathlib import Path
model, command = Path(sys.argv[1]), ["predict", "--model", "org/ner", *sys.argv[2:]]
HfApi().create_repo("org/ner", private=True)
for change in (lambda: None, lambda: (model / "README.md").write_text("# A card"), lambda: train_again(model)):
    change()
    HfApi().upload_folder(repo_id="org/ner", folder_path=model)
    cli.main(command)
"""


def test_a_model_on_the_hub_is_known_by_its_files(client, model, copy, tmp_path):
    done = client("-c", FROM_THE_HUB, model, "--input", copy, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    shown = [line.split(" read")[0] for line in done.stdout.splitlines()]
    assert shown == ["4 notes", "0 notes", "4 notes"]
    assert "the model has changed: 4 notes are read again" in done.stderr


def test_predictions_of_another_model_input_or_format_are_not_mixed(command, clinx, ensemble_run, notes):
    clinx(*command)
    for place, other in ((2, ensemble_run / "model"), (4, notes / "train")):
        status, _, err = clinx(*command[:place], other, *command[place + 1 :])
        assert status == 2 and f"holds predictions of {command[2]} for {command[4]} as brat" in err
    assert clinx(*command, "--format", "jsonl")[0] == 2


@pytest.mark.parametrize("why", ["the model has changed", "the text of the note has changed", "no longer in the input"])
def test_corrected_predictions_are_never_overwritten_or_removed(command, model, copy, tmp_path, clinx, why):
    clinx(*command)
    changes = change(copy) if "model" not in why else {}
    edited = tmp_path / "out" / f"{changes.get('gone' if 'input' in why else 'changed', 'synthetic')}.ann"
    edited = edited if edited.exists() else next((tmp_path / "out").glob("*.ann"))
    corrected = edited.read_text() + "T99\tPROBLEM 0 1\tx\n"
    edited.write_text(corrected)
    if "model" in why:
        train_again(model)
    status, _, err = clinx(*command)
    assert status == 2 and f"found 1 predictions that were edited after they were written ('{edited.stem}')" in err
    assert why in err and edited.read_text() == corrected
    shutil.move(edited, tmp_path / "corrected.ann")
    assert clinx(*command)[0] == 0


def test_corrected_predictions_of_notes_that_did_not_change_are_left_alone(command, tmp_path, clinx):
    clinx(*command)
    edited = next((tmp_path / "out").glob("*.ann"))
    edited.write_text("T1\tPROBLEM 0 1\tx\n")
    assert clinx(*command)[0] == 0
    assert edited.read_text() == "T1\tPROBLEM 0 1\tx\n"


@FORMATS
def test_the_ranking_is_of_the_predictions_that_are_there(ensemble_run, copy, tmp_path, clinx, format):
    command = ["predict", "--model", ensemble_run / "model", "--input", copy, "--format", format, "--disagreement"]
    clinx(*command, "--output", tmp_path / "out")
    changes = change(copy)
    clinx(*command, "--output", tmp_path / "out")
    clinx(*command, "--output", tmp_path / "anew")
    rankings = [(tmp_path / name / "disagreement.tsv").read_text() for name in ("out", "anew")]
    assert rankings[0] == rankings[1] and changes["new"] in rankings[0] and changes["gone"] not in rankings[0]
    os.unlink(tmp_path / "out" / "disagreement.tsv")  # and may be asked for later
    assert clinx(*command, "--output", tmp_path / "out")[1].startswith("0 notes read, 4 as before")
    assert (tmp_path / "out" / "disagreement.tsv").read_text() == rankings[1]


def test_a_damaged_journal_is_told(command, tmp_path, clinx):
    clinx(*command)
    journal = tmp_path / "out" / ".clinx-predict.sqlite"
    journal.write_bytes(b"no database" * 1000)
    status, _, err = clinx(*command)
    assert status == 2 and f"{journal}: this list of what was predicted is damaged" in err and "remove" in err


def killed_before(step: int, arguments: tuple) -> bool:
    """Predicts in a process that is killed, as by `kill -9`, before its so manieth change on disk; False if it ends."""
    child = os.fork()
    if not child:
        count = 0

        def counted(change):
            def counted(*args, **kwargs):
                nonlocal count
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
                return change(*args, **kwargs)

            return counted

        try:
            for name in ("replace", "unlink"):
                setattr(os, name, counted(getattr(os, name)))
            for name in ("record", "forget", "begin", "renumber"):
                setattr(Journal, name, counted(getattr(Journal, name)))
            predict(*arguments)
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("happened", ["nothing", "other notes", "another model"])
@FORMATS
def test_predictions_are_right_and_complete_whenever_the_process_was_killed(
    model, copy, tmp_path, clinx, format, happened
):
    write_jsonl(read_corpus(copy), tmp_path / "notes.jsonl")
    arguments = (str(model), str(tmp_path / "notes.jsonl"), str(tmp_path / "out"), format)
    (tmp_path / "start").mkdir()
    before = {}
    if happened != "nothing":
        predict(*arguments)
        before = predictions(tmp_path / "out")
        shutil.copytree(tmp_path / "out", tmp_path / "start", dirs_exist_ok=True)
    if happened == "other notes":
        change(copy)
        write_jsonl(reversed(list(read_corpus(copy, annotated=False))), tmp_path / "notes.jsonl")
    elif happened == "another model":
        train_again(model)
    expected = anew(model, tmp_path / "notes.jsonl", format, tmp_path / "anew")
    step = 0
    while True:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(tmp_path / "start", tmp_path / "out")
        if not killed_before(step, arguments):
            break
        try:
            left = predictions(tmp_path / "out")
        except InputError:
            left = {}
        complete = {id: text for id, (text, _) in left.items()} == {id: text for id, (text, _) in expected.items()}
        assert not complete or left in (before, expected)  # what `clinx score` would take
        predict(*arguments)
        assert list(predictions(tmp_path / "out").items()) == list(expected.items()), step
        assert not [path for path in (tmp_path / "out").iterdir() if path.suffix == ".partial"]
        step += 1
    assert step > 4
