"""Documents into what the model learns from: labelled windows."""

import itertools
from bisect import bisect, bisect_left
from collections import Counter
from collections.abc import Iterable

import numpy as np
from torch.utils.data import Dataset

from modeling_clinx.labels_clinx import UNKNOWN
from modeling_clinx.windows_clinx import Tokens, Window, sentence_starts, special_affixes, windows

from ..corpora.alignment import Aligned, align
from ..corpora.documents import Document


PASSED_OVER = 0.5  # share of the sentence boundaries at which an epoch's windows do not end


class TrainingWindows(Dataset):
    """Labelled windows of annotated documents, at first as few as can be; every epoch cuts them anew.

    A window is a dict of `input_ids` (T,), `core_mask` (T,), `edge_mask` (2,) and `labels` (T,). No core cuts a gold
    mention; one that is longer than a core is left unlabelled (-100) and counted.

    Args:
        documents: the annotated documents.
        tokenizer: a fast tokenizer.
        config: gives entity types, unit, and how windows are cut (see `ClinXConfig`).
        seed: what decides, with the number of the epoch, where that one cuts.
        context_dropout: probability that in an epoch the sentences of a window are windows of their own, without
            context. Where each sentence is a window, that is how the paper's authors trained (flair's default is 0.5).

    Attributes:
        features: the windows of the epoch.
        inexact: mentions that the labels do not give back exactly, by reason.

    Raises InputError as `align` does.
    """

    def __init__(self, documents: Iterable[Document], tokenizer, config, seed: int = 0, context_dropout: float = 0.0):
        self.config, self.affixes, self.seed = config, special_affixes(tokenizer), seed
        self.context_dropout = context_dropout
        self._documents = list(align(documents, tokenizer, config.entity_types, config.unit))
        self.inexact = Counter(mention.reason for aligned in self._documents for mention in aligned.inexact)
        cut = [self._cut(aligned) for aligned in self._documents]
        self.features: list[dict] = [feature for features, _ in cut for feature in features]
        if n_longer := sum(n_cut for _, n_cut in cut):
            self.inexact["longer than a window"] = n_longer
        self._is_fixed = config.segmentation == "sentence" and not context_dropout

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict:
        return self.features[index]

    def sizes(self) -> np.ndarray:
        """Labelled subwords of each window."""
        return np.array([int((feature["labels"] >= 0).sum()) for feature in self.features])

    def fixed(self) -> list[dict]:
        """The windows, which from now on stay as they are, so that more can be added to each."""
        self._is_fixed = True
        return self.features

    def cut_anew(self, epoch: int) -> None:
        """Makes the windows of an epoch: the same for the same seed, never fewer than at first."""
        if not self._is_fixed:
            rng = np.random.default_rng([self.seed, epoch, 2])
            self.features = [feature for aligned in self._documents for feature in self._cut(aligned, rng)[0]]

    def _cut(self, aligned: Aligned, rng: np.random.Generator | None = None) -> tuple[list[dict], int]:
        """The windows of a document, at random boundaries if `rng` is given, and how many mentions they cut."""
        document, tokens, labels, _ = aligned
        n_special = sum(map(len, self.affixes))
        uncut = np.zeros(len(tokens.ids), bool)
        uncut[tokens.chain] = _is_inside(labels)
        sentences = [] if rng is None else _sentence_starts(document.text, tokens, ~uncut & tokens.chain)
        if rng is not None and self.config.segmentation == "packed":
            capacity = self.config.window_length - n_special
            longest = capacity - 2 * min(self.config.context_size, capacity // 4)
            uncut[_passed_over(sentences, longest, len(tokens.ids), rng)] = True
        cut_windows = windows(document.text, tokens, self.config, n_special, uncut)
        if rng is not None and self.context_dropout:
            is_alone = rng.random(len(cut_windows)) < self.context_dropout
            cut_windows = _without_context(cut_windows, is_alone, tokens, sentences)
        labels = labels.copy()
        n_cut = _forget_cut_mentions(labels, tokens, cut_windows)
        return _features(aligned._replace(labels=labels), cut_windows, *self.affixes), n_cut


def _sentence_starts(text: str, tokens: Tokens, legal: np.ndarray) -> list[int]:
    """The `legal` tokens (T,) that begin a sentence, but for the first."""
    begins = np.maximum.accumulate(np.where(tokens.chain, tokens.starts, 0))
    at = np.unique(np.searchsorted(begins, sentence_starts(text)))
    at = at[(at > 0) & (at < len(tokens.ids))]
    return at[legal[at]].tolist()


def _passed_over(sentences: list[int], longest: int, n_tokens: int, rng: np.random.Generator) -> list[int]:
    """A random share of the tokens that begin a sentence: what lies between the others fits into a core of the
    `longest` size, wherever their sentences do."""
    passed_over, last = [], 0
    for here, following in itertools.pairwise([*sentences, n_tokens]):
        if following - last <= longest and rng.random() < PASSED_OVER:
            passed_over.append(here)
        else:
            last = here
    return passed_over


def _without_context(
    cut_windows: list[Window], is_alone: np.ndarray, tokens: Tokens, sentences: list[int]
) -> list[Window]:
    """The windows, those that are alone (windows,) as the sentences of their cores, which see only themselves."""
    parts = []
    for window, alone in zip(cut_windows, is_alone, strict=True):
        _, start, stop, _ = window
        inner = sentences[bisect(sentences, start) : bisect_left(sentences, stop)]
        pairs = itertools.pairwise([start, *inner, stop])
        parts += [Window(a, a, b, b) for a, b in pairs if tokens.chain[a:b].any()] if alone else [window]
    return parts


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
