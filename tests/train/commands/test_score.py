"""`clinx score` as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clinx.commands.score import main
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.errors import InputError
from clinx.scoring.scores import score
from clinx.scoring.significance import compare
from tests.train.scoring.systems import GOLD, document, noisy


ROOT = Path(__file__).parents[3]


@pytest.fixture
def files(tmp_path):
    write_jsonl(GOLD, tmp_path / "gold.jsonl")
    for prediction in noisy(GOLD, 0.9, seed=1):
        write_brat(prediction, tmp_path / "pred")
    write_jsonl(noisy(GOLD, 0.7, seed=2), tmp_path / "against.jsonl.gz")
    return [f"--{name.split('.')[0]}={tmp_path / name}" for name in ("gold.jsonl", "pred", "against.jsonl.gz")]


def test_the_command_prints_every_label_by_support_and_the_difference(files, capsys, tmp_path):
    main([*files, "--json", str(tmp_path / "out" / "scores.json")])
    printed = capsys.readouterr().out
    assert [row.split()[1] for row in printed.splitlines() if row.startswith("│")] == ["X", "Y", "Z", "micro"] * 2
    assert "95 % interval [+" in printed
    assert "seed 0" in printed
    results = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert results["pred"] == score(GOLD, noisy(GOLD, 0.9, seed=1))
    assert results["comparison"] == compare(GOLD, noisy(GOLD, 0.9, seed=1), noisy(GOLD, 0.7, seed=2))
    assert f"{100 * results['pred']['f1']:.2f}" in printed


def test_json_on_stdout_is_alone_there(files, capsys):
    main([*files[:2], "--json", "-"])
    captured = capsys.readouterr()
    assert json.loads(captured.out).keys() == {"pred"}
    assert "micro" in captured.err


@pytest.mark.parametrize("target", ["folder", "", "gold.jsonl/scores.json"])
def test_scores_that_cannot_be_written_are_refused_before_anything_is_read(tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "gold.jsonl").write_text("not read")
    with pytest.raises(
        InputError, match=f"^{target or '.'}: found a folder|^{target}: found the file .*gold.jsonl, exp"
    ):
        main(["--gold", "gold.jsonl", "--pred", "gold.jsonl", "--json", target])


def test_an_empty_path_is_not_taken_for_none(files):
    with pytest.raises(InputError, match="found an empty path"):
        main([*files[:2], "--against", ""])


def test_files_are_left_out_on_both_sides(files, tmp_path, capsys):
    (tmp_path / "pred/README.txt").write_text("About these predictions.")
    main([*files[:2], "--exclude", "README*", "--json", "-"])
    assert json.loads(capsys.readouterr().out)["pred"] == score(GOLD, noisy(GOLD, 0.9, seed=1))


def test_no_label_is_cut_in_a_pipe_or_taken_for_markup(tmp_path):
    label = "[red]" + "LONG_LABEL_" * 20
    write_jsonl([document("a", (0, 3, label))], tmp_path / "a.jsonl")
    command = [sys.executable, "-m", "clinx", "score", "--gold", "a.jsonl", "--pred", "a.jsonl"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "COLUMNS": "40"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert f"│ {label} │" in done.stdout


def test_mentions_that_were_not_read_exactly_are_told(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("left arm, knee")
    (tmp_path / "a.ann").write_text("T1\tPAIN 0 4;10 14\tleft knee\n")
    main(["--gold", str(tmp_path), "--pred", str(tmp_path)])
    assert capsys.readouterr().err == 2 * f"{tmp_path}: 1 mention(s) not read exactly: discontinuous\n"
