"""Whether two systems differ: a paired bootstrap and an approximate randomization test over documents."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap, permutation_test

from ..corpora.documents import Document
from ..errors import InputError
from .scores import document_counts


RESAMPLES = 10_000
BATCH = 500  # resamples held in memory at a time


def compare(gold: Sequence[Document], pred_a: Sequence[Document], pred_b: Sequence[Document], seed: int = 0) -> dict:
    """Whether two systems differ on the same documents.

    "difference" is the micro F1 of a minus that of b (-1 to 1), "interval" its 95 % percentile bootstrap interval with
    documents resampled in pairs (Efron & Tibshirani 1993, ch. 13), "p_value" the two-sided approximate randomization
    test over documents (Noreen 1989). Raises InputError as `score` does, and for fewer than two documents.
    """
    if len(gold) < 2:
        raise InputError(f"found {len(gold)} document, expected two or more to compare systems on; add documents.")
    a, b = _sums(document_counts(gold, pred_a)), _sums(document_counts(gold, pred_b))  # each (2, documents)
    resampling = {"vectorized": True, "n_resamples": RESAMPLES, "batch": BATCH, "rng": seed}
    interval = bootstrap((*a, *b), _difference, paired=True, method="percentile", **resampling).confidence_interval
    # A permutation swaps a document's two outcomes; scipy swaps single numbers, so it is given their indices.
    outcomes, documents = np.concatenate([a, b], axis=1), np.arange(len(gold))
    test = permutation_test(
        (documents, documents + len(gold)),
        lambda x, y, axis: _difference(*outcomes[:, x], *outcomes[:, y], axis=axis),
        permutation_type="samples",
        **resampling,
    )
    return {
        "difference": float(_difference(*a, *b)),
        "interval": [float(interval.low), float(interval.high)],
        "confidence": 0.95,
        "p_value": float(test.pvalue),
        "resamples": RESAMPLES,
        "seed": seed,
        "documents": len(gold),
    }


def _sums(documents: list[dict[str, Counter]]) -> np.ndarray:
    """(2, documents): matches, and gold + predicted mentions, of each document; F1 is twice the one by the other."""
    totals = [sum(counts.values(), Counter()) for counts in documents]
    return np.array([[t["tp"] for t in totals], [2 * t["tp"] + t["fp"] + t["fn"] for t in totals]])


def _difference(matches_a, mentions_a, matches_b, mentions_b, axis=-1):
    f1_a, f1_b = (
        2 * matches.sum(axis) / np.maximum(mentions.sum(axis), 1)
        for matches, mentions in ((matches_a, mentions_a), (matches_b, mentions_b))
    )
    return f1_a - f1_b
