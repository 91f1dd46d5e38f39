"""Reads a pushed repo again, where this project is not installed, and compares it with what was pushed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from huggingface_hub import snapshot_download

from .errors import HubError
from .example import MaskedWord
from .upload import Target


SCORE_TOLERANCE = 1e-3
FRESH_PROCESS = """
import sys
for name in ("modeling_clinx", "clinx", "hub_cards"):
    sys.modules[name] = None  # importing it fails, even where it is installed
import json
from transformers import pipeline
ner = pipeline("ner", model=sys.argv[1], trust_remote_code=True)
print(json.dumps(ner(sys.stdin.read())))
"""


class Item(NamedTuple):
    """One thing that is read in a repo: `value` must be the same in every copy, `score` nearly so."""

    value: tuple
    score: float = 1.0


def verify(target: Target, revision: str, expected: Sequence[Item], read: Callable[[Path], list[Item]]) -> None:
    """Downloads a commit into a fresh cache and checks that `read` gives there what is `expected`.

    Raises HubError where the commit cannot be downloaded or read, or reads differently.
    """
    with TemporaryDirectory() as cache:
        try:
            folder = snapshot_download(target.repo_id, repo_type=target.repo_type, revision=revision, cache_dir=cache)
            actual = read(Path(folder))
        except Exception as error:  # of the Hub's client, of its HTTP library, or of whatever the model is read with
            reason = " ".join(str(error).split()) or type(error).__name__
            raise HubError(
                f"{target.repo_id}: {revision} was pushed, but cannot be read from there ({reason}): the same command "
                "tries that again"
            ) from error
    if not is_same(expected, actual):
        raise HubError(
            f"{target.repo_id}: what was downloaded at {revision} reads differently from what was pushed: do not use "
            "it, and push again"
        )


def is_same(expected: Sequence[Item], actual: Sequence[Item]) -> bool:
    """Whether the same values are there in the same order, with scores that differ by rounding only."""
    return [item.value for item in expected] == [item.value for item in actual] and all(
        abs(one.score - other.score) <= SCORE_TOLERANCE for one, other in zip(expected, actual, strict=True)
    )


def find_entities_in_fresh_process(model: str | Path, text: str) -> list[dict]:
    """The entities that `pipeline("ner")` finds in a process with a fresh cache that cannot import this project.

    Raises HubError where the model cannot be read there.
    """
    with TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", FRESH_PROCESS, str(Path(model).resolve())],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, "HF_HOME": home, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"},
            cwd=home,
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise HubError(f"{model} cannot be read where this project is not installed: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def entity_items(entities: Iterable[Mapping]) -> list[Item]:
    """Entities as `pipeline("ner")` gives them, to compare."""
    return [Item((entity["start"], entity["word"], entity["entity_group"]), entity["score"]) for entity in entities]


def masked_word_items(words: Iterable[MaskedWord]) -> list[Item]:
    """The candidates for masked words, to compare."""
    return [Item((candidate.token,), candidate.probability) for word in words for candidate in word.candidates]


def file_items(folder: str | Path, names: Iterable[str]) -> list[Item]:
    """Names and SHA-256 of files, to compare."""
    return [Item((name, sha256(Path(folder, name).read_bytes()).digest())) for name in names]
