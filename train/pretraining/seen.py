"""What earlier texts were like, on the disk, so that memory does not grow with their number."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from ..errors import InputError


BANDS = 16  # of a sketch: with 128 values, pairs from a Jaccard of about 0.7 are looked at, the others are not
AT_ONCE = 256  # sketches that are compared at a time
SETTINGS = (  # it is deleted whatever happens, so that nothing has to be safe; 8 MiB of it are in memory
    "journal_mode = OFF",
    "synchronous = OFF",
    "locking_mode = EXCLUSIVE",
    "cache_size = -8192",
)
TABLES = """
CREATE TABLE digests (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE sketches (number INTEGER PRIMARY KEY, sketch BLOB);
CREATE TABLE bands (hash INTEGER, number INTEGER, PRIMARY KEY (hash, number)) WITHOUT ROWID;
BEGIN
"""
CANDIDATES = f"SELECT sketch FROM bands JOIN sketches USING (number) WHERE hash IN ({', '.join('?' * BANDS)})"


class SeenTexts:
    """Digests and MinHash sketches of texts, in a database of about 0.9 KB a text.

    Args:
        path: of the database, where there must be none; without it, the database is in memory.
    """

    def __init__(self, path: Path | None = None):
        # Without locks of its own, which some network disks lack.
        place = f"{path.absolute().as_uri()}?nolock=1" if path else "file::memory:"
        self._database = sqlite3.connect(place, uri=True, isolation_level=None)
        for setting in SETTINGS:
            self._database.execute(f"PRAGMA {setting}")
        self._database.executescript(TABLES)

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator["SeenTexts"]:
        """A database that is deleted when the block ends; raises InputError where it cannot be written, as where the
        disk is full."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of a process that was killed
        try:
            seen = cls(path)
            with closing(seen._database):
                yield seen
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be written ({error}); make room, or choose another folder") from None
        finally:
            path.unlink(missing_ok=True)

    def add_digest(self, digest: bytes) -> bool:
        """Adds a digest, unless it is there already; whether it was added."""
        return self._database.execute("INSERT OR IGNORE INTO digests VALUES (?)", [digest]).rowcount == 1

    def add_sketch(self, sketch: np.ndarray, threshold: float) -> bool:
        """Adds a sketch, (128,) uint32, unless an earlier one is near it; whether it was added.

        Near are those that have a band in common, and at least the share `threshold` of all values, which estimates the
        Jaccard index.
        """
        bands = [hash((place, band.tobytes())) for place, band in enumerate(sketch.reshape(BANDS, -1))]
        candidates = self._database.execute(CANDIDATES, bands)
        while rows := candidates.fetchmany(AT_ONCE):
            others = np.frombuffer(b"".join(other for (other,) in rows), np.uint32).reshape(-1, len(sketch))
            if (others == sketch).mean(1).max() >= threshold:
                return False
        number = self._database.execute("INSERT INTO sketches VALUES (NULL, ?)", [sketch.tobytes()]).lastrowid
        self._database.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", [(band, number) for band in bands])
        return True
