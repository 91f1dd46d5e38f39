"""Documents in, entities out: the one prediction path of validation, `clinx predict`, the pipeline and the Space."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from .labels_clinx import spans_from_bio
from .lattice_clinx import BLOCK, Spans
from .vote_clinx import vote
from .windows_clinx import Tokens, special_affixes, tokenize, windows


class Prediction(NamedTuple):
    """What was found in one document: `labels[i]` is at characters `starts[i]` to `ends[i]` (half-open)."""

    starts: np.ndarray  # (n,) int64
    ends: np.ndarray  # (n,) int64
    labels: list[str]  # entity types, or BIO labels of single subwords
    scores: np.ndarray  # (n,) float64 posterior probability
    positions: np.ndarray  # (n,) int64 index of the first subword among the document's
    agreement: np.ndarray | None  # (n,) float64 share of an ensemble's members that find the very same
    disagreement: float  # vote entropy of the members' labels, mean over subwords, in nats; 0 for one model


class DocumentPredictor:
    """Reads documents of any length, many at a time; text is tokenized and windowed once for all members.

    Args:
        model: a `ClinXForTokenClassification` or `ClinXEnsembleForTokenClassification`, on its device.
        tokenizer: its fast tokenizer.
        batch_size: windows of `window_length` that the encoder reads at a time; shorter ones count by their subwords.

    Raises ValueError where the tokenizer is not a fast one.
    """

    def __init__(self, model, tokenizer, batch_size: int = 16):
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size
        self.members = list(getattr(model, "members", [model]))
        tokenize(tokenizer, ["a"])
        self.prefix, self.suffix = special_affixes(tokenizer)

    def __call__(self, texts: Iterable[str], subwords: bool = False) -> Iterator[Prediction]:
        """Yields a prediction for each text, in order, reading ahead by a bounded number of subwords.

        With `subwords` it holds the BIO label of every chain position, with its marginal, rather than spans.
        """
        texts = iter(texts)
        while texts_ahead := list(self._read_ahead(texts)):
            yield from self._predict(texts_ahead, subwords)

    def _read_ahead(self, texts):
        room = 8 * self.batch_size * self.model.config.window_length * 3  # about 3 characters a subword
        for text in islice(texts, 1024):
            yield text
            room -= len(text)
            if room <= 0:
                return

    def _predict(self, texts: list[str], subwords: bool) -> list[Prediction]:
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                documents = tokenize(self.tokenizer, texts, self.model.config.unit)
                sizes = np.array([int(tokens.chain.sum()) for tokens in documents])
                emissions = self.emissions(texts, documents, sizes)
                results: dict[int, Prediction] = {}
                for group in _batches(sizes, budget=16384):
                    chunks = [_padded([part[i] for i in group]) for part in emissions]
                    for i, found in zip(group, self._decode(chunks, sizes[group], subwords), strict=True):
                        results[i] = self._to_characters(documents[i], *found)
        finally:
            self.model.train(was_training)
        nothing = (np.zeros(0, np.int64), np.zeros(0, np.int64), [], np.zeros(0), np.zeros(0), 0.0)
        return [results.get(i) or self._to_characters(tokens, *nothing) for i, tokens in enumerate(documents)]

    def emissions(self, texts, documents: list[Tokens], sizes: np.ndarray) -> list[list[torch.Tensor]]:
        """By member, emissions (chain positions, K) of each document, stitched from the cores of its windows."""
        config = self.model.config
        n_special = len(self.prefix) + len(self.suffix)
        found = [
            (i, window)
            for i, (text, tokens) in enumerate(zip(texts, documents, strict=True))
            for window in windows(text, tokens, config, n_special)
        ]
        labelled = [documents[i].chain[window.core_start : window.core_stop] for i, window in found]
        offsets = np.cumsum([0, *(chain.sum() for chain in labelled)])  # cores follow each other, and leave nothing out
        stitched = [torch.empty(offsets[-1], len(m.crf.tags), device=m.classifier.weight.device) for m in self.members]
        pad = self.tokenizer.pad_token_id or 0
        lengths = np.array([window.stop - window.start + n_special for _, window in found])
        for batch in _batches(lengths, budget=self.batch_size * config.window_length):
            shape = (len(batch), int(lengths[batch].max()))
            input_ids, core = np.full(shape, pad), np.zeros(shape, bool)
            goals = []
            for row, index in enumerate(batch):
                i, window = found[index]
                ids = [*self.prefix, *documents[i].ids[window.start : window.stop], *self.suffix]
                input_ids[row, : len(ids)] = ids
                first = len(self.prefix) + window.core_start - window.start
                core[row, first : first + len(labelled[index])] = labelled[index]
                goals.append(np.arange(offsets[index], offsets[index + 1]))
            attention = torch.arange(shape[1]) < torch.from_numpy(lengths[batch])[:, None]
            inputs = (torch.from_numpy(input_ids), attention.long(), torch.from_numpy(core))
            goals = torch.from_numpy(np.concatenate(goals))
            for member, whole in zip(self.members, stitched, strict=True):
                ids, attention, core = (x.to(whole.device) for x in inputs)
                whole[goals.to(whole.device)] = member.emit(ids, attention)[core]
        return [list(whole.split(sizes.tolist())) for whole in stitched]

    def _decode(self, emissions: list[torch.Tensor], sizes: np.ndarray, subwords: bool):
        """Yields first positions, positions after the last, labels, scores, agreement and disagreement of each row.

        `emissions` are (B, T, K) by member, `sizes` (B,) the positions of each row.
        """
        config, readings = self.model.config, _Readings(self.members, emissions, sizes)
        path = readings.paths[0]
        if hasattr(self.model, "members"):
            by_mass, linear = config.vote == "average", config.head == "linear"
            path = vote(readings.tags, readings.paths, sizes, readings.marginals(), by_mass, linear)
        found = readings.subwords(path) if subwords else readings.spans(path)
        rows, starts, stops, labels, scores, agreement = found
        names = config.id2label if subwords else config.entity_types
        names, disagreement = [names[label] for label in labels.tolist()], readings.disagreement()
        cuts = np.searchsorted(rows, np.arange(len(sizes) + 1))
        for row, (a, b) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
            yield starts[a:b], stops[a:b], names[a:b], scores[a:b], agreement[a:b], disagreement[row]

    def _to_characters(self, tokens: Tokens, starts, stops, labels, scores, agreement, disagreement) -> Prediction:
        position = np.flatnonzero(tokens.chain)
        first, last = position[starts], position[stops - 1]
        agreement = agreement if hasattr(self.model, "members") else None
        return Prediction(tokens.starts[first], tokens.ends[last], labels, scores, first, agreement, disagreement)


class _Readings:
    """What N members make of B documents of up to T positions: their paths, and the lattices of their chains."""

    def __init__(self, members, emissions: list[torch.Tensor], sizes: np.ndarray):
        self.crfs, self.tags, self.sizes = [member.crf for member in members], members[0].crf.tags, sizes
        self.chains = [
            (e, torch.from_numpy(sizes).to(e.device), torch.ones(len(e), 2, dtype=torch.bool, device=e.device))
            for e in emissions
        ]
        decoded = [crf.decode(*chain).cpu().numpy() for crf, chain in zip(self.crfs, self.chains, strict=True)]
        self.paths = np.stack(decoded)  # (N, B, T) tags
        self.on_chain = np.arange(self.paths.shape[2]) < sizes[:, None]
        self.bio = self.tags.bio.numpy()
        self.kept: list = [None] * len(members)

    def lattices(self, n: int):
        """As the CRF yields them; kept where they fit in one block, computed anew for each use where they do not."""
        if self.kept[n] is None and self.paths.shape[2] <= BLOCK:
            self.kept[n] = list(self.crfs[n].posteriors(*self.chains[n]))
        return self.kept[n] or self.crfs[n].posteriors(*self.chains[n])

    def marginals(self):
        """Yields the first position and the members' (T', B, K) marginals of each block, the last block first."""
        for blocks in zip(*map(self.lattices, range(len(self.crfs))), strict=True):
            yield blocks[0][0], [lattice.marginals().cpu().numpy() for _, lattice in blocks]

    def disagreement(self) -> np.ndarray:
        labels = self.bio[self.paths]
        shares = [np.where(self.on_chain, (labels == own).mean(0), 1.0) for own in labels]  # (B, T) each
        return -np.log(shares).mean(0).sum(1) / self.sizes

    def subwords(self, path: np.ndarray):
        """Row, position, position after it, BIO id, mean marginal and agreement of every position of a (B, T) path."""
        labels, scores = self.bio[path], np.zeros(path.shape)
        for first, members in self.marginals():
            part = slice(first, first + len(members[0]))
            of_label = self.bio[None, None] == labels[:, part].T[..., None]  # (T', B, K)
            scores[:, part] = np.sort([(member * of_label).sum(2) for member in members], 0).mean(0).T
        rows, at = np.nonzero(self.on_chain)
        agreement = (self.bio[self.paths] == labels).mean(0)
        return rows, at, at + 1, *(of_all[rows, at] for of_all in (labels, scores, agreement))

    def spans(self, path: np.ndarray):
        """Row, first position, position after the last, type, mean posterior and agreement of every span of a path."""
        starts, stops, types, keys = self._spans(path)
        width = path.shape[1] + 1
        rows, starts, stops = starts // width, starts % width, stops % width
        scores, agreement = [], np.zeros(len(starts))
        for n, (crf, (emissions, lengths, _)) in enumerate(zip(self.crfs, self.chains, strict=True)):
            spans = (torch.from_numpy(part).to(emissions.device) for part in (rows, starts, stops, types))
            scores.append(crf.span_posteriors(self.lattices(n), lengths, Spans(*spans)).clamp(0.0, 1.0).cpu().numpy())
            agreement += np.isin(keys, self._spans(self.paths[n])[3])
        scores = np.sort(scores, 0).mean(0)  # sorted: a sum that does not depend on the members' order
        return rows, starts, stops, types, scores, agreement / len(self.crfs)

    def _spans(self, path: np.ndarray):
        """Spans of all rows at once, each row followed by an O, and a number that tells them apart."""
        starts, stops, types = spans_from_bio(np.pad(self.bio[path] * self.on_chain, ((0, 0), (0, 1))).ravel())
        return starts, stops, types, (starts * (path.size + len(path)) + stops) * self.tags.n_types + types


def _padded(rows: list[torch.Tensor]) -> torch.Tensor:
    return rows[0][None] if len(rows) == 1 else nn.utils.rnn.pad_sequence(rows, True)  # a long document is not copied


def _batches(sizes: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Indices of non-empty items, longest first, in batches of at most `budget` once padded (or of one item)."""
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    while len(order):
        fits = max(1, budget // int(sizes[order[0]]))
        yield order[:fits]
        order = order[fits:]
