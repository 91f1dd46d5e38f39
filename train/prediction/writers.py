"""Predictions on disk, as BRAT or JSON Lines: each document whole or not at all, and never in place of others' work."""

import os
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable
from itertools import count, pairwise
from pathlib import Path

from ..corpora.documents import Document
from ..corpora.formats.brat import ann_text, write_brat
from ..corpora.formats.jsonl import json_line
from ..errors import InputError
from ..writing import atomic_file
from .groups import AS_BEFORE, CHANGED, NEW
from .journal import Entry, Figures, Journal, digest, digest_text


class Writer(ABC):
    """Where predicted documents go; the folder's journal knows each that is there, and nothing else is overwritten."""

    suffixes: tuple[str, ...]  # of the files that it writes

    def __init__(self, folder: Path, journal: Journal):
        self.folder, self.journal = folder, journal

    def state_of(self, document: Document) -> str:
        """Whether the prediction for a document is on disk."""
        entry = self.journal.find(document.id)
        if entry is None or not self.holds(entry):
            return NEW
        return AS_BEFORE if entry.text == digest_text(document.text) else CHANGED

    @abstractmethod
    def holds(self, entry: Entry) -> bool:
        """Whether a prediction that the journal knows is still on disk."""

    @abstractmethod
    def read(self, entry: Entry) -> bytes | None:
        """The prediction as it is on disk; None where it is not."""

    @abstractmethod
    def write(self, document: Document, figures: Figures, before: Entry | None) -> int:
        """Writes a prediction, whole or not at all, in place of the one `before`; returns its number in the journal."""

    def remove(self, entries: Iterable[Entry], why: str) -> None:
        """Removes predictions from the disk, which are then to be forgotten; `entries` can be gone through twice."""
        self.refuse_edited(entries, why)

    def clear(self, why: str) -> None:
        """Removes all predictions from the disk."""
        self.remove(self.journal, why)

    @abstractmethod
    def finish(self, positions: array) -> None:
        """Called when all notes are written; `positions[number]` is a note's place in the input, -1 for one unused."""

    def refuse_others(self) -> None:
        """Raises InputError for a file in the folder that would be taken for a prediction."""
        for parent, folders, names in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if name.endswith(self.suffixes) and not name.startswith("."):
                    self.refuse_other(Path(parent, name))

    def refuse_other(self, path: Path) -> None:
        raise InputError(
            f"{path}: found this file, which `clinx predict` did not write, where its predictions go; choose another "
            "--output, or move the file away"
        )

    def refuse_edited(self, entries: Iterable[Entry], why: str) -> None:
        """Raises InputError for predictions that somebody changed since they were written."""
        contents = ((entry, self.read(entry)) for entry in entries)
        edited = [entry.id for entry, content in contents if content is not None and digest(content) != entry.written]
        if edited:
            shown = ", ".join(map(repr, edited[:3])) + (", …" if len(edited) > 3 else "")
            raise InputError(
                f"{self.folder}: found {len(edited)} predictions that were edited after they were written ({shown}), "
                f"and would be lost since {why}; choose another --output, or move them away"
            )


class BratWriter(Writer):
    """NAME.txt and NAME.ann of each document, in a folder."""

    suffixes = (".txt", ".ann")

    def holds(self, entry: Entry) -> bool:
        return all(self._path(entry.id, suffix).exists() for suffix in self.suffixes)

    def read(self, entry: Entry) -> bytes | None:
        try:
            return self._path(entry.id, ".ann").read_bytes()
        except FileNotFoundError:
            return None

    def write(self, document: Document, figures: Figures, before: Entry | None) -> int:
        content = ann_text(document, self.folder).encode("utf-8")
        if before:
            has_text = self._path(document.id, ".txt").exists()
            self.refuse_edited([before], "the text of the note has changed" if has_text else "their text is missing")
            self._path(document.id, ".ann").unlink(missing_ok=True)  # it may be about another text than the new .txt
        else:
            for path in (self._path(document.id, suffix) for suffix in self.suffixes):
                if path.exists():
                    self.refuse_other(path)
        number = self.journal.record(document, content, 0, figures)  # first, so that the files are known as ours
        write_brat(document, self.folder)
        return number

    def remove(self, entries: Iterable[Entry], why: str) -> None:
        super().remove(entries, why)
        for entry in entries:
            for suffix in (".ann", ".txt"):
                self._path(entry.id, suffix).unlink(missing_ok=True)

    def finish(self, positions: array) -> None:
        """Every file is in its place already."""

    def _path(self, id: str, suffix: str) -> Path:
        return self.folder / f"{id}{suffix}"


class JsonLinesWriter(Writer):
    """`predictions.jsonl` in a folder, in the order of the input; a file of that name is complete.

    Until it is, it is called `predictions.jsonl.N.partial`, and lines are appended to it. Where lines have to leave or
    to change places in the end, it is rewritten as generation N + 1, to which the journal turns in one step.
    """

    suffixes = (".jsonl", ".jsonl.gz", ".partial")

    def __init__(self, folder: Path, journal: Journal):
        super().__init__(folder, journal)
        self.complete, self.partial = folder / "predictions.jsonl", self._partial(journal.generation)
        for path in folder.glob("predictions.jsonl.*.partial") if journal.claim else ():
            if path != self.partial:  # of a rewriting that was interrupted before or after the journal's step
                path.unlink()
        self.size = self._source().stat().st_size if self._source().exists() else 0
        if journal.claim and self._source() == self.complete and self.size > journal.end():
            raise InputError(
                f"{self.complete}: found more at its end than `clinx predict` wrote, which would be lost; move it away"
            )
        self.reader = self.appender = None  # files, once they are needed

    def holds(self, entry: Entry) -> bool:
        return entry.place + entry.size <= self.size

    def read(self, entry: Entry) -> bytes | None:
        if not self.holds(entry):
            return None
        self.reader = self.reader or open(self._source(), "rb")
        self.reader.seek(entry.place)
        return self.reader.read(entry.size)

    def write(self, document: Document, figures: Figures, before: Entry | None) -> int:
        if before:
            self.refuse_edited([before], "the text of the note has changed")
        if not self.appender:
            self._reopen()
            self.appender = open(self.partial, "ab", buffering=0)
            self.appender.truncate(min(self.size, self.journal.end()))  # without a line that was cut off
        line, place = json_line(document), self.appender.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(line):
                written += self.appender.write(line[written:])
        except OSError as error:
            raise InputError(f"document {document.id!r}: cannot be written to {self.partial} ({error}).") from None
        self.size = place + len(line)
        return self.journal.record(document, line, place, figures)  # last, so that its line is whole

    def remove(self, entries: Iterable[Entry], why: str) -> None:
        super().remove(entries, why)
        self._reopen()

    def clear(self, why: str) -> None:
        super().clear(why)
        self.complete.unlink(missing_ok=True)
        self.partial.unlink(missing_ok=True)
        self.size, self.reader = 0, None

    def finish(self, positions: array) -> None:
        in_order = all(a < b for a, b in pairwise(position for position in positions if position >= 0))
        if not in_order or self.journal.totals()[1] != self.size:
            self._rewrite(positions)
        if self.partial.exists():
            os.replace(self.partial, self.complete)

    def _rewrite(self, positions: array) -> None:
        """Puts the lines in the order of the input, without those that the journal does not know."""
        numbers = [number for number, position in enumerate(positions) if position >= 0]
        numbers.sort(key=positions.__getitem__)
        new, places = self._partial(self.journal.generation + 1), array("q")
        with atomic_file(new) as file:
            for entry in map(self.journal.get, numbers):
                line = self.read(entry)
                if digest(line) != entry.written:
                    self.refuse_edited([entry], "the lines are put in the order of the notes")
                places.append(file.tell())
                file.write(line)
        self.journal.renumber(zip(count(1), places, numbers))
        self.partial.unlink(missing_ok=True)
        self.partial = new

    def _reopen(self) -> None:
        """Takes from the file its name, since it is complete no more."""
        if self._source() == self.complete and self.complete.exists():
            os.replace(self.complete, self.partial)

    def _source(self) -> Path:
        return self.partial if self.partial.exists() else self.complete

    def _partial(self, generation: int) -> Path:
        return self.folder / f"predictions.jsonl.{generation}.partial"


WRITERS: dict[str, type[Writer]] = {"brat": BratWriter, "jsonl": JsonLinesWriter}
