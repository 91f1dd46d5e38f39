"""The max-product recursion of a linear-chain CRF (Viterbi 1967) as pure functions.

Letters: B rows, T positions, K tags.
"""

import numpy as np
import torch

from .lattice_clinx import Chains, Potentials, local_scores


def viterbi(chains: Chains, potentials: Potentials) -> torch.Tensor:
    """The best path of each chain (Viterbi 1967): (B, T) int64 tags, 0 off the chain.

    Scores of long chains are held for one block at a time, and computed again on the way back.
    """
    if potentials.transitions is None:
        return chains.emissions.argmax(-1) * chains.on_chain()
    entries, scores_before = [], None
    for block in chains.blocks():
        entries.append((block, scores_before))
        scores = max_product(block, potentials, scores_before)
        scores_before = scores[-1].clone()  # a view would hold the block
    n_rows, n_steps, n_tags = chains.emissions.shape
    mask = chains.on_chain().t().cpu().numpy()  # (T, B)
    # (K + 1, K): row j holds the scores of a step to the tag j, the last row those from a chain's end to no tag.
    steps_to = torch.cat([potentials.transitions.t(), potentials.transitions.new_zeros(1, n_tags)]).cpu().numpy()
    path = np.full((n_steps + 1, n_rows), n_tags)  # K stands for no tag
    for block, scores_before in reversed(entries):
        if block is not entries[-1][0]:  # the scores of the last block are still here
            scores = max_product(block, potentials, scores_before)
        best = scores.transpose(1, 2).cpu().numpy()  # (T', B, K); in numpy, since single steps are too small for torch
        for t in range(block.first + len(best) - 1, block.first - 1, -1):
            total = steps_to[path[t + 1]] + best[t - block.first]  # (B, K)
            path[t] = np.where(mask[t], total.argmax(1), n_tags)
    return torch.from_numpy((path[:-1] * mask).T).to(chains.emissions.device)


def max_product(chains: Chains, potentials: Potentials, scores_before: torch.Tensor | None = None) -> torch.Tensor:
    """(T, K, B) float64: the score of the best path up to each tag.

        scores_t(j) = local_t(j) + max_i (scores_t-1(i) + transitions(i, j))

    The constraints leave little of the K x K table to look at: a tag that opens (O, B, S) comes after any that closes,
    a tag inside of a span (I, E) after B and I of its own type only.

    Args:
        scores_before: (K, B) scores of the position before the block; None if it is the first block.
    """
    tags, transitions = potentials.tags, potentials.transitions
    closing, opening, inside = tags.closing, tags.opening, slice(tags.opening.start)
    to_opening = transitions[closing, opening, None].contiguous()  # (closing, opening, 1)
    to_inside = transitions[:, inside].unflatten(1, (-1, tags.n_types))  # (K, I and E, types)
    i_to_inside = to_inside[: tags.n_types].diagonal(dim1=0, dim2=2)[..., None]  # (I and E, types, 1)
    b_to_inside = to_inside[-tags.n_types :].diagonal(dim1=0, dim2=2)[..., None]
    scores = local_scores(chains, potentials).transpose(1, 2).contiguous()
    table = scores.new_empty(*to_opening.shape[:2], scores.shape[2])  # (closing, opening, B)
    best = torch.empty_like(scores[0])  # (K, B) of what may come before each tag
    best_opening, best_inside = best[opening], best[inside].unflatten(0, (-1, tags.n_types))
    for score in scores.unbind():  # (K, B)
        if scores_before is not None:
            torch.amax(torch.add(scores_before[closing, None], to_opening, out=table), 0, out=best_opening)
            after_i, after_b = scores_before[: tags.n_types] + i_to_inside, scores_before[-tags.n_types :] + b_to_inside
            torch.maximum(after_i, after_b, out=best_inside)
            score.add_(best)
        scores_before = score
    return scores
