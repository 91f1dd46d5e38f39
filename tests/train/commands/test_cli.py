"""The `clinx` command: its overview, and the help of every verb."""

import pytest

from clinx import cli


def test_the_first_screen_lists_the_verbs_and_each_has_help(capsys):
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in cli.KNOWN)
    for verb in cli.KNOWN:
        with pytest.raises(SystemExit) as stop:
            cli.main([verb, "--help"])
        assert stop.value.code == 0
        assert f"clinx {verb}" in capsys.readouterr().out
    assert cli.main(["translate"]) == 2
