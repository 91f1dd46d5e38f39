"""Alignment of mentions with subwords, or with any other pieces of a text: character spans into BIO ids."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from modeling_clinx.windows_clinx import Tokens, tokenize

from ..errors import InputError
from .documents import Document


class Inexact(NamedTuple):
    """A mention that the labels do not give back exactly."""

    index: int  # among the document's entities
    reason: str  # "overlapping", "boundary inside a subword" or "no subword"


class Aligned(NamedTuple):
    """A document on its subwords."""

    document: Document
    tokens: Tokens
    labels: np.ndarray  # (n,) int64 BIO ids of the chain positions
    inexact: list[Inexact]


def project_mentions(
    spans: Sequence[tuple[int, int, int]], starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, list[Inexact]]:
    """Projects character spans on chain positions.

    Overlapping spans: the longest is kept, of equal ones the first. A boundary inside a position takes in the whole
    position, so that something is learned from it, and is reported since it cannot be predicted exactly.

    Args:
        spans: `(start, end, number of the entity type)` of each mention, characters, half-open.
        starts, ends: (n,) int64, the character range of each chain position, ascending and disjoint.

    Returns (n,) int64 BIO ids, and the mentions that these do not give back exactly.
    """
    labels = np.zeros(len(starts), np.int64)
    inexact = []
    for index in sorted(range(len(spans)), key=lambda i: (spans[i][0] - spans[i][1], spans[i][0], i)):
        start, end, kind = spans[index]
        first = int(np.searchsorted(ends, start, side="right"))
        stop = int(np.searchsorted(starts, end, side="left"))
        if first >= stop:
            inexact.append(Inexact(index, "no subword"))
        elif labels[first:stop].any():
            inexact.append(Inexact(index, "overlapping"))
        else:
            labels[first:stop] = 2 + 2 * kind
            labels[first] = 1 + 2 * kind
            if starts[first] != start or ends[stop - 1] != end:
                inexact.append(Inexact(index, "boundary inside a subword"))
    return labels, sorted(inexact)


def align(
    documents: Iterable[Document], tokenizer, entity_types: Sequence[str], unit: str = "subword"
) -> Iterator[Aligned]:
    """Yields each document with its tokens and their labels.

    Raises InputError, with the document, for a label that is not among `entity_types`.
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
        labels, inexact = project_mentions(spans, tokens.starts[tokens.chain], tokens.ends[tokens.chain])
        yield Aligned(document, tokens, labels, inexact)
