"""Ranks of sources, and their fusion."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from clinx.transfer.similarity import (
    FUSED,
    LARGER_IS_CLOSER,
    mean_ranks,
    reciprocal_rank_fusion,
)


# Fusion

VALUES = st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(math.nan)), min_size=1, max_size=8)


@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=8))
def test_ranks_are_scipy_s_in_either_direction(values):
    assert mean_ranks(values, larger_is_closer=False).tolist() == rankdata(values).tolist()
    assert mean_ranks(values, larger_is_closer=True).tolist() == rankdata(-np.array(values)).tolist()


@given(VALUES, st.booleans())
def test_what_is_missing_has_the_middle_rank_and_moves_no_other_on_average(values, larger_is_closer):
    ranks, missing = mean_ranks(values, larger_is_closer), np.isnan(values)
    middle = (len(values) + 1) / 2
    assert (ranks[missing] == middle).all()
    assert ranks.mean() == pytest.approx(middle)
    assert (ranks >= 1).all() and (ranks <= len(values)).all()
    known = np.array(values)[~missing]
    assert rankdata(ranks[~missing]).tolist() == rankdata(-known if larger_is_closer else known).tolist()


def test_the_only_source_that_has_a_measure_gains_nothing_from_it():
    assert mean_ranks([math.nan, 3.0, math.nan], True).tolist() == [2, 2, 2]


def test_ranks_are_fused_as_their_reciprocals():
    measures = {"leep": [-1.0, -2.0, -2.0], "procrustes": [5.0, 1.0, 3.0]}
    fused = reciprocal_rank_fusion(measures, ("leep", "procrustes"))
    assert fused.tolist() == pytest.approx([1 / 61 + 1 / 63, 1 / 62.5 + 1 / 61, 1 / 62.5 + 1 / 62])


def order(values):
    return rankdata(-np.round(values, 12)).tolist()


@given(st.lists(st.tuples(*[st.integers(-3, 3).map(float)] * 2), min_size=1, max_size=7), st.floats(-5, 5))
def test_a_measure_that_all_sources_share_or_that_none_has_changes_no_order(rows, value):
    first, second = (list(column) for column in zip(*rows, strict=True))
    measures = {
        "leep": first,
        "h_score": second,
        "log_me": [value] * len(rows),
        "mention_vocabulary": [math.nan] * len(rows),
    }
    assert order(reciprocal_rank_fusion(measures)) == order(reciprocal_rank_fusion(measures, ("leep", "h_score")))


def test_sources_that_tie_in_everything_tie():
    fused = reciprocal_rank_fusion({name: [0.5, 0.5, 0.1] for name in FUSED})
    assert fused[0] == fused[1] > fused[2]


def test_the_fused_measures_are_fixed_and_have_a_direction():
    assert FUSED == ("leep", "h_score", "log_me", "mention_vocabulary")
    assert set(FUSED) <= set(LARGER_IS_CLOSER)
    assert [name for name, larger in LARGER_IS_CLOSER.items() if not larger] == ["procrustes"]


def test_a_measure_that_is_unknown_or_absent_is_refused():
    for names in (("leep", "nonsense"), ("size",)):
        with pytest.raises(ValueError, match="cannot fuse"):
            reciprocal_rank_fusion({"leep": [1.0], "nonsense": [1.0]}, names)


@pytest.mark.parametrize("first, second", [((1, 1, 2, 3), (2, 3, 1, 1)), ((1, 1, 2, 4), (2, 4, 1, 1))])
def test_equal_ranks_in_other_measures_tie(first, second):
    """Ranks whose reciprocals have another sum in another order."""
    measures = {}
    for name, ranks in zip(FUSED, zip(first, second, strict=True), strict=True):
        others = [rank for rank in range(1, 7) if rank not in ranks]
        measures[name] = [-float(rank) for rank in (*ranks, *others)]
    scores = reciprocal_rank_fusion(measures)
    assert scores[0] == scores[1]
