"""Calibration of scores, and thresholds for a precision or recall that was asked for."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora.documents import Document, Entity
from clinx.errors import InputError
from clinx.plots import reliability_diagram
from clinx.scoring.calibration import (
    ScoredMentions,
    calibration,
    pooled,
    precision_recall,
    scored_mentions,
    thresholds,
)


def mentions(rows, support=None):
    labels, scores, is_right = zip(*rows, strict=True)
    support = Counter(label for label, _, right in rows if right) if support is None else Counter(support)
    return ScoredMentions(np.array(labels), np.array(scores, float), np.array(is_right, bool), support)


def test_a_mention_is_right_where_the_gold_has_the_very_same():
    text = "Ana Ruiz, 54 años"
    gold = [Document("a", text, [Entity(0, 8, "NAME"), Entity(10, 17, "AGE")])]
    pred = [Document("a", text, [Entity(0, 8, "NAME", 0.9), Entity(10, 12, "AGE", 0.4), Entity(10, 17, "NAME", 0.2)])]
    found = scored_mentions(gold, pred)
    assert found.is_right.tolist() == [True, False, False] and found.support == {"NAME": 1, "AGE": 1}
    with pytest.raises(InputError, match="no scores: write them as JSON Lines"):
        scored_mentions(gold, gold)
    with pytest.raises(InputError, match="not predicted"):
        scored_mentions(gold, [])


def test_the_error_is_the_distance_of_scores_and_shares_in_bins():
    result = calibration(mentions([("A", 0.95, True), ("A", 0.95, False), ("B", 0.15, False), ("B", 1.0, True)]))
    high, low = abs((0.95 + 0.95 + 1.0) / 3 - 2 / 3), 0.15
    assert result["ece"] == pytest.approx((3 * high + low) / 4)
    assert result["per_label"]["A"] == {"mentions": 2, "score": 0.95, "precision": 0.5, "ece": pytest.approx(0.45)}
    assert sum(row["mentions"] for row in result["bins"]) == result["mentions"] == 4
    with pytest.raises(InputError, match="nothing was predicted"):
        calibration(ScoredMentions(np.array([]), np.array([]), np.array([], bool), Counter()))


def test_scores_that_are_probabilities_have_an_error_near_zero_and_sure_ones_have_not(tmp_path):
    random = np.random.default_rng(0)
    scores = random.random(50_000)
    rows = [("A", score, right) for score, right in zip(scores, random.random(50_000) < scores, strict=True)]
    assert calibration(mentions(rows))["ece"] < 0.01
    overconfident = calibration(mentions([(label, score**0.25, right) for label, score, right in rows]))
    assert overconfident["ece"] > 0.2
    reliability_diagram(overconfident, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


ROWS = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 20).map(lambda i: i / 20), st.booleans()), min_size=1, max_size=80
)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.floats(0, 1), st.booleans(), st.integers(0, 5))
def test_a_threshold_is_the_one_that_trying_all_scores_gives(rows, target, is_precision, n_missed):
    support = Counter(label for label, _, right in rows if right) + Counter(A=n_missed)
    curves = json.loads(json.dumps(precision_recall(mentions(rows, support))))
    found = thresholds(curves, **{"precision" if is_precision else "recall": target})[""]
    tried = {}
    for score in {score for _, score, _ in rows}:
        kept = [right for _, other, right in rows if other >= score]
        tried[score] = (sum(kept) / len(kept), sum(kept) / max(1, support.total()))
    reached = [score for score, figures in tried.items() if figures[0 if is_precision else 1] >= target]
    assert found.is_reached == bool(reached)
    if reached:
        expected = min(reached) if is_precision else max(reached)
        assert found.score == pytest.approx(expected, abs=1e-4) and found.score <= expected
        assert found[1:3] == pytest.approx(tried[expected])
    else:
        assert (
            found.precision == max(p for p, _ in tried.values()) if is_precision else found.score <= min(tried) + 1e-9
        )


@settings(max_examples=50, deadline=None)
@given(ROWS, ROWS)
def test_curves_of_members_are_pooled_as_if_one_had_found_all(one, other):
    separate = pooled([precision_recall(mentions(one)), precision_recall(mentions(other))])
    assert separate == precision_recall(mentions([*one, *other]))


def test_a_label_with_few_mentions_takes_the_threshold_of_all():
    rows = [("A", 0.5 + i / 100, i > 9) for i in range(40)] + [("B", 0.7, True)]
    found = thresholds(precision_recall(mentions(rows)), precision=0.95)
    assert found["A"].is_own and found["A"].score > 0.5
    assert not found["B"].is_own and found["B"].score == found[""].score
