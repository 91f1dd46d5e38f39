"""Significance codes and Holm's correction, on paper and on simulated families."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinx.scoring import significance
from clinx.scoring.p_values import LEGEND, correct_family, holm, significance_code
from clinx.scoring.significance import document_p_value
from tests.train.scoring.systems import binomial_interval, outcomes


@pytest.mark.parametrize(
    ("border", "code", "above"), [(0.001, "***", "**"), (0.01, "**", "*"), (0.05, "*", "."), (0.1, ".", "")]
)
def test_a_code_goes_up_to_and_with_its_border_as_in_r(border, code, above):
    assert significance_code(np.nextafter(border, 0)) == significance_code(border) == code
    assert significance_code(np.nextafter(border, 1)) == above
    assert f"'{code}' {border}" in LEGEND


def test_the_ends_have_codes_too():
    assert (significance_code(0.0), significance_code(1.0)) == ("***", "")


def test_holm_is_what_r_prints():
    """p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")"""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.3]) == [0.3] and len(holm([])) == 0


@given(st.lists(st.sampled_from([0.0, 0.004, 0.01, 0.02, 0.025, 0.05, 0.3, 1.0]), min_size=1, max_size=8))
def test_holm_rejects_what_its_steps_reject(p_values):
    """The procedure as Holm wrote it: from the smallest on, reject while p is at most α / (those that are left)."""
    for level in (0.011, 0.051, 0.11):
        rejected, left = set(), len(p_values)
        for index in np.argsort(p_values, kind="stable"):
            if p_values[index] > level / left:
                break
            rejected.add(index)
            left -= 1
        assert set(np.flatnonzero(holm(p_values) <= level)) == rejected


def test_a_comparison_is_corrected_for_its_family():
    family = [{"p_value": 0.02}, {"p_value": 0.0004}]
    correct_family(family)
    assert family == [
        {"p_value": 0.02, "holm_p_value": 0.02, "holm_code": "*"},
        {"p_value": 0.0004, "holm_p_value": 0.0008, "holm_code": "***"},
    ]


@pytest.mark.slow
def test_holm_keeps_the_family_wise_error_rate_where_all_is_null(monkeypatch):
    """Six systems beside one reference, as in a table: without correction one family in five has a false finding."""
    monkeypatch.setattr(significance, "RESAMPLES", 1024)  # all that ten documents have
    random, plain, corrected = np.random.default_rng(1), [], []
    for _ in range(2000):
        rates = random.beta(8, 2, size=10)
        reference, *systems = (outcomes(rates, random) for _ in range(7))
        p_values = [document_p_value([system], [reference], random) for system in systems]
        plain.append(min(p_values) <= 0.05)
        corrected.append(min(holm(p_values)) <= 0.05)
    print(f"family-wise error rate: plain {np.mean(plain):.4f}, Holm {np.mean(corrected):.4f}")
    assert np.mean(plain) > 0.1
    assert np.mean(corrected) <= binomial_interval(0.05, 2000)[1]
