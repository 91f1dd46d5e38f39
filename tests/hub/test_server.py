"""The loopback Hub answers the real client as the Hub does, where no push of ours goes."""

import json

from tests.hub.server import STRANGER


REPOS = """
import json
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
api, told = HfApi(), []
for repo_type in ("model", "dataset", "space"):
    name = {"repo_id": "org/x", "repo_type": repo_type}
    listing = {"model": api.list_models, "dataset": api.list_datasets, "space": api.list_spaces}[repo_type]
    api.create_repo(**name, private=True, space_sdk="gradio" if repo_type == "space" else None)
    api.create_branch(**name, branch="a/b")
    api.create_tag(**name, tag="v1")
    api.upload_file(**name, path_or_fileobj=b"x", path_in_repo="in/a.txt", revision="a/b")
    refs = api.list_repo_refs(**name)
    told.append([
        [repo.id for repo in listing()],
        [[ref.name for ref in kind] for kind in (refs.branches, refs.tags)],
        [api.list_repo_files(**name, revision=revision) for revision in ("main", "v1", "a/b")],
        [entry.path for entry in api.list_repo_tree(**name, revision="a/b", recursive=True)],
        [entry.size for entry in api.get_paths_info(**name, revision="a/b", paths=["in/a.txt"])],
    ])
    api.delete_branch(**name, branch="a/b")
    api.delete_tag(**name, tag="v1")
    try:
        api.repo_info(**name, revision="a/b")
    except RevisionNotFoundError:
        told[-1].append("no such revision")
    api.delete_repo(**name)
    try:
        api.repo_info(**name)
    except RepositoryNotFoundError:
        told[-1].append([repo.id for repo in listing()])
print(json.dumps(told))
"""
HIDDEN = """
from huggingface_hub import HfApi
print([repo.id for repo in HfApi().list_models()], HfApi().repo_exists("org/x"))
"""


def test_repos_are_made_listed_and_deleted(hub, client):
    done = client("-c", REPOS)
    assert done.returncode == 0, done.stderr[-3000:]
    first, with_file = [".gitattributes"], [".gitattributes", "in/a.txt"]
    told = [
        ["org/x"],
        [["main", "a/b"], ["v1"]],
        [first, first, with_file],
        [".gitattributes", "in", "in/a.txt"],
        [1],
        "no such revision",
        [],
    ]
    assert json.loads(done.stdout.splitlines()[-1]) == [told] * 3 and not hub.repos


def test_a_stranger_sees_no_private_repo(hub, client):
    client("-c", "from huggingface_hub import HfApi; HfApi().create_repo('org/x', private=True)")
    assert ("model", "org/x") in hub.repos
    assert client("-c", HIDDEN, token=STRANGER).stdout.strip() == "[] False"
