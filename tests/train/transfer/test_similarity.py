"""Measures of directions and of words against brute force, their range and direction, and the traps of each."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from clinx.transfer.similarity import (
    cosine_of_means,
    h_score,
    log_me,
    procrustes_distance,
    size,
    trigram_similarity,
    vocabulary_overlap,
)
from tests.train.transfer.random_features import SEEDS, normal, rotation


# Procrustes


@pytest.mark.parametrize("shape", [(400, 8), (40, 64), (5, 64), (1, 8)])
def test_a_model_has_no_distance_to_itself_however_few_rows_there_are(shape):
    features = normal(0, *shape).astype(np.float32)
    assert procrustes_distance(features, features.copy()) < 1e-6
    everything = min(shape[1], 64)
    assert procrustes_distance(features, features.copy(), n_components=everything) < 1e-6


def test_features_without_variance_in_some_directions_have_no_distance_to_themselves():
    features = (normal(0, 900, 3) @ normal(1, 3, 64) + 1e-7 * normal(2, 900, 64)).astype(np.float32)
    assert procrustes_distance(features, features.copy()) < 1e-6


def test_the_distance_of_a_rotation_is_known():
    # A turn by an angle t in one plane moves W from I by 2 sqrt(2) sin(t / 2).
    features, turn = normal(0, 500, 6), np.eye(6)
    t = 0.3
    turn[:2, :2] = [[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]
    assert procrustes_distance(features @ turn, features) == pytest.approx(2 * math.sqrt(2) * math.sin(t / 2))


@pytest.mark.parametrize(("n_rows", "k"), [(4000, 40), (200, 20)])
def test_an_unrelated_rotation_is_about_the_root_of_twice_the_components_away(n_rows, k):
    target = normal(0, n_rows, 40)
    distances = [procrustes_distance(target @ rotation(seed, 40), target) for seed in range(10)]
    assert np.mean(distances) == pytest.approx(math.sqrt(2 * k), rel=0.05)


def test_the_opposite_is_as_far_away_as_can_be():
    features = normal(0, 500, 9)
    assert procrustes_distance(-features, features) == pytest.approx(2 * math.sqrt(9))


def test_the_rotation_is_the_one_that_brute_force_finds():
    # In the plane, every orthogonal matrix is a turn or a reflection by an angle.
    source, target = normal(0, 60, 2), normal(1, 60, 2)
    source, target = source - source.mean(0), target - target.mean(0)
    turns = [
        np.array([[math.cos(t), -sign * math.sin(t)], [math.sin(t), sign * math.cos(t)]])
        for t in np.linspace(0, 2 * math.pi, 20_001)
        for sign in (1, -1)
    ]
    best = min(turns, key=lambda turn: np.linalg.norm(source @ turn - target))
    assert procrustes_distance(source, target) == pytest.approx(np.linalg.norm(best - np.eye(2)), abs=1e-3)


@given(SEEDS, st.integers(20, 80), st.integers(2, 6), st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_distance_is_that_of_directions_alone(seed, n_rows, width, wide, high):
    source, target = normal([seed, 1], n_rows, width), normal([seed, 2], n_rows, width)
    distance, turn = procrustes_distance(source, target), rotation(seed, width)
    order = np.random.default_rng(seed).permutation(n_rows)
    changed = {
        "both rotated": (source @ turn, target @ turn),
        "scaled": (source * wide, target * high),
        "moved": (source + high, target - wide),
        "rows permuted": (source[order], target[order]),
    }
    for pair in changed.values():
        assert procrustes_distance(*pair) == pytest.approx(distance, abs=1e-5)
    assert 0 <= distance <= 2 * math.sqrt(width) + 1e-9


def test_what_features_have_in_common_beside_their_mean_is_not_lost_in_it():
    # Without centring, one direction, that of the means, would decide the rotation.
    source, target = normal(0, 500, 8), normal(1, 500, 8)
    assert procrustes_distance(source + 100, target + 100) == pytest.approx(procrustes_distance(source, target))
    assert procrustes_distance(source + 100, source - 100) < 1e-6


def test_few_rows_decide_about_a_few_components():
    # 50 rows of 64 features leave W arbitrary on 14 directions and more: two samples of a pair of models that hardly
    # differ would be told far apart, and nearly as far as models that have nothing in common.
    turn = ortho_group.rvs(64, random_state=3)
    scales = np.exp(-np.arange(64) / 8)

    def samples(seed):
        target = (normal(seed, 50, 64) * scales) @ turn
        near = target + 0.05 * (normal(seed + 1, 50, 64) * scales) @ turn
        far = (normal(seed + 2, 50, 64) * scales) @ turn
        return procrustes_distance(near, target), procrustes_distance(far, target)

    near, far = np.array([samples(seed) for seed in range(0, 30, 3)]).T
    assert near.max() < 0.2 and far.min() > 1


def test_directions_that_the_features_leave_open_count_as_agreement():
    source = np.hstack([normal(0, 300, 2), np.zeros((300, 6))])
    turn = np.eye(8)
    turn[:2, :2] = [[0, -1], [1, 0]]
    assert procrustes_distance(source @ turn, source) == pytest.approx(2, abs=1e-4)


def test_features_of_different_encoders_are_refused_with_the_reason():
    for measure in (procrustes_distance, cosine_of_means):
        with pytest.raises(ValueError, match="8 and 6 features: these are models of different encoders"):
            measure(normal(0, 10, 8), normal(1, 10, 6))


def test_features_that_cannot_be_compared_are_refused():
    features = normal(0, 10, 4)
    holey = features.copy()
    holey[3, 1] = np.nan
    with pytest.raises(ValueError, match="10 and 9 rows"):
        procrustes_distance(features, features[1:])
    with pytest.raises(ValueError, match="not finite"):
        procrustes_distance(features, holey)
    with pytest.raises(ValueError, match="n_components is 5, expected 1 to 4"):
        procrustes_distance(features, features, n_components=5)
    for measure in (h_score, log_me):
        with pytest.raises(ValueError, match="not finite"):
            measure(holey, np.zeros(10, int))
        with pytest.raises(ValueError, match=r"expected \(10,\)"):
            measure(features, np.zeros(9, int))
        with pytest.raises(ValueError, match="at least one row"):
            measure(features[:0], np.zeros(0, int))


def test_a_model_that_says_the_same_everywhere_has_no_distance():
    assert procrustes_distance(np.ones((9, 3)), normal(0, 9, 3)) == 0.0


# Means, words


def test_the_cosine_of_means_is_that_of_the_plain_means():
    assert cosine_of_means(np.array([[2.0, 0], [0, 0]]), np.array([[1.0, 1]])) == pytest.approx(math.sqrt(0.5))
    assert cosine_of_means(np.ones((3, 2)), -np.ones((3, 2))) == pytest.approx(-1)
    assert math.isnan(cosine_of_means(np.zeros((3, 2)), np.ones((3, 2))))


@given(SEEDS, st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_cosine_of_means_is_unchanged_by_rotation_of_both_and_by_scale(seed, wide, high):
    source, target, turn = normal([seed, 1], 9, 4), normal([seed, 2], 9, 4), rotation(seed, 4)
    expected = pytest.approx(cosine_of_means(source, target), abs=1e-6)
    assert cosine_of_means(source[::-1] @ turn * wide, target @ turn * high) == expected


def test_the_overlap_is_of_the_target_s_words():
    source, target = Counter("a a a b c d".split()), Counter("a b b x".split())
    assert vocabulary_overlap(source, target) == pytest.approx(2 / 3)
    assert vocabulary_overlap(target, source) == pytest.approx(2 / 4)
    assert vocabulary_overlap(source, source) == 1.0 and vocabulary_overlap(Counter(), target) == 0.0
    assert math.isnan(vocabulary_overlap(source, Counter()))


def test_trigrams_are_compared_in_bits():
    assert trigram_similarity({"a": 2, "b": 6}, {"a": 1, "b": 3}) == pytest.approx(1)
    assert trigram_similarity({"a": 5}, {"b": 1}) == pytest.approx(0)
    # P = (1, 0), Q = (1/2, 1/2): H(3/4, 1/4) - (0 + 1) / 2
    assert trigram_similarity({"a": 3}, {"a": 2, "b": 2}) == pytest.approx(1 - (2 - 0.75 * math.log2(3) - 0.5))
    assert math.isnan(trigram_similarity({}, {"a": 1}))


@given(*[st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1)] * 2)
def test_the_similarity_of_trigrams_is_symmetric_and_in_its_range(source, target):
    similarity = trigram_similarity(source, target)
    assert 0 <= similarity <= 1
    assert trigram_similarity(target, source) == pytest.approx(similarity)
    assert trigram_similarity(source, source) == pytest.approx(1)


def test_the_size_is_that_of_all_words():
    assert size(Counter("a b a".split())) == 3 and size(Counter()) == 0
