"""Files that appear whole or not at all, and folders that one command at a time writes, apart from what it reads."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO
from uuid import uuid4

from .errors import InputError


LOCK = ".clinx-lock"  # stays in a folder; it is held by whoever has it open, and so by nobody once that process is gone


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears at `path` when the block ends well, and leaves nothing when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{uuid4().hex}.tmp")
    try:
        with open(unfinished, "wb") as file:
            yield file
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raises InputError for a path at which no file can be written: to be called before the work, not after it."""
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir():
        raise InputError(f"{path}: found a folder, expected the name of a file; add one, such as {path / 'FILE.json'}.")
    if not folder.is_dir():
        raise InputError(f"{path}: found the file {folder}, expected a folder of this name; choose another path.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{path}: nothing may be written into {folder}; choose another path.")


def write_json(path: Path, content: dict) -> None:
    """Writes an object as indented JSON, in UTF-8; lone surrogates, as of file names in Latin-1, are escaped."""
    with atomic_file(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lets one command at a time write into a folder, which is made; it is free again when the process is gone.

    Raises InputError, with who holds the folder since when, and OSError where it cannot be made or written.
    """
    from filelock import FileLock, Timeout  # not above: what only reads needs none

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = path.read_text(encoding="utf-8", errors="replace") or "another process"
        raise InputError(
            f"{folder}: {holder} is writing here; wait until it has ended, or choose another folder"
        ) from None
    try:
        path.write_text(f"process {os.getpid()} on {platform.node()} (since {datetime.now():%Y-%m-%d %H:%M:%S})")
        yield
    finally:
        lock.release()


def refuse_overlap(source: str | Path, folder: Path) -> None:
    """Raises InputError where the input, if it is on this disk, and the folder of the output are the same or one is
    inside of the other: what is written would be read as input, or the input as what was written."""
    if not os.path.exists(source):
        return  # on the Hub, or inside of an archive
    of_input, of_output = Path(source).resolve(), folder.resolve()
    if of_input == of_output:
        fault = "found the same folder for input and output"
    elif of_input in of_output.parents:
        fault = f"found this output inside of the input {source}"
    elif of_output in of_input.parents:
        fault = f"found the input {source} inside of this output"
    else:
        return
    raise InputError(f"{folder}: {fault}, so that one would be taken for the other; choose an output beside it")
