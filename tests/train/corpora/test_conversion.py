"""`clinx corpus convert`: where it writes, and what is left when it is ended. The forms: `formats/test_dataset.py`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinx.cli import main
from clinx.corpora import conversion
from clinx.corpora.conversion import convert
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.formats.jsonl import write_jsonl


ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("out", ["notes/converted", "link/converted", "notes/sub/../converted", "notes"])
def test_a_corpus_is_not_converted_into_itself(tmp_path, capsys, out):
    write_brat(Document("a", "Dolor."), tmp_path / "notes")
    (tmp_path / "link").symlink_to(tmp_path / "notes")
    before = sorted(tmp_path.rglob("*"))
    for to in ("dataset", "jsonl", "brat", "conll"):
        command = ["corpus", "convert", str(tmp_path / "notes"), "--out", str(tmp_path / out), "--to", to]
        assert main(command) == 2
        assert f"{tmp_path}/" in (error := capsys.readouterr().err) and "choose an output beside it" in error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_conversion_that_is_ended_leaves_nothing(tmp_path, sent):
    write_jsonl((Document(f"{n}", "Dolor torácico.") for n in range(20_000)), tmp_path / "notes.jsonl")
    command = [sys.executable, "-m", "clinx", "corpus", "convert", "notes.jsonl", "--out", "out/converted"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.Popen([*command, "--to", "brat"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    while ended.poll() is None and not list((tmp_path / "out").glob(".converted.*/new/train/*.ann")):
        time.sleep(0.02)
    ended.send_signal(sent)
    ended.communicate()
    assert ended.returncode == 128 + sent
    assert not list((tmp_path / "out").iterdir())


def test_a_path_that_is_no_utf_8_has_a_card_too(tmp_path):
    notes = tmp_path / os.fsdecode(b"notes\xff")
    write_brat(Document("a", "Dolor."), notes)
    assert main(["corpus", "convert", str(notes), "--out", str(tmp_path / "out")]) == 0
    assert "notes\ufffd" in (tmp_path / "out/README.md").read_text("utf-8")


def test_two_ids_that_are_one_file_name_on_a_disk_are_refused(tmp_path, monkeypatch, capsys):
    def write_without_case(document, folder):
        write_brat(Document(document.id.lower(), document.text), folder)

    monkeypatch.setattr(conversion, "write_brat", write_without_case)
    write_jsonl([Document("A", "Dolor."), Document("a", "Tos.")], tmp_path / "notes.jsonl")
    command = ["corpus", "convert", str(tmp_path / "notes.jsonl"), "--out", str(tmp_path / "out"), "--to", "brat"]
    assert main(command) == 2
    assert "document 'a': found another id that is the same file name" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to, n_lost", [("jsonl", 0), ("brat", 0), ("conll", 1), ("dataset", 1)])
def test_scores_that_a_form_cannot_hold_are_told(tmp_path, to, n_lost):
    write_jsonl([Document("a", "54 años", [Entity(0, 7, "AGE", 0.5, 1.0)])], tmp_path / "train.jsonl")
    lost = convert(str(tmp_path / "train.jsonl"), str(tmp_path / "out"), to)[2]
    assert [problem.kind for problem in lost] == ["score left out"] * n_lost
