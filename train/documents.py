"""Document and Entity: the only form in which annotated text travels, its rows in Arrow, and its one validation."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple
from uuid import uuid4

from datasets import Dataset, Features, List, Value

from .errors import InputError


FEATURES = Features(
    {
        "id": Value("string"),
        "text": Value("large_string"),  # 64-bit offsets: a corpus may hold more than 2 GiB of text
        "entities": List({"start": Value("int64"), "end": Value("int64"), "label": Value("string")}),
    }
)


@dataclass(frozen=True, order=True, slots=True)
class Entity:
    """A mention: `text[start:end]` (characters, half-open) is of type `label`.

    `score` is a predicted mention's posterior probability, `agreement` the share of an ensemble's members that found
    it; both from 0 to 1, and neither takes part in comparison.
    """

    start: int
    end: int
    label: str
    score: float | None = field(default=None, compare=False)
    agreement: float | None = field(default=None, compare=False)


class Problem(NamedTuple):
    """Something that a reader could not keep exactly: its kind, and what was found where."""

    kind: str
    detail: str


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

    What becomes a hull or is left out is in the document's `problems`.
    """

    annotated: bool = True
    discontinuous: str = "hull"
    outside: str = "refuse"
    token_column: int = 0
    label_column: int = -1

    def __post_init__(self):
        for name, values in (("discontinuous", ("hull", "drop")), ("outside", ("refuse", "drop"))):
            if (found := getattr(self, name)) not in values:
                raise InputError(f"found {name}={found!r}, expected {values[0]!r} or {values[1]!r}.")

    def add(
        self, document: Document, spans: Sequence[tuple], label: str, where: str, *extra, quoted: str | None = None
    ) -> None:
        """Adds a mention to the document: one span of characters, or several if it is discontinuous.

        Args:
            extra: its score and agreement.
            quoted: what the annotation says that the mention's text is; white space and its kind do not count.

        Raises InputError as `checked_entity` does.
        """
        try:
            parts = [checked_entity(*span, label, document.text, where, *extra) for span in spans]
        except OutsideError as error:
            if self.outside == "refuse":
                raise
            document.problems.append(Problem("outside the text", str(error)))
            return
        entity = parts[0]
        if len(parts) > 1:
            parts.sort()
            entity = Entity(parts[0].start, max(part.end for part in parts), label, *extra)
            if any(document.text[left.end : right.start].strip() for left, right in pairwise(parts)):
                shown = document.text[entity.start : entity.end]
                document.problems.append(Problem("discontinuous", f"{where}: {label} in {brief(shown)}"))
                if self.discontinuous == "drop":
                    return
        document.entities.append(entity)
        found = document.text[entity.start : entity.end]
        if quoted not in (None, found) and not reads(document.text, [(part.start, part.end) for part in parts], quoted):
            document.problems.append(Problem("text differs", f"{where}: {brief(quoted)}, in the text {brief(found)}"))


def reads(text: str, spans: Iterable[tuple[int, int]], quoted: str) -> bool:
    """Whether the text at the spans is what an annotation quotes, but for white space."""
    spans = list(spans)
    if sum(end - start for start, end in spans) > 4 * len(quoted) + 100:  # and so takes no longer than the annotation
        return False
    found = " ".join([text[start:end] for start, end in spans])
    return found == quoted or found.split() == quoted.split()


def mention_shown(document: Document, entity: Entity) -> str:
    """A mention as lists of problems show it."""
    text = document.text[entity.start : entity.end]
    return f"{document.id}: {entity.label} {entity.start}–{entity.end} {brief(text)}"


def problem_counts(documents: Iterable[Document]) -> Counter:
    """How often each kind of problem occurs."""
    return Counter(problem.kind for document in documents for problem in document.problems)


def to_dataset(documents: Iterable[Document], features: Features = FEATURES) -> Dataset:
    """One row a document, in memory; scores, agreement and problems stay behind.

    Arrow refuses lone surrogates: each becomes U+FFFD, one for one, so that offsets hold.
    """
    columns = {name: [] for name in FEATURES}
    for document in documents:
        columns["id"].append(without_surrogates(document.id))
        columns["text"].append(without_surrogates(document.text))
        columns["entities"].append(
            [{"start": e.start, "end": e.end, "label": without_surrogates(e.label)} for e in document.entities]
        )
    return Dataset.from_dict(columns, features=features)


def from_rows(rows: Iterable[tuple[str, str, Mapping]], reading: Reading) -> Iterator[Document]:
    """Validated documents from triples (where the row lies, the id it gets if it has none, the row).

    Raises InputError, naming the place, for a row of another form, a mention outside of its text.
    """
    for where, default_id, row in rows:
        if not isinstance(row, Mapping):
            raise InputError(f'{where}: found {brief(row)}, expected an object with "id", "text" and "entities".')
        id = default_id if row.get("id") is None else row["id"]
        text = row.get("text")
        if not isinstance(id, str):
            raise InputError(f"{where}: found the id {brief(id)}, expected a string; put it in quotes.")
        if not isinstance(text, str):
            raise InputError(f'{where}: found {brief(text)} as the "text" of document {id!r}, expected a string.')
        entities = row.get("entities") if reading.annotated else []
        if not isinstance(entities, list):
            raise InputError(
                f'{where}: found {brief(entities)} as the "entities" of document {id!r}, expected a list of '
                '{"start", "end", "label"}; give an empty list where there are none, or read the texts alone '
                "(annotated=False, --unannotated)."
            )
        document = Document(id, text)
        for found in entities:
            if not isinstance(found, Mapping):
                raise InputError(f'{where}: found {brief(found)} in "entities", expected {{"start", "end", "label"}}.')
            span, extra = (found.get("start"), found.get("end")), (found.get("score"), found.get("agreement"))
            reading.add(document, [span], found.get("label"), where, *extra)
        document.entities = in_order(document.entities)
        yield document


class OutsideError(InputError):
    """A mention that does not lie inside of its text."""


def checked_entity(
    start: int, end: int, label: str, text: str, where: str, score: float | None = None, agreement: float | None = None
) -> Entity:
    """The mention, if it lies inside of `text`; else an InputError that begins with `where`. All readers use it."""
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


def without_surrogates(text: str) -> str:
    """The text with each lone surrogate as U+FFFD, one for one: UTF-8, Arrow and tokenizers refuse them."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def decode_utf8(data: bytes, where: str) -> str:
    """The text exactly as it was written: line ends and byte-order mark stay. InputError if it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: found the byte 0x{data[error.start]:02x} at byte offset {error.start}, expected UTF-8; convert "
            "the file, for example with `iconv -f latin1 -t utf-8`."
        ) from None


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears at `path` when the block ends well, and leaves nothing when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{uuid4().hex}.tmp")
    try:
        with open(unfinished, "wb") as file:
            yield file
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def brief(value: object) -> str:
    """A value as messages show it."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
