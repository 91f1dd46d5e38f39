"""The tasks' corpora from their public homes, into HF_HOME: checked, resumed, with their license; or where to apply."""

import hashlib
import re
from pathlib import Path
from urllib.parse import quote

from huggingface_hub.file_download import http_get
from huggingface_hub.utils import get_session, hf_raise_for_status

from ..errors import InputError
from .tasks import Task


ZENODO = "https://zenodo.org"


def download(task: Task, mirror: str | None = None) -> Path:
    """Downloads the task's files that are not there yet into `task.home`, which it returns.

    Each file is checked by the size and MD5 that Zenodo's record gives, and appears under its name only then; what an
    interrupted download left is gone on with. For what cannot be downloaded it prints where to apply for it, or to get
    it, and where to put it.

    Args:
        mirror: base URL in place of https://zenodo.org.

    Raises InputError where the server cannot be reached, refuses, or sends something else than the record says.
    """
    base = (mirror or ZENODO).rstrip("/")
    print(f"{task.title}\n  license: {task.license}\n  please cite: {task.citation}\n  home: {task.homepage}")
    for record in task.zenodo:
        for file in _files(base, record):
            _download(f"{base}/api/records/{record}/files/{quote(file['key'])}/content", task.home / file["key"], file)
    if missing := [name for name in task.archives if not (task.home / name).exists()]:
        how = "download by hand, from its home," if task.zenodo else "apply for access at its home; then put"
        print(f"{how} {', '.join(missing)}\n  {'and put them ' if task.zenodo else ''}into {task.home}, as they are")
    print(f"then look at it: clinx corpus stats --task {task.name}")
    return task.home


def _files(base: str, record: int) -> list[dict]:
    """Name (`key`), `size` and `md5` of each file of a record."""
    url = f"{base}/api/records/{record}"
    try:
        response = get_session().get(url, follow_redirects=True)
        hf_raise_for_status(response)
        files = [
            {"key": file["key"], "size": int(file["size"]), "md5": file["checksum"].removeprefix("md5:")}
            for file in response.json()["files"]
        ]
        for file in files:
            if not re.fullmatch("[^./][^/]{0,150}", str(file["key"])) or not re.fullmatch("[0-9a-f]{32}", file["md5"]):
                raise ValueError(f"its file {file['key']!r} leads out of the folder, or has no MD5")
        if not files:
            raise ValueError("it has no files")
    except Exception as error:  # of the HTTP library, which differs between releases of huggingface_hub
        raise InputError(
            f"{url}: found no record of Zenodo ({error}); check the network, or name a --mirror."
        ) from None
    return files


def _download(url: str, target: Path, expected: dict) -> None:
    if target.exists() and _md5(target) == expected["md5"]:
        print(f"{target} is there")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{expected['md5']}.incomplete")
    try:
        with open(partial, "ab") as file:
            if file.tell() > expected["size"]:
                file.truncate(0)
            http_get(
                url,
                file,
                resume_size=file.tell(),
                expected_size=expected["size"],
                displayed_filename=target.name,
            )
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{url}: cannot download it ({reason}); the same command goes on where it stopped.") from None
    if (digest := _md5(partial)) != expected["md5"]:
        partial.unlink()
        raise InputError(f"{url}: found the MD5 {digest}, expected {expected['md5']}; it was removed, fetch it again.")
    partial.replace(target)
    print(target)


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
