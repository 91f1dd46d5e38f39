"""The registry of corpus formats: one reader a format, all yielding Documents."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from .documents import Document, Reading
from .source import SPLITS, SUFFIXES, CorpusFile, corpus_files, split_names, split_of
from .tasks import Task


class Format(NamedTuple):
    """How a corpus of one format is read."""

    reader: str  # module of `formats/` and function in it, which is imported when it is needed
    suffixes: tuple[str, ...] = ()  # of the files that it reads
    companions: tuple[str, ...] = ()  # suffixes of what lies beside such a file
    is_collection: bool = False  # whether a file holds many documents
    options: Mapping[str, str] = {}  # of the reader

    def read(self, source: Sequence[CorpusFile] | str, reading: Reading) -> Iterator[Document]:
        module, function = self.reader.split(".")
        return getattr(import_module(f".formats.{module}", __package__), function)(source, reading, **self.options)


_EXTENT = ("concepts.read_concepts", (".txt", ".xml"), (".xml.extent", ".extent"), False)
FORMATS = {
    "brat": Format("brat.read_brat", (".txt",), (".ann",)),
    "conll": Format("conll.read_conll", (".conll", ".tsv", ".bio", ".iob", ".iob2"), is_collection=True),
    "dataset": Format("dataset.read_dataset", (".parquet", ".arrow")),
    "i2b2-2006": Format("inline_xml.read_inline_xml", (".xml",), is_collection=True),
    "i2b2-2010": Format("concepts.read_concepts", (".txt",), (".con",), options={"key": "c"}),
    "i2b2-2012-c": Format("standoff_xml.read_standoff_xml", (".xml",), options={"tag": "EVENT"}),
    "i2b2-2012-c-extent": Format(*_EXTENT, {"key": "EVENT"}),
    "i2b2-2012-t": Format("standoff_xml.read_standoff_xml", (".xml",), options={"tag": "TIMEX3"}),
    "i2b2-2012-t-extent": Format(*_EXTENT, {"key": "TIMEX3"}),
    "i2b2-2014": Format("standoff_xml.read_standoff_xml", (".xml",)),
    "jsonl": Format("jsonl.read_jsonl", (".jsonl",), is_collection=True),
}
RANKING = "disagreement.tsv"  # what `clinx predict --disagreement` writes beside predictions
FORMAT_OF_SUFFIX = {  # the first that occurs among the files decides
    ".ann": "brat",
    ".con": "i2b2-2010",
    ".jsonl": "jsonl",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".tsv": "conll",
    ".xml": None,  # its root element decides
    ".parquet": "dataset",
    ".arrow": "dataset",
    ".txt": "brat",
}


def read_corpus(path: str | Path, format: str | None = None, **options) -> Iterator[Document]:
    """The documents at `path`, read one by one; the format is guessed when None.

    Args:
        path: a folder, a file, an archive, a path inside of an archive; for the format "dataset" also the name of a
            dataset on the Hub (see `read_dataset`).
        options: the attributes of `Reading`.

    Raises InputError for an unknown format, and, once reading begins, for an empty corpus and whatever cannot be read.
    """
    reading = Reading(**options)
    format = known_format(path, format, reading)
    if format == "dataset":
        return _checked(FORMATS[format].read(str(path), reading), path, reading)
    return _checked(FORMATS[format].read(_files(path, format, reading), reading), path, reading)


def read_splits(
    path: str | Path, format: str | None = None, task: Task | None = None, **options
) -> dict[str, Iterator[Document]]:
    """The documents at `path` by split, "train", "validation" and "test", as far as they are there.

    A split is known by the name of a folder or archive, or of a file that holds many notes; without any there is the
    one that `path` is called, or "train". Ids are paths inside of the split. A task says which files are its own.

    Raises InputError as `read_corpus` does, and for a path without files.
    """
    reading = Reading(**options)
    format = known_format(path, format or (task and task.format), reading)
    if format == "dataset":
        return _dataset_splits(str(path), reading)
    named, splits, others = SPLITS | (task.splits if task else {}), {}, []
    is_collection = FORMATS[format].is_collection
    for file in _files(path, format, reading):
        place = file.stem if is_collection else file.name.rpartition("/")[0]
        if not task or not re.search(task.exclude, place, re.IGNORECASE):
            split, part = split_of(place, named)
            (splits.setdefault(split, []) if split else others).append((file, part + 1))
    if others and not splits:
        name = SUFFIXES.sub("", Path(path).name.lower())
        split = next((split for split, words in named.items() if re.fullmatch(f"({words})[0-9]*", name)), "train")
        if is_collection and len(others) > 1:
            print(f"note: no file is called after a split: all are taken for {split}", file=sys.stderr)
        splits[split] = [(file, 0) for file, _ in others]
    elif others:
        print(f"note: {len(others)} files of no split are passed over, as {others[0][0].where}", file=sys.stderr)
    if not splits:
        raise InputError(f"{path}: found no files of the format {format}; check the path and the format.")
    return {
        name: _checked(FORMATS[format].read(_inside(splits[name], format), reading), f"{path}, split {name}", reading)
        for name in named
        if name in splits
    }


def _dataset_splits(path: str, reading: Reading) -> dict[str, Iterator[Document]]:
    from .formats.dataset import load_splits, read_rows

    parts = load_splits(path)
    names = split_names(parts)
    where = f"{path}, split {{}}".format
    return {
        names[name]: _checked(read_rows(rows, reading, where(name)), where(name), reading)
        for name, rows in parts.items()
    }


def _files(path: str | Path, format: str, reading: Reading) -> list[CorpusFile]:
    return corpus_files(path, FORMATS[format].suffixes, FORMATS[format].companions, reading.exclude)


def _inside(files: list[tuple[CorpusFile, int]], format: str) -> list[CorpusFile]:
    """The files, without the folders that hold all texts, up to the one that speaks for the split."""
    texts = [
        file.name.split("/")[:-1][:parts]
        for file, parts in files
        if file.name.lower().endswith(FORMATS[format].suffixes)
    ]
    folder = "".join(f"{part}/" for part in os.path.commonprefix(texts))
    return [replace(file, name=file.name.removeprefix(folder)) for file, _ in files]


def known_format(path: str | Path, format: str | None, reading: Reading) -> str:
    """The format, guessed when None.

    Raises InputError where there is none such, for files to be left out of a dataset, and for columns of one without.
    """
    format = format or guess_format(path, reading.exclude)
    if format not in FORMATS:
        raise InputError(f"{path}: found the format {format!r}, expected one of: {', '.join(FORMATS)}.")
    if format == "dataset" and reading.exclude:
        raise InputError(
            f"{path}: found exclude={[*reading.exclude]}, which leaves out files, and a dataset has rows; name one of "
            "its splits (PATH/train), or leave exclude out."
        )
    for name in ("token_column", "label_column") if format != "conll" else ():
        if (column := getattr(reading, name)) != getattr(Reading, name):
            raise InputError(
                f"{path}: found {name}={column} (--{name.replace('_', '-')}), expected none: this is read as {format}, "
                "which has no such columns; leave it out, or name the format conll."
            )
    return format


def guess_format(path: str | Path, exclude: Sequence[str] = ()) -> str:
    """The format that the names of the files, or the root of an XML file, speak for; InputError when none does.

    Where files of other formats lie beside those, standard error says what is read and what is not.
    """
    files = corpus_files(path, tuple(FORMAT_OF_SUFFIX), exclude=exclude, quiet=True)
    for suffix, format in FORMAT_OF_SUFFIX.items():
        with_suffix = [file for file in files if file.name.lower().endswith(suffix)]
        if with_suffix and (format := format or _guess_xml(with_suffix[0])):
            _tell_other_formats(path, files, format)
            return format
    if exclude and corpus_files(path, tuple(FORMAT_OF_SUFFIX), quiet=True):
        raise InputError(f"{path}: exclude={[*exclude]} leaves out all notes that are here; change the patterns.")
    raise InputError(f"{path}: no file here tells its format by its name; name it, one of: {', '.join(FORMATS)}.")


def _tell_other_formats(path: str | Path, files: Iterable[CorpusFile], format: str) -> None:
    own = (*FORMATS[format].suffixes, *FORMATS[format].companions)
    counts = Counter(os.path.splitext(file.name)[1].lower() for file in files if not file.name.endswith(RANKING))
    read, others = (
        ", ".join(f"{counts[suffix]} {suffix}" for suffix in sorted(counts) if suffix.endswith(own) == is_own)
        for is_own in (True, False)
    )
    if others:
        print(f"note: {path} is read as {format} ({read}); of other formats, and not read: {others}", file=sys.stderr)


def _guess_xml(file: CorpusFile) -> str | None:
    head = b"".join(islice(file.lines(), 5)).replace(b"\0", b"")  # of UTF-16
    if b"<RECORD" in head:
        return "i2b2-2006"
    return None if b"<ClinicalNarrativeTemporalAnnotation" in head else "i2b2-2014"  # 2012 has two tasks in a file


def _checked(documents: Iterable[Document], path: str | Path, reading: Reading) -> Iterator[Document]:
    """The documents, of which there is at least one, and none has another's id."""
    ids = set()
    for document in documents:
        if document.id in ids:
            again = f"{path}: found the document {document.id!r} again; give each its own name or id."
            reading.pass_over(InputError(again))
            continue
        ids.add(document.id)
        yield document
    if not ids and reading.passed_over:
        n, first = len(reading.passed_over), reading.passed_over[0]
        raise InputError(f"{path}: none of its notes could be read, {n} in all; the first: {first}")
    if not ids:
        raise InputError(f"{path}: found no documents, expected one or more; check the path and the format.")
