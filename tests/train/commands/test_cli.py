"""The `clinx` command: its overview, and the help of every verb."""

import errno
import os
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from clinx import cli
from clinx.cli import main
from clinx.commands import recipes


def test_the_first_screen_lists_the_verbs_and_each_has_help(capsys):
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in cli.KNOWN)
    for verb in cli.KNOWN:
        with pytest.raises(SystemExit) as stop:
            cli.main([verb, "--help"])
        assert stop.value.code == 0
        assert f"clinx {verb}" in capsys.readouterr().out
    assert cli.main(["translate"]) == 2


@pytest.mark.parametrize("table", ["ablation", "transfer", "compare"])
def test_the_help_of_every_study_tells_that_settings_can_be_changed(capsys, table):
    with pytest.raises(SystemExit):
        cli.main(["study", table, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--key value" in shown and ("--equal" in shown) is (table != "transfer")


def test_a_closed_pipe_is_no_fault():
    for arguments in ("--help", "score --help"):
        command = f"set -o pipefail; {sys.executable} -m clinx {arguments} | :"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        assert done.returncode in (0, 141) and done.stderr == ""


def test_the_release_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("clinx 0.")


def test_how_threads_wait_is_set_before_torch_begins_them():
    code = "import os, sys; from clinx import cli; assert 'torch' not in sys.modules; cli.main(['--version']); "
    command = [sys.executable, "-c", code + "print(os.environ['GOMP_SPINCOUNT'])"]
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    for given, expected in ({}, cli.SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"):
        done = subprocess.run(command, env=environment | given, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize(
    "fault, message",
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/x"), "/disk/x: No space left on device"),
        (IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "/disk"), "/disk: Is a directory"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "No space left on device"),
    ],
)
def test_faults_of_files_are_one_line(monkeypatch, capsys, fault, message):
    def failing(argv):
        raise fault

    monkeypatch.setattr(recipes, "main", failing)
    assert main(["recipes"]) == 2
    assert capsys.readouterr().err == f"clinx recipes: error: {message}\n"
