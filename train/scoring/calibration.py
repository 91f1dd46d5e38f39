"""Whether scores of predicted mentions are probabilities, and from which score on they are right often enough."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ..corpora.documents import Document
from ..errors import InputError
from .scores import document_counts


CURVES = "precision_recall.json"  # beside a model
BINS = 10  # of equal width
FEWEST = 20  # predicted mentions of a label that say something about that label alone


class ScoredMentions(NamedTuple):
    """Predicted mentions of annotated documents, n in all."""

    labels: np.ndarray  # (n,) str
    scores: np.ndarray  # (n,) float64, 0 to 1
    is_right: np.ndarray  # (n,) bool, whether the gold has the very same
    support: Counter  # gold mentions by label

    def of(self, label: str) -> "ScoredMentions":
        """Those of one label."""
        here = self.labels == label
        support = Counter({label: self.support[label]})
        return ScoredMentions(self.labels[here], self.scores[here], self.is_right[here], support)


def scored_mentions(gold: Sequence[Document], pred: Sequence[Document]) -> ScoredMentions:
    """The predicted mentions, and which of them are right; raises InputError as `score` does, and without scores."""
    document_counts(gold, pred)  # refuses documents that are not the same
    gold_mentions = {document.id: {*document.entities} for document in gold}
    rows = [(entity, entity in gold_mentions[document.id]) for document in pred for entity in document.entities]
    if any(entity.score is None for entity, _ in rows):
        raise InputError("predicted mentions have no scores: write them as JSON Lines, which keeps them")
    labels = np.array([entity.label for entity, _ in rows], dtype=str)
    scores = np.array([entity.score for entity, _ in rows], dtype=float)
    is_right = np.array([right for _, right in rows], dtype=bool)
    support = Counter(entity.label for entities in gold_mentions.values() for entity in entities)
    return ScoredMentions(labels, scores, is_right, support)


def calibration(mentions: ScoredMentions) -> dict:
    """How far scores are from being probabilities, over all mentions and "per_label".

    Each has "mentions", their mean "score" and "precision", and "ece", the expected calibration error (Naeini et al.
    2015; Guo et al. 2017): the difference of the two in each of ten bins of equal width, the mean over mentions. "bins"
    has "mentions", "score" and "precision" of each bin that is not empty. Of few mentions the error is above 0 by
    chance alone. Raises InputError where nothing was predicted.
    """
    if not len(mentions.scores):
        raise InputError("nothing was predicted, so that there are no scores to look at")
    per_label = {label: _calibration(mentions.of(label)) for label in sorted({*mentions.labels.tolist()})}
    return {**_calibration(mentions), "bins": _bins(mentions), "per_label": per_label}


def _calibration(mentions: ScoredMentions) -> dict:
    n = len(mentions.scores)
    ece = sum(row["mentions"] * abs(row["score"] - row["precision"]) for row in _bins(mentions)) / n
    return {"mentions": n, **_means(mentions.scores, mentions.is_right), "ece": ece}


def _bins(mentions: ScoredMentions) -> list[dict]:
    number = np.minimum((mentions.scores * BINS).astype(int), BINS - 1)
    inside = [number == i for i in range(BINS)]
    return [
        {"mentions": int(here.sum()), **_means(mentions.scores[here], mentions.is_right[here])}
        for here in inside
        if here.any()
    ]


def _means(scores: np.ndarray, is_right: np.ndarray) -> dict:
    return {"score": float(scores.mean()), "precision": float(is_right.mean())}


def precision_recall(mentions: ScoredMentions) -> dict:
    """The precision-recall curves of all labels and of each, as they are kept beside a model.

    "all" and each of "per_label" have "support", the gold mentions, and "points": a score from 0 to 1 (4 digits), and
    how many mentions of at least that score are right and how many wrong, the highest score first.
    """
    labels = sorted({*mentions.labels.tolist(), *mentions.support})
    return {"all": _curve(mentions), "per_label": {label: _curve(mentions.of(label)) for label in labels}}


def _curve(mentions: ScoredMentions) -> dict:
    order = np.argsort(-mentions.scores, kind="stable")
    rows = zip(np.floor(mentions.scores[order] * 1e4).tolist(), mentions.is_right[order].tolist(), strict=True)
    points, right, wrong = [], 0, 0
    for score, group in groupby(rows, key=lambda row: row[0]):
        outcomes = [is_right for _, is_right in group]
        right, wrong = right + sum(outcomes), wrong + len(outcomes) - sum(outcomes)
        points.append([score / 1e4, right, wrong])
    return {"support": sum(mentions.support.values()), "points": points}


def pooled(members: Sequence[dict]) -> dict:
    """The curves of an ensemble's members, each of its own documents, as one."""
    per_label = {label: None for curves in members for label in curves["per_label"]}
    for label in per_label:
        per_label[label] = _pooled([curves["per_label"].get(label) for curves in members])
    return {"all": _pooled([curves["all"] for curves in members]), "per_label": per_label}


def _pooled(curves: list[dict | None]) -> dict:
    counts: dict[float, np.ndarray] = {}
    for curve in filter(None, curves):
        scores, *outcomes = np.array(curve["points"]).reshape(-1, 3).T
        for score, *more in zip(scores.tolist(), *np.diff(outcomes, prepend=0).astype(int), strict=True):
            counts[score] = counts.get(score, np.zeros(2, int)) + more
    ordered = sorted(counts, reverse=True)
    right_wrong = np.cumsum([counts[score] for score in ordered], axis=0).tolist()
    points = [[score, *outcomes] for score, outcomes in zip(ordered, right_wrong, strict=True)]
    return {"support": sum(curve["support"] for curve in filter(None, curves)), "points": points}


class Threshold(NamedTuple):
    """The lowest score of mentions that are kept, and what it gave on the documents of the curve."""

    score: float
    precision: float
    recall: float
    is_own: bool  # from the label's own curve; otherwise, as it has few mentions, from that of all labels
    is_reached: bool  # otherwise it is the nearest to the target that there is


def thresholds(curves: dict, precision: float | None = None, recall: float | None = None) -> dict[str, Threshold]:
    """For each label, and for any other one under "", the threshold that a target asks for.

    With `precision` it is the lowest one from which on mentions are right that often, with `recall` the highest that
    still finds that share of the gold mentions; one of them is given.

    Args:
        curves: as `precision_recall` gives them.
    """
    result = {"": _threshold(curves["all"], precision, recall)}
    for label, curve in curves["per_label"].items():
        n_predicted = sum(curve["points"][-1][1:]) if curve["points"] else 0
        is_own = (n_predicted if recall is None else curve["support"]) >= FEWEST
        result[label] = _threshold(curve, precision, recall) if is_own else result[""]._replace(is_own=False)
    return result


def _threshold(curve: dict, precision: float | None, recall: float | None) -> Threshold:
    points = [
        (score, right / (right + wrong), right / max(curve["support"], 1)) for score, right, wrong in curve["points"]
    ]
    if not points:
        return Threshold(0.0, 0.0, 0.0, is_own=True, is_reached=False)
    if precision is not None:
        reached = [point for point in points if point[1] >= precision]
        best = reached[-1] if reached else max(points, key=lambda point: point[1])
    else:
        reached = [point for point in points if point[2] >= recall]
        best = reached[0] if reached else (0.0, *points[-1][1:])  # all are kept
    return Threshold(*best, is_own=True, is_reached=bool(reached))
