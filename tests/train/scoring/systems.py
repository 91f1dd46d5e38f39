"""Forty gold documents, systems that miss a share of their mentions, and outcomes without texts."""

import random

import numpy as np
from scipy.stats import binom

from clinx.corpora.documents import Document, Entity


TEXT = "x" * 40


def document(id: str, *spans: tuple[int, int, str]) -> Document:
    return Document(id, TEXT, [Entity(*span) for span in spans])


def noisy(gold: list[Document], kept: float, seed: int) -> list[Document]:
    chance = random.Random(seed)
    return [Document(d.id, d.text, [e for e in d.entities if chance.random() < kept]) for d in gold]


GOLD = [document(str(i), *((s, s + 2, "XYZ"[n % 3]) for n, s in enumerate(range(0, 30, 3)))) for i in range(40)]


def outcomes(rates: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(documents, 2): matches, and gold + predicted mentions, of a run that finds 20 mentions at each document's rate,
    and some that are none."""
    matches = random.binomial(20, rates)
    return np.stack([matches, 20 + matches + random.poisson(2, len(rates))], axis=1)


def binomial_interval(rate: float, trials: int) -> tuple[float, float]:
    """Between which a share of so many trials lies with 95 % probability if the rate is true."""
    return tuple(np.array(binom.interval(0.95, trials, rate)) / trials)
