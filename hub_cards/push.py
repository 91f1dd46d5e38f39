"""Pushes a folder to the Hub in one commit."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi


def push_folder(
    folder: str | Path, repo_id: str, repo_type: str, *, private: bool = True, message: str, replaces: str
) -> str:
    """Pushes the files of the folder in one commit, whose address is returned; the repo is made if it is not there.

    Args:
        repo_type: "model", "dataset" or "space".
        private: with True a repo that is there must be private too.
        replaces: files of the repo whose path begins so are deleted unless the folder has them.

    Raises ValueError for a repo that is public unlike `private`, and whatever huggingface_hub does.
    """
    api, folder = HfApi(), Path(folder)
    repo_id = api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True).repo_id
    info = api.repo_info(repo_id, repo_type=repo_type)
    if private and not info.private:
        raise ValueError(f"{repo_id} is public: say --public, or choose another name")
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    old = {file.rfilename for file in info.siblings} - files.keys()
    operations = [CommitOperationAdd(name, path) for name, path in files.items()]
    operations += [CommitOperationDelete(name) for name in sorted(old) if name.startswith(replaces)]
    return api.create_commit(repo_id, operations, commit_message=message, repo_type=repo_type).commit_url
