"""Whether two systems differ: a paired bootstrap and an approximate randomization test over documents."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..console import Progress
from ..corpora.documents import Document
from ..errors import InputError
from .p_values import significance_code
from .scores import document_counts


RESAMPLES = 10_000
BATCH = 500  # resamples held in memory at a time
ROUNDING = 1e-13  # differences of F1 that are nearer than this to each other are equal


def compare(gold: Sequence[Document], pred_a: Sequence[Document], pred_b: Sequence[Document], seed: int = 0) -> dict:
    """Whether two systems differ on the same documents.

    "difference" is the micro F1 of a minus that of b (-1 to 1), "interval" its 95 % percentile bootstrap interval with
    documents resampled in pairs (Efron & Tibshirani 1993, ch. 13), "p_value" the two-sided approximate randomization
    test over documents (Noreen 1989), "code" its significance code. Raises InputError as `score` does, and for fewer
    than two documents.
    """
    comparison = compare_runs(gold, [pred_a], [pred_b], seed)
    of_several = ("runs", "p_value_of_runs", "code_of_runs")
    return {key: value for key, value in comparison.items() if key not in of_several}


def compare_runs(
    gold: Sequence[Document], runs_a: Sequence[Sequence[Document]], runs_b: Sequence[Sequence[Document]], seed: int = 0
) -> dict:
    """Whether two ways of training differ, each known by some runs with other seeds, on the same documents.

    "difference" is the mean micro F1 of the runs of a minus that of b (-1 to 1), "interval" its 95 % percentile
    interval of a bootstrap at both levels (Efron & Tibshirani 1993, ch. 8): documents are drawn with replacement for
    all runs together, and of each way its runs. Two or three runs say little about other seeds; with one, the interval
    is that of `compare`. Raises InputError as `compare` does.

    No test is exact for other documents and other seeds at once, so there are two, each with its code:

    - "p_value", over documents: these runs are as good as each other, on documents like these. A document's outcomes
      of all runs are swapped together, whatever the runs have in common there. It knows nothing of seeds: where one
      seed is better than another, it finds that, and two sets of runs of the *same* training may well differ.
    - "p_value_of_runs", over runs: the two ways of training are one. Whole runs are permuted between them, which is
      exact, on these documents; but n and m runs never give less than 2 / C(n + m, n), which is 0.1 for three each.
    """
    if len(gold) < 2:
        raise InputError(f"found {len(gold)} document, expected two or more to compare systems on; add documents.")
    runs, n_a = [*runs_a, *runs_b], len(runs_a)
    sums = [_sums(document_counts(gold, pred)) for pred in runs]
    observed = np.array([_f1(run.sum(0)) for run in sums])  # (runs,)
    random = np.random.default_rng(seed)
    f1 = _resampled_f1(sums, random)  # (resamples, runs)
    drawn = [_means_of_drawn(f1[:, ways], random) for ways in (slice(n_a), slice(n_a, None))]
    low, high = np.percentile(drawn[0] - drawn[1], (2.5, 97.5))
    p_value = document_p_value(sums[:n_a], sums[n_a:], random)
    p_value_of_runs = run_p_value(observed[:n_a], observed[n_a:], random)
    return {
        "difference": float(observed[:n_a].mean() - observed[n_a:].mean()),
        "interval": [float(low), float(high)],
        "confidence": 0.95,
        "p_value": p_value,
        "code": significance_code(p_value),
        "resamples": RESAMPLES,
        "seed": seed,
        "documents": len(gold),
        "runs": [n_a, len(runs) - n_a],
        "p_value_of_runs": p_value_of_runs,
        "code_of_runs": significance_code(p_value_of_runs),
    }


def document_p_value(a: Sequence[np.ndarray], b: Sequence[np.ndarray], random: np.random.Generator) -> float:
    """Two-sided p-value of the randomization test over documents, exact where these are few.

    The statistic is the difference in micro F1 of the outcomes of all runs pooled, each system's with the same weight:
    nothing depends on which run of a meets which of b, and their numbers may differ (the test is then approximate:
    under its hypothesis a document's two outcomes have one mean, but the mean of fewer runs spreads more).

    Args:
        a, b: of each run (documents, 2) int64: matches, and gold + predicted mentions, of each document.
    """
    a, b = sum(a) * len(b), sum(b) * len(a)  # (documents, 2)
    return _p_value(_f1(a.sum(0)) - _f1(b.sum(0)), *_permuted_differences(a, b, random))


def run_p_value(a: np.ndarray, b: np.ndarray, random: np.random.Generator) -> float:
    """Two-sided p-value of the difference of mean F1 (runs,) of a and b, whole runs permuted between them."""
    f1 = np.concatenate([a, b])
    if is_all := math.comb(len(f1), len(a)) <= RESAMPLES:
        drawn = f1[list(combinations(range(len(f1)), len(a)))]  # (rearrangements, runs of a)
    else:
        drawn = random.permuted(np.tile(f1, (RESAMPLES, 1)), axis=1)[:, : len(a)]
    differences = drawn.mean(1) - (f1.sum() - drawn.sum(1)) / len(b)
    return _p_value(a.mean() - b.mean(), differences, is_all)


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
