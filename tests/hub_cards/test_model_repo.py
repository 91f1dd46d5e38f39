"""A run is pushed as one private commit, with its card, and read by people who have nothing of this project."""

import pytest

from tests.hub.server import READER
from tests.hub_cards.readers import READ, read, read_here
from tests.hub_cards.runs import make_run
from tests.hub_cards.sessions import session


READ_CARD = """
import re
from huggingface_hub import hf_hub_download
card = open(hf_hub_download(folder, "README.md", revision=revisions[0]), encoding="utf-8").read()
(block,) = re.findall("```python\\n(.*?)```", card, re.S)
exec(block, variables := {})
readings[0]["card"] = [type(variables[name]).__name__ for name in ("ner", "model", "encoder")]
print(json.dumps(readings))
"""


def _push(name: str, *options: str) -> tuple[str, ...]:
    return ("push", "run", f"org/{name}", "--no-verify", *options)


COMMANDS = {
    "first": ("push", "run", "org/notes-ner", "--language", "es", "--dataset", "org/notes", "--tag", "v1"),
    "second": ("push", "second", "org/notes-ner", "--no-verify"),
    "branch": _push("branches", "--branch", "second", "--tag", "v1"),
    "pull request": _push("branches", "--pr"),
    "public": _push("public", "--public"),
    "public, again": _push("public"),
    "public, pull request": _push("public", "--pr"),
    "tag": _push("tags", "--tag", "v1"),
    "same tag": _push("tags", "--tag", "v1"),
    "same tag, another commit": _push("tags", "--tag", "v1", "--licence", "mit"),
}


@pytest.fixture(scope="module")
def pushes(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """The Hub after `COMMANDS`."""
    folder = tmp_path_factory.mktemp("pushes")
    make_run(folder / "run", tiny_encoder_dir, tokenizer)
    make_run(folder / "second", tiny_encoder_dir, tokenizer, seed=7)
    with session(folder, COMMANDS) as pushed:
        yield pushed


def test_a_run_is_one_private_commit(pushes):
    hub, result = pushes.hub, pushes.results["first"]
    assert result.status == 0, result
    repo = hub.repos["model", "org/notes-ner"]
    _, first, _ = repo.commits
    assert "downloaded again and compared: it gives the same" in result.out
    assert f"{hub.url}/org/notes-ner/commit/{first}" in result.out
    assert repo.private and repo.tags["v1"] == first
    files = repo.commits[first].files
    names = {"README.md", "results.json", "config.json", "model.safetensors", "tokenizer.json", "modeling_clinx.py"}
    assert names | {"handler.py", "requirements.txt"} < files.keys() and ".eval_results/org--notes.yaml" in files
    assert not any(b"/home/secret" in data or str(pushes.folder).encode() in data for data in files.values())


def test_others_read_it_without_this_project_and_the_first_revision_after_a_second_push(pushes):
    assert pushes.results["second"].status == 0, pushes.results
    script = READ + READ_CARD
    before, after = read(pushes.client, "org/notes-ner", "v1", "main", script=script, token=READER, home="another")
    first, second = (read_here(pushes.folder / name / "model") for name in ("run", "second"))
    assert before["entities"] == first != after["entities"] == second
    assert before["classes"] == ["ClinXForTokenClassification", "ClinXModel"]
    assert before["card"] == ["ClinXPipeline", "ClinXForTokenClassification", "ClinXModel"]


def test_branches_and_pull_requests(pushes):
    results = pushes.results
    assert results["branch"].status == results["pull request"].status == 0, results
    assert "/discussions/1" in results["pull request"].out
    repo = pushes.hub.repos["model", "org/branches"]
    assert "config.json" in repo.at("second").files and "config.json" not in repo.at("main").files
    assert "config.json" in repo.at("refs/pr/1").files
    assert repo.tags["v1"] == repo.branches["second"]


def test_a_tag_that_names_the_commit_already_is_right_and_one_that_names_another_is_not_moved(pushes):
    results = pushes.results
    assert results["tag"].status == results["same tag"].status == 0, results
    repo = pushes.hub.repos["model", "org/tags"]
    _, first, second = repo.commits
    assert repo.tags["v1"] == first and repo.branches["main"] == second
    result = results["same tag, another commit"]
    assert result.status == 2 and f"{second} was pushed, but the tag v1 names another commit" in result.err


def test_a_repo_that_is_public_already_needs_public(pushes):
    results = pushes.results
    assert results["public"].status == 0 and not pushes.hub.repos["model", "org/public"].private
    for name in ("public, again", "public, pull request"):
        assert results[name].status == 2 and "is public already: say so with --public" in results[name].err, name
