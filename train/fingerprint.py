"""Whether a model is still the one that it was."""

import re
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path


DECIDES = re.compile(  # the files of a model on which depends what it computes
    r"config\.json|(model|pytorch_model)\b.*\.(safetensors|bin|json)|(tokenizer|vocab|merges|special_tokens|added_tokens).*"
    r"|.*\.model"
)


def model_commit(name: str, revision: str | None = None) -> str:
    """The digest of a model in a folder, or the commit of one on the Hub, whose weights need not be here yet.

    Raises OSError where there is no such model.
    """
    return model_digest(name) if Path(name).is_dir() else _snapshot(name, revision).name


def model_digest(name: str) -> str:
    """SHA-256 of the files of a model that decide what it computes, in its folder or in the cache of the Hub.

    Raises OSError where there is no such model.
    """
    folder = Path(name) if Path(name).is_dir() else _snapshot(name)
    files = [(path, path.stat()) for path in sorted(folder.iterdir()) if DECIDES.fullmatch(path.name)]
    return _digest(tuple((path, state.st_mtime_ns, state.st_size) for path, state in files))


@lru_cache(maxsize=8)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of files, which are read anew once they have changed: at more than a gigabyte a second."""
    total = sha256()
    for path, *_ in files:
        with open(path, "rb") as file:
            total.update(path.name.encode() + b"\0" + file_digest(file, "sha256").digest())
    return total.hexdigest()


def _snapshot(name: str, revision: str | None = None) -> Path:
    from transformers.utils import cached_file  # not above: seconds

    return Path(cached_file(name, "config.json", revision=revision)).parent
