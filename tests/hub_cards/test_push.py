"""A run is pushed as one private commit, with its card, and read by people who have nothing of this project."""

import json
import shutil
from types import SimpleNamespace

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results

from hub_cards.push import PushError, Target, push_folder, pushed_files
from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification
from tests.conftest import client_of, clinx_of
from tests.hub.faults import Fault
from tests.hub.server import READER, STRANGER, WRITER, Hub
from tests.modeling_clinx.models import WITHOUT_PROJECT, new_model
from train.cli import main


TEXT = "Paciente: Ana Ruiz, 54 años. 👩🏽‍⚕️ Ingresa por dolor torácico; se pauta paracetamol 500 mg."
SCORES = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 4, "tp": 1, "fp": 1, "fn": 3}
PUSH = ("push", "run", "org/notes-ner")
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


def make_run(folder, encoder, tokenizer, seed=1):
    """What `clinx finetune` leaves, of a model that learned nothing."""
    save_model_repo(new_model(encoder, seed=seed), tokenizer, folder / "model")
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


def read(client, *revisions, **options) -> list[dict]:
    done = client("-c", WITHOUT_PROJECT + READ, "org/notes-ner", TEXT, *revisions, PYTHONPATH="", **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def local(folder) -> list:
    from transformers import pipeline

    ner = pipeline("ner", model=str(folder), trust_remote_code=True)
    return [[e["entity_group"], e["start"], e["end"], round(e["score"], 4)] for e in ner(TEXT)]


def test_a_run_is_one_private_commit_that_others_read_without_this_project(hub, client, clinx, run):
    about = ("--language", "es", "--dataset", "org/notes", "--dataset", "MEDDOCAN", "--tag", "v1")
    ((status, out, err),) = clinx((*PUSH, *about))
    assert status == 0, err
    assert "it finds the same" in out and f"{hub.url}/org/notes-ner/commit/" in out
    repo = hub.repos["model", "org/notes-ner"]
    assert repo.private and len(repo.commits) == 2 and repo.tags["v1"] == repo.branches["main"]
    files = hub.files("org/notes-ner")
    names = {"README.md", "results.json", "config.json", "model.safetensors", "tokenizer.json", "modeling_clinx.py"}
    assert names < files.keys() and ".eval_results/org--notes.yaml" in files
    assert not any(b"/home/secret" in data or str(run).encode() in data for data in files.values())

    (found,) = read(client, repo.branches["main"], token=READER, home="another")
    assert found["found"] == local(run / "model") and found["found"]
    assert found["classes"][0] == "ClinXForTokenClassification"
    done = client(
        "-c", WITHOUT_PROJECT + READ, "org/notes-ner", "main", TEXT, PYTHONPATH="", token=STRANGER, home="third"
    )
    assert done.returncode and "404" in done.stderr or "not a valid model identifier" in done.stderr


def test_the_card_says_what_the_run_did_and_its_metadata_survive(hub, clinx, run):
    about = ("--dataset", "org/notes", "--licence", "cc-by-4.0", "--no-verify")
    assert clinx((*PUSH, *about))[0][0] == 0
    content = hub.files("org/notes-ner")["README.md"].decode()
    card = ModelCard(content)
    data = card.data.to_dict()
    assert (data["pipeline_tag"], data["library_name"], data["license"]) == (
        "token-classification",
        "transformers",
        "cc-by-4.0",
    )
    assert data["datasets"] == ["org/notes"] and "base_model" not in data
    assert (
        ModelCardData(
            **{**data, "model_name": card.data.model_name},
        ).to_dict()
        == data
    )
    name, results = model_index_to_eval_results(data["model-index"])
    assert name == "notes-ner" and [r.metric_value for r in results] == [0.5, 0.25, 0.3333]
    for said in (
        "| FARMACO | 50.00 | 25.00 | 33.33 | 4 |",
        "2 overlapping",
        "8 notes for train, 2 notes for validation",
        "NVIDIA H100 80GB HBM3, 1.00 hours",
        "about 332 g of CO₂, estimated as 700 W",
        "`head: crf`",
    ):
        assert said in content
    assert "secret" not in content and "learning_rate: 2e-05" in content
    entries = yaml.safe_load(hub.files("org/notes-ner")[".eval_results/org--notes.yaml"])
    assert entries[0]["dataset"] == {"id": "org/notes", "task_id": "default"} and entries[0]["value"] == 33.33


def test_an_ensemble_tells_its_members(hub, client, clinx, run, tiny_encoder_dir, tokenizer, tmp_path):
    members = [tmp_path / f"m{seed}" for seed in (1, 2)]
    for seed, member in enumerate(members, 1):
        save_model_repo(new_model(tiny_encoder_dir, seed=seed), tokenizer, member)
    shutil.rmtree(run / "model")
    save_model_repo(ClinXEnsembleForTokenClassification.from_members(members), tokenizer, run / "model")
    scores = {"validation": {"f1": 0.5}, "test": {"f1": 0.25}, "seconds": 60}
    metrics = {"vote": "majority", "members": [scores, scores], "ensemble": {"test": {**SCORES, "per_label": {}}}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    ((status, _, err),) = clinx((*PUSH, "--no-verify"))
    assert status == 0, err
    content = hub.files("org/notes-ner")["README.md"].decode()
    assert "An ensemble of 2 models that vote" in content and "| 2 | local | 50.00 | 25.00 |" in content
    assert read(client, "main")[0]["classes"][0] == "ClinXEnsembleForTokenClassification"


@pytest.mark.parametrize(
    "name", ["training_args.bin", "notes.txt", "optimizer.pt", "data/a.json", "x.pkl", "a/b_clinx.py"]
)
def test_what_a_model_repo_does_not_hold_is_refused_by_name(run, name):
    (run / "model" / name).parent.mkdir(exist_ok=True)
    (run / "model" / name).write_text("x")
    with pytest.raises(PushError, match=f"found {name}, which a model repo does not hold"):
        pushed_files(run / "model", "model")


def test_a_dry_run_lists_and_pushes_nothing(run, capsys):
    assert main(["push", str(run), "org/notes-ner", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "model.safetensors" in out and "bytes in 14 files" in out and "nothing was pushed" in out
    assert main(["push", str(run / "nothing"), "org/notes-ner"]) == 2
    assert "found no model repo there" in capsys.readouterr().err


def test_a_second_push_keeps_the_first_revision_readable(
    hub, client, clinx, run, tiny_encoder_dir, tokenizer, tmp_path
):
    save_model_repo(new_model(tiny_encoder_dir, seed=7), tokenizer, tmp_path / "second/model")
    results = clinx((*PUSH, "--no-verify"), ("push", "second", "org/notes-ner", "--no-verify"))
    assert [status for status, *_ in results] == [0, 0], results
    _, first, second = hub.repos["model", "org/notes-ner"].commits
    before, after = read(client, first, "main")
    assert before["found"] == local(run / "model") != after["found"] == local(tmp_path / "second/model")


def _push(name: str, *options: str) -> tuple[str, ...]:
    return ("push", "run", f"org/{name}", "--no-verify", *options)


COMMANDS = {
    "branch": _push("branches", "--branch", "second"),
    "pull request": _push("branches", "--pr"),
    "falters": _push("falters"),
    "lost": _push("lost"),
    "refused": _push("refused"),
    "refused, again": _push("refused"),
    "public": _push("public", "--public"),
    "public, again": _push("public"),
}


@pytest.fixture(scope="module")
def pushes(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """The loopback Hub after `COMMANDS`, given in one process, and what each of them printed."""
    folder, hub = tmp_path_factory.mktemp("pushes"), Hub()
    make_run(folder / "run", tiny_encoder_dir, tokenizer)
    hub.faults += [
        Fault("POST .*/falters/preupload/", status=500),
        Fault("POST .*/falters.git/", status=503),
        Fault("POST .*/falters/commit/", status=429, headers={"Retry-After": "1"}),
        Fault("POST .*/falters/commit/"),
        Fault("POST .*/lost/commit/", is_done=True),
        Fault("POST .*/refused/commit/", status=400),
        Fault("PUT /large/"),  # whichever comes first
    ]
    results = clinx_of(client_of(hub, folder))(*COMMANDS.values())
    yield hub, dict(zip(COMMANDS, results, strict=True))
    hub.close()


def test_branches_and_pull_requests(pushes):
    hub, told = pushes
    assert told["branch"][0] == told["pull request"][0] == 0, told
    assert "/discussions/1" in told["pull request"][1]
    repo = hub.repos["model", "org/branches"]
    assert "config.json" in repo.at("second").files and "config.json" not in repo.at("main").files
    assert "config.json" in repo.at("refs/pr/1").files


def test_a_server_that_falters_is_tried_again(pushes):
    hub, told = pushes
    assert told["falters"][0] == 0, told["falters"]
    assert not any(fault.times for fault in hub.faults)
    assert len(hub.repos["model", "org/falters"].commits) == 2


def test_a_commit_whose_answer_is_lost_is_not_made_twice(pushes):
    hub, told = pushes
    repo = hub.repos["model", "org/lost"]
    assert told["lost"][0] == 0 and repo.branches["main"] in told["lost"][1], told["lost"]
    assert len(repo.commits) == 2


def test_a_server_that_refuses_leaves_nothing_half_visible_and_the_second_run_finishes(pushes):
    hub, told = pushes
    assert told["refused"][0] == 2 and "org/refused" in told["refused"][2]
    assert told["refused, again"][0] == 0, told
    assert len(hub.repos["model", "org/refused"].commits) == 2
    assert sum(request.startswith("PUT") for request in hub.requests) == len(hub.large) + 1  # none is sent twice


def test_a_repo_that_is_public_already_needs_public(pushes):
    hub, told = pushes
    assert told["public"][0] == 0 and not hub.repos["model", "org/public"].private
    assert told["public, again"][0] == 2 and "is public already: say so with --public" in told["public, again"][2]


def test_a_push_is_one_commit_of_named_files_whatever_carries_them(run, monkeypatch):
    """Without HF_HUB_DISABLE_XET the same calls are made: nothing but `create_commit` sends files."""
    made = []

    class Api:
        def __getattr__(self, name):
            return lambda *args, **kwargs: made.append((name, args, kwargs)) or answers[name]

    repo = SimpleNamespace(
        repo_id="org/x", sha="0" * 40, private=True, siblings=[SimpleNamespace(rfilename="model-1-of-2.safetensors")]
    )
    answers = {"create_repo": repo, "repo_info": repo, "create_commit": SimpleNamespace(oid="1" * 40)}
    monkeypatch.setattr("hub_cards.push.HfApi", Api)
    push_folder(run / "model", Target("org/x"), "message")
    assert [name for name, *_ in made] == ["create_repo", "repo_info", "create_commit"]
    assert made[0][2]["private"] is True
    operations = {operation.path_in_repo: type(operation).__name__ for operation in made[-1][1][1]}
    assert operations.pop("model-1-of-2.safetensors") == "CommitOperationDelete"
    assert operations.keys() == pushed_files(run / "model", "model").keys()
    assert made[-1][2]["parent_commit"] == "0" * 40


KEPT_BACK = """
import json, os, sys
from hub_cards.push import PushError, Target, push_folder
told = []
for token, repo_id in json.loads(sys.argv[2]):
    os.environ.update({"HF_TOKEN": token} if token else {})
    try:
        push_folder(sys.argv[1], Target(repo_id), "x")
    except PushError as error:
        told.append(str(error))
print(json.dumps(told))
"""


def test_what_keeps_a_push_back_is_told(hub, client, run):
    cases = {
        (None, "org/notes-ner"): "nobody is logged in who may push there: `hf auth login`",
        (READER, "org/notes-ner"): "this token may not write there",
        (STRANGER, "org/notes-ner"): "this token may not write there",
        (WRITER, "org/not a name"): "Repo id must",
    }
    done = client("-c", KEPT_BACK, run / "model", json.dumps(list(cases)), token=None)
    told = json.loads(done.stdout.splitlines()[-1])
    assert all(message in found for message, found in zip(cases.values(), told, strict=True)), told
    assert not hub.repos
