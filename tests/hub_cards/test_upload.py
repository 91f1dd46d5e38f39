"""One commit of named files, tried again where that helps, and what is said where it does not."""

import json
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from hub_cards.repo_files import files_to_push
from hub_cards.upload import Target, seconds_to_wait, upload_folder
from tests.hub.server import READER, STRANGER, WRITER


def test_a_push_is_one_commit_of_named_files_whatever_carries_them(run, monkeypatch):
    """With Xet the same calls are made: nothing but `create_commit` sends files."""
    monkeypatch.delenv("HF_HUB_DISABLE_XET", raising=False)
    old = SimpleNamespace(rfilename="model-1-of-2.safetensors")
    repo = SimpleNamespace(repo_id="org/x", sha="0" * 40, private=True, siblings=[old])
    api = create_autospec(HfApi, instance=True)
    api.create_repo.return_value = api.repo_info.return_value = repo
    api.create_commit.return_value = SimpleNamespace(oid="1" * 40)
    upload_folder(run / "model", Target("org/x", tag="v1"), "message", api)
    assert [name for name, *_ in api.method_calls] == ["create_repo", "repo_info", "create_commit", "create_tag"]
    assert api.create_repo.call_args.kwargs["private"] is True
    call = api.create_commit.call_args
    operations = {operation.path_in_repo: type(operation).__name__ for operation in call.args[1]}
    assert operations.pop("model-1-of-2.safetensors") == "CommitOperationDelete"
    assert operations.keys() == files_to_push(run / "model", "model").keys()
    assert call.kwargs["parent_commit"] == "0" * 40
    assert api.create_tag.call_args.kwargs["revision"] == "1" * 40


def failed(status: int, **headers) -> HfHubHTTPError:
    response = SimpleNamespace(status_code=status, headers=headers, request=None)
    return HfHubHTTPError("failed", response=response)


@pytest.mark.parametrize(
    "error, wait, wait_of_pull_request",
    [
        (failed(429, **{"Retry-After": "7"}), 7, 7),
        (failed(429, **{"Retry-After": "900"}), 60, 60),
        (failed(503), 4, None),
        (failed(403), None, None),
        (failed(412), None, None),
        (ConnectionResetError(), None, None),
        (Exception("cut"), 4, None),
    ],
)
def test_what_may_pass_is_waited_for_unless_it_could_open_a_second_pull_request(error, wait, wait_of_pull_request):
    assert seconds_to_wait(error, 2, False) == wait
    assert seconds_to_wait(error, 2, True) == wait_of_pull_request


UPLOAD_WITH_TOKENS = """
import json, os, sys
from hub_cards.errors import HubError
from hub_cards.upload import Target, upload_folder
messages = []
for token, repo_id in json.loads(sys.argv[2]):
    os.environ.update({"HF_TOKEN": token} if token else {})
    try:
        upload_folder(sys.argv[1], Target(repo_id), "x")
    except HubError as error:
        messages.append(str(error))
print(json.dumps(messages))
"""


def test_what_keeps_a_push_back_is_explained(hub, client, run):
    cases = {
        (None, "org/notes-ner"): "there is no login that may push there: run `hf auth login`",
        (READER, "org/notes-ner"): "this token may not write there",
        (STRANGER, "org/notes-ner"): "this token may not write there",
        (WRITER, "org/not a name"): "Repo id must",
    }
    done = client("-c", UPLOAD_WITH_TOKENS, run / "model", json.dumps(list(cases)), token=None)
    messages = json.loads(done.stdout.splitlines()[-1])
    assert all(expected in actual for expected, actual in zip(cases.values(), messages, strict=True)), messages
    assert not hub.repos
