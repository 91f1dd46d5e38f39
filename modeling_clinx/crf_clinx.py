"""A linear-chain conditional random field over tags (Lafferty et al. 2001), with hard constraints, exact and fast.

Recursions run in the scaled linear domain in float64, one matrix product a step, forward and backward side by side.
The gradient of log Z is the marginals, so autograd never sees a recursion.
Letters: B rows, T positions, K tags, S spans, R tags of one entity type.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from .labels_clinx import UNKNOWN, TagSet


BLOCK = 4096  # positions of a chain that decoding holds in float64 at a time


class Lattice(NamedTuple):
    """Forward and backward quantities of T positions, time first, float64.

    Marginals are `prior * beta`, those of neighbours i, j `alpha[t, :, i] * psi[i, j] * beta[t + 1, :, j]`.
    """

    log_scale: torch.Tensor  # (T, B) their sum is log Z; 0 off the chain
    alpha: torch.Tensor  # (T, B, K) p(tag | all up to and with this position)
    prior: torch.Tensor  # (T, B, K) alpha of the position before, times psi
    beta: torch.Tensor  # (T, B, K) what this position and all after it add; 0 off the chain


class ClinXCRF(nn.Module):
    """Transition, start and end scores of a chain of tags; with `linear` there are none, and no constraints.

    Methods take chains compacted to the left (see `compact`): `emissions` (B, T, K) float, `lengths` (B,) int64 and
    `edges` (B, 2) bool, whether the chain begins and ends where its document does. Start and end scores and
    constraints hold at such edges only; anywhere else every tag may begin or end the chain.
    """

    def __init__(self, n_types: int, scheme: str, linear: bool = False):
        super().__init__()
        self.tags = TagSet(n_types, scheme)
        n_tags = len(self.tags)
        for name, shape in (("transitions", (n_tags, n_tags)), ("start", (n_tags,)), ("end", (n_tags,))):
            self.register_parameter(name, None if linear else nn.Parameter(torch.zeros(shape)))

    @torch.compiler.disable
    def forward(self, emissions, mask, edges, labels=None):
        """Negative log-likelihood of BIO labels; labels that are not known are summed over.

        Args:
            mask: (B, T) bool, the positions of the chain; `emissions` are not compacted here.
            labels: (B, T) int64 BIO ids, -100 where not known.

        Returns the loss, a float64 scalar, the mean over labelled positions (None without labels); and the marginals
        (B, T, K), without gradient, 0 off the chain.

        Raises ValueError for labels that are no BIO ids, or that the constraints forbid; names row and position.
        """
        index, lengths = compact(mask)
        wide = index[..., None].expand(-1, -1, emissions.shape[-1])
        chain = emissions.gather(1, wide)
        log_z, marginals = self.log_partition(chain, lengths, edges)
        loss = None
        if labels is not None:
            labels = labels.gather(1, index).masked_fill_(~_on_chain(lengths, index.shape[1]), UNKNOWN)
            self._refuse_impossible(labels, index, edges)
            loss = (log_z - self.log_score(chain, lengths, edges, labels)).sum()
            loss = loss / (labels != UNKNOWN).sum().clamp(min=1)
        return loss, torch.zeros_like(emissions).scatter_(1, wide, marginals)

    def log_partition(self, emissions, lengths, edges, allowed=None):
        """Log of the sum over all labellings, or over those within `allowed` (B, T, K) bool.

        Returns (B,) float64, and the marginals (B, T, K), without gradient, 0 off the chain.
        """
        parameters = (self.transitions, self.start, self.end)
        return _LogPartition.apply(emissions, *parameters, lengths, edges, allowed, self)

    def log_score(self, emissions, lengths, edges, labels):
        """Log of the sum over all labellings that agree with the BIO `labels` (B, T): (B,) float64."""
        possible = self.tags.from_bio(labels, lengths)
        on_chain = _on_chain(lengths, labels.shape[1])
        if ((possible.sum(-1) != 1) & on_chain).any():
            return self.log_partition(emissions, lengths, edges, possible)[0]
        path = possible.int().argmax(-1)  # (B, T)
        score = (emissions.gather(2, path[..., None])[..., 0].double() * on_chain).sum(1)
        if self.transitions is None:
            return score
        last = path.gather(1, (lengths - 1).clamp(min=0)[:, None])[:, 0]
        edge_scores = torch.stack([self.start[path[:, 0]], self.end[last]], 1).double() * edges
        steps = self.transitions.double()[path[:, :-1], path[:, 1:]] * on_chain[:, 1:]  # counted in float64
        return score + steps.sum(1) + edge_scores.sum(1) * (lengths > 0)

    def _refuse_impossible(self, labels, index, edges):
        n_labels = 1 + 2 * self.tags.n_types
        bad = (labels != UNKNOWN) & ((labels < 0) | (labels >= n_labels))
        reason = f"is no BIO id: expected 0 to {n_labels - 1}, or {UNKNOWN} where unknown"
        if self.transitions is not None and not bad.any():
            before = torch.cat([torch.where(edges[:, :1], 0, UNKNOWN), labels[:, :-1]], 1)
            follows = (before == UNKNOWN) | (before == labels) | (before == labels - 1)
            bad = (labels > 0) & (labels % 2 == 0) & ~follows
            reason = "is an I- label that follows no label of its entity type: expected B- before it"
        if bad.any():
            row, position = bad.nonzero()[0].tolist()
            found = f"labels[{row}, {int(index[row, position])}] = {int(labels[row, position])}"
            raise ValueError(f"{found} (row {row} of the batch) {reason}")

    @torch.no_grad()
    def decode(self, emissions, lengths, edges):
        """The best path (Viterbi 1967): (B, T) int64 tags, 0 off the chain; long chains go through in blocks."""
        n_steps = emissions.shape[1]
        if self.transitions is None:
            return emissions.argmax(-1) * _on_chain(lengths, n_steps)
        transitions = self.transitions.double().masked_fill(~self.tags.allowed.to(emissions.device), -torch.inf)
        entries, before = [], None
        for first, block in _blocks(emissions):
            entries.append((first, block, before))
            scores = self._max_product(block, lengths, edges, first, transitions, before)
            before = scores[-1].clone()  # a view would hold the block
        # Back along the path, in numpy: single steps are too small for torch. After a chain's last tag comes none.
        none, on_chain = len(transitions), _on_chain(lengths, n_steps).t().cpu().numpy()  # (T, B)
        onward = torch.cat([transitions.t(), transitions.new_zeros(1, none)]).cpu().numpy()  # (K + 1, K)
        path = np.full((n_steps + 1, len(emissions)), none)
        for first, block, before in reversed(entries):
            if first + BLOCK < n_steps:  # the last block's are still here
                scores = self._max_product(block, lengths, edges, first, transitions, before)
            for t, score in reversed(list(enumerate(scores.transpose(1, 2).cpu().numpy(), first))):  # (B, K)
                path[t] = np.where(on_chain[t], (onward[path[t + 1]] + score).argmax(1), none)
        return torch.from_numpy((path[:-1] * on_chain).T).to(emissions.device)

    def _max_product(self, emissions, lengths, edges, first, transitions, before):
        """(T, K, B) float64: score of the best path up to each tag of a block, given that of the position `before`.

        It follows the constraints: a tag that opens comes after any that may close, a tag inside of a span after B and
        I of its own type only; so most of the K x K table is never looked at.
        """
        n_types, closing, opening = self.tags.n_types, self.tags.closing, self.tags.opening
        outer = transitions[closing, opening, None].contiguous()  # (closing, opening, 1)
        inner = transitions[:, : opening.start].unflatten(1, (-1, n_types))  # (K, I and E, types)
        after_i = inner[:n_types].diagonal(dim1=0, dim2=2)[..., None]  # (I and E, types, 1)
        after_b = inner[-n_types:].diagonal(dim1=0, dim2=2)[..., None]
        scores = self._scores(emissions, lengths, edges, first).transpose(1, 2).contiguous()
        table = scores.new_empty(*outer.shape[:2], len(emissions))  # (closing, opening, B)
        best = torch.empty_like(scores[0])  # (K, B) of what may come before
        opened, goes_on = best[opening], best[: opening.start].unflatten(0, (-1, n_types))
        for score in scores.unbind():
            if before is not None:
                torch.amax(torch.add(before[closing, None], outer, out=table), 0, out=opened)
                torch.maximum(before[:n_types] + after_i, before[-n_types:] + after_b, out=goes_on)
                score.add_(best)
            before = score
        return scores

    @torch.no_grad()
    def posteriors(self, emissions, lengths, edges) -> Iterator[tuple[int, Lattice]]:
        """Yields the first position and the lattice of each block of the chains, the last block first.

        Memory is bounded by the block, and the lattices are those of the whole chain.
        """
        entries, alpha = [], None
        for first, block in _blocks(emissions):
            entries.append((first, block, alpha))
            lattice = self._lattice(block, lengths, edges, first=first, alpha=alpha)
            alpha = lattice.alpha[-1].clone()  # a view would hold the block
        beta = None
        for first, block, alpha in reversed(entries):
            if beta is not None:
                lattice = self._lattice(block, lengths, edges, first=first, alpha=alpha, beta=beta)
            beta = lattice.beta[0]
            yield first, lattice

    @torch.no_grad()
    def span_posteriors(self, lattices, lengths, rows, starts, stops, types):
        """Exact probability that each span with its entity type is in the labelling as `spans_from_bio` reads it.

        Args:
            lattices: what `posteriors` yields.
            rows, starts, stops, types: (S,) int64; the span is at positions `starts` to `stops` (exclusive) of a row.

        Returns (S,) float64.
        """
        tags = self.tags.of_type().to(rows.device)[types]  # (S, R)
        continues = self.tags.continues.to(rows.device)
        psi, _ = self._psi()
        breaks, carries_on = psi * ~continues, psi * continues
        sizes = stops - starts
        offsets = sizes.cumsum(0) - sizes
        owner = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), sizes)
        positions = torch.arange(len(owner), device=rows.device) - offsets[owner] + starts[owner]
        entry, leave = (torch.ones(tags.shape, dtype=torch.float64, device=rows.device) for _ in range(2))
        gain = torch.zeros(len(owner), tags.shape[1], dtype=torch.float64, device=rows.device)
        for first, lattice in lattices:
            after = first + len(lattice.alpha)
            s = ((starts - 1 >= first) & (starts - 1 < after)).nonzero()[:, 0]
            entry[s] = (lattice.alpha[starts[s] - 1 - first, rows[s]] @ breaks).gather(1, tags[s])
            s = ((stops >= first) & (stops < after) & (stops < lengths[rows])).nonzero()[:, 0]
            leave[s] = (lattice.beta[stops[s] - first, rows[s]] @ breaks.t()).gather(1, tags[s])
            s = ((positions >= first) & (positions < after)).nonzero()[:, 0]
            at = (positions[s, None] - first, rows[owner[s], None], tags[owner[s]])
            gain[s] = (lattice.alpha[at] / lattice.prior[at]).nan_to_num_(0.0)  # 0 / 0 where a tag cannot be reached
        mass = entry * gain[offsets]
        inner = carries_on[tags[:, :, None], tags[:, None, :]]  # (S, R, R)
        for step in range(1, int(sizes.max()) if len(sizes) else 0):
            s = (sizes > step).nonzero()[:, 0]
            mass[s] = (mass[s, None] @ inner[s])[:, 0] * gain[offsets[s] + step]
        return (mass * leave).sum(-1)

    def _scores(self, emissions, lengths, edges, first=0):
        """(T, B, K) float64: emissions of a block, with start and end scores, -inf where an edge forbids a tag."""
        scores = emissions.detach().transpose(0, 1).to(torch.float64, memory_format=torch.contiguous_format, copy=True)
        if self.transitions is None:
            return scores
        start, end = (
            score.detach().double().masked_fill(~legal.to(score.device), -torch.inf)
            for score, legal in ((self.start, self.tags.starts), (self.end, self.tags.ends))
        )
        if first == 0:
            scores[0] += torch.where(edges[:, :1], start, 0.0)
        last = lengths - 1 - first
        rows = (edges[:, 1] & (last >= 0) & (last < len(scores))).nonzero()[:, 0]
        scores[last[rows], rows] += end
        return scores

    def _psi(self):
        """Exponentiated transitions (K, K) float64, 0 where forbidden, and the logarithm taken out of them."""
        if self.transitions is None:
            return torch.ones((), dtype=torch.float64), 0.0  # a scalar goes with tensors on any device
        transitions = self.transitions.detach().double()
        return (transitions - transitions.max()).exp() * self.tags.allowed.to(transitions.device), transitions.max()

    def _lattice(self, emissions, lengths, edges, allowed=None, first=0, alpha=None, beta=None) -> Lattice:
        """The lattice of a block, given alpha of the position before it and beta of the one after it (B, K).

        The backward recursion is the forward one on the reversed rows and the transposed transitions.
        """
        scores = self._scores(emissions, lengths, edges, first)
        if allowed is not None:
            scores.masked_fill_(~allowed.transpose(0, 1), -torch.inf)
        on_chain = _on_chain(lengths - first, len(scores)).t()  # (T, B)
        shift = scores.amax(-1)  # (T, B)
        unary = scores.sub_(shift[..., None]).exp_().masked_fill_(~on_chain[..., None], 1.0)
        if self.transitions is None:
            scale = unary.sum(-1)
            soft = unary / scale[..., None]
            log_scale = (scale.log() + shift).masked_fill_(~on_chain, 0.0)
            return Lattice(log_scale, soft, torch.ones_like(soft), soft * on_chain[..., None])
        psi, psi_shift = self._psi()
        steps = torch.arange(len(unary), device=lengths.device)[:, None]
        mirror = torch.where(on_chain, (lengths - first).clamp(max=len(unary)) - 1 - steps, steps)
        mirror = mirror[..., None].expand_as(unary)
        both = torch.stack([unary, unary.gather(0, mirror)], 1)  # (T, 2, B, K), becomes alpha
        prior, scale = torch.empty_like(both), both.new_empty(*both.shape[:3], 1)
        prior[0] = 1.0
        if alpha is not None:
            prior[0, 0] = alpha @ psi
        if beta is not None:
            prior[0, 1] = torch.where((lengths > first + len(unary))[:, None], beta @ psi.t(), 1.0)
        matrices, before = torch.stack([psi, psi.t()]), None
        for now, expected, total in zip(both.unbind(), prior.unbind(), scale.unbind(), strict=True):
            if before is not None:
                torch.bmm(before, matrices, out=expected)
            torch.sum(now.mul_(expected), -1, keepdim=True, out=total)
            before = now.div_(total)
        alpha, prior, after = both[:, 0], prior[:, 0], both[:, 1].gather(0, mirror)
        after = after.div_((prior * after).sum(-1, keepdim=True)).masked_fill_(~on_chain[..., None], 0.0)
        log_scale = scale[:, 0, :, 0].log() + shift
        log_scale[int(first == 0) :] += psi_shift
        return Lattice(log_scale.masked_fill_(~on_chain, 0.0), alpha, prior, after)


class _LogPartition(torch.autograd.Function):
    """log Z with its own gradient, the marginals: nothing is differentiated through the recursion."""

    @staticmethod
    def forward(ctx, emissions, transitions, start, end, lengths, edges, allowed, crf):
        lattice = crf._lattice(emissions, lengths, edges, allowed)
        marginals = (lattice.prior * lattice.beta).transpose(0, 1).to(emissions.dtype)  # (B, T, K)
        ctx.save_for_backward(marginals, lattice.alpha, lattice.beta, lengths, edges)
        ctx.crf = crf
        ctx.mark_non_differentiable(marginals)
        return lattice.log_scale.sum(0), marginals

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_log_z, _):
        marginals, alpha, beta, lengths, edges = ctx.saved_tensors
        grad = marginals * grad_log_z.to(marginals.dtype)[:, None, None]
        if ctx.crf.transitions is None:
            return grad, *[None] * 7
        weighted = (alpha[:-1] * grad_log_z[:, None]).flatten(0, 1)  # ((T - 1) B, K)
        pairs = ctx.crf._psi()[0] * (weighted.t() @ beta[1:].flatten(0, 1))  # (K, K)
        last = (lengths - 1).clamp(min=0)
        start, end = grad[:, 0] * edges[:, :1], grad[torch.arange(len(grad)), last] * edges[:, 1:]
        dtype = ctx.crf.transitions.dtype
        return grad, pairs.to(dtype), start.sum(0).to(dtype), end.sum(0).to(dtype), *[None] * 4


def compact(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Moves the chain's positions, given as a (B, T) mask, to the left.

    Returns (B, longest chain, at least 1) int64 positions, those off the chain last; and (B,) int64 lengths.
    """
    lengths = mask.sum(1)
    return (~mask).int().argsort(dim=1, stable=True)[:, : max(1, int(lengths.max()))], lengths


def _on_chain(lengths, n_steps):
    return torch.arange(n_steps, device=lengths.device) < lengths[:, None]  # (B, T)


def _blocks(emissions):
    return zip(range(0, emissions.shape[1], BLOCK), emissions.split(BLOCK, 1), strict=True)
