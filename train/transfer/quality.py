"""How well a measure says which source helps: what was predicted of sources against what they gave.

A case is a target (at a size) with m sources: `gains` (m,) are F1 with transfer less F1 without, the mean over runs;
`closeness` (m,) is what a measure says, larger where a source is said to be better.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import ndcg_score

from .similarity import LARGER_IS_CLOSER, mean_ranks, reciprocal_rank_fusion


CHANCE, FUSION = "chance", "fused"
RESAMPLES = 2_000


class Case(NamedTuple):
    """A target and its sources."""

    gains: np.ndarray  # (m,) of the F1 from 0 to 1
    closeness: dict[str, np.ndarray]  # by measure, (m,)


def case_of(gains: Sequence[float], measures: Mapping[str, Sequence[float]]) -> Case:
    """The case of what `rank_sources` measured, with the fusion and with chance, to which all sources are equal."""
    closeness = {name: -mean_ranks(values, LARGER_IS_CLOSER[name]) for name, values in measures.items()}
    closeness[FUSION] = reciprocal_rank_fusion(measures)
    closeness[CHANCE] = np.zeros(len(gains))
    return Case(np.asarray(gains, float), closeness)


def regret(gains: np.ndarray, closeness: np.ndarray) -> float:
    """What the source that comes first gives less than the best, in F1; 0 at best. Of a tie, the mean over it."""
    return float(gains.max() - gains[closeness == closeness.max()].mean())


def ndcg(gains: np.ndarray, closeness: np.ndarray) -> float:
    """Normalized discounted cumulative gain (Järvelin & Kekäläinen 2002), 1 at best; ties count as their mean.

    A source's relevance is what it gives more than the worst; where all give the same, any order is right.
    """
    relevance = gains - gains.min()
    return float(ndcg_score([relevance], [closeness])) if relevance.any() else 1.0


def rank_of_best(gains: np.ndarray, closeness: np.ndarray) -> float:
    """Which rank the truly best source gets, from 1; of a tie, the mean over it."""
    return float(rankdata(-closeness)[gains.argmax()])


def hit(gains: np.ndarray, closeness: np.ndarray) -> float:
    """Whether the best source comes first: 1, or 0; of a tie for the first rank, the share of it."""
    first = closeness == closeness.max()
    return float(first[gains.argmax()] / first.sum())


def spearman(gains: np.ndarray, closeness: np.ndarray) -> float:
    """Spearman's rank correlation of prediction and gain, -1 to 1; 0 where either is the same for all."""
    if np.ptp(gains) == 0 or np.ptp(closeness) == 0:
        return 0.0
    return float(spearmanr(gains, closeness).statistic)


FIGURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "spearman": spearman,
    "ndcg": ndcg,
    "regret": regret,
    "rank_of_best": rank_of_best,
    "hit": hit,
}


def evaluate_measures(cases: Sequence[Case], seed: int = 0) -> dict[str, dict]:
    """By measure and figure, its value in each case, "mean", and "interval", its 95 % bootstrap interval over cases.

    "less_chance" and "less_procrustes" are such intervals of the difference to theirs. Few cases, as four targets, say
    little about other targets; and since the best source is the best of gains that runs made, all regrets are a little
    too large.

    Args:
        cases: each with the same measures.
    """
    drawn = np.random.default_rng(seed).integers(len(cases), size=(RESAMPLES, len(cases)))
    is_useful = {name: any(np.ptp(case.closeness[name]) for case in cases) for name in cases[0].closeness}
    names = [name for name, useful in is_useful.items() if useful or name in (FUSION, CHANCE)]

    def of_cases(name: str, figure: str) -> np.ndarray:
        return np.array([FIGURES[figure](case.gains, case.closeness[name]) for case in cases])

    def interval(values: np.ndarray) -> list[float]:
        return np.percentile(values[drawn].mean(1), (2.5, 97.5)).tolist()

    table: dict[str, dict] = {}
    for name in names:
        table[name] = {}
        for figure in FIGURES:
            values = of_cases(name, figure)
            known = {"cases": values.tolist(), "mean": float(values.mean()), "interval": interval(values)}
            for other in (CHANCE, "procrustes"):
                if other in names:
                    known[f"less_{other}"] = interval(values - of_cases(other, figure))
            table[name][figure] = known
    return table
