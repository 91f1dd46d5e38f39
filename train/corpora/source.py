"""Where a corpus lies: the files of a folder or of an archive (.zip, .tar.gz), read without unpacking to disk."""

import gzip
import io
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from train.documents import decode_utf8
from train.errors import InputError


LARGEST = 2**28  # bytes that one file, or one line of a compressed file, may unpack to
LARGEST_RATIO = 200  # of an archive's files to the archive; text compresses three- to twentyfold
ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar")
SUFFIXES = re.compile(r"(?<=[^/])(\.(txt|ann|xml|con|extent|conll|tsv|bio|iob2?|jsonl))+$", re.IGNORECASE)
FAULTS = (  # what damaged files and archives raise
    *(OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError),
)


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file of a corpus: its path inside of the corpus, with slashes and without .gz, since it is read unpacked, and
    where it lies, for messages."""

    name: str
    where: str
    opened: Callable[[], IO[bytes]]

    @property
    def stem(self) -> str:
        """The path without the suffixes that tell its format."""
        return SUFFIXES.sub("", self.name)

    def read(self) -> bytes:
        with readable(self.where), self.opened() as stream:
            grows = not isinstance(stream, io.BufferedReader)  # a plain file on disk is as large as it is
            data = stream.read(LARGEST + 1 if grows else -1)
            if grows and len(data) > LARGEST:
                raise InputError(
                    f"{self.where}: found more than {LARGEST >> 20} MiB, expected a note; divide the file."
                )
            return data

    def text(self) -> str:
        """Exactly as it was written: line ends and a byte-order mark stay."""
        return decode_utf8(self.read(), self.where)

    def lines(self) -> Iterator[bytes]:
        with readable(self.where), self.opened() as stream:
            while line := stream.readline(LARGEST + 1):
                if len(line) > LARGEST:
                    raise InputError(f"{self.where}: found a line of more than {LARGEST >> 20} MiB; divide it.")
                yield line


@contextmanager
def readable(where: str) -> Iterator[None]:
    """Turns what a damaged, encrypted or missing file raises into an InputError."""
    try:
        yield
    except InputError:
        raise
    except FAULTS as error:
        raise InputError(
            f"{where}: found no readable file ({error}); check the path and the password, or copy it anew."
        ) from None


def corpus_files(path: str | Path, suffixes: Sequence[str], companions: Sequence[str] = ()) -> list[CorpusFile]:
    """The files at `path` with one of these suffixes (and maybe .gz after it), in the order of their paths.

    `path` is a folder, an archive, a folder or file inside of an archive (`corpus.zip/train`), or a file, with which
    come those beside it that have its name and one of the suffixes `companions`. Of a folder that holds none but
    archives, these are looked into. Hidden files are passed over.

    Raises InputError for a path that is not there, and for an archive that is damaged, leads out of itself, or
    unpacks to more than any text would.
    """
    path, wanted = Path(path), (*suffixes, *companions)
    if path.is_dir():
        files = list(_folder(path))
        found = [file for file in files if file.name.lower().endswith(wanted)]
        if not found:
            inside = (_archive(Path(file.where), file.name + "/") for file in files if file.name.endswith(ARCHIVES))
            found = [file for archive in inside for file in archive if file.name.lower().endswith(wanted)]
    elif path.is_file() and path.name.endswith(ARCHIVES):
        found = [file for file in _archive(path) if file.name.lower().endswith(wanted)]
    elif path.is_file():
        stem = path.name.removesuffix(path.suffix)
        beside = [path, *(path.with_name(stem + suffix) for suffix in companions)]
        found = [_on_disk(file.name, file) for file in dict.fromkeys(beside) if file.is_file()]
    else:
        found = _inside_of_archive(path, wanted)
    return sorted(found, key=lambda file: file.name.split("/"))


def _on_disk(name: str, path: str | Path) -> CorpusFile:
    return _file(name, str(path), lambda: open(path, "rb"))


def _file(name: str, where: str, opened: Callable[[], IO[bytes]]) -> CorpusFile:
    if name.endswith(".gz") and not name.endswith(ARCHIVES):
        return CorpusFile(name.removesuffix(".gz"), where, lambda: gzip.GzipFile(fileobj=opened()))
    return CorpusFile(name, where, opened)


def _folder(root: Path) -> Iterator[CorpusFile]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if inside == "." else inside + "/"
        for name in names:
            if not name.startswith("."):
                yield _on_disk(prefix + name, os.path.join(folder, name))


def _inside_of_archive(path: Path, wanted: tuple[str, ...]) -> list[CorpusFile]:
    for archive in path.parents:
        if archive.is_file() and archive.name.endswith(ARCHIVES):
            inside = path.relative_to(archive).as_posix()
            files = [file for file in _archive(archive) if f"{file.name}/".startswith(f"{inside}/")]
            if not files:
                raise InputError(f"{archive}: found nothing called {inside!r} in it; check the path.")
            cut = len(inside) + 1 if any(file.name != inside for file in files) else inside.rfind("/") + 1
            files = [replace(file, name=file.name[cut:]) for file in files]
            return [file for file in files if len(files) == 1 or file.name.lower().endswith(wanted)]
    raise InputError(f"{path}: found no such file or folder; check the path.")


def _archive(path: Path, prefix: str = "") -> Iterator[CorpusFile]:
    with readable(str(path)):
        largest = max(LARGEST, LARGEST_RATIO * path.stat().st_size)
        members = _zip_members(path, largest) if path.name.endswith(".zip") else _tar_members(path, largest)
        for name, opened in members:
            parts = re.split(r"[/\\]", name)
            if ".." in parts or not parts[0] or re.match("[A-Za-z]:", name):
                raise InputError(f"{path}: found the member {name!r}, which leads out of the archive; do not use it.")
            parts = [part for part in parts if part not in ("", ".")]
            if not any(part.startswith(".") for part in parts):
                yield _file(prefix + "/".join(parts), f"{path}/{name}", opened)


def _zip_members(path: Path, largest: int) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    archive = zipfile.ZipFile(path)
    members = [member for member in archive.infolist() if not member.is_dir()]
    _check_size(path, sum(member.file_size for member in members), largest)
    for member in members:
        yield member.filename, lambda member=member: archive.open(member)


def _tar_members(path: Path, largest: int) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """As a stream, since a compressed archive cannot be read at random: its files are kept in memory."""
    total = 0
    with open(path, "rb") if path.suffix == ".tar" else gzip.open(path) as stream:
        stream = _Limited(stream, path, largest)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if not member.isreg() or member.issparse():
                    if member.isdir():
                        continue
                    raise InputError(f"{path}: found the member {member.name!r}, which is no file; do not use it.")
                total += member.size
                _check_size(path, total, largest)
                data = archive.extractfile(member).read()
                yield member.name, lambda data=data: io.BytesIO(data)


def _check_size(path: Path, size: int, largest: int) -> None:
    if size > largest:
        raise InputError(
            f"{path}: found {size >> 20} MiB in an archive of {path.stat().st_size >> 10} KiB, which is no text; "
            "unpack it yourself if you trust it."
        )


class _Limited:
    def __init__(self, stream: IO[bytes], path: Path, largest: int):
        self.stream, self.path, self.largest, self.count = stream, path, largest, 0

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.count += len(data)
        _check_size(self.path, self.count, 2 * self.largest)  # headers and padding too
        return data
