"""Documents into what the model learns from: labelled windows, and batches counted in labelled subwords."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import BatchSampler, Sampler

from modeling_clinx.labels_clinx import UNKNOWN, spans_from_bio
from modeling_clinx.windows_clinx import Tokens, special_affixes, tokenize, windows

from .documents import Document
from .errors import InputError


def bio_from_spans(spans, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Projects character spans on chain positions.

    Overlapping spans: the longest is kept, of equal ones the first. A boundary inside a position takes in the whole
    position, so that something is learned from it, and is reported since it cannot be predicted exactly.

    Args:
        spans: sequence of `(start, end, entity type)`, characters, half-open.
        starts, ends: (n,) int64, the character range of each chain position, ascending and disjoint.

    Returns:
        (n,) int64 BIO ids, and `(index of the span, reason)` for each span that these labels do not give back exactly;
        reasons: `overlapping`, `boundary inside a subword`, `no subword`.
    """
    labels = np.zeros(len(starts), np.int64)
    problems = []
    for index in sorted(range(len(spans)), key=lambda i: (spans[i][0] - spans[i][1], spans[i][0], i)):
        start, end, kind = spans[index]
        first = int(np.searchsorted(ends, start, side="right"))
        stop = int(np.searchsorted(starts, end, side="left"))
        if first >= stop:
            problems.append((index, "no subword"))
        elif labels[first:stop].any():
            problems.append((index, "overlapping"))
        else:
            labels[first:stop] = 2 + 2 * kind
            labels[first] = 1 + 2 * kind
            if starts[first] != start or ends[stop - 1] != end:
                problems.append((index, "boundary inside a subword"))
    return labels, sorted(problems)


def aligned(
    documents: Iterable[Document], tokenizer, entity_types: Sequence[str], unit: str = "subword"
) -> Iterator[tuple[Document, Tokens, np.ndarray, list[tuple[int, str]]]]:
    """Yields each document with its tokens, the BIO ids of its chain positions, and the mentions that these do not
    give back exactly: pairs of the entity's index and the reason.

    Raises:
        InputError: a label that is not among `entity_types`, with the document.
    """
    kinds = {name: k for k, name in enumerate(entity_types)}
    for document in documents:
        for entity in document.entities:
            if entity.label not in kinds:
                raise InputError(
                    f"document {document.id}: found the label {entity.label!r} at {entity.start}–{entity.end}, "
                    f"expected one of {', '.join(entity_types)}; add it to entity_types, or leave entity_types out"
                )
        tokens = tokenize(tokenizer, [document.text], unit)[0]
        spans = [(entity.start, entity.end, kinds[entity.label]) for entity in document.entities]
        labels, problems = bio_from_spans(spans, tokens.starts[tokens.chain], tokens.ends[tokens.chain])
        yield document, tokens, labels, problems


def ceiling_counts(document: Document, tokens: Tokens, labels: np.ndarray, entity_types: Sequence[str]) -> Counter:
    """tp, fp, fn of a model that predicts the projected labels perfectly: what bounds the strict F1 of any."""
    starts, ends = tokens.starts[tokens.chain], tokens.ends[tokens.chain]
    first, stop, kinds = spans_from_bio(labels)
    predicted = {
        (int(starts[a]), int(ends[b - 1]), entity_types[k]) for a, b, k in zip(first, stop, kinds, strict=True)
    }
    gold = {(entity.start, entity.end, entity.label) for entity in document.entities}
    return Counter(tp=len(gold & predicted), fp=len(predicted - gold), fn=len(gold - predicted))


def window_features(documents: Iterable[Document], tokenizer, config) -> tuple[list[dict], Counter]:
    """Training windows of annotated documents.

    No core cuts a gold mention; one that is longer than a core is left unlabelled (-100) and counted.

    Returns:
        Features with `input_ids`, `core_mask`, `edge_mask` and `labels`; and how many mentions the labels do not give
        back exactly, by reason.
    """
    prefix, suffix = special_affixes(tokenizer)
    features, report = [], Counter()
    for document, tokens, labels, problems in aligned(documents, tokenizer, config.entity_types, config.unit):
        report.update(reason for _, reason in problems)
        inside = np.zeros(len(tokens.ids), bool)
        inside[tokens.chain] = (labels > 0) & (labels % 2 == 0)
        found = windows(document.text, tokens, config, len(prefix) + len(suffix), uncut=inside)
        first_positions = np.cumsum(tokens.chain) - tokens.chain  # chain positions before each token
        for cut in (first_positions[window.core_start] for window in found[1:]):
            if labels[cut] > 0 and labels[cut] % 2 == 0:
                run = np.flatnonzero(labels[: cut + 1] % 2 == 1)[-1]  # its B
                stop = cut + int(np.argmax(np.append(labels[cut:] != labels[cut], True)))
                labels[run:stop] = UNKNOWN
                report["longer than a window"] += 1
        of_token = np.full(len(tokens.ids), UNKNOWN)
        of_token[tokens.chain] = labels
        last = len(found) - 1
        for index, window in enumerate(found):
            core = np.zeros(len(tokens.ids), bool)
            core[window.core_start : window.core_stop] = tokens.chain[window.core_start : window.core_stop]
            part, around = slice(window.start, window.stop), (len(prefix), len(suffix))
            features.append(
                {
                    "input_ids": np.concatenate([prefix, tokens.ids[part], suffix]).astype(np.int64),
                    "core_mask": np.pad(core[part], around),
                    "edge_mask": np.array([index == 0, index == last]),
                    "labels": np.pad(np.where(core, of_token, UNKNOWN)[part], around, constant_values=UNKNOWN),
                }
            )
    return features, report


class WindowCollator:
    """Pads windows to the longest of their batch: tensors (B, T), `edge_mask` (B, 2).

    Those that an ensemble has read also give `teacher_tags` (B, T, K) and `teacher_pairs` (B, K, K).
    """

    def __init__(self, pad_token_id: int, n_tags: int = 0):
        self.n_tags = n_tags
        self.fill = {"input_ids": pad_token_id, "core_mask": False, "labels": UNKNOWN, "attention_mask": 0}

    def __call__(self, features: list[dict]) -> dict[str, torch.Tensor]:
        width = max(len(feature["input_ids"]) for feature in features)
        batch = {"edge_mask": torch.from_numpy(np.stack([feature["edge_mask"] for feature in features]))}
        features = [{**feature, "attention_mask": np.ones(len(feature["input_ids"]), int)} for feature in features]
        for name, fill in self.fill.items():
            rows = [np.pad(f[name], (0, width - len(f[name])), constant_values=fill) for f in features]
            batch[name] = torch.from_numpy(np.stack(rows))
        for name, rows in (("teacher_tags", width), ("teacher_pairs", self.n_tags)):
            if name in features[0]:
                batch[name] = torch.zeros(len(features), rows, self.n_tags)
                for dense, feature in zip(batch[name].numpy(), features, strict=True):
                    indices, values = feature[name]
                    dense[indices] = values
        return batch


class _Shuffle(Sampler):
    """A new permutation of `n` items every epoch, the same for the same seed."""

    def __init__(self, n: int, seed: int):
        self.n, self.seed, self.epoch = n, seed, 0

    def set_epoch(self, epoch: int):
        self.epoch = epoch

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.n).tolist())


class SubwordBatchSampler(BatchSampler):
    """Batches of about equally many labelled subwords, shuffled anew each epoch; as many batches in every epoch.

    Args:
        sizes: labelled subwords of each window.
        batch_subwords: labelled subwords that a batch aims at; a window is never divided.
        multiple_of: the number of batches is a multiple of this, so that every process gets as many.
    """

    def __init__(self, sizes: Sequence[int], batch_subwords: int, seed: int, multiple_of: int = 1):
        self.sizes, self.sampler = np.array(sizes), _Shuffle(len(sizes), seed)
        self.batch_size, self.drop_last = None, False
        wanted = max(1, round(self.sizes.sum() / batch_subwords / multiple_of)) * multiple_of
        self.n_batches = min(wanted, len(sizes) // multiple_of * multiple_of)
        if not self.n_batches:
            raise InputError(f"{len(sizes)} training windows are too few for {multiple_of} processes")

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self):
        order = np.array(list(self.sampler))
        filled = np.cumsum(self.sizes[order])
        ideal = np.searchsorted(filled, filled[-1] * np.arange(1, self.n_batches) / self.n_batches, side="right")
        steps = np.arange(1, self.n_batches)  # every batch gets a window, also where one is larger than a batch
        cuts = np.maximum.accumulate(np.maximum(ideal, 1) - steps) + steps
        cuts = np.minimum(cuts, len(order) - self.n_batches + steps)
        yield from (batch.tolist() for batch in np.split(order, cuts))
