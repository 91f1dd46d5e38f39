"""Ray's workers write what one process writes, to the byte, whatever is killed in between."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from clinx import cli
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.corpora.synthetic import synthetic_notes
from clinx.errors import InputError
from clinx.prediction.groups import AS_BEFORE, CHANGED, NEW, Group, Note, decode, encode
from clinx.prediction.ray_engine import joined_cluster


pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


def reading(run: Path, notes: Path, output: Path, *options) -> list[str]:
    """A command that reads notes; small batches make many groups."""
    paths = {"model": run / "model", "input": notes, "output": output}
    arguments = [str(text) for key, path in paths.items() for text in (f"--{key}", path)]
    return ["predict", *arguments, "--format", "jsonl", "--batch-size", "1", *options]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """150 notes in one file."""
    file = tmp_path_factory.mktemp("many") / "notes.jsonl"
    write_jsonl(synthetic_notes(150), file)
    return file


@pytest.fixture(scope="module")
def whole(run, many):
    """What one process writes."""
    assert cli.main(reading(run, many, many.parent / "whole")) == 0
    return (many.parent / "whole" / "predictions.jsonl").read_bytes()


@pytest.fixture
def command(run, many, tmp_path):
    """A command that reads the notes, and whose predictions go to `tmp_path / NAME`."""
    return lambda name, *options: reading(run, many, tmp_path / name, *options)


def start(command: list[str]) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "clinx", *command, "--engine", "ray", "--workers", "2"]
    return subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True)


def descendants(process: int) -> dict[int, str]:
    """Process ids and command lines of what a process has started, and of what those have."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it has ended
    below = {process}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return {child: names[child] for child in below - {process}}


def lines_when_there_are_more_than(before: int, process: subprocess.Popen, folder: Path) -> int:
    while (n := sum(file.read_bytes().count(b"\n") for file in folder.glob("*.0.partial"))) <= before:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return n


def test_a_killed_worker_loses_and_doubles_nothing(command, whole, tmp_path):
    process = start(command("out"))
    lines_when_there_are_more_than(0, process, tmp_path / "out")
    workers = [child for child, name in descendants(process.pid).items() if "MapWorker" in name]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 0 and "150 notes read;" in out, err
    assert (tmp_path / "out" / "predictions.jsonl").read_bytes() == whole


def test_a_command_that_is_ended_again_and_again_goes_on_to_the_same_bytes(command, whole, tmp_path):
    n_written = 0
    for sent, status in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        process = start(command("out"))
        lines_when_there_are_more_than(n_written, process, tmp_path / "out")
        process.send_signal(sent)
        process.communicate()
        assert process.returncode == status
        n_written = (tmp_path / "out" / "predictions.jsonl.0.partial").read_bytes().count(b"\n")
        assert 0 < n_written < 150
    process = start(command("out"))
    out, err = process.communicate()
    assert process.returncode == 0, err
    n_known = 150 - int(re.search(r"(\d+) notes read", out)[1])
    assert n_written - 1 <= n_known <= n_written  # a line is known once the journal has it, just after it is written
    assert (f"{n_known} as before" in out) == (n_known > 0)
    assert (tmp_path / "out" / "predictions.jsonl").read_bytes() == whole


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_note_that_cannot_be_read_is_passed_over_where_asked(run, many, tmp_path, capsys, engine):
    notes, lines = tmp_path / "notes.jsonl", many.read_bytes().splitlines(keepends=True)[:40]
    notes.write_bytes(
        b"".join([*lines[:20], b'{"id": "half\n', b'{"id": "b", "text": "\xff"}\n', lines[3], *lines[20:]])
    )
    command = reading(run, notes, tmp_path / "out")
    assert cli.main([*command, "--engine", engine]) == 2
    assert f"{notes}:21: this line is not JSON" in capsys.readouterr().err
    assert cli.main([*command, "--engine", engine, "--keep-going"]) == 0
    out, err = capsys.readouterr()
    assert "3 could not be read" in out and str(tmp_path / "out" / "unreadable.log") in err
    assert (tmp_path / "out" / "predictions.jsonl").read_text().count("\n") == 40
    not_json, not_text, again = (tmp_path / "out" / "unreadable.log").read_text().splitlines()
    assert f"{notes}:21:" in not_json and f"{notes}:22" in not_text and "again" in again
    notes.write_bytes(b"".join(lines))
    assert cli.main(command) == 0
    assert not (tmp_path / "out" / "unreadable.log").exists()


@pytest.mark.parametrize(
    "options, shown",
    [
        (["--workers", "2"], "workers and ray-address are about Ray"),
        (["--engine", "ray", "--workers", "0"], "found 0 for workers, expected 1 or more"),
        (["--engine", "ray", "--model", "/no/model"], "/no/model: found no such folder"),
        (["--engine", "ray", "--input", "/no/notes"], "/no/notes"),
    ],
)
def test_what_cannot_be_is_told_before_ray_starts(command, tmp_path, capsys, options, shown):
    assert cli.main(command("out", *options)) == 2
    assert shown in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_group_comes_back_exactly():
    read = Document("a\ud800", "Dr. \ud800 Ruiz", [Entity(4, 6, "X", 0.1 + 0.2, 1 / 3)])
    changed, before = Document("b", "b"), Document("c", "c")
    group = Group(7, [Note(read, NEW, 1e-17), Note(changed, CHANGED), Note(before, AS_BEFORE)], ["line 3"])
    back = decode(encode(group))
    assert back == group
    assert [(e.score, e.agreement) for e in back.notes[0].document.entities] == [(0.1 + 0.2, 1 / 3)]
    only_changed = group._replace(notes=group.notes[1:])
    back = decode(encode(only_changed))
    assert back.notes[1].document == Document("c", "") and back.unread == [0]


def test_no_cluster_is_started_without_a_token(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as where a notebook has imported it
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    with pytest.raises(InputError, match="without a token"), joined_cluster(None):
        pass
