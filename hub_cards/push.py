"""Pushes a folder to the Hub in one commit."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi


def push_folder(folder: str | Path, repo_id: str, repo_type: str, *, private: bool = True, message: str) -> str:
    """Makes the repo, if it is not there, and its files those of the folder, in one commit whose address is returned.

    Args:
        repo_type: "model", "dataset" or "space".
        private: of a repo that is made; one that is there stays as it is.

    Raises whatever huggingface_hub does.
    """
    api, folder = HfApi(), Path(folder)
    repo_id = api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True).repo_id
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    old = set(api.list_repo_files(repo_id, repo_type=repo_type)) - files.keys() - {".gitattributes"}
    operations = [CommitOperationAdd(name, path) for name, path in files.items()]
    operations += [CommitOperationDelete(name) for name in sorted(old)]
    return api.create_commit(repo_id, operations, commit_message=message, repo_type=repo_type).commit_url
