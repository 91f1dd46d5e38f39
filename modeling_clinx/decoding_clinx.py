"""What the members of a model make of documents: their paths and posteriors, and the labelling on which they settle.

Letters: N members, B documents, T chain positions, K tags, n spans of all documents.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from .crf_clinx import ClinXCRF
from .labels_clinx import spans_from_bio
from .lattice_clinx import BLOCK, Chains, Lattice, Spans, on_chain, span_posteriors
from .vote_clinx import vote


class LabelledSpans(NamedTuple):
    """Spans of chain positions in the order of their documents: entities, or single positions with their BIO labels."""

    rows: np.ndarray  # (n,) int64 document
    starts: np.ndarray  # (n,) int64 first position
    stops: np.ndarray  # (n,) int64 position after the last
    labels: np.ndarray  # (n,) int64 entity type, or BIO id
    scores: np.ndarray  # (n,) float64 the members' mean posterior probability
    agreement: np.ndarray  # (n,) float64 share of the members whose own path has the very same

    def by_document(self, n_documents: int) -> list["LabelledSpans"]:
        """The spans of each document."""
        cuts = np.searchsorted(self.rows, np.arange(n_documents + 1))
        return [
            LabelledSpans(*(column[start:stop] for column in self))
            for start, stop in zip(cuts[:-1], cuts[1:], strict=True)
        ]


class MemberDecodings:
    """Paths and posteriors of N members for B documents, computed for each member by its own CRF.

    Args:
        crfs: the members' CRFs, N of the same tags.
        emissions: N of (B, T, K), each on its member's device.
        lengths: (B,) int64 chain positions of each document.
    """

    def __init__(self, crfs: list[ClinXCRF], emissions: list[torch.Tensor], lengths: np.ndarray):
        self.crfs, self.tags, self.lengths = crfs, crfs[0].tags, lengths
        self.chains = [_whole_documents(scores, lengths) for scores in emissions]
        paths = [crf.decode(*chains[:3]) for crf, chains in zip(crfs, self.chains, strict=True)]
        self.paths = np.stack([path.cpu().numpy() for path in paths])  # (N, B, T) tags
        self.on_chain = on_chain(torch.from_numpy(lengths), self.paths.shape[2]).numpy()  # (B, T)
        self.bio = self.tags.bio.numpy()  # (K,)
        self._kept: dict[int, list[tuple[int, Lattice]]] = {}

    def lattices(self, member: int) -> Iterable[tuple[int, Lattice]]:
        """As `ClinXCRF.posteriors` yields them; kept if they are one block, otherwise computed anew for each use."""
        if member in self._kept:
            return self._kept[member]
        lattices = self.crfs[member].posteriors(*self.chains[member][:3])
        if self.paths.shape[2] > BLOCK:
            return lattices
        return self._kept.setdefault(member, list(lattices))

    def marginals(self) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yields the first position and the N members' (T', B, K) marginals of each block, the last block first."""
        for blocks in zip(*map(self.lattices, range(len(self.crfs))), strict=True):
            (first, *_), lattices = zip(*blocks, strict=True)
            yield first, [lattice.marginals().cpu().numpy() for lattice in lattices]

    def joint_path(self, vote_kind: str | None) -> np.ndarray:
        """(B, T) tags: the path of a single model, or what its members vote for by `majority` or `average`."""
        if vote_kind is None:
            return self.paths[0]
        linear = self.crfs[0].transitions is None
        return vote(self.tags, self.paths, self.lengths, self.marginals(), vote_kind == "average", linear)

    def disagreement(self) -> np.ndarray:
        """(B,) float64: entropy of the members' votes, the mean over chain positions, in nats; 0 for one member."""
        labels = self.bio[self.paths]  # (N, B, T)
        shares = [np.where(self.on_chain, (labels == of_member).mean(0), 1.0) for of_member in labels]  # (B, T) each
        return -np.log(shares).mean(0).sum(1) / self.lengths

    def labelled_positions(self, path: np.ndarray) -> LabelledSpans:
        """Every chain position with the BIO label that a (B, T) path of tags gives it, and the label's marginal."""
        labels, scores = self.bio[path], np.zeros(path.shape)  # (B, T)
        for first, marginals in self.marginals():
            block = slice(first, first + len(marginals[0]))
            has_label = self.bio == labels[:, block].T[..., None]  # (T', B, K)
            scores[:, block] = _mean_over_members([(member * has_label).sum(2) for member in marginals]).T
        agreement = (self.bio[self.paths] == labels).mean(0)
        rows, positions = np.nonzero(self.on_chain)
        of_positions = (values[rows, positions] for values in (labels, scores, agreement))
        return LabelledSpans(rows, positions, positions + 1, *of_positions)

    def entities(self, path: np.ndarray) -> LabelledSpans:
        """Every entity of a (B, T) path of tags, with the posterior probability of its span and type."""
        spans = self._spans(path)
        numbers, agreement = self._numbers(spans), np.zeros(len(spans.rows))
        scores = []
        for member, crf in enumerate(self.crfs):
            lengths = self.chains[member].lengths
            on_device = Spans(*(torch.from_numpy(column).to(lengths.device) for column in spans))
            posteriors = span_posteriors(self.lattices(member), crf.potentials(), lengths, on_device)
            scores.append(posteriors.clamp(0.0, 1.0).cpu().numpy())
            agreement += np.isin(numbers, self._numbers(self._spans(self.paths[member])))
        return LabelledSpans(*spans, _mean_over_members(scores), agreement / len(self.crfs))

    def _spans(self, path: np.ndarray) -> Spans:
        """Spans of all rows of a path at once, as numpy arrays; each row is followed by an O, where its spans end."""
        n_steps = path.shape[1] + 1
        labels = np.pad(self.bio[path] * self.on_chain, ((0, 0), (0, 1)))  # (B, T + 1)
        starts, stops, types = spans_from_bio(labels.ravel())
        return Spans(starts // n_steps, starts % n_steps, stops % n_steps, types)

    def _numbers(self, spans: Spans) -> np.ndarray:
        """(n,) int64, a number of its own for each possible span of an entity type."""
        _, n_rows, n_steps = self.paths.shape
        shape = (n_rows, n_steps + 1, n_steps + 1, self.tags.n_types)
        return np.ravel_multi_index(tuple(spans), shape)


def _whole_documents(emissions: torch.Tensor, lengths: np.ndarray) -> Chains:
    edges = torch.ones(len(emissions), 2, dtype=torch.bool, device=emissions.device)
    return Chains(emissions, torch.from_numpy(lengths).to(emissions.device), edges)


def _mean_over_members(values: list[np.ndarray]) -> np.ndarray:
    """The mean of N arrays; they are sorted first, so that the sum does not depend on the order of the members."""
    return np.sort(values, 0).mean(0)
