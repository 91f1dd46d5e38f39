"""The vote against brute force, and what holds for every vote."""

import itertools

import numpy as np
import pytest

from modeling_clinx.labels_clinx import TagSet
from modeling_clinx.vote_clinx import UNIT, vote


pytestmark = pytest.mark.compat


def random_votes(tags, n_members, n_rows, n_steps, rng):
    """Paths and (T, B, K) marginals of members that agree on nothing, not even on the constraints."""
    paths = rng.integers(0, len(tags), (n_members, n_rows, n_steps))
    marginals = rng.dirichlet(np.full(len(tags), 0.3), (n_members, n_steps, n_rows))
    lengths = rng.integers(1, n_steps + 1, n_rows)
    lengths[0] = n_steps
    return paths, lengths, marginals


def blocks(marginals, cut=0):
    """As the CRF yields them: the last block first."""
    if cut:
        yield cut, [member[cut:] for member in marginals]
    yield 0, [member[: cut or None] for member in marginals]


def is_legal(tags, path):
    steps = all(tags.allowed[i, j] for i, j in itertools.pairwise(path))
    return bool(tags.starts[path[0]] and tags.ends[path[-1]] and steps)


@pytest.mark.parametrize("by_mass", [False, True])
@pytest.mark.parametrize("scheme", ["BIOSE", "BIO"])
def test_no_legal_labelling_has_more_votes_or_as_many_and_more_mass(scheme, by_mass):
    tags, rng = TagSet(2, scheme), np.random.default_rng(0)
    for _ in range(100):
        n_steps = int(rng.integers(1, 5))
        paths, lengths, marginals = random_votes(tags, int(rng.integers(1, 6)), 1, n_steps, rng)
        votes = (paths[:, 0, :, None] == np.arange(len(tags))).sum(0) * (not by_mass)  # (T, K)
        mass = np.rint(marginals * UNIT).astype(int).sum(0)[:, 0]
        worth = {
            path: (sum(votes[range(n_steps), path]), sum(mass[range(n_steps), path]))
            for path in itertools.product(range(len(tags)), repeat=n_steps)
            if is_legal(tags, path)
        }
        path = vote(tags, paths, lengths, blocks(marginals, int(rng.integers(0, n_steps))), by_mass)[0]
        assert worth[tuple(path.tolist())] == max(worth.values())


@pytest.mark.parametrize("scheme", ["BIOSE", "BIO"])
def test_ten_thousand_random_votes_give_no_broken_sequence(scheme):
    tags, rng = TagSet(3, scheme), np.random.default_rng(1)
    paths, lengths, marginals = random_votes(tags, 5, 10_000, 12, rng)
    voted = vote(tags, paths, lengths, blocks(marginals))
    assert all(is_legal(tags, path[:n]) for path, n in zip(voted, lengths, strict=True))
    assert not voted[np.arange(12) >= lengths[:, None]].any()


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("scheme", ["BIOSE", "BIO"])
def test_the_order_of_members_and_of_rows_does_not_matter(scheme, linear):
    tags, rng = TagSet(3, scheme), np.random.default_rng(2)
    paths, lengths, marginals = random_votes(tags, 5, 50, 9, rng)
    voted = vote(tags, paths, lengths, blocks(marginals), linear=linear)
    for _ in range(10):
        members, rows = rng.permutation(5), rng.permutation(50)
        shuffled = vote(
            tags, paths[members][:, rows], lengths[rows], blocks(marginals[members][:, :, rows]), linear=linear
        )
        assert (shuffled == voted[rows]).all()


def test_equal_votes_are_decided_by_posterior_mass():
    tags = TagSet(1, "BIOSE")  # I E O S B
    paths = np.array([[[2]], [[3]]])
    for share, expected in ((0.6, 3), (0.4, 2)):
        marginals = np.array([[[[0, 0, 1 - share, share, 0]]]] * 2)
        assert vote(tags, paths, np.array([1]), blocks(marginals)).item() == expected
    three = np.array([[[2]], [[2]], [[3]]])  # more votes outweigh any mass
    marginals = np.array([[[[0, 0, 0.01, 0.99, 0]]]] * 3)
    assert vote(tags, three, np.array([1]), blocks(marginals)).item() == 2


def test_a_long_chain_keeps_the_order_of_votes_and_mass():
    """Sums of a million positions must neither overflow nor lose a single vote or a mass of a millionth."""
    tags, n_steps = TagSet(1, "BIOSE"), 100_000
    paths = np.full((2, 1, n_steps), 2)  # O everywhere, but the members differ at the last position
    paths[1, 0, -1] = 3
    marginals = np.zeros((2, n_steps, 1, 5))
    marginals[..., 2] = 1.0
    marginals[:, -1, 0] = [0, 0, 0.5 - 1e-6, 0.5 + 1e-6, 0]
    voted = vote(tags, paths, np.array([n_steps]), blocks(marginals, 4096))
    assert voted[0, -1] == 3 and (voted[0, :-1] == 2).all()
