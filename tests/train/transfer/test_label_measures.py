"""LEEP, H-score and LogME against their definitions, their range and direction, and the traps of each."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from clinx.transfer.similarity import (
    h_score,
    leep,
    log_me,
)
from tests.train.transfer.random_features import SEEDS, normal, rotation


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
    return np.trace(np.linalg.inv((1 - alpha) * covariance + alpha * target) @ ((1 - alpha) * between))


@pytest.mark.parametrize(("n_rows", "width"), [(300, 6), (20, 30), (40, 40)])
def test_the_h_score_is_its_definition(n_rows, width):
    features, labels = separated(0, n_rows, width)
    assert h_score(features, labels) == pytest.approx(h_score_by_definition(features, labels))


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
