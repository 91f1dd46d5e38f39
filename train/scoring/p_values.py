"""How p-values are printed: R's significance codes, and Holm's correction where a table holds several."""

from collections.abc import Sequence

import numpy as np


CODES = {0.001: "***", 0.01: "**", 0.05: "*", 0.1: "."}  # R's symnum: each code up to and with its border
LEGEND = "0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"


def significance_code(p_value: float) -> str:
    """R's code of a p-value: `***` up to 0.001, `**` up to 0.01, `*` up to 0.05, `.` up to 0.1, and nothing above."""
    return next((code for border, code in CODES.items() if p_value <= border), "")


def holm(p_values: Sequence[float]) -> np.ndarray:
    """(m,) float64: p-values with Holm's step-down correction, in the order of those given.

    The i-th smallest of m becomes max over j <= i of min(1, (m - j + 1) * p_j). To reject what is at most α keeps the
    chance of one false rejection or more among the m at α, however they depend on each other (Holm 1979, A simple
    sequentially rejective multiple test procedure).
    """
    p_values = np.asarray(p_values, dtype=float)
    order, m = np.argsort(p_values), len(p_values)
    corrected = np.empty(m)
    corrected[order] = np.minimum(1, np.maximum.accumulate((m - np.arange(m)) * p_values[order]))
    return corrected


def correct_family(comparisons: Sequence[dict]) -> None:
    """Gives each of the comparisons that are read together, as in a table, its "holm_p_value" and "holm_code"."""
    for comparison, p_value in zip(comparisons, holm([c["p_value"] for c in comparisons]), strict=True):
        comparison["holm_p_value"] = float(p_value)
        comparison["holm_code"] = significance_code(p_value)
