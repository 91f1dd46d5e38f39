"""Folders that one command at a time writes."""

import os
import signal
import subprocess
import sys

import pytest

from clinx.errors import InputError
from clinx.writing import LOCK, exclusive


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
