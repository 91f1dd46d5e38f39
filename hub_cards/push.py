"""Pushes a folder to the Hub: known kinds of files only, in one commit, tried again where the server falters."""

import hashlib
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
    paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file() and path.parent.name != "__pycache__"]
    files = {path.relative_to(folder).as_posix(): path for path in paths}
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
    named, so that nothing that another pushed meanwhile is overwritten.

    Raises:
        PushError: unknown files, a repo that is public unlike the target, no login, no rights, a wrong name, or a
            server that failed for good.
    """
    files = pushed_files(folder, target.repo_type)
    try:
        return _push(files, target, message)
    except PushError:
        raise
    except (OSError, ValueError) as error:  # those of huggingface_hub too
        raise PushError(f"{target.repo_id}: {_explained(error)}") from error
    except Exception as error:  # of its HTTP library, which differs between releases
        raise PushError(f"{target.repo_id}: the Hub cannot be reached ({error}); try again") from error


def _push(files: dict[str, Path], target: Target, message: str) -> CommitInfo:
    api, place = HfApi(), {"repo_type": target.repo_type}
    repo_id = target.repo_id
    if not target.pull_request:  # which may be opened by those who may not write
        kind = {"space_sdk": "gradio"} if target.repo_type == "space" else {}
        repo_id = api.create_repo(repo_id, private=target.private, exist_ok=True, **kind, **place).repo_id
        if target.branch != "main":
            api.create_branch(repo_id, branch=target.branch, exist_ok=True, **place)
    info = api.repo_info(repo_id, revision=target.branch, **place)
    if target.private and not info.private and not target.pull_request:
        raise PushError(f"{repo_id} is public already: say so with --public, or choose another name")
    old = {file.rfilename for file in info.siblings if _is_known(file.rfilename, target.repo_type)} - files.keys()
    operations = [CommitOperationAdd(name, path) for name, path in files.items()]
    operations += [CommitOperationDelete(name) for name in sorted(old)]
    for number in range(TRIES):
        try:
            commit = api.create_commit(
                repo_id,
                operations,
                commit_message=message,
                revision=target.branch,
                create_pr=target.pull_request,
                parent_commit=info.sha,
                **place,
            )
            break
        except Exception as error:
            response = getattr(error, "response", None)
            if number and response is not None and response.status_code == 412:
                if commit := _if_there(api, operations, repo_id, target):
                    break  # the commit was made, and the answer to it was lost
            wait = _seconds_to_wait(error, response, number, target.pull_request)
            if wait is None or number + 1 == TRIES:
                raise
            time.sleep(wait)
    if target.tag:
        api.create_tag(repo_id, tag=target.tag, revision=commit.oid, exist_ok=False, **place)
    return commit


def _seconds_to_wait(error: Exception, response, number: int, is_pull_request: bool) -> float | None:
    """Before the next try; None where it would not help, or would open a second pull request."""
    if response is None:  # the connection was cut
        return None if is_pull_request or isinstance(error, (OSError, ValueError)) else 2**number
    if response.status_code not in PASSING:
        return None
    asked = response.headers.get("Retry-After", "")
    return min(60, int(asked)) if asked.isdigit() else 2**number


def _if_there(api: HfApi, operations: list, repo_id: str, target: Target) -> CommitInfo | None:
    """The last commit, if the repo's files are those that were to be pushed."""
    info = api.repo_info(repo_id, revision=target.branch, repo_type=target.repo_type, files_metadata=True)
    there = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings}
    for operation in operations:
        found = there.get(operation.path_in_repo)
        wanted = None if isinstance(operation, CommitOperationDelete) else operation.upload_info.sha256.hex()
        if found != wanted and (found is None or wanted is None or found != _blob_id(operation)):
            return None
    url = f"{api.endpoint}/{'' if target.repo_type == 'model' else target.repo_type + 's/'}{repo_id}/commit/{info.sha}"
    return CommitInfo(commit_url=url, commit_message="", commit_description="", oid=info.sha)


def _blob_id(operation: CommitOperationAdd) -> str:
    """As git names a file that is none of the large ones."""
    with operation.as_file() as file:
        data = file.read()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _explained(error: Exception) -> str:
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
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
        return f"the Hub failed {TRIES} times ({reason}): the same command goes on where it stopped"
    return reason
