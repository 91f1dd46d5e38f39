"""What others do with a pushed model, through plain transformers: another release, changes pushed again, ensembles."""

import json

import pytest
from safetensors.torch import load, save

from tests.hub.server import READER
from tests.hub_cards.readers import COMPAT, output_of, read, read_here
from tests.hub_cards.runs import make_run
from tests.hub_cards.sessions import session
from tests.modeling_clinx.models import ENSEMBLE_CODE


COMMANDS = {"model": ("push", "run", "org/notes-ner", "--no-verify")}
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
    """The Hub with a pushed model."""
    folder = tmp_path_factory.mktemp("published")
    make_run(folder / "run", tiny_encoder_dir, tokenizer)
    with session(folder, COMMANDS) as pushed:
        assert pushed.results["model"].status == 0, pushed.results
        yield pushed


@pytest.fixture(scope="module")
def expected(published):
    return read_here(published.folder / "run/model")


def test_transformers_4_reads_it(published, expected):
    if not COMPAT.is_dir():
        pytest.skip(f"{COMPAT} is not there: make test-compat")
    (reading,) = read(published.client, "org/notes-ner", "main", PYTHONPATH=str(COMPAT), token=READER, home="compat")
    assert [entity[:3] for entity in reading["entities"]] == [entity[:3] for entity in expected]
    assert reading["classes"][0] == "ClinXForTokenClassification"


def test_a_model_changed_and_pushed_again_by_plain_transformers_keeps_its_code_and_pipeline(published, expected):
    hub, client = published.hub, published.client
    output_of(client, CHANGE, "org/notes-ner")
    assert hub.repos["model", "org/again"].private
    assert ENSEMBLE_CODE - {"ensemble_clinx.py", "vote_clinx.py"} <= hub.files("org/again").keys()
    (reading,) = read(client, "org/again", "main", home="another")
    assert reading["classes"][0] == "ClinXForTokenClassification" and reading["entities"] != expected


def test_an_ensemble_of_repos_names_their_commits(published):
    repo = published.hub.repos["model", "org/notes-ner"]
    first, pushed = repo.commits
    weights = load(repo.commits[pushed].files["model.safetensors"])
    weights["classifier.weight"] += 1.0
    files = {**repo.commits[pushed].files, "model.safetensors": save(weights, {"format": "pt"})}
    later = repo.commit("later", "other weights", files, pushed).sha
    done = published.client("-c", MEMBERS, f"org/notes-ner@{pushed}", "org/notes-ner@later")
    assert done.returncode == 0, done.stderr[-3000:]
    members, sums = json.loads(done.stdout.splitlines()[-1])
    assert members == [f"org/notes-ner@{pushed}", f"org/notes-ner@{later}"]
    assert sums[1] - sums[0] == pytest.approx(weights["classifier.weight"].numel(), rel=1e-4)
    done = published.client("-c", MEMBERS, f"org/notes-ner@{first}")
    assert done.returncode and "org/notes-ner" in done.stderr


def test_without_trust_the_error_says_what_to_do(published):
    assert "trust_remote_code=True" in output_of(published.client, UNTRUSTED, "org/notes-ner", home="untrusted")
