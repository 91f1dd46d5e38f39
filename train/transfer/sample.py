"""Characters of the target's notes on which models are compared, whichever tokenizers they have."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..corpora.alignment import project_mentions
from ..corpora.documents import Document
from ..errors import InputError


SAMPLE_SIZE = 10_000  # words, about 16,000 subwords: 250 sentences (3,000 to 5,500 words) are read as a whole

_WORD = re.compile(r"\w+")


class Sample(NamedTuple):
    """Characters of annotated documents, each the first of a word, in the order of the text."""

    documents: list[Document]  # those that hold them
    numbers: np.ndarray  # (n,) int64 which of the documents, ascending
    characters: np.ndarray  # (n,) int64 where in its text
    labels: np.ndarray  # (n,) int64 BIO ids
    entity_types: list[str]  # that occur in the documents, sorted


def sample_characters(documents: Sequence[Document], size: int = SAMPLE_SIZE, seed: int = 0) -> Sample:
    """Draws first characters of words, whichever tokenizer reads them: all words of some documents.

    Documents are drawn whole until their words are enough, so that no more of them is read than needed, and the words
    of the last one at random. If all words are no more than `size`, the seed changes nothing.

    Raises InputError where there is no word, or no mention in what was drawn.
    """
    random = np.random.default_rng(seed)
    types = sorted({entity.label for document in documents for entity in document.entities})
    drawn: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # by document: characters and labels
    missing = size
    for index in random.permutation(len(documents)).tolist():
        characters, labels = _labelled_words(documents[index], types)
        if len(characters) > missing:
            kept = np.sort(random.choice(len(characters), missing, replace=False))
            characters, labels = characters[kept], labels[kept]
        if len(characters):
            drawn[index] = characters, labels
        missing -= len(characters)
        if not missing:
            break
    order = sorted(drawn)
    columns = [np.concatenate([drawn[index][column] for index in order] or [[]]).astype(np.int64) for column in (0, 1)]
    if not columns[1].any():
        raise InputError(
            f"found no mention at the {size - missing} words that were drawn of {len(documents)} documents, expected "
            "an annotated corpus: similarities compare models on what is annotated in the target"
        )
    numbers = np.repeat(np.arange(len(order)), [len(drawn[index][0]) for index in order])
    return Sample([documents[index] for index in order], numbers, *columns, types)


def _labelled_words(document: Document, types: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) first characters of all words, and their BIO ids; the first of a mention's is a B."""
    starts = np.array([match.start() for match in _WORD.finditer(document.text)], np.int64)
    spans = [(entity.start, entity.end, types.index(entity.label)) for entity in document.entities]
    return starts, project_mentions(spans, starts, starts + 1)[0]
