"""Pushes a folder to the Hub: known kinds of files only, in one commit, tried again where the server falters."""

import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError


KNOWN = {  # what a repo of ours is made of
    "model": (
        *("README.md", "results.json", "curves.png", ".eval_results/*.yaml", "config.json", "*_clinx.py"),
        *("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
        *("vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model"),
    ),
    "dataset": ("README.md", "data/*.parquet"),
    "space": ("README.md", "requirements.txt", "*.py"),
}
LEFT_OUT = {".git", ".gitattributes", ".cache", "__pycache__"}  # of a clone, a download, an import
TRIES = 5
PASSING = (408, 429, 500, 502, 503, 504)  # states of a server that may pass


class PushError(ValueError):
    """What keeps a folder from being pushed, and what to do."""


@dataclass(frozen=True)
class Target:
    """Where a push goes: a branch or a new pull request, and a tag for the commit."""

    repo_id: str
    repo_type: str = "model"
    private: bool = True
    branch: str = "main"
    pull_request: bool = False
    tag: str | None = None


def pushed_files(folder: str | Path, repo_type: str) -> dict[str, Path]:
    """The folder's files by their paths in the repo; raises PushError for what is none of the known kinds."""
    paths = (path for path in sorted(Path(folder).rglob("*")) if path.is_file())
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    files = {name: path for name, path in files.items() if not LEFT_OUT.intersection(name.split("/"))}
    strange = [name for name in files if not _is_known(name, repo_type)]
    if strange:
        raise PushError(
            f"{folder}: found {', '.join(strange[:5])}{' …' if strange[5:] else ''}, which a {repo_type} repo does not "
            "hold: it may be training text, a pickle or an optimizer's state; remove it"
        )
    return files


def _is_known(name: str, repo_type: str) -> bool:
    return any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in KNOWN[repo_type])


def push_folder(folder: str | Path, target: Target, message: str) -> CommitInfo:
    """Makes the repo's files those of the folder in one commit; the repo and the branch are made if they are not there.

    Files of the repo of known kinds that the folder does not have are removed, others stay. The commit's parent is
    named, so that a commit that another makes meanwhile is not overwritten. What failed for a while is tried again,
    where that cannot do anything twice: files that are there already are not sent, nor committed.

    Raises:
        PushError: unknown files, a repo that is public or private unlike the target, no login, no rights, a wrong
            name, or a server that failed for good.
    """
    files = pushed_files(folder, target.repo_type)
    for number in range(TRIES):
        try:
            return _push(files, target, message)
        except PushError:
            raise
        except Exception as error:  # of the Hub's client, or of its HTTP library, which differs between releases
            wait = seconds_to_wait(error, number, target.pull_request)
            if wait is None or number + 1 == TRIES:
                raise PushError(f"{target.repo_id}: {_explained(error, number + 1)}") from error
            time.sleep(wait)


def _push(files: dict[str, Path], target: Target, message: str) -> CommitInfo:
    api, place = HfApi(), {"repo_type": target.repo_type}
    repo_id = target.repo_id
    if not target.pull_request:  # which may be opened by those who may not write
        kind = {"space_sdk": "gradio"} if target.repo_type == "space" else {}
        repo_id = api.create_repo(repo_id, private=target.private, exist_ok=True, **kind, **place).repo_id
        if target.branch != "main":
            api.create_branch(repo_id, branch=target.branch, exist_ok=True, **place)
    info = api.repo_info(repo_id, revision=target.branch, **place)
    if target.private != info.private:
        there, advice = ("private", "leave out") if info.private else ("public", "say so with")
        raise PushError(f"{repo_id} is {there} already: {advice} --public, or change it in the repo's settings")
    old = {file.rfilename for file in info.siblings if _is_known(file.rfilename, target.repo_type)} - files.keys()
    operations = [CommitOperationAdd(name, path) for name, path in files.items()]
    operations += [CommitOperationDelete(name) for name in sorted(old)]
    commit = api.create_commit(
        repo_id,
        operations,
        commit_message=message,
        revision=target.branch,
        create_pr=target.pull_request,
        parent_commit=info.sha,
        **place,
    )
    if target.tag:
        _tag(api, repo_id, target.tag, commit.oid, place)
    return commit


def _tag(api: HfApi, repo_id: str, tag: str, commit: str, place: dict) -> None:
    try:
        api.create_tag(repo_id, tag=tag, revision=commit, exist_ok=False, **place)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        if api.repo_info(repo_id, revision=tag, **place).sha != commit:
            raise PushError(f"{repo_id}: {commit} was pushed, but the tag {tag} names another commit") from error


def seconds_to_wait(error: Exception, number: int, is_pull_request: bool) -> float | None:
    """Before try `number` + 1 is followed by another; None where that would not help, or open a second pull request."""
    response = getattr(error, "response", None)
    if response is not None and response.status_code not in PASSING:
        return None
    if response is None and isinstance(error, (OSError, ValueError)):  # a file, a name
        return None
    if is_pull_request and (response is None or response.status_code != 429):  # it may be open already
        return None
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return min(60, int(asked)) if asked.isdigit() else 2**number


def _explained(error: Exception, tries: int) -> str:
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else None
    reason = " ".join(str(error).split())
    if status == 401 or "token" in type(error).__name__.lower():
        return f"nobody is logged in who may push there: `hf auth login`, or HF_TOKEN ({reason})"
    if status in (403, 404):
        return f"it is not there, or this token may not write there ({reason})"
    if status == 409:
        return f"it is there already ({reason})"
    if status == 412:
        return f"another commit came in between: look at it, and push again ({reason})"
    if status in PASSING:
        return f"the Hub failed, time {tries} of {tries} ({reason}): the same command goes on where it stopped"
    if isinstance(error, (OSError, ValueError)):
        return reason
    return f"the Hub cannot be reached ({reason or type(error).__name__}): the same command goes on where it stopped"
