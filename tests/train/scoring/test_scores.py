"""Strict F1 is what brute force counts, from the module, the function and the command, and differences are tested."""

from pathlib import Path

import evaluate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora.documents import Document
from clinx.errors import InputError
from clinx.scoring.scores import median_member, score, score_runs
from clinx.strict_f1.matching import count_matches
from clinx.strict_f1.strict_f1 import StrictF1
from tests.train.scoring.systems import document


ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module", params=["from its folder", "as installed"])
def strict_f1(request, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("metrics"))
    if request.param == "as installed":
        return StrictF1(cache_dir=cache)
    return evaluate.load(str(ROOT / "train/strict_f1"), cache_dir=cache)


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


def test_the_median_of_an_even_number_is_the_lower_of_the_two_middle_ones():
    assert median_member([0.3, 0.1, 0.2]) == 2
    assert median_member([0.4, 0.1, 0.3, 0.2]) == 3
    assert median_member([0.5]) == 0


def test_runs_have_a_mean_and_a_standard_deviation_and_one_run_has_none():
    gold = [document("a", (0, 1, "X"), (1, 2, "X")), document("b", (0, 1, "X"), (1, 2, "X"))]
    runs = {"all": gold, "half": [gold[0], document("b")]}
    result = score_runs(gold, runs)
    assert result["runs"] == {name: score(gold, pred) for name, pred in runs.items()}
    assert result["mean"] == pytest.approx({"precision": 1, "recall": 0.75, "f1": (1 + 2 / 3) / 2})
    assert result["sd"] == pytest.approx({"precision": 0, "recall": 0.125**0.5, "f1": (1 / 18) ** 0.5})
    assert score_runs(gold, {"all": gold}) == {"runs": {"all": score(gold, gold)}}


def test_a_run_on_other_documents_is_named():
    gold = [document("a"), document("b")]
    with pytest.raises(InputError, match=r"^seed-2: found 1 document\(s\) in the gold but not predicted: 'b'"):
        score_runs(gold, {"seed-1": gold, "seed-2": gold[:1]})
