"""Folders that one command at a time writes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from clinx.errors import InputError
from clinx.writing import LOCK, exclusive, write_json


HOLDER = """
import sys, time
from pathlib import Path
from clinx.writing import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_written_by_one_process_at_a_time(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=rf"process {holder.pid} on .* \(since 20.*\) is writing here"):
        with exclusive(tmp_path):
            raise AssertionError("two at a time")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with exclusive(tmp_path):  # free since its holder is gone
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()


def test_a_fault_inside_frees_the_folder(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with exclusive(tmp_path):
            raise ZeroDivisionError
    with exclusive(tmp_path):
        pass


def test_names_of_files_that_are_not_utf_8_are_written_and_read_back(tmp_path):
    content = {"id": os.fsdecode("niño".encode("latin1")), "label": "Ñ"}
    write_json(tmp_path / "file.json", content)
    assert json.loads((tmp_path / "file.json").read_text(encoding="utf-8")) == content
    assert "Ñ" in (tmp_path / "file.json").read_text(encoding="utf-8")
