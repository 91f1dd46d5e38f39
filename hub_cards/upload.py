"""Uploads a folder to the Hub in one commit, and tries again where the server falters."""

import time
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

from .errors import HubError
from .repo_files import files_to_push, is_known


MAX_TRIES = 5
MAX_WAIT = 60  # seconds
PASSING_STATUSES = (408, 429, 500, 502, 503, 504)  # of a server that may recover


@dataclass(frozen=True)
class Target:
    """Where a push goes: a branch or a new pull request, and a tag for the commit."""

    repo_id: str
    repo_type: str = "model"
    private: bool = True
    branch: str = "main"
    pull_request: bool = False
    tag: str | None = None


def upload_folder(folder: str | Path, target: Target, message: str, api: HfApi | None = None) -> CommitInfo:
    """Makes the repo's files those of the folder in one commit; the repo and the branch are made if they are not there.

    Files of the repo of known kinds that the folder does not have are removed, others stay. The commit's parent is
    named, so that a commit that another makes meanwhile is not overwritten. What failed for a while is tried again,
    where that cannot do anything twice: files that are there already are not sent, nor committed.

    Raises:
        HubError: unknown files, a repo that is public or private unlike the target, no login, no rights, a wrong
            name, or a server that failed for good.
    """
    files = files_to_push(folder, target.repo_type)
    api = api or HfApi()
    for number in range(MAX_TRIES):
        try:
            return _upload(api, files, target, message)
        except HubError:
            raise
        except Exception as error:  # of the Hub's client, or of its HTTP library, which differs between releases
            wait = seconds_to_wait(error, number, target.pull_request)
            if wait is None or number + 1 == MAX_TRIES:
                raise HubError(f"{target.repo_id}: {_explain(error, number + 1)}") from error
            time.sleep(wait)


def _upload(api: HfApi, files: dict[str, Path], target: Target, message: str) -> CommitInfo:
    repo_id, repo_kwargs = target.repo_id, {"repo_type": target.repo_type}
    if not target.pull_request:  # which may be opened by those who may not write
        space_kwargs = {"space_sdk": "gradio"} if target.repo_type == "space" else {}
        repo = api.create_repo(repo_id, private=target.private, exist_ok=True, **space_kwargs, **repo_kwargs)
        repo_id = repo.repo_id
        if target.branch != "main":
            api.create_branch(repo_id, branch=target.branch, exist_ok=True, **repo_kwargs)
    info = api.repo_info(repo_id, revision=target.branch, **repo_kwargs)
    if target.private != info.private:
        visibility, advice = ("private", "leave out") if info.private else ("public", "say so with")
        raise HubError(f"{repo_id} is {visibility} already: {advice} --public, or change it in the repo's settings")
    known = {file.rfilename for file in info.siblings if is_known(file.rfilename, target.repo_type)}
    operations = [CommitOperationAdd(name, path) for name, path in files.items()]
    operations += [CommitOperationDelete(name) for name in sorted(known - files.keys())]
    commit = api.create_commit(
        repo_id,
        operations,
        commit_message=message,
        revision=target.branch,
        create_pr=target.pull_request,
        parent_commit=info.sha,
        **repo_kwargs,
    )
    if target.tag:
        _tag(api, repo_id, target.tag, commit.oid, repo_kwargs)
    return commit


def _tag(api: HfApi, repo_id: str, tag: str, commit: str, repo_kwargs: dict) -> None:
    try:
        api.create_tag(repo_id, tag=tag, revision=commit, exist_ok=False, **repo_kwargs)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        if api.repo_info(repo_id, revision=tag, **repo_kwargs).sha != commit:
            raise HubError(
                f"{repo_id}: {commit} was pushed, but the tag {tag} names another commit: name another --tag, or "
                "delete that one first"
            ) from error


def seconds_to_wait(error: Exception, number: int, is_pull_request: bool) -> float | None:
    """How long to wait after try `number` (from 0) failed, before the next.

    None where another try would not help, or could open a second pull request.
    """
    response = getattr(error, "response", None)
    if response is not None and response.status_code not in PASSING_STATUSES:
        return None
    if response is None and isinstance(error, (OSError, ValueError)):  # a file that cannot be read, a wrong name
        return None
    if is_pull_request and (response is None or response.status_code != 429):  # it may be open already
        return None
    retry_after = response.headers.get("Retry-After", "") if response is not None else ""
    return min(MAX_WAIT, int(retry_after)) if retry_after.isdigit() else 2**number


def _explain(error: Exception, tries: int) -> str:
    """What went wrong, and what to do about it."""
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else None
    reason = " ".join(str(error).split())
    if status == 401 or "token" in type(error).__name__.lower():
        return f"there is no login that may push there: run `hf auth login`, or set HF_TOKEN ({reason})"
    if status in (403, 404):
        return f"the repo does not exist, or this token may not write there ({reason})"
    if status == 409:
        return f"it exists already ({reason})"
    if status == 412:
        return f"another commit was made meanwhile: look at it, and push again ({reason})"
    if status in PASSING_STATUSES:
        return f"the Hub failed {tries} times ({reason}): give the same command again, it goes on where it stopped"
    if isinstance(error, (OSError, ValueError)):
        return reason
    return (
        f"the Hub cannot be reached ({reason or type(error).__name__}): give the same command again, it goes on where "
        "it stopped"
    )
