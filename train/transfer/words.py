"""The words of a corpus: all, those in mentions, and the 3-grams that they make."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ..corpora.documents import Document, Entity


MAX_TRIGRAMS = 300_000  # of one corpus, which take about a hundred megabytes at most

_WORD = re.compile(r"\w+")


class Words(NamedTuple):
    """How often each word of a corpus occurs, without its case; punctuation is none."""

    everywhere: Counter[str]
    in_mentions: Counter[str]  # words of which at least one character is annotated
    trigrams: Counter[str]  # three words that follow each other in a document, with a space between


def count_words(documents: Iterable[Document], max_trigrams: int = MAX_TRIGRAMS) -> Words:
    """Counts the words of documents, which are read one by one; none is kept.

    Args:
        max_trigrams: only this many 3-grams are counted, the first, since nearly every one is new.
    """
    words = Words(Counter(), Counter(), Counter())
    missing = max_trigrams
    for document in documents:
        spans = [match.span() for match in _WORD.finditer(document.text)]
        of_document = [document.text[start:end].casefold() for start, end in spans]
        words.everywhere.update(of_document)
        words.in_mentions.update(of_document[i] for i in _in_mentions(spans, document.entities))
        trigrams = list(zip(of_document, of_document[1:], of_document[2:], strict=False))[:missing]
        words.trigrams.update(map(" ".join, trigrams))
        missing -= len(trigrams)
    return words


def _in_mentions(spans: list[tuple[int, int]], entities: list[Entity]) -> set[int]:
    """Which of the words at these characters, ascending, a mention touches."""
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    touched = (range(bisect_right(ends, mention.start), bisect_left(starts, mention.end)) for mention in entities)
    return set().union(*touched)
