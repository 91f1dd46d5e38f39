"""The vote of an ensemble's members, position by position, decoded so that it is always a whole labelling.

With v_t(j) the number of members whose path has the tag j at position t, and m_t(j) the sum of their marginals there,
the vote is the path y that the constraints allow with the largest

    sum_t s_t(y_t)    where    s_t(j) = A v_t(j) + m_t(j)

and A is more than the mass of all positions together, so that mass only decides between paths of equal votes.

**Order of the members.** Marginals are rounded to whole numbers of 1 / UNIT first: whole numbers add up to the same in
whatever order they come, so that the members' order changes no sum and no tie.

**Small numbers.** Going backwards, let

    total_t(j) = s_t(j) + gain_t(j)
    best_t     = max total_t(j) over the tags j that open (O, B, S), which any tag that closes may come before
    gain_t(j)  = max total_t+1(k) over all k that may follow j, minus best_t+1

so gain_t(j) is what j at t can still win up to the end beyond what a tag that closes can: 0 for those that close, and
for B and I what the tags inside of a span of their type win over best_t+1 (in BIO, where B and I close as well, never
less than 0). Since gain(I) = gain(B) of a type, and B opens, no gain is more than the largest s, or less than minus
twice of it, however long the chain: without the subtraction, totals would grow with every position.
"""

from collections.abc import Iterable

import numpy as np

from .labels_clinx import TagSet


UNIT = 1 << 24  # a probability of one, in whole numbers
NEVER = -(1 << 61)  # the gain of a tag that may not end its document


def vote(
    tags: TagSet,
    paths: np.ndarray,
    lengths: np.ndarray,
    marginals: Iterable[tuple[int, list[np.ndarray]]],
    by_mass: bool = False,
    linear: bool = False,
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
    vote_weight = 0 if by_mass else n_members * n_steps * UNIT + 1  # more than the mass of all positions
    gain = np.zeros((n_rows, len(tags)), np.int64)  # (B, K)
    gain_at_end = np.where(tags.ends, 0, NEVER)  # (K,)
    following = np.zeros((n_steps, n_rows, tags.n_types + 1), np.int16)
    path = np.zeros((n_rows, n_steps), np.int64)
    for first, of_members in marginals:
        stop = first + len(of_members[0])
        scores = _scores(of_members, paths[:, :, first:stop], vote_weight)  # (T', B, K)
        if linear:
            path[:, first:stop] = scores.argmax(2).T
            continue
        for t in reversed(range(first, stop)):
            gain[lengths == t + 1] = gain_at_end
            following[t], gain = _step_back(tags, scores[t - first] + gain)
    if not linear:
        path = _follow(tags, following)
    return path * (np.arange(n_steps) < lengths[:, None])


def _scores(marginals: list[np.ndarray], paths: np.ndarray, vote_weight: int) -> np.ndarray:
    """s, (T', B, K) int64, of a block: N times (T', B, K) marginals and (N, B, T') paths."""
    scores = sum(np.rint(of_member * UNIT).astype(np.int64) for of_member in marginals)
    n_steps, n_rows, _ = scores.shape
    steps, rows = np.arange(n_steps)[:, None], np.arange(n_rows)
    for path in paths:
        scores[steps, rows, path.T] += vote_weight
    return scores


def _step_back(tags: TagSet, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of the recursion, from total (B, K) of a position to the position before it.

    Returns (B, types + 1) the best tag after B and I of each type, and after any other tag; and gain (B, K).
    """
    n_rows, n_types, opening = len(total), tags.n_types, tags.opening.start
    best = total[:, opening:].argmax(1) + opening  # (B,)
    inside = total[:, :opening] - total[np.arange(n_rows), best, None]  # (B, I and E of each type)
    inside = inside.reshape(n_rows, -1, n_types)
    after, gain_inside = inside.argmax(1) * n_types + np.arange(n_types), inside.max(1)  # (B, types)
    if tags.scheme == "BIO":  # B and I may close as well
        after, gain_inside = np.where(gain_inside > 0, after, best[:, None]), gain_inside.clip(0)
    gain = np.zeros_like(total)
    gain[:, :n_types] = gain[:, -n_types:] = gain_inside  # of I, the first tags, and of B, the last ones
    return np.concatenate([after, best[:, None]], 1), gain


def _follow(tags: TagSet, following: np.ndarray) -> np.ndarray:
    """(B, T) tags, each the one that (T, B, types + 1) `following` names as the best after the tag before it."""
    n_steps, n_rows, n_columns = following.shape
    column = np.full(len(tags), n_columns - 1)  # of each tag: its type for I and B
    column[: tags.n_types] = column[-tags.n_types :] = np.arange(tags.n_types)
    path, rows = np.zeros((n_rows, n_steps), np.int64), np.arange(n_rows)
    here = np.full(n_rows, n_columns - 1)
    for t in range(n_steps):
        path[:, t] = following[t, rows, here]
        here = column[path[:, t]]
    return path
