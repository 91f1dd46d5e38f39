"""Strict F1 is what brute force counts, from the module, the function and the command, and differences are tested."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora.brat import write_brat
from clinx.corpora.jsonl import write_jsonl
from clinx.documents import Document, Entity
from clinx.errors import InputError
from clinx.score import compare, main, score
from clinx.strict_f1.strict_f1 import count_matches


ROOT = Path(__file__).parents[2]
TEXT = "x" * 40


def document(id: str, *spans: tuple[int, int, str]) -> Document:
    return Document(id, TEXT, [Entity(*span) for span in spans])


@pytest.fixture(scope="module")
def strict_f1(tmp_path_factory):
    return evaluate.load(str(ROOT / "train/strict_f1"), cache_dir=str(tmp_path_factory.mktemp("metrics")))


def compute(strict_f1, gold: list[Document], pred: list[Document]) -> dict:
    references, predictions = (
        [[{"start": e.start, "end": e.end, "label": e.label} for e in d.entities] for d in side]
        for side in (gold, pred)
    )
    return strict_f1.compute(predictions=predictions, references=references)


def test_start_end_and_label_must_all_match(strict_f1):
    gold = [document("a", (0, 3, "X"), (5, 9, "X"), (10, 12, "Y"), (20, 22, "Z")), document("b", (0, 3, "X"))]
    pred = [document("a", (0, 3, "X"), (5, 8, "X"), (10, 12, "X"), (20, 22, "Z")), document("b", (1, 3, "X"))]
    expected = {
        "precision": 2 / 5,
        "recall": 2 / 5,
        "f1": 2 / 5,
        "support": 5,
        "tp": 2,
        "fp": 3,
        "fn": 3,
        "per_label": {
            "X": {"precision": 1 / 4, "recall": 1 / 3, "f1": 2 / 7, "support": 3, "tp": 1, "fp": 3, "fn": 2},
            "Y": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1, "tp": 0, "fp": 0, "fn": 1},
            "Z": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1, "tp": 1, "fp": 0, "fn": 0},
        },
    }
    assert score(gold, pred) == expected
    assert compute(strict_f1, gold, pred) == expected


def test_the_same_span_in_another_document_does_not_match():
    gold, pred = [document("a", (0, 3, "X")), document("b")], [document("a"), document("b", (0, 3, "X"))]
    assert score(gold, pred)["tp"] == 0


def test_a_mention_given_twice_counts_once(strict_f1):
    gold, pred = [document("a", (0, 3, "X"))], [document("a", (0, 3, "X"), (0, 3, "X"))]
    assert score(gold, pred)["precision"] == compute(strict_f1, gold, pred)["precision"] == 1.0


@pytest.mark.parametrize("documents", [[], [document("a")]])
def test_nothing_to_find_and_nothing_found_scores_zero(strict_f1, documents):
    result = score(documents, documents)
    assert result == compute(strict_f1, documents, documents)
    assert (result["precision"], result["recall"], result["f1"], result["support"]) == (0.0, 0.0, 0.0, 0)
    assert result["per_label"] == {}


spans = st.lists(st.tuples(st.integers(0, 2), st.integers(3, 5), st.sampled_from("XYZ")), max_size=6)


@given(st.lists(st.tuples(spans, spans), max_size=4))
@settings(deadline=None)
def test_scores_are_those_of_brute_force(pairs):
    gold = [document(str(n), *spans) for n, (spans, _) in enumerate(pairs)]
    pred = [document(str(n), *spans) for n, (_, spans) in enumerate(pairs)]
    every = [(n, s, e, label) for n in range(len(pairs)) for s in range(3) for e in range(3, 6) for label in "XYZ"]

    def brute_force(labels: str) -> dict:
        tp = fp = fn = 0
        for n, *span in every:
            if span[2] in labels:
                is_gold, is_pred = tuple(span) in pairs[n][0], tuple(span) in pairs[n][1]
                tp, fp, fn = tp + (is_gold and is_pred), fp + (is_pred > is_gold), fn + (is_gold > is_pred)
        precision, recall = tp / (tp + fp or 1), tp / (tp + fn or 1)
        f1 = 2 * precision * recall / (precision + recall or 1)
        scores = {"precision": precision, "recall": recall, "f1": pytest.approx(f1)}
        return scores | {"support": tp + fn, "tp": tp, "fp": fp, "fn": fn}

    result = score(gold, pred)
    per_label = result.pop("per_label")
    assert result == brute_force("XYZ")
    assert per_label == {label: brute_force(label) for label in per_label}
    assert set(per_label) == {label for pair in pairs for spans in pair for *_, label in spans}


def test_documents_that_do_not_pair_up_are_not_counted():
    with pytest.raises(ValueError, match="shorter"):
        count_matches([[], []], [[]])


def test_documents_are_matched_by_id_whatever_their_order():
    gold = [document("a", (0, 3, "X")), document("b", (5, 9, "Y"))]
    assert score(gold, gold[::-1])["f1"] == 1.0


@pytest.mark.parametrize(
    ("gold", "pred", "message"),
    [
        ("abcdef", "a", r"5 document\(s\) in the gold but not predicted: 'b', 'c', 'd', …;"),
        ("a", "ab", r"1 document\(s\) predicted but not in the gold: 'b';"),
        ("aa", "a", r"1 document\(s\) there more than once: 'a'"),
        ("a", "aa", r"1 document\(s\) there more than once: 'a'"),
    ],
)
def test_sides_with_different_documents_are_refused(gold, pred, message):
    with pytest.raises(InputError, match=message):
        score([document(id) for id in gold], [document(id) for id in pred])


def test_a_prediction_on_another_text_is_refused_and_one_without_text_or_surrogates_is_not():
    gold = [Document("a", "Dr. \ud800 Li")]
    with pytest.raises(InputError, match="predicted on another text than the gold's: 'a'"):
        score(gold, [Document("a", "Dr. Li")])
    for text in ("", "Dr. \ufffd Li"):
        assert score(gold, [Document("a", text)])["support"] == 0


def noisy(gold: list[Document], kept: float, seed: int) -> list[Document]:
    chance = random.Random(seed)
    return [Document(d.id, d.text, [e for e in d.entities if chance.random() < kept]) for d in gold]


GOLD = [document(str(i), *((s, s + 2, "XYZ"[n % 3]) for n, s in enumerate(range(0, 30, 3)))) for i in range(40)]


def test_a_system_does_not_differ_from_itself():
    pred = noisy(GOLD, 0.8, seed=0)
    result = compare(GOLD, pred, pred)
    assert (result["difference"], result["interval"], result["p_value"]) == (0.0, [0.0, 0.0], 1.0)


def test_systems_that_differ_clearly_are_told_apart_and_those_that_hardly_do_are_not():
    good, alike, bad = noisy(GOLD, 0.9, seed=1), noisy(GOLD, 0.9, seed=2), noisy(GOLD, 0.7, seed=3)
    clear, hardly = compare(GOLD, good, bad), compare(GOLD, good, alike)
    assert clear["difference"] == score(GOLD, good)["f1"] - score(GOLD, bad)["f1"]
    assert 0 < clear["interval"][0] < clear["difference"] < clear["interval"][1]
    assert clear["p_value"] < 0.01
    assert hardly["interval"][0] < 0 < hardly["interval"][1]
    assert hardly["p_value"] > 0.05


def test_a_comparison_is_repeatable_and_turns_its_sign_with_the_systems():
    a, b = noisy(GOLD, 0.9, seed=1), noisy(GOLD, 0.8, seed=2)
    result, turned = compare(GOLD, a, b), compare(GOLD, b, a)
    assert result == compare(GOLD, a, b)
    assert turned["difference"] == -result["difference"]
    assert turned["interval"] == pytest.approx([-bound for bound in reversed(result["interval"])])
    assert turned["p_value"] == pytest.approx(result["p_value"], abs=0.01)


def test_a_few_documents_are_permuted_exhaustively():
    gold = [document(str(n), (0, 3, "X")) for n in range(4)]
    assert compare(gold, gold, [document(d.id) for d in gold])["p_value"] == 2 / 2**4


def test_one_document_is_too_few_to_compare_on():
    with pytest.raises(InputError, match="expected two or more"):
        compare(GOLD[:1], GOLD[:1], GOLD[:1])


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


def test_no_label_is_cut_in_a_pipe_or_taken_for_markup(tmp_path):
    label = "[red]" + "LONG_LABEL_" * 20
    write_jsonl([document("a", (0, 3, label))], tmp_path / "a.jsonl")
    command = [sys.executable, "-m", "clinx.score", "--gold", "a.jsonl", "--pred", "a.jsonl"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "COLUMNS": "40"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert f"│ {label} │" in done.stdout


def test_mentions_that_were_not_read_exactly_are_told(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("left arm, knee")
    (tmp_path / "a.ann").write_text("T1\tPAIN 0 4;10 14\tleft knee\n")
    main(["--gold", str(tmp_path), "--pred", str(tmp_path)])
    assert f"{tmp_path}: 1 mention(s) not read exactly: discontinuous" in capsys.readouterr().out
