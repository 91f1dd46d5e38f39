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
    f1 = _resampled_f1([a, b], random)  # (resamples, 2)
    low, high = np.percentile(f1[:, 0] - f1[:, 1], (2.5, 97.5))
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


def compare_runs(
    gold: Sequence[Document], runs_a: Sequence[Sequence[Document]], runs_b: Sequence[Sequence[Document]], seed: int = 0
) -> dict:
    """Whether two ways of training differ, each known by some runs with other seeds, on the same documents.

    "difference" is the mean micro F1 of the runs of a minus that of b (-1 to 1), "interval" its 95 % percentile
    interval of a bootstrap at both levels (Efron & Tibshirani 1993, ch. 8): documents are drawn with replacement for
    all runs together, and of each way its runs. Two or three runs say little about other seeds; with one, the interval
    is that of `compare`. Raises InputError as `compare` does.
    """
    if len(gold) < 2:
        raise InputError(f"found {len(gold)} document, expected two or more to compare systems on; add documents.")
    runs, n_a = [*runs_a, *runs_b], len(runs_a)
    sums = [_sums(document_counts(gold, pred)) for pred in runs]
    random = np.random.default_rng(seed)
    f1 = _resampled_f1(sums, random)  # (resamples, runs)
    drawn = [_means_of_drawn(f1[:, ways], random) for ways in (slice(n_a), slice(n_a, None))]
    low, high = np.percentile(drawn[0] - drawn[1], (2.5, 97.5))
    observed = np.array([_f1(run.sum(0)) for run in sums])
    return {
        "difference": float(observed[:n_a].mean() - observed[n_a:].mean()),
        "interval": [float(low), float(high)],
        "confidence": 0.95,
        "resamples": RESAMPLES,
        "seed": seed,
        "documents": len(gold),
        "runs": [n_a, len(runs) - n_a],
    }


def _means_of_drawn(f1: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(resamples,): for each row of (resamples, runs) the mean over as many runs, drawn with replacement."""
    drawn = random.integers(f1.shape[1], size=f1.shape)
    return np.take_along_axis(f1, drawn, axis=1).mean(axis=1)


def _sums(documents: list[dict[str, Counter]]) -> np.ndarray:
    """(documents, 2) int64: matches, and gold + predicted mentions, of each document."""
    totals = [sum(counts.values(), Counter()) for counts in documents]
    return np.array([[t["tp"], 2 * t["tp"] + t["fp"] + t["fn"]] for t in totals])


def _f1(sums: np.ndarray) -> np.ndarray:
    """Micro F1 (…) of sums (…, 2)."""
    return 2 * sums[..., 0] / np.maximum(sums[..., 1], 1)


def _resampled_f1(runs: Sequence[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """(resamples, runs): micro F1 of each run on as many documents, drawn with replacement, for all runs the same."""
    together, n = np.hstack(runs).astype(float), len(runs[0])  # (documents, 2 * runs)
    resamples = Progress("Comparing", "resamples", RESAMPLES).through(range(RESAMPLES))
    draws = (random.integers(n, size=n, dtype=np.int32) for _ in resamples)
    sums = np.stack([np.bincount(draw, minlength=n) @ together for draw in draws])
    return _f1(sums.reshape(RESAMPLES, len(runs), 2))


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
