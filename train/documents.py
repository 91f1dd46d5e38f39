"""Document and Entity: the only form in which annotated text travels, its rows in Arrow, and its one validation."""

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from uuid import uuid4

from datasets import Dataset, Features, List, Value

from train.errors import InputError


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


@dataclass
class Document:
    """A text and its mentions, in the order of their source, none of them twice.

    `problems` counts what a reader could not keep exactly, by kind ("discontinuous", "text differs").
    """

    id: str
    text: str
    entities: list[Entity] = field(default_factory=list)
    problems: Counter = field(default_factory=Counter, compare=False)


def to_dataset(documents: Iterable[Document]) -> Dataset:
    """One row a document, with `FEATURES`, in memory; scores, agreement and problems stay behind.

    Arrow refuses lone surrogates: each becomes U+FFFD, one for one, so that offsets hold.
    """
    columns = {name: [] for name in FEATURES}
    for document in documents:
        columns["id"].append(without_surrogates(document.id))
        columns["text"].append(without_surrogates(document.text))
        columns["entities"].append(
            [{"start": e.start, "end": e.end, "label": without_surrogates(e.label)} for e in document.entities]
        )
    return Dataset.from_dict(columns, features=FEATURES)


def from_dataset(rows: Iterable[Mapping], *, annotated: bool = True) -> Iterator[Document]:
    """The documents in the rows of a `Dataset` (or any mappings of its form); raises InputError as `from_rows` does."""
    return from_rows(((f"row {n}", f"row-{n}", row) for n, row in enumerate(rows)), annotated=annotated)


def from_rows(rows: Iterable[tuple[str, str, Mapping]], *, annotated: bool) -> Iterator[Document]:
    """Validated documents from triples (where the row lies, the id it gets if it has none, the row).

    With `annotated=False` the texts alone are read, and "entities" may be missing.
    Raises InputError, naming the place, for a row of another form, a mention outside of its text, an id seen before.
    """
    seen: dict[str, str] = {}
    for where, default_id, row in rows:
        if not isinstance(row, Mapping):
            raise InputError(f'{where}: found {_brief(row)}, expected an object with "id", "text" and "entities".')
        id = default_id if row.get("id") is None else row["id"]
        text = row.get("text")
        if not isinstance(id, str):
            raise InputError(f"{where}: found the id {_brief(id)}, expected a string; put it in quotes.")
        if id in seen:
            raise InputError(f"{where}: found the id {id!r} again, after {seen[id]}; give each document its own id.")
        if not isinstance(text, str):
            raise InputError(f'{where}: found {_brief(text)} as the "text" of document {id!r}, expected a string.')
        seen[id] = where
        entities = row.get("entities") if annotated else []
        if not isinstance(entities, list):
            raise InputError(
                f'{where}: found {_brief(entities)} as the "entities" of document {id!r}, expected a list of '
                '{"start", "end", "label"}; give an empty list where there are none, or read with annotated=False.'
            )
        yield Document(id, text, unique(_entity_from_row(entity, text, where) for entity in entities))


def _entity_from_row(row: Mapping, text: str, where: str) -> Entity:
    if not isinstance(row, Mapping):
        raise InputError(f'{where}: found {_brief(row)} in "entities", expected {{"start", "end", "label"}}.')
    extra = (row.get("score"), row.get("agreement"))
    return checked_entity(row.get("start"), row.get("end"), row.get("label"), text, where, *extra)


def checked_entity(
    start: int, end: int, label: str, text: str, where: str, score: float | None = None, agreement: float | None = None
) -> Entity:
    """The mention, if it lies inside of `text`; else an InputError that begins with `where`. All readers use it."""
    if type(start) is not int or type(end) is not int:  # a bool is an int too
        raise InputError(f"{where}: found the offsets {_brief(start)} and {_brief(end)}, expected two whole numbers.")
    if not 0 <= start < end <= len(text):
        raise InputError(
            f"{where}: found a mention from {start} to {end}, expected 0 <= start < end <= {len(text)}, the length of "
            "the text in characters; check that the annotations were made on exactly this text."
        )
    if not isinstance(label, str) or not label:
        raise InputError(f"{where}: found the label {_brief(label)}, expected a string that is not empty.")
    for name, value in (("score", score), ("agreement", agreement)):
        if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
            raise InputError(f"{where}: found the {name} {_brief(value)}, expected a number.")
    return Entity(start, end, label, score, agreement)


def unique(entities: Iterable[Entity]) -> list[Entity]:
    """The mentions in their order, each once: of equal ones the first stays."""
    return list({entity: entity for entity in entities})


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


def _brief(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
