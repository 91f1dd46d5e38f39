"""JSON Lines: one document a line, `{"id", "text", "entities": [{"start", "end", "label"}]}`, plain or gzipped."""

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from ...errors import InputError
from ...writing import atomic_file
from ..documents import Document, Reading
from ..rows import Row, documents_from_rows
from ..source import CorpusFile, decode_utf8


def read_jsonl(files: Sequence[CorpusFile], reading: Reading) -> Iterator[Document]:
    """The documents of .jsonl and .jsonl.gz files, read line by line; one without an id is called `line-N`, and where
    there are several files, ids begin with a file's path.

    Raises InputError, naming file and line, for what is no JSON, no UTF-8 or no document, and for a mention outside of
    its text.
    """
    for file in files:
        for document in documents_from_rows(json_rows(file, reading), reading):
            document.id = f"{file.stem}/{document.id}" if len(files) > 1 else document.id
            yield document


def json_rows(file: CorpusFile, reading: Reading | None = None) -> Iterator[Row]:
    """The lines of a file that are not empty, as JSON; raises InputError, naming file and line, where one is none."""
    for number, line in enumerate(file.lines(), 1):
        try:
            row = _row(line, number, f"{file.where}:{number}")
        except InputError as error:
            (reading or Reading()).pass_over(error)
        else:
            if row:
                yield row


def _row(line: bytes, number: int, where: str) -> Row | None:
    text = decode_utf8(line, where)
    if number == 1:
        text = text.removeprefix("\ufeff")
    if not text.strip():
        return None
    try:
        return Row(where, f"line-{number}", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: this line is not JSON ({error}), expected one object a line.") from None


def write_jsonl(documents: Iterable[Document], path: str | Path) -> None:
    """Write the documents to `path` (gzipped if it ends in .gz), all of them or, on an error, none.

    Everything but `problems` comes back exactly from `read_jsonl`, scores and lone surrogates included.
    """
    with jsonl_file(Path(path)) as file:
        for document in documents:
            file.write(json_line(document))


@contextmanager
def jsonl_file(path: Path) -> Iterator[IO[bytes]]:
    """A file for lines, gzipped if its name ends in .gz, that appears when the block ends well."""
    with atomic_file(path) as raw:
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix == ".gz" else nullcontext(raw) as file:
            yield file


def json_line(document: Document) -> bytes:
    """The document as one line of JSON, with scores and agreement where it has them."""
    entities = [
        {"start": entity.start, "end": entity.end, "label": entity.label}
        | {name: value for name in ("score", "agreement") if (value := getattr(entity, name)) is not None}
        for entity in document.entities
    ]
    row = {"id": document.id, "text": document.text, "entities": entities}
    return json.dumps(row).encode("ascii") + b"\n"
