"""Notes from uploaded files, and what was found in them as files to download."""

import atexit
import base64
import csv
import io
import json
import re
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout


MAX_FILES = 200
MAX_BYTES = 200_000  # of a note
MAX_TOTAL = 10_000_000  # of all notes together
LEFT_SECONDS = 600  # that an upload may lie unread


def uploads_folder() -> Path:
    """A folder of this server's own, deleted at its end; those of servers that were killed are deleted now."""
    for left in Path(tempfile.gettempdir()).glob("clinx-space-*/lock"):
        try:
            with FileLock(left, blocking=False):
                shutil.rmtree(left.parent, ignore_errors=True)
        except (Timeout, OSError):
            pass  # of a server that runs, or of somebody else
    folder = Path(tempfile.mkdtemp(prefix="clinx-space-"))
    lock = FileLock(folder / "lock")
    lock.acquire()
    threading.Thread(target=_delete_left, args=(folder,), daemon=True).start()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(lock.release)
    return folder


def _delete_left(folder: Path) -> None:
    """Deletes what nobody reads any more, such as uploads that were cut off, until the folder is gone."""
    while folder.is_dir():
        with suppress(OSError):  # of what is deleted meanwhile
            for path in set(folder.rglob("*")) - {folder / "lock"}:
                if path.is_file() and time.time() - path.stat().st_mtime > LEFT_SECONDS:
                    path.unlink(missing_ok=True)
        time.sleep(LEFT_SECONDS / 10)


class UploadError(Exception):
    """Why files are refused, in words that repeat nothing of a note."""


def read_uploads(paths: Sequence[str | Path]) -> list[tuple[str, str]]:
    """Names and texts of the notes in `.txt` files and `.zip` archives of them.

    Hidden files in an archive are passed over. Raises UploadError for other files, too many, too large or not UTF-8
    ones, and archives that hold more than notes.
    """
    notes: list[tuple[str, str]] = []
    total, names = 0, set()
    for name, data in _files(paths):
        if len(data) > MAX_BYTES:
            raise UploadError(f"{name} has more than {MAX_BYTES:,} bytes.")
        total += len(data)
        if total > MAX_TOTAL:
            raise UploadError(f"The files have more than {MAX_TOTAL:,} bytes together.")
        if len(notes) == MAX_FILES:
            raise UploadError(f"There are more than {MAX_FILES} notes.")
        if name in names:
            raise UploadError(f"Two notes are called {name}.")
        names.add(name)
        try:
            notes.append((name, data.decode("utf-8-sig")))
        except UnicodeDecodeError:
            raise UploadError(f"{name} is not UTF-8.") from None
    if not notes:
        raise UploadError("There is no .txt file.")
    return notes


def _files(paths: Sequence[str | Path]) -> Iterator[tuple[str, bytes]]:
    for path in map(Path, paths):
        try:
            file = open(path, "rb")
        except FileNotFoundError:  # the same file of two visitors has one place, and whoever reads it deletes it
            raise UploadError(f"{path.name} was uploaded by somebody else at the same time: upload it again.") from None
        with file:
            if path.suffix.lower() == ".zip":
                yield from _of_archive(path.name, file)
            elif path.suffix.lower() == ".txt":
                yield path.name, file.read(MAX_BYTES + 1)
            else:
                raise UploadError(f"{path.name} is neither a .txt nor a .zip file.")


def _of_archive(name: str, file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [(_path_of(member), member) for member in archive.infolist() if not member.is_dir()]
            members = [(path, member) for path, member in members if not re.search(r"(^|/)(\.(?!\.)|__MACOSX)", path)]
            if len(members) > MAX_FILES:
                raise UploadError(f"{name} holds more than {MAX_FILES} files.")
            for path, member in members:
                if ".." in path.split("/") or path.startswith("/") or not path.lower().endswith(".txt"):
                    raise UploadError(f"{name} holds {path[:80]}, expected .txt files only.")
                with archive.open(member) as note:
                    yield path, note.read(MAX_BYTES + 1)  # whatever size the archive claims
    except UploadError:
        raise
    except Exception:  # zipfile and what unpacks raise anything on a damaged archive
        raise UploadError(f"{name} is no readable archive, or is encrypted.") from None


def _path_of(member: zipfile.ZipInfo) -> str:
    """Where it lies in the archive: macOS writes UTF-8 without saying so, and tar begins with `./`."""
    path = member.filename
    if not member.flag_bits & 0x800:
        with suppress(UnicodeError):
            path = path.encode("cp437").decode()
    return path.replace("\\", "/").removeprefix("./")


def as_brat(notes: Sequence[tuple[str, str, Sequence[dict]]]) -> bytes:
    """A zip archive with `.txt` and `.ann` of each note (name, text, entities)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text, entities in notes:
            stem = name.removesuffix(".txt")
            archive.writestr(f"{stem}.txt", text.encode())
            lines = (_brat_line(number, text, entity) for number, entity in enumerate(entities, 1))
            archive.writestr(f"{stem}.ann", "".join(lines).encode())
    return buffer.getvalue()


def _brat_line(number: int, text: str, entity: dict) -> str:
    """A text-bound annotation; a mention over several lines is given in fragments, as BRAT does."""
    fragments, start = [], entity["start"]
    for line in text[start : entity["end"]].split("\n"):
        if shown := line.rstrip("\r"):
            fragments.append((start, start + len(shown)))
        start += len(line) + 1
    places, label = ";".join(f"{a} {b}" for a, b in fragments), re.sub(r"\s", "_", entity["label"])
    mention = re.sub(r"\s", " ", " ".join(text[a:b] for a, b in fragments))
    return f"T{number}\t{label} {places}\t{mention}\n"


def as_json_lines(notes: Sequence[tuple[str, str, Sequence[dict]]]) -> bytes:
    """A line for each note: `{"id", "text", "entities": [{"start", "end", "label", "score", "agreement"}]}`."""
    lines = (
        json.dumps({"id": name, "text": text, "entities": list(found)}, ensure_ascii=False)
        for name, text, found in notes
    )
    return "".join(f"{line}\n" for line in lines).encode()


def as_csv(notes: Sequence[tuple[str, str, Sequence[dict]]]) -> bytes:
    """A row for each mention; what a spreadsheet would take for a formula begins with an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["note", "mention", "label", "score", "agreement", "start", "end"])
    for name, text, entities in notes:
        for of in entities:
            mention = text[of["start"] : of["end"]]
            cells = [f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in (name, mention)]
            writer.writerow([*cells, of["label"], of["score"], of["agreement"], of["start"], of["end"]])
    return buffer.getvalue().encode("utf-8-sig")


KINDS = {
    "BRAT": ("notes.zip", as_brat),
    "JSON Lines": ("notes.jsonl", as_json_lines),
    "CSV": ("mentions.csv", as_csv),
}


def packed(kind: str, notes: list) -> tuple[str, str]:
    """Name and content, base64, of a file with what was found in notes; it is made in the browser, not stored here."""
    name, write = KINDS[kind]
    return name, base64.b64encode(write(notes)).decode("ascii")
