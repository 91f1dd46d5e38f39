"""Documents in, entities out: the one prediction path of validation, `clinx predict`, the pipeline and the Space."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from .decoding_clinx import MemberDecodings
from .lattice_clinx import with_float64
from .windows_clinx import Tokens, special_affixes, tokenize, windows


CHARACTERS_A_SUBWORD = 3  # about, for reading ahead
MAX_DOCUMENTS_AHEAD = 1024
MAX_POSITIONS_TO_DECODE = 16384  # chain positions that are decoded at a time, padding included


class PredictedSpan(NamedTuple):
    """An entity, or the label of a single subword, as plain Python values."""

    start: int  # first character
    end: int  # character after the last
    label: str
    score: float
    agreement: float | None
    position: int  # index of the first subword among the document's


class Prediction(NamedTuple):
    """What was found in one document, in columns: `labels[i]` is at characters `starts[i]` to `ends[i]` (half-open)."""

    starts: np.ndarray  # (n,) int64
    ends: np.ndarray  # (n,) int64
    labels: list[str]  # entity types, or BIO labels of single subwords
    scores: np.ndarray  # (n,) float64 posterior probability
    positions: np.ndarray  # (n,) int64 index of the first subword among the document's
    agreement: np.ndarray | None  # (n,) float64 share of an ensemble's members that find the very same
    disagreement: float  # vote entropy of the members' labels, mean over subwords, in nats; 0 for one model

    def rows(self) -> list[PredictedSpan]:
        """The same as rows, in the order of the text; `agreement` is None for a single model."""
        agreement = np.full(len(self.labels), None) if self.agreement is None else self.agreement
        columns = (self.starts, self.ends, np.array(self.labels, object), self.scores, agreement, self.positions)
        return [PredictedSpan(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


class WindowBatch(NamedTuple):
    """B windows of up to T subwords as the encoder takes them, and where the emissions of their cores belong."""

    input_ids: torch.Tensor  # (B, T) int64
    attention_mask: torch.Tensor  # (B, T) int64
    core_mask: torch.Tensor  # (B, T) bool
    positions: torch.Tensor  # (core_mask.sum(),) int64 among the chain positions of all documents, one after another


class DocumentPredictor:
    """Reads documents of any length, many at a time; text is tokenized and windowed once for all members.

    Args:
        model: a `ClinXForTokenClassification` or `ClinXEnsembleForTokenClassification`, on its device.
        tokenizer: its fast tokenizer.
        batch_size: windows of `window_length` that the encoder reads at a time; shorter ones count by their subwords.
            On a CPU it reads no more than one for each of its threads: more would leave its caches, and be slower.

    Raises ValueError where the tokenizer is not a fast one, or the batch size is below 1.
    """

    def __init__(self, model, tokenizer, batch_size: int = 16):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1")
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size
        self.members = list(model.members)
        tokenize(tokenizer, ["a"])  # refuses a slow tokenizer before anything is read
        self.prefix, self.suffix = special_affixes(tokenizer)

    def __call__(self, texts: Iterable[str], subwords: bool = False) -> Iterator[Prediction]:
        """Yields a prediction for each text, in order, reading ahead by a bounded number of subwords.

        With `subwords` it holds the BIO label of every chain position, with its marginal, rather than spans.
        """
        texts = iter(texts)
        while texts_ahead := list(self.read_ahead(texts)):
            yield from self._predict(texts_ahead, subwords)

    def read_ahead(self, texts: Iterator[str]) -> Iterator[str]:
        """Takes texts, at least one if there is one, until they fill about eight batches of windows."""
        n_characters = CHARACTERS_A_SUBWORD * 8 * self.batch_size * self.model.config.window_length
        for text in islice(texts, MAX_DOCUMENTS_AHEAD):
            yield text
            n_characters -= len(text)
            if n_characters <= 0:
                return

    def _predict(self, texts: list[str], subwords: bool) -> list[Prediction]:
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                documents = tokenize(self.tokenizer, texts, self.model.config.unit)
                lengths = np.array([int(tokens.chain.sum()) for tokens in documents])
                emissions = self.compute_emissions(texts, documents)
                predictions = [self._no_spans() for _ in documents]
                for group in padded_batches(lengths, MAX_POSITIONS_TO_DECODE):
                    of_group = [_padded([by_document[i] for i in group]) for by_document in emissions]
                    decodings = MemberDecodings([member.crf for member in self.members], of_group, lengths[group])
                    decoded = self._decode(decodings, [documents[i] for i in group], subwords)
                    for i, prediction in zip(group, decoded, strict=True):
                        predictions[i] = prediction
        finally:
            self.model.train(was_training)
        return predictions

    def compute_emissions(self, texts: list[str], documents: list[Tokens]) -> list[list[torch.Tensor]]:
        """By member, emissions (chain positions, K) of each document, stitched from the cores of its windows."""
        lengths = [int(tokens.chain.sum()) for tokens in documents]
        homes = [[*member.parameters()][-1].device for member in self.members]  # a member's encoder may lie on disk
        stitched = [
            with_float64(torch.empty(sum(lengths), len(member.crf.tags), dtype=torch.float32, device=home))
            for member, home in zip(self.members, homes, strict=True)
        ]
        for batch in self.window_batches(texts, documents):
            for member, home, emissions in zip(self.members, homes, stitched, strict=True):
                of_batch = member.compute_emissions(batch.input_ids.to(home), batch.attention_mask.to(home))
                core, positions = batch.core_mask.to(emissions.device), batch.positions.to(emissions.device)
                emissions[positions] = of_batch[core]
        return [list(emissions.split(lengths)) for emissions in stitched]

    def window_batches(self, texts: list[str], documents: list[Tokens]) -> Iterator[WindowBatch]:
        """The windows of tokenized documents, those of like length together, the longest first."""
        config, n_special = self.model.config, len(self.prefix) + len(self.suffix)
        placed = [
            (tokens, window)
            for text, tokens in zip(texts, documents, strict=True)
            for window in windows(text, tokens, config, n_special)
        ]
        lengths = np.array([window.stop - window.start + n_special for _, window in placed])
        cores = [tokens.chain[window.core_start : window.core_stop] for tokens, window in placed]
        offsets = np.cumsum([0, *(core.sum() for core in cores)])  # cores follow each other, and leave nothing out
        for batch in padded_batches(lengths, self.windows_at_a_time() * config.window_length):
            shape = (len(batch), int(lengths[batch].max()))
            input_ids, core_mask = np.full(shape, self.tokenizer.pad_token_id or 0), np.zeros(shape, bool)
            for row, index in enumerate(batch):
                tokens, window = placed[index]
                input_ids[row, : lengths[index]] = [*self.prefix, *tokens.ids[window.start : window.stop], *self.suffix]
                first = len(self.prefix) + window.core_start - window.start
                core_mask[row, first : first + len(cores[index])] = cores[index]
            attention_mask = np.arange(shape[1]) < lengths[batch][:, None]
            positions = np.concatenate([np.arange(offsets[index], offsets[index + 1]) for index in batch])
            arrays = (input_ids, attention_mask.astype(np.int64), core_mask, positions)
            yield WindowBatch(*map(torch.from_numpy, arrays))

    def windows_at_a_time(self) -> int:
        """How many windows of full length the encoder reads at a time; for those, a member on disk is read once."""
        devices = {weight.device.type for weight in self.model.parameters()}
        return min(self.batch_size, torch.get_num_threads()) if devices == {"cpu"} else self.batch_size

    def _decode(self, decodings: MemberDecodings, documents: list[Tokens], subwords: bool) -> list[Prediction]:
        """What the members settle on, in characters of the documents that they have decoded."""
        config = self.model.config
        path = decodings.joint_path(config.vote)
        spans = decodings.labelled_positions(path) if subwords else decodings.entities(path)
        names = config.id2label if subwords else config.entity_types
        columns = (documents, spans.by_document(len(documents)), decodings.disagreement())
        predictions = []
        for tokens, of_document, disagreement in zip(*columns, strict=True):
            subword = np.flatnonzero(tokens.chain)
            first, last = subword[of_document.starts], subword[of_document.stops - 1]
            labels = [names[label] for label in of_document.labels.tolist()]
            agreement = None if config.vote is None else of_document.agreement
            place = (tokens.starts[first], tokens.ends[last])
            predictions.append(Prediction(*place, labels, of_document.scores, first, agreement, disagreement))
        return predictions

    def _no_spans(self) -> Prediction:
        """The prediction for a document without chain positions."""
        none, no_scores = np.zeros(0, np.int64), np.zeros(0)
        agreement = None if self.model.config.vote is None else no_scores
        return Prediction(none, none, [], no_scores, none, agreement, 0.0)


def padded_batches(lengths: np.ndarray, budget: int) -> Iterator[np.ndarray]:
    """Indices of items that are not empty, longest first, in batches of at most `budget` once padded (or of one)."""
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    while len(order):
        fits = max(1, budget // int(lengths[order[0]]))
        yield order[:fits]
        order = order[fits:]


def _padded(rows: list[torch.Tensor]) -> torch.Tensor:
    return rows[0][None] if len(rows) == 1 else nn.utils.rnn.pad_sequence(rows, True)  # a long document is not copied
