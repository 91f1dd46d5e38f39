"""Where a corpus lies: the files of a folder or of an archive (.zip, .tar.*), read without unpacking to disk."""

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from ..errors import InputError


LARGEST = 2**28  # bytes that one file, or one line of a compressed file, may unpack to
LARGEST_RATIO = 200  # of an archive's files to the archive; text compresses three- to twentyfold
PACKED = {".gz": gzip.open, ".tgz": gzip.open, ".xz": lzma.open, ".txz": lzma.open, ".bz2": bz2.open}
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")
SUFFIXES = re.compile(r"(?<=[^/])(\.(txt|ann|xml|con|extent|conll|tsv|bio|iob2?|jsonl))+$", re.IGNORECASE)
UNPACKED = re.compile(r"\.(gz|xz)$", re.IGNORECASE)
FAULTS = (  # what damaged files and archives raise
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,  # zipfile's, for a compression that it does not know
    RuntimeError,
    ValueError,
    OverflowError,
    lzma.LZMAError,
)


SPLITS = {  # how a folder or a file is called that holds a split
    "train": "train(ing)?",
    "validation": "dev(el(opment)?)?|valid(ation)?|val",
    "test": "test(ing|s)?",
}


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """A file of a corpus.

    Attributes:
        name: its path inside of the corpus, with slashes and without .gz or .xz, since it is read unpacked.
        where: where it lies, for messages.
        largest: how many bytes it may unpack to; None for one that is as large as it lies on the disk.
    """

    name: str
    where: str
    opened: Callable[[], IO[bytes]]
    largest: int | None = None

    @property
    def stem(self) -> str:
        """The path without the suffixes that tell its format."""
        return SUFFIXES.sub("", self.name)

    def read(self) -> bytes:
        with readable(self.where), self.opened() as stream:
            data = stream.read(-1 if self.largest is None else LARGEST + 1)
            if self.largest is not None and len(data) > LARGEST:
                raise InputError(f"{self.where}: found more than {LARGEST >> 20} MiB, expected a note; divide it.")
            return data

    def text(self) -> str:
        """Exactly as it was written: line ends and a byte-order mark stay."""
        return decode_utf8(self.read(), self.where)

    def lines(self) -> Iterator[bytes]:
        size = 0
        with readable(self.where), self.opened() as stream:
            while line := stream.readline(LARGEST + 1):
                size += len(line)
                if len(line) > LARGEST or size > (self.largest or size):
                    raise InputError(f"{self.where}: found {size >> 20} MiB, more than its lines could; divide it.")
                yield line


def split_of(path: str, named: Mapping[str, str] = SPLITS) -> tuple[str | None, int]:
    """The split that the first part of a path speaks for which speaks for one, and the number of that part; None for a
    part that speaks for two, as `train_dev`."""
    for number, part in enumerate(path.lower().split("/")):
        splits = {
            split for split, words in named.items() if re.search(rf"(?<![a-z])({words})([-_]?sets?)?(?![a-z])", part)
        }
        if splits:
            return (splits.pop() if len(splits) == 1 else None), number
    return None, 0


def split_names(names: Iterable[str]) -> dict[str, str]:
    """The split that each name speaks for, or the name itself; where two speak for the same one, all as they are."""
    splits = {name: split_of(name)[0] or name for name in names}
    return splits if len(set(splits.values())) == len(splits) else {name: name for name in splits}


def decode_utf8(data: bytes, where: str) -> str:
    """The text exactly as it was written: line ends and byte-order mark stay. InputError if it is not UTF-8."""
    try:
        if not _is_utf16(data):
            return data.decode("utf-8")
        found, encoding = "UTF-16", "UTF-16"
    except UnicodeDecodeError as error:
        found, encoding = f"the byte 0x{data[error.start]:02x} at byte offset {error.start}", "latin1"
    raise InputError(
        f"{where}: found {found}, expected UTF-8; convert the file, for example with `iconv -f {encoding} -t utf-8`."
    )


def _is_utf16(data: bytes) -> bool:
    """Whether a byte-order mark says so, or every other byte is 0, as in UTF-16 of Western text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    if b"\0" not in data or len(data) < 8:
        return False
    zeros = sorted((data[::2].count(0), data[1::2].count(0)))
    return zeros[0] == 0 and zeros[1] > 0.3 * len(data)


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


def local_path(path: str | Path) -> Path:
    """The path, where `~` is the home folder; InputError for an empty one, as an unset variable of a shell gives it."""
    if not str(path).strip():
        raise InputError("found an empty path, expected a folder, file or archive; check the variable that holds it.")
    return Path(os.path.expanduser(path))


def looks_local(path: str) -> bool:
    """Whether it can only be a path on this machine, not the name of something on the Hub."""
    return path.startswith((".", "/", "~")) or "\\" in path or any(map(is_archive, path.split("/")))


def corpus_files(
    path: str | Path, suffixes: Sequence[str], companions: Sequence[str] = (), exclude: Sequence[str] = (), quiet=False
) -> list[CorpusFile]:
    """The files at `path` with one of these suffixes (and maybe .gz or .xz after it), in the order of their paths.

    `path` is a folder, an archive, a folder or file inside of an archive (`corpus.zip/train`), or a file, with which
    come those beside it that have its name and one of the suffixes `companions`. Of a folder that holds none but
    archives, these are looked into. Hidden files are passed over, and so is what one of the patterns `exclude` fits:
    a path inside of the corpus, or the name of a file or folder. Unless it is quiet, archives beside files are told.

    Raises InputError for a path that is not there, and for an archive that is damaged, leads out of itself, or
    unpacks to more than any text would.
    """
    given, path, wanted = path, local_path(path), (*suffixes, *companions)
    if path.is_dir():
        files = [file for file in _folder(path) if not _fits(file.name, exclude)]
        archives = [file for file in files if is_archive(file.name)]
        files = [file for file in files if file.name.lower().endswith(wanted)]
        if files and archives and not quiet:
            print(f"note: {archives[0].where} is not looked into, since files lie beside it", file=sys.stderr)
        elif archives and not files:
            inside_archives = (
                inside for file in archives for inside in archive_files(Path(file.where), file.name + "/")
            )
            files = [file for file in inside_archives if file.name.lower().endswith(wanted)]
    elif path.is_file() and not is_archive(path.name):
        files = _with_companions(_on_disk(path.name, path), _folder(path.parent, is_deep=False), companions)
    else:
        archive = next((part for part in (path, *path.parents) if part.is_file() and is_archive(part.name)), None)
        if archive is None:
            if path.exists():
                raise InputError(f"{given}: found a pipe or a device, expected a file; write what it holds into one.")
            hint = "" if looks_local(str(given)) else ", or name the format dataset if it is a dataset on the Hub"
            raise InputError(f"{given}: found no such file or folder; check the path{hint}.")
        files, inside = list(archive_files(archive)), path.relative_to(archive).as_posix()
        wholes = [file for file in files if file.name == UNPACKED.sub("", inside) and file.where.endswith(path.name)]
        if wholes:
            files = _with_companions(wholes[0], files, companions)
        else:
            start = "" if inside == "." else f"{inside}/"
            files = [replace(file, name=file.name[len(start) :]) for file in files if file.name.startswith(start)]
            if not files:
                missing = "nothing" if inside == "." else f"nothing called {inside!r}"
                raise InputError(f"{archive}: found {missing} in it; check the path.")
            files = [file for file in files if file.name.lower().endswith(wanted)]
    files = [file for file in files if not _fits(file.name, exclude)]
    return sorted(files, key=lambda file: file.name.split("/"))


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(part, pattern) for pattern in patterns for part in (name, *name.split("/")))


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def _with_companions(file: CorpusFile, others: Iterable[CorpusFile], companions: Sequence[str]) -> list[CorpusFile]:
    """The file, and those beside it that are called after it, by their names alone."""
    stem = os.path.splitext(file.name)[0].lower()
    beside = [other for other in others if other.name.lower() in [stem + suffix for suffix in companions]]
    return [replace(each, name=each.name.rpartition("/")[2]) for each in (file, *beside)]


def _on_disk(name: str, path: str | Path) -> CorpusFile:
    return _file(name, str(path), lambda: open(path, "rb"))


def _file(name: str, where: str, opened: Callable[[], IO[bytes]], largest: int | None = None) -> CorpusFile:
    if (packing := UNPACKED.search(name)) and not is_archive(name):
        with readable(where):
            largest = largest or max(LARGEST, LARGEST_RATIO * os.path.getsize(where))
        unpacked = PACKED[packing[0].lower()]
        return CorpusFile(name[: packing.start()], where, lambda: unpacked(opened()), largest)
    return CorpusFile(name, where, opened, largest)


def _folder(root: Path, prefix: str = "", is_deep: bool = True, above: frozenset[str] = frozenset()):
    """The files in a folder and, through links too, in those in it; pipes and devices are none."""
    real = os.path.realpath(root)
    if real in above:
        return
    for entry in os.scandir(root):
        if entry.name.startswith("."):
            continue
        if os.path.isfile(entry.path) or (entry.is_symlink() and not os.path.exists(entry.path)):
            yield _on_disk(prefix + entry.name, entry.path)  # of a link that leads nowhere, reading it says so
        elif is_deep and os.path.isdir(entry.path):
            yield from _folder(entry.path, f"{prefix}{entry.name}/", True, above | {real})


def archive_files(path: Path, prefix: str = "") -> Iterator[CorpusFile]:
    """The files in an archive, in its own order; of a .tar.* each is in memory only until the next is asked for.

    Raises InputError as `corpus_files` does.
    """
    with readable(str(path)):
        largest = max(LARGEST, LARGEST_RATIO * path.stat().st_size)
        members = _zip_members(path, largest) if path.suffix.lower() == ".zip" else _tar_members(path, largest)
        for name, opened in members:
            parts = re.split(r"[/\\]", name)
            if ".." in parts or not parts[0] or re.match("[A-Za-z]:", name):
                raise InputError(f"{path}: found the member {name!r}, which leads out of the archive; do not use it.")
            parts = [part for part in parts if part not in ("", ".")]
            if not any(part.startswith(".") for part in parts):
                yield _file(prefix + "/".join(parts), f"{path}/{name}", opened, largest)


def _zip_members(path: Path, largest: int) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    try:
        archive = zipfile.ZipFile(path, metadata_encoding="utf-8")  # as macOS writes names, without saying so
    except UnicodeDecodeError:
        archive = zipfile.ZipFile(path)
    members = [member for member in archive.infolist() if not member.is_dir()]
    _check_size(path, sum(member.file_size for member in members), largest)
    for member in members:
        yield member.filename, lambda member=member: archive.open(member)


def _tar_members(path: Path, largest: int) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """As a stream, since a compressed archive cannot be read at random: its files are kept in memory."""
    total = 0
    with PACKED.get(path.suffix.lower(), open)(path, "rb") as stream:
        stream = _Limited(stream, path, largest)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_WholeTarInfo) as archive:
            for member in archive:
                if not member.isreg() or member.issparse():
                    if member.isdir():
                        continue
                    raise InputError(f"{path}: found the member {member.name!r}, which is no file; do not use it.")
                total += member.size
                _check_size(path, total, largest)
                data = archive.extractfile(member).read()
                yield member.name, lambda data=data: io.BytesIO(data)
        while stream.read(1 << 16):  # to the end, where a compressed file has its checksum
            pass


class _WholeTarInfo(tarfile.TarInfo):
    """A header that is damaged or missing is an error also after the first, where tarfile would take it for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError, tarfile.InvalidHeaderError) as error:
            raise tarfile.ReadError(f"{error}, where the next file or the archive's end was expected") from None


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
