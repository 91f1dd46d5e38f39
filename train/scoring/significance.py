"""Whether two systems differ: a paired bootstrap and an approximate randomization test over documents."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..console import Progress
from ..corpora.documents import Document
from ..errors import InputError
from .scores import document_counts


RESAMPLES = 10_000
BATCH = 500  # resamples held in memory at a time
ROUNDING = 1e-13  # differences of F1 that are nearer than this to each other are equal


def compare(gold: Sequence[Document], pred_a: Sequence[Document], pred_b: Sequence[Document], seed: int = 0) -> dict:
    """Whether two systems differ on the same documents.

    "difference" is the micro F1 of a minus that of b (-1 to 1), "interval" its 95 % percentile bootstrap interval with
    documents resampled in pairs (Efron & Tibshirani 1993, ch. 13), "p_value" the two-sided approximate randomization
    test over documents (Noreen 1989). Raises InputError as `score` does, and for fewer than two documents.
    """
    if len(gold) < 2:
        raise InputError(f"found {len(gold)} document, expected two or more to compare systems on; add documents.")
    a, b = (_sums(document_counts(gold, pred)) for pred in (pred_a, pred_b))
    random = np.random.default_rng(seed)
    low, high = np.percentile(_resampled_differences(a, b, random), (2.5, 97.5))
    difference = _f1(a.sum(0)) - _f1(b.sum(0))
    return {
        "difference": float(difference),
        "interval": [float(low), float(high)],
        "confidence": 0.95,
        "p_value": _p_value(difference, *_permuted_differences(a, b, random)),
        "resamples": RESAMPLES,
        "seed": seed,
        "documents": len(gold),
    }


def _sums(documents: list[dict[str, Counter]]) -> np.ndarray:
    """(documents, 2) int64: matches, and gold + predicted mentions, of each document."""
    totals = [sum(counts.values(), Counter()) for counts in documents]
    return np.array([[t["tp"], 2 * t["tp"] + t["fp"] + t["fn"]] for t in totals])


def _f1(sums: np.ndarray) -> np.ndarray:
    """Micro F1 (…) of sums (…, 2)."""
    return 2 * sums[..., 0] / np.maximum(sums[..., 1], 1)


def _resampled_differences(a: np.ndarray, b: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(resamples,): a's F1 minus b's on as many documents, drawn with replacement; both systems on the same ones."""
    both, n = np.hstack([a, b]).astype(float), len(a)  # (documents, 4)
    resamples = Progress("Comparing", "resamples", RESAMPLES).through(range(RESAMPLES))
    draws = (random.integers(n, size=n, dtype=np.int32) for _ in resamples)
    sums = np.stack([np.bincount(draw, minlength=n) @ both for draw in draws])
    return _f1(sums[:, :2]) - _f1(sums[:, 2:])


def _permuted_differences(a: np.ndarray, b: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, bool]:
    """The differences where each document's outcomes are swapped between the systems or not, and whether these are all
    that there are: (2 ** documents,) if that is not more than RESAMPLES, which else are drawn.

    Documents between whose outcomes lies the same are alike: how many of them are swapped is binomial.
    """
    if is_all := 2 ** len(a) <= RESAMPLES:
        changes, numbers = b - a, np.arange(len(a))
        batches = [np.arange(2 ** len(a))[:, None] >> numbers & 1]
    else:
        changes, alike = np.unique(b - a, axis=0, return_counts=True)
        batches = (random.binomial(alike, 0.5, (BATCH, len(alike))) for _ in range(RESAMPLES // BATCH))
    moved = np.concatenate([swapped @ changes for swapped in batches])  # (resamples, 2)
    return _f1(a.sum(0) + moved) - _f1(b.sum(0) - moved), is_all


def _p_value(difference: float, permuted: np.ndarray, is_all: bool) -> float:
    """Twice the smaller share of permutations that differ as much in either direction; of drawn ones, the observed
    outcome is one more (Phipson & Smyth 2010)."""
    low, high = (permuted <= difference + ROUNDING).sum(), (permuted >= difference - ROUNDING).sum()
    observed = 0 if is_all else 1
    return min(1.0, 2 * (int(min(low, high)) + observed) / (len(permuted) + observed))
