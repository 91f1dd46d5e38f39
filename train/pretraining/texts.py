"""Texts to learn from, one by one: of files, folders, archives and datasets on the Hub."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

from ..corpora.documents import without_surrogates
from ..corpora.formats.jsonl import json_rows
from ..corpora.registry import read_corpus
from ..corpora.source import (
    ARCHIVES,
    LARGEST,
    CorpusFile,
    archive_files,
    corpus_files,
    decode_utf8,
    is_archive,
    local_path,
    looks_local,
    readable,
)
from ..errors import InputError, brief


SUFFIXES = (".txt", ".jsonl", ".parquet")
ROWS = 256  # of a Parquet file that are in memory at a time


class Text(NamedTuple):
    """A document without annotations; ids are for people, and need not be different."""

    id: str
    text: str


def read_texts(paths: Iterable[str], column: str = "text") -> Iterator[Text]:
    """The documents at the paths, one by one, so that memory holds no more than one file's longest.

    Args:
        paths: each a .txt (a document a file), .jsonl or .parquet (a document a row) file, the first two maybe with
            .gz or .xz after it; a folder or an archive (.zip, .tar, .tar.gz, .tar.xz, .tar.bz2) of these, or what lies
            in an archive; an annotated corpus without such files; or a dataset on the Hub, as `read_dataset` names it,
            of which all splits are read.
        column: the field of a row that holds the text; the field `id` names it, if it is there.

    A lone surrogate becomes U+FFFD. Raises InputError, naming file and line, for a path that is not there or holds no
    documents, damaged files, what is not UTF-8 or JSON, rows without the column, and a line of more than 256 MiB.
    """
    for path in paths:
        texts = _texts_at(path, column)
        if (first := next(texts, None)) is not None:
            texts = chain([first], texts)
        else:
            texts = _notes_at(path)
        for id, text in texts:
            yield Text(without_surrogates(id), without_surrogates(text))


def _notes_at(path: str) -> Iterator[Text]:
    """The notes of an annotated corpus in another form."""
    try:
        yield from (Text(note.id, note.text) for note in read_corpus(path, annotated=False))
    except InputError as error:
        raise InputError(
            f"{path}: found no documents, expected files of these kinds: {', '.join(SUFFIXES)}, or an annotated corpus "
            f"({error})"
        ) from None


def is_on_hub(path: str) -> bool:
    """Whether it can only be the name of a dataset on the Hub: nothing of this name is on the disk, nor an archive
    that it leads into."""
    place = local_path(path)
    return not (looks_local(path) or any(part.exists() for part in (place, *list(place.parents)[:-1])))


def state_of(path: str) -> list:
    """The files at a path with size and time, or the commit of a dataset on the Hub: what changes with the texts."""
    place = local_path(path)
    if is_on_hub(path):
        return [path, _commit(path)]
    if place.is_dir():
        files = [file.where for file in corpus_files(path, ("",), quiet=True)]
    else:
        files = [next(part for part in (place, *place.parents) if part.exists())]  # an archive that it leads into
    states = [(file, Path(file).stat()) for file in files]
    return [path, *([str(file), state.st_size, state.st_mtime_ns] for file, state in states)]


def _commit(path: str) -> str | None:
    from huggingface_hub import HfApi  # not above: seconds

    from ..corpora.formats.dataset import hub_name

    if (name := hub_name(path)) is None:
        return None  # reading it will say what is wrong
    try:
        return HfApi().dataset_info(name.repo, revision=name.revision).sha
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: found no such file or folder, and no dataset of this name on the Hub ({reason}); check the name."
        ) from None


def _texts_at(path: str, column: str) -> Iterator[Text]:
    if is_on_hub(path):
        yield from _on_hub(path, column)
        return
    for file in _files(path):
        name = file.name.lower()
        if name.endswith(".jsonl"):
            for where, default_id, row in json_rows(file):
                yield _from_row(row, column, f"{file.stem}:{default_id}", where)
        elif name.endswith(".parquet"):
            yield from _from_parquet(file, column)
        else:
            yield Text(file.stem, _whole(file))


def _files(path: str) -> Iterator[CorpusFile]:
    """The files at a path; what lies in archives comes in their own order, since it is not kept."""
    place = local_path(path)
    if place.is_file() and is_archive(place.name):
        files = archive_files(place)
    else:
        files = corpus_files(path, (*SUFFIXES, *ARCHIVES), quiet=True)
    for file in files:
        if is_archive(file.name) and Path(file.where).is_file():
            yield from (inside for inside in archive_files(Path(file.where)) if _is_text(inside))
        elif _is_text(file):
            yield file


def _is_text(file: CorpusFile) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def _whole(file: CorpusFile) -> str:
    with readable(file.where), file.opened() as stream:
        data = stream.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise InputError(
            f"{file.where}: found more than {LARGEST >> 20} MiB, and a .txt file is one document; divide it, or write "
            "its documents as JSON Lines."
        )
    return decode_utf8(data, file.where).removeprefix("\ufeff")


def _from_row(row: object, column: str, default_id: str, where: str) -> Text:
    if not isinstance(row, dict) or column not in row:
        found = f"the fields {', '.join(map(str, row)) or 'none'}" if isinstance(row, dict) else brief(row)
        raise InputError(f"{where}: found {found}, expected {column!r}; name the field with the text: --text_column.")
    if not isinstance(row[column], str):
        raise InputError(f"{where}: found {brief(row[column])} as {column!r}, expected a string.")
    return Text(default_id if row.get("id") is None else str(row["id"]), row[column])


def _from_parquet(file: CorpusFile, column: str) -> Iterator[Text]:
    from pyarrow import parquet  # not above, since most texts are lines

    with readable(file.where), file.opened() as stream:
        yield from _from_table(parquet.ParquetFile(stream), column, file)


def _from_table(table: IO, column: str, file: CorpusFile) -> Iterator[Text]:
    names = table.schema_arrow.names
    wanted = [name for name in ("id", column) if name in names]
    if column not in names:
        raise InputError(
            f"{file.where}: found the columns {', '.join(names)}, expected {column!r}; name the one with the text: "
            "--text_column."
        )
    number = 0
    for batch in table.iter_batches(ROWS, columns=wanted):
        for row in batch.to_pylist():
            number += 1
            yield _from_row(row, column, f"{file.stem}:row-{number}", f"{file.where}, row {number}")


def _on_hub(path: str, column: str) -> Iterator[Text]:
    from datasets import load_dataset  # not above: seconds

    from ..corpora.formats.dataset import hub_name

    if (name := hub_name(path)) is None:
        raise InputError(f"{path}: found no such file or folder, and this is not a dataset's name; check the path.")
    try:
        splits = load_dataset(name.repo, name.config, revision=name.revision, split=name.split, streaming=True)
        for split, rows in ({name.split: splits} if name.split else splits).items():
            for number, row in enumerate(rows, 1):
                yield _from_row(row, column, f"{split}:row-{number}", f"{path}, split {split}, row {number}")
    except InputError:
        raise
    except Exception as error:  # datasets raises anything, from a missing repo to a damaged file
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: found no such file or folder, and no dataset of this name can be read from the Hub ({reason}); "
            "check the name."
        ) from None
