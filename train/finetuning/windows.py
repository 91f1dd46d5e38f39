"""Documents into what the model learns from: labelled windows."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from modeling_clinx.labels_clinx import UNKNOWN
from modeling_clinx.windows_clinx import Window, special_affixes, windows

from ..corpora.alignment import Aligned, align
from ..corpora.documents import Document


class LabelledWindows(NamedTuple):
    """Training windows, and what their labels cannot represent."""

    features: list[dict]  # `input_ids` (T,), `core_mask` (T,), `edge_mask` (2,) and `labels` (T,) of each window
    inexact: Counter  # mentions that the labels do not give back exactly, by reason


def label_windows(documents: Iterable[Document], tokenizer, config) -> LabelledWindows:
    """Training windows of annotated documents.

    No core cuts a gold mention; one that is longer than a core is left unlabelled (-100) and counted.
    """
    prefix, suffix = special_affixes(tokenizer)
    features, inexact = [], Counter()
    for aligned in align(documents, tokenizer, config.entity_types, config.unit):
        inexact.update(mention.reason for mention in aligned.inexact)
        document, tokens, labels, _ = aligned
        inside = np.zeros(len(tokens.ids), bool)
        inside[tokens.chain] = _is_inside(labels)
        cut_windows = windows(document.text, tokens, config, len(prefix) + len(suffix), uncut=inside)
        inexact["longer than a window"] += _forget_cut_mentions(labels, tokens, cut_windows)
        features += _features(aligned, cut_windows, prefix, suffix)
    return LabelledWindows(features, +inexact)


def _is_inside(labels):
    return (labels > 0) & (labels % 2 == 0)  # the I- labels


def _forget_cut_mentions(labels: np.ndarray, tokens, cut_windows: list[Window]) -> int:
    """Makes the labels of mentions unknown that a core cuts, as they are longer than one; how many."""
    n_cut = 0
    chain_positions = np.cumsum(tokens.chain) - tokens.chain  # before each token
    for cut in (chain_positions[window.core_start] for window in cut_windows[1:]):
        if _is_inside(labels[cut]):
            begin = np.flatnonzero(labels[: cut + 1] % 2 == 1)[-1]  # its B
            stop = cut + int(np.argmax(np.append(labels[cut:] != labels[cut], True)))
            labels[begin:stop] = UNKNOWN
            n_cut += 1
    return n_cut


def _features(aligned: Aligned, cut_windows: list[Window], prefix: list[int], suffix: list[int]) -> list[dict]:
    tokens, labels = aligned.tokens, aligned.labels
    label_of_token = np.full(len(tokens.ids), UNKNOWN)
    label_of_token[tokens.chain] = labels
    features, last = [], len(cut_windows) - 1
    for index, window in enumerate(cut_windows):
        core = np.zeros(len(tokens.ids), bool)
        core[window.core_start : window.core_stop] = tokens.chain[window.core_start : window.core_stop]
        part, around = slice(window.start, window.stop), (len(prefix), len(suffix))
        core_labels = np.where(core, label_of_token, UNKNOWN)
        features.append(
            {
                "input_ids": np.concatenate([prefix, tokens.ids[part], suffix]).astype(np.int64),
                "core_mask": np.pad(core[part], around),
                "edge_mask": np.array([index == 0, index == last]),
                "labels": np.pad(core_labels[part], around, constant_values=UNKNOWN),
            }
        )
    return features
