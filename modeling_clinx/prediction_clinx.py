"""Documents in, entities out: the one prediction path of validation, `clinx predict`, the pipeline and the Space."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from .labels_clinx import spans_from_bio
from .windows_clinx import Tokens, special_affixes, tokenize, windows


class Prediction(NamedTuple):
    """What was found in one document: `labels[i]` is at characters `starts[i]` to `ends[i]` (half-open)."""

    starts: np.ndarray  # (n,) int64
    ends: np.ndarray  # (n,) int64
    labels: list[str]  # entity types, or BIO labels of single subwords
    scores: np.ndarray  # (n,) float64 posterior probability
    positions: np.ndarray  # (n,) int64 index of the first subword among the document's


class DocumentPredictor:
    """Reads documents of any length with a `ClinXForTokenClassification`, many at a time.

    Args:
        model: the model, on its device.
        tokenizer: its fast tokenizer.
        batch_size: windows of `window_length` that the encoder reads at a time; shorter ones count by their subwords.

    Raises:
        ValueError: the tokenizer is not a fast one.
    """

    def __init__(self, model, tokenizer, batch_size: int = 16):
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size
        tokenize(tokenizer, ["a"])
        self.prefix, self.suffix = special_affixes(tokenizer)

    def __call__(self, texts: Iterable[str], subwords: bool = False) -> Iterator[Prediction]:
        """Yields a prediction for each text, in order, reading ahead by a bounded number of subwords.

        Args:
            subwords: predict the BIO label of every chain position, with its marginal probability, rather than spans
                with theirs.
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
                emissions = self._emissions(texts, documents, sizes)
                results: dict[int, Prediction] = {}
                for group in _batches(sizes, budget=16384):
                    chunk = torch.nn.utils.rnn.pad_sequence([emissions[i] for i in group], batch_first=True)
                    for i, found in zip(group, self._decode(chunk, sizes[group], subwords), strict=True):
                        results[i] = self._to_characters(documents[i], *found)
        finally:
            self.model.train(was_training)
        nothing = Prediction(*(np.zeros(0, np.int64),) * 2, [], np.zeros(0), np.zeros(0, np.int64))
        return [results.get(i, nothing) for i in range(len(texts))]

    def _emissions(self, texts, documents: list[Tokens], sizes: np.ndarray) -> list[torch.Tensor]:
        """Emissions (chain positions, K) of each document, stitched from the cores of its windows."""
        config, device = self.model.config, self.model.device
        n_special = len(self.prefix) + len(self.suffix)
        found = [
            (i, window)
            for i, (text, tokens) in enumerate(zip(texts, documents, strict=True))
            for window in windows(text, tokens, config, n_special)
        ]
        labelled = [documents[i].chain[window.core_start : window.core_stop] for i, window in found]
        offsets = np.cumsum([0, *(chain.sum() for chain in labelled)])  # cores follow each other, and leave nothing out
        stitched = torch.empty(offsets[-1], len(self.model.crf.tags), device=device)
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
            emissions = self.model.emit(torch.from_numpy(input_ids).to(device), attention.long().to(device))
            stitched[torch.from_numpy(np.concatenate(goals)).to(device)] = emissions[torch.from_numpy(core).to(device)]
        return list(stitched.split(sizes.tolist()))

    def _decode(self, emissions, sizes, subwords: bool):
        """Yields first position, position after the last, label and score of what is found in each row."""
        crf = self.model.crf
        lengths = torch.from_numpy(sizes).to(emissions.device)
        chains = (emissions, lengths, torch.ones(len(sizes), 2, dtype=torch.bool, device=emissions.device))
        paths = crf.tags.bio.to(emissions.device)[crf.decode(*chains)]  # (B, T) BIO ids
        if subwords:
            scores = torch.zeros(paths.shape, dtype=torch.float64, device=paths.device)
            for first, lattice in crf.posteriors(*chains):
                folded = crf.tags.fold((lattice.prior * lattice.beta).transpose(0, 1))
                part = slice(first, first + folded.shape[1])
                scores[:, part] = folded.gather(2, paths[:, part, None])[..., 0]
            names = self.model.config.id2label
            for path, size, row in zip(paths.cpu().numpy(), sizes, scores.cpu().numpy(), strict=True):
                at = np.arange(size)
                yield at, at + 1, [names[label] for label in path[:size].tolist()], row[:size]
            return
        spans = [spans_from_bio(path[:size]) for path, size in zip(paths.cpu().numpy(), sizes, strict=True)]
        counts = [len(starts) for starts, _, _ in spans]
        flat = [torch.from_numpy(np.concatenate(part)).to(emissions.device) for part in zip(*spans, strict=True)]
        rows = torch.repeat_interleave(torch.tensor(counts)).to(emissions.device)
        scores = crf.span_posteriors(*chains, rows, *flat).clamp(0.0, 1.0).cpu().numpy()
        names = self.model.config.entity_types
        for (starts, stops, types), score in zip(spans, np.split(scores, np.cumsum(counts)[:-1]), strict=True):
            yield starts, stops, [names[kind] for kind in types.tolist()], score

    @staticmethod
    def _to_characters(tokens: Tokens, starts, stops, labels, scores) -> Prediction:
        position = np.flatnonzero(tokens.chain)
        return Prediction(
            tokens.starts[position[starts]], tokens.ends[position[stops - 1]], labels, scores, position[starts]
        )


def _batches(sizes: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Indices of non-empty items, longest first, in batches of at most `budget` once padded (or of one item)."""
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    while len(order):
        fits = max(1, budget // int(sizes[order[0]]))
        yield order[:fits]
        order = order[fits:]
