"""`clinx score` as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clinx.commands.score import main
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.errors import InputError
from clinx.scoring.p_values import LEGEND
from clinx.scoring.scores import score, score_runs
from clinx.scoring.significance import compare, compare_runs
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
    assert "p = 0.0002 *** (approximate randomization, two-sided)" in printed and LEGEND in printed
    results = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert results["pred"] == score(GOLD, noisy(GOLD, 0.9, seed=1))
    assert results["comparison"] == compare(GOLD, noisy(GOLD, 0.9, seed=1), noisy(GOLD, 0.7, seed=2))
    assert f"{100 * results['pred']['f1']:.2f}" in printed


def test_calibration_is_shown_by_label_and_drawn(tmp_path, capsys):
    scored = [
        Document(d.id, d.text, [Entity(e.start, e.end, e.label, 0.8) for e in d.entities])
        for d in noisy(GOLD, 0.9, seed=1)
    ]
    write_jsonl(GOLD, tmp_path / "gold.jsonl")
    write_jsonl(scored, tmp_path / "pred.jsonl")
    command = ["--gold", str(tmp_path / "gold.jsonl"), "--pred", str(tmp_path / "pred.jsonl")]
    main([*command, "--calibration", str(tmp_path / "plot.png"), "--json", str(tmp_path / "scores.json")])
    assert "calibration of scores" in capsys.readouterr().out and (tmp_path / "plot.png").exists()
    result = json.loads((tmp_path / "scores.json").read_text())
    assert result["calibration"]["ece"] == pytest.approx(abs(result["pred"]["precision"] - 0.8))
    assert result["calibration"]["per_label"].keys() == result["pred"]["per_label"].keys()
    with pytest.raises(InputError, match="looks at one run"):
        main([*command, "--against", str(tmp_path / "gold.jsonl"), "--calibration", str(tmp_path / "plot.png")])


@pytest.fixture
def runs(tmp_path):
    """The predictions of three runs of one system and two of another."""
    runs = {"a1": (0.9, 1), "a2": (0.92, 2), "a3": (0.89, 3), "b1": (0.8, 4), "b2": (0.82, 5)}
    runs = {str(tmp_path / f"{name}.jsonl"): noisy(GOLD, *settings) for name, settings in runs.items()}
    for path, documents in runs.items():
        write_jsonl(documents, path)
    write_jsonl(GOLD, tmp_path / "gold.jsonl")
    return runs


def test_of_several_runs_each_is_shown_with_their_mean_and_standard_deviation(runs, tmp_path, capsys):
    a, b = list(runs)[:3], list(runs)[3:]
    command = ["--gold", str(tmp_path / "gold.jsonl"), "--pred", *a, "--against", *b]
    main([*command, "--json", str(tmp_path / "scores.json")])
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "scores.json").read_text())
    for side, paths in (("pred", a), ("against", b)):
        assert results[side] == score_runs(GOLD, {path: runs[path] for path in paths})
        percents = [f"{100 * row['f1']:.2f}" for row in [*results[side]["runs"].values(), results[side]["mean"]]]
        assert all(f"{percent} │" in printed for percent in percents)
        assert f"{100 * results[side]['sd']['f1']:.2f} │" in printed
    assert results["comparison"] == compare_runs(GOLD, [runs[path] for path in a], [runs[path] for path in b])
    assert "mean F1 (3 of pred - 2 of against)" in printed and "runs and 40 documents" in printed
    assert "over seeds: p = 0.2000 (permutation of whole runs, two-sided; so few runs never give less than" in printed


def test_several_runs_are_also_given_one_by_one_and_compared_with_one(runs, tmp_path, capsys):
    a, b = list(runs)[:2], list(runs)[3]
    main(["--gold", str(tmp_path / "gold.jsonl"), "--pred", a[0], "--pred", a[1], "--against", b, "--json", "-"])
    results = json.loads(capsys.readouterr().out)
    assert list(results["pred"]["runs"]) == a and results["against"] == score(GOLD, runs[b])
    assert results["comparison"]["runs"] == [2, 1]


def test_a_run_that_cannot_be_used_is_named(runs, tmp_path):
    a = list(runs)
    command = ["--gold", str(tmp_path / "gold.jsonl"), "--pred", *a[:2]]
    with pytest.raises(InputError, match=f"^{a[0]}: found twice in --pred, expected each run once"):
        main([*command, a[0]])
    write_jsonl(GOLD[1:], a[1])
    with pytest.raises(InputError, match=f"^{a[1]}: found 1 document"):
        main(command)


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
