"""A run is pushed as one private commit, with its card, and read by people who have nothing of this project."""

import json
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData, metadata_eval_result  # noqa: F401
from huggingface_hub.repocard_data import model_index_to_eval_results

from hub_cards.push import PushError, pushed_files
from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification
from tests.hub.server import READER, STRANGER, Fault
from tests.modeling_clinx.models import WITHOUT_PROJECT, new_model


TEXT = "Paciente: Ana Ruiz, 54 años. 👩🏽‍⚕️ Ingresa por dolor torácico; se pauta paracetamol 500 mg."
SCORES = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 4, "tp": 1, "fp": 1, "fn": 3}
PUSH = ("-m", "train.cli", "push", "run", "org/notes-ner")
READ = """
ner = pipeline("ner", model=folder, trust_remote_code=True, revision=more[0])
model = AutoModelForTokenClassification.from_pretrained(folder, trust_remote_code=True, revision=more[0])
encoder = AutoModel.from_pretrained(folder, trust_remote_code=True, revision=more[0])
AutoTokenizer.from_pretrained(folder, trust_remote_code=True, revision=more[0])
found = [[e["entity_group"], e["start"], e["end"], round(e["score"], 4)] for e in ner(more[1])]
print(json.dumps({"found": found, "classes": [type(model).__name__, type(encoder).__name__]}))
"""


@pytest.fixture
def run(tmp_path, tiny_encoder_dir, tokenizer):
    """What `clinx finetune` leaves, of a model that learned nothing."""
    folder = tmp_path / "run"
    save_model_repo(new_model(tiny_encoder_dir), tokenizer, folder / "model")
    settings = {"train": "/home/secret/notes", "encoder": str(tiny_encoder_dir), "head": "crf", "learning_rate": 2e-5}
    metrics = {
        **{"settings": settings, "documents": {"train": 8, "validation": 2, "test": 0}, "seconds": 3600.0},
        **{"device": "NVIDIA H100 80GB HBM3", "versions": {"torch": "2.13.0"}, "unrepresentable": {"overlapping": 2}},
        "test": {**SCORES, "per_label": {"FARMACO": SCORES, "DOLENCIA": SCORES}},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def read(client, revision="main", text=TEXT, **options) -> dict:
    done = client("-c", WITHOUT_PROJECT + READ, "org/notes-ner", revision, text, PYTHONPATH="", **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def local(folder) -> list:
    from transformers import pipeline

    ner = pipeline("ner", model=str(folder), trust_remote_code=True)
    return [[e["entity_group"], e["start"], e["end"], round(e["score"], 4)] for e in ner(TEXT)]


def test_a_run_is_one_private_commit_that_others_read_without_this_project(hub, client, run):
    done = client(*PUSH, "--language", "es", "--dataset", "org/notes", "--dataset", "MEDDOCAN", "--tag", "v1")
    assert done.returncode == 0, done.stderr
    assert "it finds the same" in done.stdout and f"{hub.url}/org/notes-ner/commit/" in done.stdout
    repo = hub.repos["model", "org/notes-ner"]
    assert repo.private and len(repo.commits) == 2 and repo.tags["v1"] == repo.branches["main"]
    files = hub.files("org/notes-ner")
    names = {"README.md", "results.json", "config.json", "model.safetensors", "tokenizer.json", "modeling_clinx.py"}
    assert names < files.keys() and ".eval_results/org--notes.yaml" in files
    assert not any(b"/home/secret" in data or str(run).encode() in data for data in files.values())

    found = read(client, repo.branches["main"], token=READER, home="another")
    assert found["found"] == local(run / "model") and found["found"]
    assert found["classes"][0] == "ClinXForTokenClassification"
    done = client(
        "-c", WITHOUT_PROJECT + READ, "org/notes-ner", "main", TEXT, PYTHONPATH="", token=STRANGER, home="third"
    )
    assert done.returncode and "404" in done.stderr or "not a valid model identifier" in done.stderr


def test_the_card_says_what_the_run_did_and_its_metadata_survive(hub, client, run):
    assert client(*PUSH, "--dataset", "org/notes", "--licence", "cc-by-4.0", "--no-verify").returncode == 0
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


def test_an_ensemble_tells_its_members(hub, client, run, tiny_encoder_dir, tokenizer, tmp_path):
    members = [tmp_path / f"m{seed}" for seed in (1, 2)]
    for seed, member in enumerate(members, 1):
        save_model_repo(new_model(tiny_encoder_dir, seed=seed), tokenizer, member)
    shutil.rmtree(run / "model")
    save_model_repo(ClinXEnsembleForTokenClassification.from_members(members), tokenizer, run / "model")
    scores = {"validation": {"f1": 0.5}, "test": {"f1": 0.25}, "seconds": 60}
    metrics = {"vote": "majority", "members": [scores, scores], "ensemble": {"test": {**SCORES, "per_label": {}}}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    done = client(*PUSH)
    assert done.returncode == 0, done.stderr
    content = hub.files("org/notes-ner")["README.md"].decode()
    assert "An ensemble of 2 models that vote" in content and "| 2 | local | 50.00 | 25.00 |" in content
    assert read(client)["classes"][0] == "ClinXEnsembleForTokenClassification"


@pytest.mark.parametrize(
    "name", ["training_args.bin", "notes.txt", "optimizer.pt", "data/a.json", "x.pkl", "a/b_clinx.py"]
)
def test_what_a_model_repo_does_not_hold_is_refused_by_name(run, name):
    (run / "model" / name).parent.mkdir(exist_ok=True)
    (run / "model" / name).write_text("x")
    with pytest.raises(PushError, match=f"found {name}, which a model repo does not hold"):
        pushed_files(run / "model", "model")


def test_a_dry_run_lists_and_pushes_nothing(hub, client, run):
    done = client(*PUSH, "--dry-run", token=None)
    assert done.returncode == 0 and "model.safetensors" in done.stdout and "nothing was pushed" in done.stdout
    assert not hub.requests and not hub.repos


def test_a_second_push_keeps_the_first_revision_readable(hub, client, run, tiny_encoder_dir, tokenizer):
    assert client(*PUSH, "--no-verify").returncode == 0
    first, before = hub.repos["model", "org/notes-ner"].branches["main"], local(run / "model")
    shutil.rmtree(run / "model")
    save_model_repo(new_model(tiny_encoder_dir, seed=7), tokenizer, run / "model")
    assert client(*PUSH, "--no-verify").returncode == 0
    assert read(client, first)["found"] == before
    assert read(client, "main")["found"] == local(run / "model") != before


def test_branches_and_pull_requests(hub, client, run):
    assert client(*PUSH, "--no-verify", "--branch", "second").returncode == 0
    repo = hub.repos["model", "org/notes-ner"]
    assert "config.json" in repo.at("second").files and "config.json" not in repo.at("main").files
    done = client(*PUSH, "--pr")
    assert done.returncode == 0, done.stderr
    assert "/discussions/1" in done.stdout
    assert "config.json" in repo.at("refs/pr/1").files and "config.json" not in repo.at("main").files


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        ([Fault("POST .*/preupload/", status=500)], 2),
        ([Fault("PUT /large/", status=500, times=2)], 2),
        ([Fault("PUT /large/")], 2),
        ([Fault("POST .*/commit/", status=429, headers={"Retry-After": "1"})], 2),
        ([Fault("POST .*/commit/", status=503)], 2),
        ([Fault("POST .*/commit/")], 2),
    ],
)
def test_a_server_that_falters_is_tried_again(hub, client, run, faults, requests):
    hub.faults += faults
    done = client(*PUSH, "--no-verify")
    assert done.returncode == 0, done.stderr
    assert len(hub.repos["model", "org/notes-ner"].commits) == 2


def test_a_server_that_fails_for_good_leaves_nothing_half_visible_and_the_second_run_finishes(hub, client, run):
    hub.faults.append(Fault("POST .*/commit/", status=400, times=99))
    done = client(*PUSH)
    assert done.returncode == 2 and "org/notes-ner" in done.stderr
    assert list(hub.files("org/notes-ner")) == [".gitattributes"]
    hub.faults.clear()
    hub.requests.clear()
    assert client(*PUSH).returncode == 0
    assert not any(request.startswith("PUT") for request in hub.requests)  # what was uploaded is not sent again


@pytest.mark.parametrize(
    ("token", "repo_id", "message"),
    [
        (None, "org/notes-ner", "nobody is logged in who may push there: `hf auth login`"),
        (READER, "org/notes-ner", "this token may not write there"),
        (STRANGER, "org/notes-ner", "this token may not write there"),
        ("hf_writer", "org/not a name", "Repo id must"),
    ],
)
def test_what_keeps_a_push_back_is_told(hub, client, run, token, repo_id, message):
    done = client(*PUSH[:-1], repo_id, token=token)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not hub.repos


def test_a_repo_that_is_public_already_needs_public(hub, client, run):
    assert client(*PUSH, "--public", "--no-verify").returncode == 0
    assert not hub.repos["model", "org/notes-ner"].private
    done = client(*PUSH)
    assert done.returncode == 2 and "is public already: say so with --public" in done.stderr
    assert client("-m", "train.cli", "push", "nothing", "org/x").returncode == 2
