"""Notes as sentences of words, for the peers that read these: mentions as spans of words, and back."""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from exchange import Mention


WORD = re.compile(r"\w+|[^\w\s]")
SENTENCE_BORDER = re.compile(  # a line's end, or a full stop after three letters or digits and before a capital letter
    r"\n|(?<=\w\w\w[.!?])(?<!\bDra\.)(?<!\bAvda\.)(?<!\bCtra\.)\s+(?=[A-ZÁÉÍÓÚÜÑ¿¡])"
)


class Word(NamedTuple):
    """The place of a word in its note (characters, half-open)."""

    start: int
    end: int


class Span(NamedTuple):
    """A mention in a sentence: from the word `first` to the one before `stop`."""

    first: int
    stop: int
    label: str


def sentences_of(text: str) -> list[list[Word]]:
    """The words of a text, runs of letters and digits or single other characters, in sentences."""
    borders = [0, *(border.end() for border in SENTENCE_BORDER.finditer(text)), len(text)]
    sentences = [
        [Word(*word.span()) for word in WORD.finditer(text, start, stop)]
        for start, stop in zip(borders, borders[1:], strict=False)
    ]
    return [words for words in sentences if words]


def spans_by_sentence(
    mentions: Sequence[Mention], sentences: Sequence[Sequence[Word]]
) -> tuple[list[list[Span]], Counter]:
    """The mentions as spans of words, a list for each sentence, and how many cannot be such a span, by the reason.

    Of mentions that overlap the longest is kept.
    """
    words = [word for sentence in sentences for word in sentence]
    starts, ends = [word.start for word in words], [word.end for word in words]
    sentence_ends = []
    for sentence in sentences:
        sentence_ends.append(len(sentence) + (sentence_ends[-1] if sentence_ends else 0))
    spans, occupied, lost = [[] for _ in sentences], set(), Counter()
    for mention in sorted(mentions, key=lambda mention: mention.start - mention.end):
        first, stop = bisect_right(ends, mention.start), bisect_left(starts, mention.end)
        number = bisect_right(sentence_ends, first)
        if first < stop and stop > sentence_ends[number]:
            lost["crosses a sentence border"] += 1
        elif first >= stop or starts[first] != mention.start or ends[stop - 1] != mention.end:
            lost["begins or ends inside a word"] += 1
        elif not occupied.isdisjoint(range(first, stop)):
            lost["overlaps a longer mention"] += 1
        else:
            occupied.update(range(first, stop))
            before = sentence_ends[number - 1] if number else 0
            spans[number].append(Span(first - before, stop - before, mention.label))
    return [sorted(of_sentence) for of_sentence in spans], lost


def bio_tags(spans: Sequence[Span], n_words: int) -> list[str]:
    """The spans of a sentence as `B-`, `I-` and `O`, one a word."""
    tags = ["O"] * n_words
    for span in spans:
        tags[span.first : span.stop] = [f"B-{span.label}"] + [f"I-{span.label}"] * (span.stop - span.first - 1)
    return tags


def spans_of_bio(tags: Sequence[str]) -> list[Span]:
    """The spans that tags describe; an `I-` that continues nothing begins a span."""
    spans: list[Span] = []
    for i, tag in enumerate(tags):
        prefix, _, label = tag.partition("-")
        goes_on = prefix == "I" and spans and spans[-1].stop == i and spans[-1].label == label
        if goes_on:
            spans[-1] = spans[-1]._replace(stop=i + 1)
        elif label:
            spans.append(Span(i, i + 1, label))
    return spans


def mentions_of(spans: Sequence[Span], words: Sequence[Word]) -> list[Mention]:
    """The spans of a sentence as places in its note."""
    return [Mention(words[span.first].start, words[span.stop - 1].end, span.label) for span in spans]
