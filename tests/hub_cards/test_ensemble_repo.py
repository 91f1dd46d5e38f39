"""An ensemble is pushed after its members, and names them."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from tests.hub.server import READER
from tests.hub_cards.readers import COMPAT, read
from tests.hub_cards.runs import make_ensemble_run
from tests.hub_cards.sessions import session


COMMANDS = {
    "first": ("push", "run", "org/notes-ner", "--members", "--tag", "v1"),
    "again": ("push", "run", "org/notes-ner", "--members", "--tag", "v1", "--no-verify"),
    "other weights": ("push", "other", "org/other", "--members"),
    "adapters": ("push", "adapters", "org/adapters", "--members", "--dry-run"),
    "other adapters": ("push", "other-adapters", "org/adapters", "--members", "--dry-run"),
    "pull request": ("push", "run", "org/notes-ner", "--members", "--pr"),
}


@pytest.fixture(scope="module")
def pushes(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """The Hub after `COMMANDS`."""
    folder = tmp_path_factory.mktemp("ensemble")
    make_ensemble_run(folder / "run", tiny_encoder_dir, tokenizer)
    shutil.copytree(folder / "run", folder / "other")
    shutil.copytree(folder / "run/member-1/model", folder / "other/member-2/model", dirs_exist_ok=True)
    make_ensemble_run(folder / "adapters", tiny_encoder_dir, tokenizer, lora_rank=2)
    shutil.copytree(folder / "adapters", folder / "other-adapters")
    weights = load_file(file := folder / "other-adapters/member-2/model/model.safetensors")
    weights[next(name for name in weights if "lora_b" in name)] += 1
    save_file(weights, file, {"format": "pt"})
    with session(folder, COMMANDS) as pushed:
        yield pushed


def test_an_ensemble_is_pushed_after_its_members_and_names_their_commits(pushes):
    hub, result = pushes.hub, pushes.results["first"]
    assert result.status == 0, result
    members = [hub.repos["model", f"org/notes-ner-member-{n}"] for n in (1, 2)]
    sources = [f"{repo.id}@{repo.branches['main']}" for repo in members]
    assert all(repo.private and repo.tags["v1"] == repo.branches["main"] for repo in members)
    files = hub.files("org/notes-ner")
    assert json.loads(files["config.json"])["members"] == sources
    assert [member["source"] for member in json.loads(files["results.json"])["members"]] == sources
    content = files["README.md"].decode()
    assert f"https://huggingface.co/org/notes-ner-member-2/tree/{members[1].branches['main']}" in content
    assert result.out.count("downloaded again and compared: it gives the same") == 3


def test_the_ensemble_is_read_under_transformers_4(pushes):
    if not COMPAT.is_dir():
        pytest.skip(f"{COMPAT} is not there: make test-compat")
    (reading,) = read(pushes.client, "org/notes-ner", "v1", PYTHONPATH=str(COMPAT), token=READER, home="compat")
    assert reading["classes"][0] == "ClinXEnsembleForTokenClassification" and reading["entities"]


def test_members_that_did_not_change_are_not_committed_again(pushes):
    assert pushes.results["again"].status == 0, pushes.results
    repos = [pushes.hub.repos["model", f"org/notes-ner{end}"] for end in ("-member-1", "-member-2", "")]
    assert [len(repo.commits) for repo in repos] == [2, 2, 2]


def test_members_with_other_weights_than_the_ensemble_are_refused_before_any_is_pushed(pushes):
    result = pushes.results["other weights"]
    message = "other/member-2: its weights are not those in the ensemble, other/model"
    assert result.status == 2 and message in result.err, result
    assert not {"org/other", "org/other-member-1"} & {repo_id for _, repo_id in pushes.hub.repos}


def test_members_with_adapters_are_pushed_too_where_theirs_are_those_in_the_ensemble(pushes):
    result, other = pushes.results["adapters"], pushes.results["other adapters"]
    assert result.status == 0 and all(f"org/adapters{end}\n" in result.out for end in ("-member-1", "-member-2", ""))
    assert other.status == 2 and "member-2: its weights are not those in the ensemble" in other.err, other


def test_members_are_not_pushed_with_a_pull_request(pushes):
    result = pushes.results["pull request"]
    assert result.status == 2 and "--members and --pr exclude each other" in result.err, result
