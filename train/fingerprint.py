"""Whether a model is still the one that it was: a digest of its files, or its commit on the Hub."""

from functools import cache
from hashlib import blake2b
from pathlib import Path


SAID_OF_IT = ("README.md", "results.json")  # files that change nothing of what the model does


@cache
def model_fingerprint(name: str, revision: str | None = None) -> str:
    """The commit of a model on the Hub, or 32 hexadecimal digits made of all files in its folder (BLAKE2b).

    Each is read once in a process. Raises OSError where there is no such model.
    """
    if not Path(name).is_dir():
        from transformers.utils import cached_file  # not above: seconds

        return Path(cached_file(name, "config.json", revision=revision)).parent.name
    of_model = blake2b(digest_size=16)
    for path in sorted(Path(name).iterdir()):
        if path.is_file() and path.name not in SAID_OF_IT and not path.name.startswith("."):
            of_file = blake2b()
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    of_file.update(block)
            of_model.update(path.name.encode() + of_file.digest())
    return of_model.hexdigest()
