"""Predictions on disk, as BRAT or JSON Lines: each document whole or not at all, and which are there already."""

import os
from pathlib import Path
from typing import Protocol

from ..corpora.documents import Document
from ..corpora.formats.brat import write_brat
from ..corpora.formats.jsonl import json_line


class Writer(Protocol):
    """Where predicted documents go."""

    def is_done(self, number: int, document: Document) -> bool:
        """Whether an earlier call has written it; `number` counts the documents of the input from 0."""

    def write(self, document: Document) -> None:
        """Writes it, whole or not at all."""

    def close(self, complete: bool) -> None:
        """Ends the writing; `complete` says whether all documents of the input are written."""


class BratWriter:
    """NAME.txt and NAME.ann of each document, in a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def is_done(self, number: int, document: Document) -> bool:
        return (self.folder / f"{document.id}.ann").exists()

    def write(self, document: Document) -> None:
        write_brat(document, self.folder)

    def close(self, complete: bool) -> None:
        pass


class JsonLinesWriter:
    """`predictions.jsonl` in a folder, which is called `predictions.jsonl.partial` until it is complete."""

    def __init__(self, folder: Path):
        self.complete, self.partial = folder / "predictions.jsonl", folder / "predictions.jsonl.partial"
        self.n_done = float("inf") if self.complete.exists() else whole_lines(self.partial)
        self.file = None

    def is_done(self, number: int, document: Document) -> bool:
        return number < self.n_done

    def write(self, document: Document) -> None:
        self.file = self.file or open(self.partial, "ab")
        self.file.write(json_line(document))

    def close(self, complete: bool) -> None:
        if self.file:
            self.file.close()
        if complete and not self.complete.exists():
            os.replace(self.partial, self.complete)


WRITERS: dict[str, type] = {"brat": BratWriter, "jsonl": JsonLinesWriter}


def whole_lines(path: Path) -> int:
    """The number of complete lines of a file; a line that was cut off is removed from it."""
    if not path.exists():
        return 0
    count = size = 0
    with open(path, "rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                count, size = count + 1, size + len(line)
        file.truncate(size)
    return count
