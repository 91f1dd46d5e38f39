"""Which notes `clinx predict` has written into a folder, and by which model: whatever stops it, this stays true."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from ..corpora.documents import Document
from ..errors import InputError


TABLES = """
CREATE TABLE IF NOT EXISTS claim (content TEXT);
CREATE TABLE IF NOT EXISTS notes (
    number INTEGER PRIMARY KEY, id BLOB UNIQUE, text BLOB, written BLOB, place INTEGER, size INTEGER,
    disagreement REAL, mentions INTEGER, disputed INTEGER
)
"""


class Figures(NamedTuple):
    """How far an ensemble's members disagree on a note."""

    disagreement: float = 0.0  # see `Prediction`
    mentions: int = 0
    disputed: int = 0  # mentions that not all members find


class Entry(NamedTuple):
    """A note whose prediction was written."""

    number: int
    id: str
    text: bytes  # digest of the note's text
    written: bytes  # digest of the prediction as it was written
    place: int  # where in its file the prediction begins, in bytes
    size: int  # of the prediction, in bytes
    figures: Figures


class Journal:
    """A database in a folder of predictions, which one process at a time may open; every change is whole or not at all.

    It holds no text and no mention. Memory does not grow with the number of notes.
    """

    def __init__(self, path: Path):
        # Without locks of its own, which some network disks lack. It outlives the process, whatever stops that, but may
        # not outlive the machine, since waiting for the disk would take longer than most predictions.
        self.database = sqlite3.connect(f"{path.absolute().as_uri()}?nolock=1", uri=True, isolation_level=None)
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = PERSIST", "synchronous = OFF"):
            self.database.execute(f"PRAGMA {setting}")
        self.database.executescript(TABLES)

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator["Journal"]:
        """The journal of a folder; raises InputError where it is damaged or cannot be written."""
        path = folder / ".clinx-predict.sqlite"
        journal = None
        try:
            journal = cls(path)
            yield journal
        except sqlite3.OperationalError as error:  # of the disk
            raise InputError(f"{path}: cannot be read or written ({error})") from None
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{path}: this list of what was predicted is damaged ({error}); choose another --output, or remove "
                f"{folder}, so that its predictions are made again"
            ) from None
        finally:
            if journal:
                journal.database.close()

    @property
    def claim(self) -> dict | None:
        """What the folder holds predictions of; None as long as it holds none."""
        row = self.database.execute("SELECT content FROM claim").fetchone()
        return row and json.loads(row[0])

    def begin(self, claim: dict) -> None:
        """Forgets all notes, and says what those that follow are predictions of."""
        with self._at_once():
            self.database.execute("DELETE FROM notes")
            self.database.execute("DELETE FROM claim")
            self.database.execute("INSERT INTO claim VALUES (?)", [json.dumps(claim)])

    def find(self, id: str) -> Entry | None:
        """The note with this id, if its prediction was written."""
        row = self.database.execute("SELECT * FROM notes WHERE id = ?", [_key(id)]).fetchone()
        return row and _entry(row)

    def get(self, number: int) -> Entry:
        return _entry(self.database.execute("SELECT * FROM notes WHERE number = ?", [number]).fetchone())

    def __iter__(self) -> Iterator[Entry]:
        return map(_entry, self.database.execute("SELECT * FROM notes ORDER BY number"))

    def ranked(self) -> Iterator[Entry]:
        """The highest disagreement first."""
        return map(_entry, self.database.execute("SELECT * FROM notes ORDER BY round(disagreement, 6) DESC, id"))

    def totals(self) -> tuple[int, int]:
        """How many notes there are, and the bytes of their predictions."""
        return self.database.execute("SELECT count(*), coalesce(sum(size), 0) FROM notes").fetchone()

    def end(self) -> int:
        """Where the last prediction ends in its file, in bytes."""
        return self.database.execute("SELECT coalesce(max(place + size), 0) FROM notes").fetchone()[0]

    def record(self, document: Document, written: bytes, place: int, figures: Figures) -> int:
        """Notes a prediction, in place of an earlier one of that id; returns its number, the highest of all."""
        row = (_key(document.id), digest_text(document.text), digest(written), place, len(written), *figures)
        marks = ", ".join("?" * len(row))
        return self.database.execute(f"INSERT OR REPLACE INTO notes VALUES (NULL, {marks})", row).lastrowid

    def forget(self, entries: Iterable[Entry]) -> None:
        """Removes notes from the journal."""
        with self._at_once():
            self.database.executemany("DELETE FROM notes WHERE number = ?", ([entry.number] for entry in entries))

    @property
    def generation(self) -> int:
        """How often predictions were put in another order."""
        return self.database.execute("PRAGMA user_version").fetchone()[0]

    def renumber(self, rows: Iterable[tuple[int, int, int]]) -> None:
        """Notes new numbers and places, given as (number from 1, place, number until now), as the next generation."""
        with self._at_once():
            self.database.executemany("UPDATE notes SET number = -?, place = ? WHERE number = ?", rows)
            self.database.execute("UPDATE notes SET number = -number")
            self.database.execute(f"PRAGMA user_version = {self.generation + 1}")

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        self.database.execute("BEGIN")
        try:
            yield
        except BaseException:
            if self.database.in_transaction:  # some faults of the disk have ended it
                self.database.execute("ROLLBACK")
            raise
        self.database.execute("COMMIT")


def digest(content: bytes) -> bytes:
    """16 bytes, by which contents are told apart."""
    return blake2b(content, digest_size=16).digest()


def digest_text(text: str) -> bytes:
    return digest(text.encode("utf-8", "surrogatepass"))


def _entry(row: tuple) -> Entry:
    number, id, text, written, place, size, *figures = row
    return Entry(number, id.decode("utf-8", "surrogatepass"), text, written, place, size, Figures(*figures))


def _key(id: str) -> bytes:
    return id.encode("utf-8", "surrogatepass")
