"""`clinx predict`: what it writes, and how it goes on after an interruption."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from clinx import cli
from clinx.corpora import read_corpus
from clinx.corpora.documents import Document
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.errors import brief
from clinx.prediction.predict import predict
from clinx.prediction.writers import JsonLinesWriter
from clinx.scoring.calibration import CURVES
from clinx.writing import exclusive
from modeling_clinx import ClinXForTokenClassification, DocumentPredictor

from .conftest import predictions


def test_files_that_are_no_notes_are_not_read(notes, tmp_path, capsys):
    arguments = ["--model", "/no/model", "--input", str(notes / "validation"), "--output", str(tmp_path / "out")]
    assert cli.main(["predict", *arguments, "--exclude", "README*"]) == 2
    assert "/no/model: found no such folder" in capsys.readouterr().err
    assert cli.main(["predict", *arguments, "--exclude", "README*", "--exclude", "*.txt"]) == 2
    assert "found no documents" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["brat", "jsonl"])
def test_predictions_are_those_of_the_predictor(run, notes, tmp_path, format):
    arguments = ["--model", run / "model", "--input", notes / "validation", "--output", tmp_path, "--format", format]
    assert cli.main(["predict", *map(str, arguments)]) == 0
    written = list(read_corpus(tmp_path if format == "brat" else tmp_path / "predictions.jsonl"))
    model = ClinXForTokenClassification.from_pretrained(run / "model")
    from transformers import AutoTokenizer

    predictor = DocumentPredictor(model, AutoTokenizer.from_pretrained(run / "model"))
    for document, found in zip(written, predictor(d.text for d in written), strict=True):
        assert [(e.start, e.end, e.label) for e in document.entities] == list(
            zip(found.starts.tolist(), found.ends.tolist(), found.labels, strict=True)
        )


def test_mentions_below_a_score_are_not_written_and_another_score_reads_the_notes_again(run, notes, tmp_path, capsys):
    command = ["predict", "--model", run / "model", "--input", notes / "validation", "--output", tmp_path / "out"]
    command = [*map(str, command), "--format", "jsonl"]

    def scores(*more):
        assert cli.main([*command, *more]) == 0
        written = read_corpus(tmp_path / "out" / "predictions.jsonl")
        return sorted(entity.score for document in written for entity in document.entities)

    all_scores = scores()
    middle = all_scores[len(all_scores) // 2]
    assert scores("--min-score", str(middle)) == [score for score in all_scores if score >= middle]
    assert "4 notes are read again" in capsys.readouterr().err
    assert cli.main([*command, "--min-score", "2"]) == 2
    assert "found 2.0 for min-score, expected a share from 0 to 1" in capsys.readouterr().err


def test_another_dtype_reads_the_notes_again(run, notes, tmp_path, capsys, monkeypatch):
    dtypes, as_before = [], DocumentPredictor.window_batches

    def window_batches(predictor, *texts_and_tokens):
        dtypes.append(predictor.model.encoder.dtype)
        return as_before(predictor, *texts_and_tokens)

    monkeypatch.setattr(DocumentPredictor, "window_batches", window_batches)
    command = ["predict", "--model", run / "model", "--input", notes / "validation", "--output", tmp_path / "out"]
    for options in ([], ["--dtype", "bfloat16"], ["--dtype", "bfloat16"], []):
        assert cli.main([*map(str, command), *options]) == 0
    assert dtypes == [torch.float32, torch.bfloat16, torch.float32]
    errors = capsys.readouterr().err
    assert errors.count("other scores or another dtype are asked for: 4 notes are read again") == 2


def test_a_target_keeps_what_reached_it_on_the_validation_notes(run, notes, tmp_path, capsys):
    command = ["predict", "--model", str(run / "model"), "--input", str(notes / "validation"), "--format", "jsonl"]
    assert cli.main([*command, "--output", str(tmp_path / "a"), "--target-recall", "1"]) == 0
    assert "lowest scores for the recall asked for" in capsys.readouterr().err
    shutil.copytree(run / "model", tmp_path / "model")
    found = [e for document in read_corpus(tmp_path / "a" / "predictions.jsonl") for e in document.entities]
    scores = sorted(entity.score for entity in found)
    middle = scores[len(scores) // 2]
    curve = {"support": 40, "points": [[middle, 19, 1], [0.0, 20, 400]]}
    (tmp_path / "model" / CURVES).write_text(json.dumps({"all": curve, "per_label": {}}))
    command[2] = str(tmp_path / "model")
    assert cli.main([*command, "--output", str(tmp_path / "b"), "--target-precision", "0.95"]) == 0
    assert "all labels together" in capsys.readouterr().err
    kept = [e.score for document in read_corpus(tmp_path / "b" / "predictions.jsonl") for e in document.entities]
    assert sorted(kept) == [score for score in scores if score >= middle] != scores
    (tmp_path / "model" / CURVES).unlink()
    assert cli.main([*command, "--output", str(tmp_path / "c"), "--target-precision", "0.95"]) == 2
    assert f"has no {CURVES}" in capsys.readouterr().err and not (tmp_path / "c").exists()


@pytest.mark.parametrize("format", ["brat", "jsonl"])
def test_prediction_goes_on_where_it_was_cut_off(run, notes, tmp_path, interrupted, monkeypatch, format):
    arguments = (str(run / "model"), str(notes / "validation"), str(tmp_path / "out"), format)
    assert predict(*arguments[:2], str(tmp_path / "whole"), format).read == 4
    with interrupted(format, after=2):
        predict(*arguments)
    if format == "jsonl":
        with open(tmp_path / "out" / "predictions.jsonl.0.partial", "ab") as file:
            file.write(b'{"id": "half a li')
        monkeypatch.setattr(JsonLinesWriter, "_rewrite", None)  # which would need as much disk again
    assert predict(*arguments).read == 2
    assert predict(*arguments).read == 0
    name = "predictions.jsonl" if format == "jsonl" else "."
    assert list(read_corpus(tmp_path / "out" / name)) == list(read_corpus(tmp_path / "whole" / name))
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix in (".partial", ".tmp")]


@pytest.fixture
def command(run, notes, tmp_path):
    return ["predict", "--model", run / "model", "--input", notes / "validation", "--output", tmp_path / "out"]


@pytest.mark.parametrize(
    "options, shown",
    [
        (["--device", "foo"], "found the device 'foo', expected one that is here: cpu"),
        (["--device", "cuda:9"], "found the device 'cuda:9', expected one that is here: cpu"),
        (["--device", "meta"], "found the device 'meta', expected one that is here: cpu"),
        (["--batch-size", "0"], "found 0 for batch-size, expected 1 or more"),
        (["--batch-size", "-3"], "found -3 for batch-size, expected 1 or more"),
        (["--max-members-in-memory", "0"], "found 0 for max-members-in-memory, expected 1 or more"),
        (["--model", "/no/model"], "/no/model: found no such folder"),
        (["--model", "runs/my-notes/model"], "runs/my-notes/model: found no such folder"),
        (
            ["--model", "{run}"],
            "{run}: found no config.json in this folder, expected a model's; did you mean {run}/model",
        ),
        (["--model", "{notes}"], "{notes}: found no config.json in this folder"),
        (["--model", "{run}/metrics.json"], "{run}/metrics.json: found a file, expected the folder"),
        (["--output", "{run}/metrics.json"], "{run}/metrics.json"),
        (["--output", "{run}/metrics.json/out"], "{run}/metrics.json"),
        (["--output", "/proc/nowhere/out"], "/proc/nowhere"),
    ],
)
def test_what_cannot_be_is_one_line_that_says_so(command, run, notes, tmp_path, clinx, options, shown):
    names = {"run": run, "notes": notes}
    status, _, err = clinx(*command, *(option.format(**names) for option in options))
    *progress, error = err.splitlines()
    assert status == 2 and error.startswith("clinx predict: error: ") and shown.format(**names) in error
    assert not (tmp_path / "out").exists()


def test_a_model_whose_files_are_damaged_is_told(command, run, clinx, tmp_path):
    model = command[2] = shutil.copytree(run / "model", tmp_path / "model")
    for name, content in (("model.safetensors", b"half"), ("tokenizer.json", b"{"), ("config.json", b"{")):
        (model / name).write_bytes(content)
        status, _, err = clinx(*command)
        assert status == 2 and f"clinx predict: error: cannot load the model {model}: " in err


@pytest.mark.parametrize("format, name", [("brat", "a.ann"), ("brat", "deep/er/a.txt"), ("jsonl", "gold.jsonl")])
def test_files_of_others_are_neither_taken_for_predictions_nor_overwritten(command, clinx, tmp_path, format, name):
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    (tmp_path / "out" / "README.md").write_text("about")
    command = [*command, "--format", format]
    status, _, err = clinx(*command)
    assert status == 2 and f"{file}: found this file, which `clinx predict` did not write" in err
    assert file.read_text() == "mine"
    file.unlink()
    assert clinx(*command)[0] == 0


def test_annotations_that_came_between_two_calls_are_not_overwritten(command, clinx, tmp_path):
    notes = command[4] = shutil.copytree(command[4], tmp_path / "notes")
    assert clinx(*command)[0] == 0
    (notes / "more.txt").write_text("Dolor.")
    (tmp_path / "out" / "more.ann").write_text("")
    status, _, err = clinx(*command)
    assert status == 2 and f"{tmp_path}/out/more.ann: found this file" in err


def test_a_note_that_was_removed_from_the_predictions_is_read_again(command, clinx, tmp_path):
    assert clinx(*command)[0] == 0
    text, annotations = (next((tmp_path / "out").glob(f"*.{suffix}")) for suffix in ("txt", "ann"))
    as_before = text.read_bytes()
    text.unlink()
    assert "1 notes read, 3 as before" in clinx(*command)[1] and text.read_bytes() == as_before
    annotations.write_text("")
    annotations.with_suffix(".txt").unlink()
    status, _, err = clinx(*command)
    assert status == 2 and "1 predictions that were edited" in err and "since their text is missing" in err


def test_a_line_that_was_added_to_the_predictions_is_not_lost(command, clinx, tmp_path):
    command, file = [*command, "--format", "jsonl"], tmp_path / "out" / "predictions.jsonl"
    assert clinx(*command)[0] == 0
    with open(file, "a") as lines:
        lines.write('{"id": "mine", "text": "x", "entities": []}\n')
    status, _, err = clinx(*command)
    assert status == 2 and f"{file}: found more at its end than `clinx predict` wrote" in err
    assert '"mine"' in file.read_text()


def test_the_home_folder_is_that_of_input_and_output(command, clinx, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(command[4], tmp_path / "notes")
    command[4], command[6] = "~/notes", "~/predicted"
    assert clinx(*command)[0] == 0 and (tmp_path / "predicted").is_dir() and not (tmp_path / "~").exists()
    command[6] = tmp_path / "notes" / "out"
    status, _, err = clinx(*command)
    assert status == 2 and "this output inside of the input" in err


def test_where_no_note_can_be_read_it_is_told_why(command, clinx, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_bytes("niño".encode("latin1"))
    command[4] = tmp_path / "notes"
    status, _, err = clinx(*command, "--keep-going")
    assert status == 2 and "none of its notes could be read, 1 in all; the first: " in err and "0xf1" in err


@pytest.mark.parametrize(
    "output, fault",
    [
        ("notes", "the same folder for input and output"),
        ("notes/out", "this output inside of the input"),
        ("link/out", "this output inside of the input"),
        (".", "inside of this output"),
    ],
)
def test_input_and_output_are_apart(command, clinx, tmp_path, output, fault):
    command[4] = shutil.copytree(command[4], tmp_path / "notes")
    (tmp_path / "link").symlink_to(tmp_path / "notes")
    command[6] = tmp_path / output
    before = sorted(tmp_path.rglob("*"))
    status, _, err = clinx(*command)
    assert status == 2 and fault in err and "choose an output beside it" in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("id", ["../a", "/etc/a", "a/../../b", ".hidden", "a" * 300, ""])
def test_ids_that_are_no_file_names_are_refused_in_brat_and_kept_in_json_lines(command, clinx, tmp_path, id):
    command[4] = tmp_path / "notes.jsonl"
    write_jsonl([Document(id, "Dolor torácico.")], tmp_path / "notes.jsonl")
    before = sorted(tmp_path.rglob("*"))
    status, _, err = clinx(*command)
    assert status == 2 and f"document {brief(id)}" in err
    assert [path for path in tmp_path.rglob("*") if path not in before and not path.name.startswith(".clinx")] == [
        tmp_path / "out"
    ]
    command[6] = tmp_path / "lines"
    assert clinx(*command, "--format", "jsonl")[0] == 0
    assert list(predictions(tmp_path / "lines")) == [id]


def process(command, **options) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    arguments = [sys.executable, "-m", "clinx", *map(str, command)]
    return subprocess.Popen(arguments, env=environment, stdout=-1, stderr=-1, text=True, **options)


def test_two_commands_at_once_do_not_mix(command, clinx, tmp_path):
    command += ["--format", "jsonl"]
    both = [process(command) for _ in range(2)]
    errors = [each.communicate()[1] for each in both]
    statuses = [each.returncode for each in both]
    assert 0 in statuses and all(
        status == 0 or "is writing here; wait until it has ended" in error
        for status, error in zip(statuses, errors, strict=True)
    )
    assert clinx(*command)[1].startswith("0 notes read, 4 as before")
    assert len(predictions(tmp_path / "out")) == 4
    with exclusive(tmp_path / "out"):
        status, _, err = clinx(*command)
    assert status == 2 and f"process {os.getpid()} on" in err


@pytest.mark.parametrize("sent, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_is_ended_leaves_nothing_half_written_and_goes_on(command, clinx, tmp_path, sent, status):
    many = [Document(f"{n}", "Dolor torácico. " * 250) for n in range(12)]
    write_jsonl(many, tmp_path / "notes.jsonl")
    command[4] = tmp_path / "notes.jsonl"
    command += ["--batch-size", "1"]  # so that a note is written before the last one is read
    ended = process(command)
    while ended.poll() is None and not list((tmp_path / "out").glob("*.ann")):
        time.sleep(0.02)
    ended.send_signal(sent)
    ended.communicate()
    assert ended.returncode == status
    left = sorted(path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".clinx"))
    written = [name for name in left if name.endswith(".ann")]
    assert written and left == sorted([*written, *(name.replace(".ann", ".txt") for name in written)])
    assert clinx(*command)[1].startswith(f"{12 - len(written)} notes read, {len(written)} as before")


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a disk of 1 MiB cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("format", ["brat", "jsonl"])
def test_a_full_disk_is_told_and_goes_on(command, clinx, small_disk, tmp_path, format):
    command[4], command[6] = tmp_path / "notes.jsonl", small_disk / "out"
    write_jsonl([Document(f"{n}", "Dolor. " * 150) for n in range(20)], tmp_path / "notes.jsonl")
    command += ["--format", format, "--batch-size", "1"]
    (small_disk / "other").write_bytes(b"x" * 950_000)
    status, _, err = clinx(*command)
    assert status == 2 and err.splitlines()[-1].startswith("clinx predict: error: ")
    assert "No space left on device" in err or "disk is full" in err
    (small_disk / "other").unlink()
    status, out, err = clinx(*command)
    assert status == 0, err
    assert " notes read, " in out and " as before" in out
    assert len(predictions(small_disk / "out")) == 20
