"""Sentences of annotated documents, and documents cut at their borders; no mention is ever divided."""

from bisect import bisect_left
from collections.abc import Sequence

from modeling_clinx.windows_clinx import sentence_starts

from ..errors import InputError
from .documents import Document, Entity


BLOCK_SENTENCES = 20


def sentence_boundaries(document: Document) -> list[int]:
    """Where sentences begin, none inside of a mention: 0, ascending."""
    starts = sentence_starts(document.text)
    inside = {
        i
        for entity in document.entities
        for i in range(bisect_left(starts, entity.start + 1), bisect_left(starts, entity.end))
    }
    return [start for i, start in enumerate(starts) if i not in inside]


def cut(document: Document, start: int, end: int) -> Document:
    """The characters from `start` to `end` with the mentions in them, as a document of its own."""
    inside = [
        Entity(entity.start - start, entity.end - start, entity.label)
        for entity in document.entities
        if start <= entity.start and entity.end <= end
    ]
    return Document(f"{document.id}.{start}-{end}", document.text[start:end], inside)


def first_sentences(documents: Sequence[Document], n: int) -> list[Document]:
    """The first `n` sentences of documents in their order; the last document is cut at the end of a sentence.

    Raises InputError for n below 1.
    """
    if n < 1:
        raise InputError(f"max_train_sentences is {n}, expected at least 1")
    chosen, missing = [], n
    for document in documents:
        starts = sentence_boundaries(document)
        if len(starts) > missing:
            return [*chosen, cut(document, 0, starts[missing])] if missing else chosen
        chosen.append(document)
        missing -= len(starts)
    return chosen


def sentence_blocks(documents: Sequence[Document], n_sentences: int = BLOCK_SENTENCES) -> list[Document]:
    """Blocks of sentences, to stand for the documents of a corpus that has none."""
    blocks = []
    for document in documents:
        cuts = [*sentence_boundaries(document)[::n_sentences], len(document.text)]
        blocks += [cut(document, *ends) for ends in zip(cuts[:-1], cuts[1:], strict=True) if ends[0] < ends[1]]
    return blocks
