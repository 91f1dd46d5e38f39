"""A linear-chain conditional random field over tags (Lafferty et al. 2001), with hard constraints, exact and fast.

Its scores and what is learned of them are here, its recursions in `lattice_clinx.py` and `viterbi_clinx.py`.
Letters: B rows, T positions, K tags, S spans.
"""

from collections.abc import Iterator

import torch
from torch import nn

from .labels_clinx import UNKNOWN, TagSet
from .lattice_clinx import (
    Chains,
    Lattice,
    Potentials,
    expected_pairs,
    forward_backward,
    lattices_backwards,
    on_chain,
    with_domain,
    with_float64,
)
from .viterbi_clinx import viterbi


class ClinXCRF(nn.Module):
    """Transition, start and end scores of a chain of tags; a linear head has none, and no constraints.

    All methods but `forward` take chains that are compacted to the left (see `compact`), as `emissions` (B, T, K)
    float, `lengths` (B,) int64, and `edges` (B, 2) bool: whether the chain begins and ends where its document does.
    Start and end scores and constraints hold at such edges only; anywhere else every tag may begin or end the chain.
    All lie on one device that has float64 (`with_float64`), where the scores of the CRF itself are taken.

    Args:
        n_types: number of entity types.
        scheme: `BIOSE` or `BIO`.
        linear: without transitions and constraints, so that each position stands alone.
    """

    def __init__(self, n_types: int, scheme: str, linear: bool = False):
        super().__init__()
        self.tags = TagSet(n_types, scheme)
        n_tags = len(self.tags)
        for name, shape in (("transitions", (n_tags, n_tags)), ("start", (n_tags,)), ("end", (n_tags,))):
            self.register_parameter(name, None if linear else nn.Parameter(torch.zeros(shape)))

    @torch.compiler.disable
    def forward(
        self, emissions: torch.Tensor, mask: torch.Tensor, edges: torch.Tensor, labels: torch.Tensor | None = None
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Negative log-likelihood of BIO labels; labels that are not known are summed over.

        Args:
            emissions: (B, T, K) float, of every position, on the chain or not.
            mask: (B, T) bool, the positions of the chain.
            edges: (B, 2) bool, whether the chain begins and ends where its document does.
            labels: (B, T) int64 BIO ids, -100 where not known.

        Returns the loss, a float64 scalar, the mean over labelled positions (None without labels); and the marginals
        (B, T, K), without gradient, 0 off the chain.

        Raises ValueError for labels that are no BIO ids, or that the constraints forbid; names row and position.
        """
        index, lengths = compact(mask)
        wide = index[..., None].expand(-1, -1, emissions.shape[-1])  # (B, longest chain, K)
        chain = emissions.gather(1, wide)
        log_z, marginals = self.log_partition(chain, lengths, edges)
        loss = None
        if labels is not None:
            labels = labels.gather(1, index).masked_fill_(~on_chain(lengths, index.shape[1]), UNKNOWN)
            self._refuse_impossible(labels, index, edges)
            loss = (log_z - self.log_score(chain, lengths, edges, labels)).sum()
            loss = loss / (labels != UNKNOWN).sum().clamp(min=1)
        return loss, torch.zeros_like(emissions).scatter_(1, wide, marginals)

    def log_partition(
        self, emissions: torch.Tensor, lengths: torch.Tensor, edges: torch.Tensor, allowed: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log of the sum over all labellings, log Z, or over those within `allowed` (B, T, K) bool.

        Returns (B,) float64, and the marginals (B, T, K), without gradient, 0 off the chain. Nothing is differentiated
        through the recursion: the gradient of log Z is the marginals, which have none of their own, so that second
        derivatives are not those of log Z.

        Raises ValueError for emissions that are not finite; names row and position.
        """
        potentials = self.potentials()
        chains = with_domain(Chains(emissions.detach(), lengths, edges), potentials)
        if allowed is not None:
            chains = chains._replace(emissions=chains.emissions.masked_fill(~allowed, -torch.inf))
        lattice = forward_backward(chains, potentials)
        marginals = lattice.marginals().transpose(0, 1).to(emissions.dtype)  # (B, T, K)
        # How often each tag, pair, start and end is expected, and its score: the gradient of log Z.
        terms = [(marginals, emissions.where(chains.on_chain()[..., None], 0.0))]
        if self.transitions is not None and torch.is_grad_enabled():
            pairs = expected_pairs(lattice.alpha[:-1], lattice.beta[1:], potentials.log_psi, lattice.domain)
            last = marginals[torch.arange(len(marginals)), (lengths - 1).clamp(min=0)]
            terms += zip((pairs, marginals[:, 0] * edges[:, :1], last * edges[:, 1:]), self._scores(), strict=True)
        log_z = lattice.log_scale.sum(0)
        for count, score in terms:  # plus 0, of this gradient; a score of -inf, which forbids, has none
            log_z = log_z + (count * (score - score.detach()).nan_to_num()).flatten(1).sum(1)
        return log_z, marginals

    def log_score(
        self, emissions: torch.Tensor, lengths: torch.Tensor, edges: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        """Log of the sum over all labellings that agree with the BIO `labels` (B, T): (B,) float64."""
        possible = self.tags.from_bio(labels, lengths)  # (B, T, K)
        if ((possible.sum(-1) != 1) & on_chain(lengths, labels.shape[1])).any():
            return self.log_partition(emissions, lengths, edges, possible)[0]
        return self._path_score(emissions, lengths, edges, possible.int().argmax(-1))

    def decode(self, emissions: torch.Tensor, lengths: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """The best path (Viterbi 1967): (B, T) int64 tags, 0 off the chain."""
        return viterbi(Chains(emissions, lengths, edges), self.potentials())

    def posteriors(
        self, emissions: torch.Tensor, lengths: torch.Tensor, edges: torch.Tensor
    ) -> Iterator[tuple[int, Lattice]]:
        """Yields the first position and the lattice of each block of the chains, the last block first.

        A block has at most `lattice_clinx.BLOCK` positions, which bounds the memory; the lattices are those of the
        whole chains.
        """
        return lattices_backwards(Chains(emissions, lengths, edges), self.potentials())

    def potentials(self) -> Potentials:
        """The CRF's own scores as the recursions take them: in float64, without gradient, constraints applied."""
        if self.transitions is None:
            return Potentials(self.tags, None, None, None, torch.zeros((), dtype=torch.float64), 0.0, 0.0)
        transitions, start, end = (scores.detach().double() for scores in self._scores())
        shift = transitions.max()
        spread = sum(scores.max() - scores.min() for scores in (transitions, start, end))
        transitions, start, end = (
            scores.masked_fill(~legal.to(scores.device), -torch.inf)
            for scores, legal in ((transitions, self.tags.allowed), (start, self.tags.starts), (end, self.tags.ends))
        )
        return Potentials(self.tags, transitions, start, end, transitions - shift, shift, spread)

    def _scores(self) -> tuple[torch.Tensor, ...]:
        """Transition, start and end scores, where float64 exists."""
        return tuple(map(with_float64, (self.transitions, self.start, self.end)))

    def _path_score(
        self, emissions: torch.Tensor, lengths: torch.Tensor, edges: torch.Tensor, path: torch.Tensor
    ) -> torch.Tensor:
        """(B,) float64 score of one path of tags (B, T) for each chain, with gradient."""
        mask = on_chain(lengths, path.shape[1])
        score = (emissions.gather(2, path[..., None])[..., 0].double() * mask).sum(1)
        if self.transitions is None:
            return score
        transitions, start, end = self._scores()
        steps = transitions.double()[path[:, :-1], path[:, 1:]] * mask[:, 1:]  # counted in float64
        last = path.gather(1, (lengths - 1).clamp(min=0)[:, None])[:, 0]
        at_edges = torch.stack([start[path[:, 0]], end[last]], 1).double() * edges
        return score + steps.sum(1) + at_edges.sum(1) * (lengths > 0)

    def _refuse_impossible(self, labels: torch.Tensor, index: torch.Tensor, edges: torch.Tensor) -> None:
        """Raises ValueError for compacted BIO labels (B, T) that have no labelling; `index` holds their positions."""
        n_labels = 1 + 2 * self.tags.n_types
        impossible = (labels != UNKNOWN) & ((labels < 0) | (labels >= n_labels))
        reason = f"is no BIO id: expected 0 to {n_labels - 1}, or {UNKNOWN} where unknown"
        if self.transitions is not None and not impossible.any():
            before = torch.cat([torch.where(edges[:, :1], 0, UNKNOWN), labels[:, :-1]], 1)
            follows = (before == UNKNOWN) | (before == labels) | (before == labels - 1)
            impossible = (labels > 0) & (labels % 2 == 0) & ~follows
            reason = "is an I- label that follows no label of its entity type: expected B- before it"
        if impossible.any():
            row, column = impossible.nonzero()[0].tolist()
            position, label = int(index[row, column]), int(labels[row, column])
            raise ValueError(f"labels[{row}, {position}] = {label} (row {row} of the batch) {reason}")


def compact(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Moves the chain's positions, given as a (B, T) mask, to the left.

    Returns (B, longest chain, at least 1) int64 positions, those off the chain last; and (B,) int64 lengths.
    """
    lengths = mask.sum(1)
    return (~mask).int().argsort(dim=1, stable=True)[:, : max(1, int(lengths.max()))], lengths
