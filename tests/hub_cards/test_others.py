"""What others do with a pushed repo, through plain transformers: another release, changes pushed again, ensembles."""

import hashlib
import json
from pathlib import Path

import pytest
from safetensors.torch import load, save

from tests.conftest import client_of, clinx_of
from tests.hub.faults import Fault
from tests.hub.server import READER, Hub
from tests.hub_cards.test_push import READ, TEXT, local, make_run
from tests.modeling_clinx.models import ENSEMBLE_CODE, PROJECT, WITHOUT_PROJECT


COMPAT = PROJECT / ".compat" / "transformers-4.57"
CHANGE = """
import torch
model = AutoModelForTokenClassification.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
with torch.no_grad():
    model.classifier.weight.neg_()
model.push_to_hub("org/again")
tokenizer.push_to_hub("org/again")
"""
MEMBERS = """
import json, sys
from modeling_clinx import ClinXEnsembleForTokenClassification
ensemble = ClinXEnsembleForTokenClassification.from_members(sys.argv[1:])
print(json.dumps([ensemble.config.members, [float(m.classifier.weight.detach().sum()) for m in ensemble.members]]))
"""
UNTRUSTED = """
try:
    pipeline("ner", model=folder)
except Exception as error:
    print("\\n" + json.dumps(str(error)))  # after a prompt that nobody answers
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """A loopback Hub with a pushed model, what runs clients of it, and what the model finds here."""
    folder, hub = tmp_path_factory.mktemp("published"), Hub()
    make_run(folder / "run", tiny_encoder_dir, tokenizer)
    hub.part_size = 50_000
    hub.faults.append(Fault("PUT /large/.*/2$"))
    client = client_of(hub, folder)
    ((status, _, err),) = clinx_of(client)(("push", "run", "org/notes-ner", "--no-verify"))
    assert status == 0, err
    yield hub, client, local(folder / "run" / "model")
    hub.close()


def told(client, script: str, *arguments, **options):
    """What a script prints in a fresh process, where this project does not exist."""
    options = {"PYTHONPATH": "", **options}
    done = client("-c", WITHOUT_PROJECT + script, *arguments, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


def test_transformers_4_reads_it(published):
    if not COMPAT.is_dir():
        pytest.skip(f"{COMPAT} is not there: make test-compat")
    _, client, found = published
    (there,) = told(client, READ, "org/notes-ner", TEXT, "main", PYTHONPATH=str(COMPAT), token=READER, home="compat")
    assert [[*entity[:3]] for entity in there["found"]] == [[*entity[:3]] for entity in found]
    assert there["classes"][0] == "ClinXForTokenClassification"


def test_a_model_changed_and_pushed_again_by_plain_transformers_keeps_its_code_and_pipeline(published):
    hub, client, found = published
    told(client, CHANGE, "org/notes-ner")
    assert hub.repos["model", "org/again"].private
    assert ENSEMBLE_CODE - {"ensemble_clinx.py", "vote_clinx.py"} <= hub.files("org/again").keys()
    (there,) = told(client, READ, "org/again", TEXT, "main", home="another")
    assert there["classes"][0] == "ClinXForTokenClassification" and there["found"] != found


def test_an_ensemble_of_repos_names_their_commits(published):
    hub, client, _ = published
    repo = hub.repos["model", "org/notes-ner"]
    first, pushed = repo.commits
    weights = load(repo.commits[pushed].files["model.safetensors"])
    weights["classifier.weight"] += 1.0
    files = {**repo.commits[pushed].files, "model.safetensors": save(weights, {"format": "pt"})}
    later = repo.commit("later", "other weights", files, pushed).sha
    done = client("-c", MEMBERS, f"org/notes-ner@{pushed}", "org/notes-ner@later")
    assert done.returncode == 0, done.stderr[-3000:]
    members, sums = json.loads(done.stdout.splitlines()[-1])
    assert members == [f"org/notes-ner@{pushed}", f"org/notes-ner@{later}"]
    assert sums[1] - sums[0] == pytest.approx(weights["classifier.weight"].numel(), rel=1e-4)
    done = client("-c", MEMBERS, f"org/notes-ner@{first}")
    assert done.returncode and "org/notes-ner" in done.stderr


def test_a_large_file_went_up_in_parts_one_of_which_was_cut(published):
    hub, _, _ = published
    data = hub.files("org/notes-ner")["model.safetensors"]
    oid, n_parts = hashlib.sha256(data).hexdigest(), -(-len(data) // hub.part_size)
    sent = [f"PUT /large/{oid}/{number}" for number in range(1, n_parts + 1)]
    assert n_parts > 2 and [request for request in hub.requests if request.startswith(f"PUT /large/{oid}")] == sorted(
        [*sent, sent[1]]
    )
    assert f"POST /large/{oid}" in hub.requests and not hub.parts


def test_without_trust_the_error_tells_what_to_do(published):
    _, client, _ = published
    assert "trust_remote_code=True" in told(client, UNTRUSTED, "org/notes-ner", home="untrusted")


def test_a_download_that_is_cut_is_gone_on_with(published):
    hub, client, found = published
    hub.faults.append(Fault("GET /large/"))
    (there,) = told(client, READ, "org/notes-ner", TEXT, "main", home="cut")
    assert there["found"] == found and not hub.faults[-1].times


FULL_DISK = """
import json, resource, signal, sys
from huggingface_hub import snapshot_download
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    snapshot_download(sys.argv[1])
    outcome = "whole"
except OSError as error:
    outcome = "full"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps([outcome, snapshot_download(sys.argv[1])]))
"""


def test_after_a_full_disk_the_second_download_finishes(published):
    hub, client, found = published
    done = client("-c", FULL_DISK, "org/notes-ner", home="full")
    assert done.returncode == 0, done.stderr[-3000:]
    outcome, folder = json.loads(done.stdout.splitlines()[-1])
    assert outcome == "full"
    there = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}
    assert there.items() <= hub.files("org/notes-ner").items() and "model.safetensors" in there
