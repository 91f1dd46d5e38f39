"""The registry of corpus formats: one reader a format, each in a file of its own, all yielding Documents."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from train.corpora.brat import read_brat
from train.corpora.jsonl import read_jsonl
from train.documents import Document
from train.errors import InputError


READERS: dict[str, Callable[..., Iterator[Document]]] = {"brat": read_brat, "jsonl": read_jsonl}


def read_corpus(path: str | Path, format: str | None = None, **options) -> Iterator[Document]:
    """The documents at `path`, read one by one; `options` go to the format's reader.

    The format is guessed when None. Raises InputError for an unknown format, and, once reading begins, for an empty
    corpus and whatever the reader cannot read.
    """
    format = format or guess_format(Path(path))
    if format not in READERS:
        raise InputError(f"{path}: found the format {format!r}, expected one of: {', '.join(sorted(READERS))}.")
    return _not_empty(READERS[format](path, **options), path)


def guess_format(path: Path) -> str:
    """The format that the file's name, or a file in the folder, speaks for; InputError when none does."""
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return "jsonl"
    if path.suffix == ".txt" or any(chain(path.rglob("*.ann"), path.rglob("*.txt"))):
        return "brat"
    if not path.exists():
        raise InputError(f"{path}: found no such file or folder; check the path.")
    raise InputError(f"{path}: found nothing that tells its format; name it, one of: {', '.join(sorted(READERS))}.")


def _not_empty(documents: Iterator[Document], path: str | Path) -> Iterator[Document]:
    first = next(documents, None)
    if first is None:
        raise InputError(f"{path}: found no documents, expected one or more; check the path and the format.")
    yield first
    yield from documents
