"""A run is pushed as one private commit, with its card, and read by people who have nothing of this project."""

import json
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from clinx.cli import main
from hub_cards.card_fields import CardFields
from hub_cards.errors import HubError
from hub_cards.export import export
from hub_cards.repo import save_model_repo
from hub_cards.repo_files import files_to_push
from hub_cards.upload import Target, seconds_to_wait, upload_folder
from hub_cards.verify import is_same
from tests.conftest import client_of, clinx_of
from tests.hub.faults import Fault
from tests.hub.server import READER, STRANGER, WRITER, Hub
from tests.modeling_clinx.models import WITHOUT_PROJECT, new_model


TEXT = "Paciente: Ana Ruiz, 54 años. 👩🏽‍⚕️ Ingresa por dolor torácico; se pauta paracetamol 500 mg."
SCORES = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 4, "tp": 1, "fp": 1, "fn": 3}
READ = """
told, text, *revisions = [], *more
for revision in revisions:
    trusted = {"trust_remote_code": True, "revision": revision}
    ner = pipeline("ner", model=folder, **trusted)
    autos = (AutoModelForTokenClassification, AutoModel)
    classes = [type(auto.from_pretrained(folder, **trusted)).__name__ for auto in autos]
    AutoTokenizer.from_pretrained(folder, **trusted)
    found = [[e["entity_group"], e["start"], e["end"], round(e["score"], 4)] for e in ner(text)]
    told.append({"found": found, "classes": classes})
print(json.dumps(told))
"""

CARD = """
import re
from huggingface_hub import hf_hub_download
card = open(hf_hub_download(folder, "README.md", revision=revisions[0]), encoding="utf-8").read()
(block,) = re.findall("```python\\n(.*?)```", card, re.S)
exec(block, here := {})
told[0]["card"] = [type(here[name]).__name__ for name in ("ner", "model", "encoder")]
print(json.dumps(told))
"""


def make_run(folder, encoder, tokenizer, seed=1):
    """What `clinx finetune` leaves, of a model that learned nothing."""
    save_model_repo(new_model(encoder, seed=seed), tokenizer, folder / "model")
    config = json.loads((folder / "model/config.json").read_text())
    (folder / "model/config.json").write_text(json.dumps({**config, "_name_or_path": "/home/secret/base"}))
    settings = {"train": "/home/secret/notes", "encoder": str(encoder), "head": "crf", "learning_rate": 2e-5}
    metrics = {
        **{"settings": settings, "documents": {"train": 8, "validation": 2, "test": 0}, "seconds": 3600.0},
        **{"device": "NVIDIA H100 80GB HBM3", "versions": {"torch": "2.13.0"}, "unrepresentable": {"overlapping": 2}},
        "test": {**SCORES, "per_label": {"FARMACO": SCORES, "DOLENCIA": SCORES}},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def run(tmp_path, tiny_encoder_dir, tokenizer):
    return make_run(tmp_path / "run", tiny_encoder_dir, tokenizer)


def read(client, *revisions, script: str = READ, **options) -> list[dict]:
    done = client("-c", WITHOUT_PROJECT + script, "org/notes-ner", TEXT, *revisions, **{"PYTHONPATH": "", **options})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def local(folder) -> list:
    from transformers import pipeline

    ner = pipeline("ner", model=str(folder), trust_remote_code=True)
    return [[e["entity_group"], e["start"], e["end"], round(e["score"], 4)] for e in ner(TEXT)]


@pytest.mark.parametrize(
    "name", ["training_args.bin", "notes.txt", "optimizer.pt", "data/a.json", "x.pkl", "a/b_clinx.py"]
)
def test_what_a_model_repo_does_not_hold_is_refused_by_name(run, name):
    (run / "model" / name).parent.mkdir(exist_ok=True)
    (run / "model" / name).write_text("x")
    with pytest.raises(HubError, match=f"found {name}, which a model repo does not hold"):
        files_to_push(run / "model", "model")


def test_a_dry_run_lists_and_pushes_nothing(run, capsys):
    assert main(["push", str(run), "org/notes-ner", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "model.safetensors" in out and "bytes in 14 files" in out and "nothing was pushed" in out
    assert main(["push", str(run / "nothing"), "org/notes-ner"]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def _push(name: str, *options: str) -> tuple[str, ...]:
    return ("push", "run", f"org/{name}", "--no-verify", *options)


COMMANDS = {
    "whole": ("push", "run", "org/notes-ner", "--language", "es", "--dataset", "org/notes", "--tag", "v1"),
    "second": ("push", "second", "org/notes-ner", "--no-verify"),
    "branch": _push("branches", "--branch", "second", "--tag", "v1"),
    "pull request": _push("branches", "--pr"),
    "falters": _push("falters"),
    "stumbles": _push("stumbles", "--tag", "v1"),
    "tagged again": _push("stumbles", "--tag", "v1"),
    "tagged elsewhere": _push("stumbles", "--tag", "v1", "--licence", "mit"),
    "lost": _push("lost"),
    "refused": _push("refused"),
    "refused, again": _push("refused"),
    "public": _push("public", "--public"),
    "public, again": _push("public"),
    "public, pull request": _push("public", "--pr"),
}


@pytest.fixture(scope="module")
def pushes(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """The loopback Hub after `COMMANDS`, given in one process, what each of them printed, a client, and its folder."""
    folder, hub = tmp_path_factory.mktemp("pushes"), Hub()
    make_run(folder / "run", tiny_encoder_dir, tokenizer)
    make_run(folder / "second", tiny_encoder_dir, tokenizer, seed=7)
    hub.faults += [
        Fault("POST /api/repos/create", status=429, headers={"Retry-After": "0"}),
        Fault("GET .*/stumbles/revision/", status=503),
        Fault("POST .*/stumbles/tag/", status=500),
        Fault("POST .*/falters/preupload/", status=500),
        Fault("POST .*/falters.git/", status=503),
        Fault("POST .*/falters/commit/", status=429, headers={"Retry-After": "1"}),
        Fault("POST .*/falters/commit/"),
        Fault("POST .*/lost/commit/", is_done=True),
        Fault("POST .*/refused/commit/", status=400),
        Fault("PUT /large/"),  # whichever comes first
    ]
    client = client_of(hub, folder)
    yield hub, dict(zip(COMMANDS, clinx_of(client)(*COMMANDS.values()), strict=True)), client, folder
    hub.close()


def test_a_run_is_one_private_commit(pushes):
    hub, told, _, folder = pushes
    status, out, err = told["whole"]
    assert status == 0, err
    repo = hub.repos["model", "org/notes-ner"]
    _, first, _ = repo.commits
    assert "it gives the same" in out and f"{hub.url}/org/notes-ner/commit/{first}" in out
    assert repo.private and repo.tags["v1"] == first
    files = repo.commits[first].files
    names = {"README.md", "results.json", "config.json", "model.safetensors", "tokenizer.json", "modeling_clinx.py"}
    assert names < files.keys() and ".eval_results/org--notes.yaml" in files
    assert not any(b"/home/secret" in data or str(folder).encode() in data for data in files.values())


def test_others_read_it_without_this_project_and_the_first_revision_after_a_second_push(pushes):
    hub, told, client, folder = pushes
    assert told["second"][0] == 0, told["second"]
    before, after = read(client, "v1", "main", script=READ + CARD, token=READER, home="another")
    assert before["found"] == local(folder / "run/model") != after["found"] == local(folder / "second/model")
    assert before["classes"] == ["ClinXForTokenClassification", "ClinXModel"]
    assert before["card"] == ["ClinXPipeline", "ClinXForTokenClassification", "ClinXModel"]


def test_branches_and_pull_requests(pushes):
    hub, told, *_ = pushes
    assert told["branch"][0] == told["pull request"][0] == 0, told
    assert "/discussions/1" in told["pull request"][1]
    repo = hub.repos["model", "org/branches"]
    assert "config.json" in repo.at("second").files and "config.json" not in repo.at("main").files
    assert "config.json" in repo.at("refs/pr/1").files
    assert repo.tags["v1"] == repo.branches["second"]


def test_a_server_that_falters_is_tried_again(pushes):
    hub, told, *_ = pushes
    assert told["falters"][0] == 0, told["falters"]
    assert not any(fault.times for fault in hub.faults)
    assert len(hub.repos["model", "org/falters"].commits) == 2


def test_every_call_is_tried_again_and_a_tag_that_is_there_is_right(pushes):
    hub, told, *_ = pushes
    assert told["stumbles"][0] == told["tagged again"][0] == 0, told
    repo = hub.repos["model", "org/stumbles"]
    _, first, second = repo.commits
    assert repo.tags["v1"] == first and repo.branches["main"] == second
    assert told["tagged elsewhere"][0] == 2
    assert f"{second} was pushed, but the tag v1 names another commit" in told["tagged elsewhere"][2]


def test_a_commit_whose_answer_is_lost_is_not_made_twice(pushes):
    hub, told, *_ = pushes
    repo = hub.repos["model", "org/lost"]
    assert told["lost"][0] == 0 and repo.branches["main"] in told["lost"][1], told["lost"]
    assert len(repo.commits) == 2


def test_a_server_that_refuses_leaves_nothing_half_visible_and_the_second_run_finishes(pushes):
    hub, told, *_ = pushes
    assert told["refused"][0] == 2 and "org/refused" in told["refused"][2]
    assert told["refused, again"][0] == 0, told
    assert len(hub.repos["model", "org/refused"].commits) == 2
    assert sum(request.startswith("PUT") for request in hub.requests) == len(hub.large) + 1  # none is sent twice


def test_a_repo_that_is_public_already_needs_public(pushes):
    hub, told, *_ = pushes
    assert told["public"][0] == 0 and not hub.repos["model", "org/public"].private
    for name in ("public, again", "public, pull request"):
        assert told[name][0] == 2 and "is public already: say so with --public" in told[name][2], told[name]


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
    made = api.create_commit.call_args
    operations = {operation.path_in_repo: type(operation).__name__ for operation in made.args[1]}
    assert operations.pop("model-1-of-2.safetensors") == "CommitOperationDelete"
    assert operations.keys() == files_to_push(run / "model", "model").keys()
    assert made.kwargs["parent_commit"] == "0" * 40
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


def test_another_model_is_not_the_same_and_one_without_its_code_is_not_read(run, tiny_encoder_dir, tokenizer, tmp_path):
    exported = export(run, tmp_path / "exported", "org/x", CardFields(note=TEXT))
    copy = make_run(tmp_path / "copy", tiny_encoder_dir, tokenizer, seed=2) / "model"
    assert is_same(exported.expected, exported.read(tmp_path / "exported"))
    assert not is_same(exported.expected, exported.read(copy))
    (copy / "modeling_clinx.py").unlink()  # which is there on this machine, and nowhere else
    with pytest.raises(HubError, match="cannot be read where this project is not installed: .*modeling_clinx.py"):
        exported.read(copy)


KEPT_BACK = """
import json, os, sys
from hub_cards.errors import HubError
from hub_cards.upload import Target, upload_folder
told = []
for token, repo_id in json.loads(sys.argv[2]):
    os.environ.update({"HF_TOKEN": token} if token else {})
    try:
        upload_folder(sys.argv[1], Target(repo_id), "x")
    except HubError as error:
        told.append(str(error))
print(json.dumps(told))
"""


def test_what_keeps_a_push_back_is_told(hub, client, run):
    cases = {
        (None, "org/notes-ner"): "there is no login that may push there: run `hf auth login`",
        (READER, "org/notes-ner"): "this token may not write there",
        (STRANGER, "org/notes-ner"): "this token may not write there",
        (WRITER, "org/not a name"): "Repo id must",
    }
    done = client("-c", KEPT_BACK, run / "model", json.dumps(list(cases)), token=None)
    told = json.loads(done.stdout.splitlines()[-1])
    assert all(message in found for message, found in zip(cases.values(), told, strict=True)), told
    assert not hub.repos
