"""Every measure against brute force, its range and direction, and the traps of each."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, ortho_group, rankdata

from clinx.transfer.similarity import (
    FUSED,
    LARGER_IS_CLOSER,
    _ledoit_wolf_shrinkage,
    cosine_of_means,
    h_score,
    leep,
    log_me,
    mean_ranks,
    procrustes_distance,
    reciprocal_rank_fusion,
    size,
    trigram_similarity,
    vocabulary_overlap,
)


SEEDS = st.integers(0, 2**32 - 1)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def rotation(seed, width):
    return ortho_group.rvs(width, random_state=seed)


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


# LEEP


def leep_by_loops(marginals, labels):
    n_rows, n_source = marginals.shape
    joint = {
        (y, z): sum(marginals[i, z] for i in range(n_rows) if labels[i] == y) / n_rows
        for y in set(labels.tolist())
        for z in range(n_source)
    }
    total = [sum(joint[y, z] for y in set(labels.tolist())) for z in range(n_source)]
    logs = [
        math.log(sum(joint[labels[i], z] / total[z] * marginals[i, z] for z in range(n_source) if total[z]))
        for i in range(n_rows)
    ]
    return sum(logs) / n_rows


@st.composite
def marginals_and_labels(draw):
    random = np.random.default_rng(draw(SEEDS))
    n_rows, n_source = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    marginals = random.dirichlet(np.full(n_source, draw(st.sampled_from([0.02, 1.0, 20.0]))), n_rows)
    return marginals, random.integers(draw(st.integers(1, 4)), size=n_rows) * 3


@given(marginals_and_labels())
def test_leep_is_its_definition_and_lies_between_the_entropy_of_the_labels_and_zero(case):
    marginals, labels = case
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    value = leep(marginals, labels)
    assert value == pytest.approx(leep_by_loops(marginals, labels), abs=1e-9)
    assert (shares * np.log(shares)).sum() - 1e-9 <= value <= 0
    order = np.random.default_rng(0).permutation(len(labels))
    assert leep(marginals[order][:, ::-1], -labels[order]) == pytest.approx(value, abs=1e-9)


def test_leep_of_labels_that_tell_all_or_nothing():
    labels = np.array([0, 0, 1, 2])
    sure = np.eye(5)[[4, 4, 2, 0]]
    assert leep(sure, labels) == 0.0
    assert leep(np.full((4, 3), 1 / 3), labels) == pytest.approx(-(0.5 * math.log(2) + 0.5 * math.log(4)))
    assert leep(sure, labels) > leep(0.8 * sure + 0.04, labels) > leep(np.full((4, 3), 1 / 3), labels)


def test_leep_takes_probabilities_only():
    for marginals in (np.log([[0.5, 0.5]]), np.array([[0.5, 0.4]]), np.array([[1.5, -0.5]])):
        with pytest.raises(ValueError, match="probabilities"):
            leep(marginals, np.zeros(1, int))


# H-score


def separated(seed, n_rows=300, width=6, n_classes=3, distance=1.0):
    """Features of classes whose means are a distance apart, and the classes."""
    labels = np.random.default_rng([seed, 0]).integers(n_classes, size=n_rows)
    return normal([seed, 1], n_rows, width) + distance * normal([seed, 2], n_classes, width)[labels], labels


def h_score_by_definition(features, labels):
    features = features - features.mean(0)
    n_rows, width = features.shape
    covariance = sum(np.outer(row, row) for row in features) / n_rows
    target = np.trace(covariance) / width * np.eye(width)
    error = sum(np.linalg.norm(np.outer(row, row) - covariance) ** 2 for row in features) / n_rows**2
    alpha = min(1, error / np.linalg.norm(covariance - target) ** 2)
    between = np.zeros((width, width))
    for label in set(labels.tolist()):
        mean = features[labels == label].mean(0)
        between += np.outer(mean, mean) * (labels == label).mean()
    return alpha, np.trace(np.linalg.inv((1 - alpha) * covariance + alpha * target) @ ((1 - alpha) * between))


@pytest.mark.parametrize(("n_rows", "width"), [(300, 6), (20, 30), (40, 40)])
def test_the_h_score_is_its_definition(n_rows, width):
    features, labels = separated(0, n_rows, width)
    alpha, value = h_score_by_definition(features, labels)
    assert _ledoit_wolf_shrinkage(features - features.mean(0)) == pytest.approx(alpha)
    assert h_score(features, labels) == pytest.approx(value)


def test_the_shrinkage_is_scikit_learn_s():
    covariance = pytest.importorskip("sklearn.covariance")
    features, _ = separated(0, 30, 50)
    assert _ledoit_wolf_shrinkage(features - features.mean(0)) == pytest.approx(
        covariance.ledoit_wolf_shrinkage(features)
    )


@given(SEEDS, st.integers(4, 60), st.integers(2, 12), st.integers(1, 4), st.floats(0.01, 100))
def test_the_h_score_is_in_its_range_and_of_the_geometry_alone(seed, n_rows, width, n_classes, scale):
    features, labels = separated(seed, n_rows, width, n_classes)
    value = h_score(features, labels)
    assert -1e-9 <= value <= len(set(labels.tolist())) - 1 + 1e-9
    order = np.random.default_rng(seed).permutation(n_rows)
    moved = features[order] @ rotation(seed, width) * scale + 3 * scale
    assert h_score(moved, -2 * labels[order]) == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_the_h_score_grows_with_what_separates_the_classes():
    scores = [h_score(*separated(0, distance=distance)) for distance in (0, 0.3, 1, 3, 30)]
    assert scores == sorted(scores) and scores[0] < 0.1 and scores[-1] > 1.9


def test_more_features_than_rows_separate_nothing_by_chance():
    # Without shrinkage, 100 features of 50 rows would separate any labels perfectly: an H-score of 2.
    noise, labels = normal(0, 50, 100), np.arange(50) % 3
    assert h_score(noise, labels) < 0.5
    assert h_score(noise + 5 * normal(1, 3, 100)[labels], labels) > 1
    assert h_score(np.ones((50, 4)), labels) == 0.0


# LogME


def evidence(features, y, alpha, beta):
    """Log evidence of weights of precision alpha and noise of precision beta, as You et al. 2021 write it."""
    n_rows, width = features.shape
    precision = alpha * np.eye(width) + beta * features.T @ features
    weights = beta * np.linalg.solve(precision, features.T @ y)
    misfit = beta * ((features @ weights - y) ** 2).sum() + alpha * (weights**2).sum()
    logs = n_rows * math.log(beta / (2 * math.pi)) + width * math.log(alpha) - np.linalg.slogdet(precision)[1]
    return (logs - misfit) / 2


def log_me_by_search(features, labels):
    """The best of many starts of a general optimizer."""
    values = []
    for label in set(labels.tolist()):
        y = (labels == label).astype(float)
        starts = itertools.product((-6, 0, 6), (-2, 2, 6))
        bounds = [(-20, 20), (-10, math.log(1e6))]
        fits = [
            minimize(lambda logs, y=y: -evidence(features, y, *np.exp(logs)), start, bounds=bounds) for start in starts
        ]
        values.append(-min(fit.fun for fit in fits))
    return np.mean(values) / len(features)


def test_the_evidence_is_the_density_of_the_labels():
    features, labels = separated(0, 8, 3)
    covariance = np.eye(8) / 2.0 + features @ features.T / 0.7
    density = multivariate_normal(np.zeros(8), covariance).logpdf(labels == 1)
    assert evidence(features, (labels == 1).astype(float), 0.7, 2.0) == pytest.approx(density)


@pytest.mark.parametrize(
    ("seed", "n_rows", "width", "distance"), [(0, 40, 4, 1.0), (1, 40, 4, 0.0), (2, 12, 12, 1.0), (3, 15, 3, 5.0)]
)
def test_log_me_is_the_maximum_of_the_evidence(seed, n_rows, width, distance):
    features, labels = separated(seed, n_rows, width, distance=distance)
    assert log_me(features, labels) == pytest.approx(log_me_by_search(features, labels), abs=1e-4)


def test_log_me_is_bounded_where_features_explain_the_labels_exactly():
    labels = np.arange(60) % 3
    exact = np.hstack([np.eye(3)[labels], normal(0, 60, 2)])
    assert np.isfinite(log_me(exact, labels)) and log_me(exact, labels) > log_me(normal(0, 60, 5), labels)
    assert np.isfinite(log_me(normal(0, 10, 40), np.arange(10) % 3))
    assert log_me(np.zeros((60, 4)), labels) == pytest.approx(
        log_me(1e-30 * normal(0, 60, 1), np.arange(60) % 3), abs=1
    )


@given(SEEDS, st.integers(6, 50), st.integers(2, 10), st.floats(0.01, 100))
def test_log_me_is_unchanged_by_rotation_scale_and_order(seed, n_rows, width, scale):
    features, labels = separated(seed, n_rows, width)
    order = np.random.default_rng(seed).permutation(n_rows)
    moved = features[order] @ rotation(seed, width) * scale
    assert log_me(moved, 5 - labels[order]) == pytest.approx(log_me(features, labels), abs=1e-6)


def test_log_me_grows_with_what_separates_the_classes():
    scores = [log_me(*separated(0, distance=distance)) for distance in (0, 0.3, 1, 3)]
    assert scores == sorted(scores)


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
