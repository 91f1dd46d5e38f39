"""The vote of an ensemble's members, position by position, decoded so that it is always a whole labelling."""

from collections.abc import Iterable

import numpy as np

from .labels_clinx import TagSet


UNIT = 1 << 24  # a probability of one: whole numbers add up to the same in whatever order the members come
NEVER = -(1 << 61)


def vote(
    tags: TagSet, paths: np.ndarray, lengths: np.ndarray, marginals: Iterable, by_mass: bool = False, linear=False
) -> np.ndarray:
    """The labelling with the most votes that the constraints allow; of equal ones, that with the most posterior mass.

    Votes and mass are summed over a document. Labellings that are equal in both are told apart by the order of the
    tags, never by that of the members.

    Args:
        tags: the K tags.
        paths: (N, B, T) int64 tags, the paths of N members.
        lengths: (B,) int64, positions of each row.
        marginals: yields the first position of each block, the last block first, and the N members' posterior
            marginals of it, (T', B, K) each.
        by_mass: leave the votes out, so that the averaged marginals decide.
        linear: the members know no constraints, so each position stands alone.

    Returns (B, T) int64 tags, 0 off the chain.
    """
    n_members, n_rows, n_steps = paths.shape
    n_types, opening, rows = tags.n_types, tags.opening.start, np.arange(n_rows)
    a_vote = 0 if by_mass else n_members * n_steps * UNIT + 1  # more than the mass of all positions
    last = np.where(tags.ends, 0, NEVER)
    # Backwards, what is to be gained up to the end beyond what the best tag that opens gains: nothing after a tag that
    # closes, since that one follows it. So the numbers stay small, however long the chain.
    gains = np.zeros((n_rows, len(tags)), np.int64)
    following = np.zeros((n_steps, n_rows, n_types + 1), np.int16)  # best tag after B and I of each type; after others
    path = np.zeros((n_rows, n_steps), np.int64)
    for first, members in marginals:
        scores = sum(np.rint(member * UNIT).astype(np.int64) for member in members)  # (T', B, K)
        steps = np.arange(len(scores))[:, None]
        for member in paths:
            scores[steps, rows, member.T[first : first + len(scores)]] += a_vote
        if linear:
            path[:, first : first + len(scores)] = scores.argmax(2).T
            continue
        for t in reversed(range(len(scores))):
            gains[lengths == first + t + 1] = last
            scores[t] += gains
            best = scores[t, :, opening:].argmax(1) + opening  # (B,)
            inside = (scores[t] - scores[t, rows, best, None])[:, :opening].reshape(n_rows, -1, n_types)
            goes_on, gain = inside.argmax(1) * n_types + np.arange(n_types), inside.max(1)  # (B, types)
            if tags.scheme == "BIO":  # B and I may close as well
                goes_on, gain = np.where(gain > 0, goes_on, best[:, None]), gain.clip(0)
            following[first + t] = np.concatenate([goes_on, best[:, None]], 1)
            gains = np.zeros_like(gains)
            gains[:, :n_types] = gains[:, -n_types:] = gain
    if not linear:
        after = np.full(len(tags), n_types)
        after[:n_types] = after[-n_types:] = np.arange(n_types)
        before = np.full(n_rows, n_types)
        for t in range(n_steps):
            path[:, t] = following[t, rows, before]
            before = after[path[:, t]]
    return path * (np.arange(n_steps) < lengths[:, None])
