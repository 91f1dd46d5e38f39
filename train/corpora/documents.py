"""Document and Entity, the only form in which annotated text travels, and the one validation of both."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError, brief


@dataclass(frozen=True, order=True, slots=True)
class Entity:
    """A mention: `text[start:end]` (characters, half-open) is of type `label`.

    `score` is a predicted mention's posterior probability, `agreement` the share of an ensemble's members that find
    it; both from 0 to 1, and neither takes part in comparison.
    """

    start: int
    end: int
    label: str
    score: float | None = field(default=None, compare=False)
    agreement: float | None = field(default=None, compare=False)


class Problem(NamedTuple):
    """Something that a reader could not keep exactly."""

    kind: str
    detail: str  # what was found, and where


@dataclass
class Document:
    """A text and its mentions; readers give these in the order of their places, none of them twice.

    `problems` are of the kinds "discontinuous", "text differs" (from what the annotation says it is), "offsets moved"
    (they fit that text a few characters further) and "outside the text".
    """

    id: str
    text: str
    entities: list[Entity] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list, compare=False)


@dataclass(frozen=True)
class Reading:
    """How a corpus is read.

    Attributes:
        annotated: with False the texts alone are read, and annotations may be missing.
        discontinuous: a mention in several parts becomes its `hull`, or is left out: `drop`.
        outside: a mention that lies outside of its text is a fault: `refuse`, or is left out: `drop`.
        token_column, label_column: of column files, counted from 0, from the end if negative.
        exclude: patterns (`README*`, `old/*`) of files that are left out, by their path inside of the corpus or by the
            name of the file or of a folder that it lies in.
        passed_over: where given, a note of BRAT, JSON Lines or a dataset that cannot be read is passed over, and why is
            added here; otherwise it is an error.

    What becomes a hull or is left out is in the document's `problems`.
    """

    annotated: bool = True
    discontinuous: str = "hull"
    outside: str = "refuse"
    token_column: int = 0
    label_column: int = -1
    exclude: Sequence[str] = ()
    passed_over: list[str] | None = None

    def __post_init__(self):
        if isinstance(self.exclude, str):
            raise InputError(f"found exclude={self.exclude!r}, expected a list of patterns: [{self.exclude!r}].")
        for name, values in (("discontinuous", ("hull", "drop")), ("outside", ("refuse", "drop"))):
            if (value := getattr(self, name)) not in values:
                raise InputError(f"found {name}={value!r}, expected {values[0]!r} or {values[1]!r}.")

    def pass_over(self, error: InputError) -> None:
        """Passes over the note with this error, or raises it."""
        if self.passed_over is None:
            raise error
        self.passed_over.append(str(error))


class DocumentBuilder:
    """A document while it is read: every reader adds its mentions here, so that all are checked and ordered alike.

    Args:
        reading: what becomes of mentions that are discontinuous, or outside of the text.
    """

    def __init__(self, id: str | None, text: str, reading: Reading):
        self.text, self.reading = text, reading
        self._document = Document(id, text)

    def add(
        self,
        spans: Sequence[tuple],
        label: str,
        where: str,
        *,
        quoted: str | None = None,
        score: float | None = None,
        agreement: float | None = None,
    ) -> None:
        """Adds a mention: one span of characters, or several if it is discontinuous.

        Args:
            where: the file and line, or whatever else an error message is to name.
            quoted: what the annotation says that the mention's text is; white space and its kind do not count.

        Raises InputError as `checked_entity` does.
        """
        try:
            parts = [checked_entity(*span, label, self.text, where, score, agreement) for span in spans]
        except OutsideError as error:
            if self.reading.outside == "refuse":
                raise
            self.report("outside the text", str(error))
            return
        entity = parts[0]
        if len(parts) > 1:
            parts.sort()
            entity = Entity(parts[0].start, max(part.end for part in parts), label, score, agreement)
            if any(self.text[left.end : right.start].strip() for left, right in pairwise(parts)):
                hull = self.text[entity.start : entity.end]
                self.report("discontinuous", f"{where}: {label} in {brief(hull)}")
                if self.reading.discontinuous == "drop":
                    return
        self._document.entities.append(entity)
        if quoted is None:
            return
        mention = self.text[entity.start : entity.end]
        if mention != quoted and not reads(self.text, [(part.start, part.end) for part in parts], quoted):
            self.report("text differs", f"{where}: {brief(quoted)}, in the text {brief(mention)}")

    def report(self, kind: str, detail: str) -> None:
        """Adds a problem."""
        self._document.problems.append(Problem(kind, detail))

    def build(self) -> Document:
        """The document, with its mentions in the order of their places, each once."""
        self._document.entities = in_order(self._document.entities)
        return self._document


class OutsideError(InputError):
    """A mention that does not lie inside of its text."""


def checked_entity(
    start: int, end: int, label: str, text: str, where: str, score: float | None = None, agreement: float | None = None
) -> Entity:
    """The mention, if it lies inside of `text`; else an InputError that begins with `where`."""
    if type(start) is not int or type(end) is not int:  # a bool is an int too
        raise InputError(f"{where}: found the offsets {brief(start)} and {brief(end)}, expected two whole numbers.")
    if not 0 <= start < end <= len(text):
        raise OutsideError(
            f"{where}: found a mention from {start} to {end}, expected 0 <= start < end <= {len(text)}, the length of "
            "the text in characters; check that the annotations were made on exactly this text."
        )
    if not isinstance(label, str) or not label:
        raise InputError(f"{where}: found the label {brief(label)}, expected a string that is not empty.")
    if score is not None or agreement is not None:  # most have none, and there are many
        for name, value in (("score", score), ("agreement", agreement)):
            if value is not None and (type(value) not in (int, float) or not 0 <= value <= 1):
                raise InputError(f"{where}: found the {name} {brief(value)}, expected a number from 0 to 1.")
    return Entity(start, end, label, score, agreement)


def in_order(entities: Iterable[Entity]) -> list[Entity]:
    """The mentions by their places, each once: of equal ones the first stays."""
    places: dict[tuple, Entity] = {}
    for entity in entities:
        places.setdefault((entity.start, entity.end, entity.label), entity)
    return [places[place] for place in sorted(places)]


def reads(text: str, spans: Iterable[tuple[int, int]], quoted: str) -> bool:
    """Whether the text at the spans is what an annotation quotes, but for white space."""
    spans = list(spans)
    if sum(end - start for start, end in spans) > 4 * len(quoted) + 100:  # and so takes no longer than the annotation
        return False
    mention = " ".join([text[start:end] for start, end in spans])
    return mention == quoted or mention.split() == quoted.split()


def describe_mention(document: Document, entity: Entity) -> str:
    """A mention as lists of problems show it."""
    text = document.text[entity.start : entity.end]
    return f"{document.id}: {entity.label} {entity.start}–{entity.end} {brief(text)}"


def telling_problems(where: str | Path, documents: Iterable[Document]) -> Iterator[Document]:
    """Yields the documents, and after the last says on standard error how often each kind of problem occurred."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(problem.kind for problem in document.problems)
        yield document
    for kind, times in counts.most_common():
        print(f"{where}: {times} mention(s) not read exactly: {kind}", file=sys.stderr)


def same_note(text: str) -> str:
    """What two copies of a note have in common: the text without its kinds of white space and line ends."""
    return " ".join(text.replace("\ufeff", " ").split())


def digest(document: Document) -> str:
    """32 hexadecimal digits that tell this text with these mentions from any other (BLAKE2b)."""
    mentions = [(entity.start, entity.end, entity.label) for entity in document.entities]
    return blake2b(json.dumps([document.text, mentions]).encode("ascii"), digest_size=16).hexdigest()


def without_surrogates(text: str) -> str:
    """The text with each lone surrogate as U+FFFD, one for one: UTF-8, Arrow and tokenizers refuse them."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)
