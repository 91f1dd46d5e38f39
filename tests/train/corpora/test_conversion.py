"""`clinx corpus convert`: where it writes, and what is left when it is ended. The forms: `formats/test_dataset.py`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clinx.cli import main
from clinx.corpora.documents import Document
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
