"""What else is pushed: an ensemble with its members, a language model, a metric, an app."""

import json
import re
import shutil

import pytest
import torch
from huggingface_hub import ModelCard, SpaceCard
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

from clinx.cli import main
from hub_cards.card_fields import CardFields
from hub_cards.export import export
from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification
from tests.conftest import client_of, clinx_of
from tests.hub.server import READER, Hub
from tests.hub_cards.test_others import COMPAT
from tests.hub_cards.test_push import SCORES, make_run, read
from tests.modeling_clinx.models import PROJECT, WITHOUT_PROJECT


METRIC = PROJECT / "train" / "strict_f1"
APP = "import gradio as gr\n\ngr.Interface(str, 'text', 'text').launch()\n"
COMMANDS = {
    "ensemble": ("push", "run", "org/notes-ner", "--members", "--tag", "v1"),
    "again": ("push", "run", "org/notes-ner", "--members", "--tag", "v1", "--no-verify"),
    "language model": ("push", "lm", "org/clin-x-mini", "--language", "es", "--dataset", "Spanish case reports"),
    "metric": ("push", METRIC, "org/strict_f1", "--license", "apache-2.0"),
    "app": ("push", "app", "org/demo", "--model", "org/notes-ner"),
    "metric elsewhere": ("push", METRIC, "org/f1"),
    "no members": ("push", "lm", "org/x", "--members"),
    "other members": ("push", "other", "org/other", "--members"),
    "members as pull requests": ("push", "run", "org/notes-ner", "--members", "--pr"),
    "no organization": ("push", "run", "notes-ner", "--dry-run"),
    "no folder": ("push", "org/notes-ner", "org/copy"),
    "public": ("push", "app", "org/demo", "--pr", "--public"),
    "pull request without changes": ("push", "app", "org/demo", "--model", "org/notes-ner", "--pr"),
}


def make_language_model(folder, tokenizer):
    """What pretraining leaves, of a model that learned nothing."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = XLMRobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=514, pad_token_id=1, **sizes)
    XLMRobertaForMaskedLM(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    saved = json.loads((folder / "model/config.json").read_text())
    (folder / "model/config.json").write_text(json.dumps({**saved, "_name_or_path": "/home/secret/base"}))
    saved = json.loads((folder / "model/tokenizer_config.json").read_text())
    saved |= {"tokenizer_file": "/home/secret/tokenizer.json", "name_or_path": "models/secret"}
    (folder / "model/tokenizer_config.json").write_text(json.dumps(saved))
    metrics = {
        **{"validation": {"perplexity": 5.25, "loss": 1.658}, "device": "CPU", "seconds": 36.0},
        "settings": {"encoder": "models/secret", "learning_rate": 1e-4, "train": "/home/secret"},
        "base_model": "FacebookAI/xlm-roberta-large",
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture(scope="module")
def pushed(tmp_path_factory, tiny_encoder_dir, tokenizer):
    """The loopback Hub after `COMMANDS`, what each of them printed, and a client of it."""
    folder, hub = tmp_path_factory.mktemp("kinds"), Hub()
    members = [make_run(folder / "run" / f"member-{n}", tiny_encoder_dir, tokenizer, seed=n) for n in (1, 2)]
    ensemble = ClinXEnsembleForTokenClassification.from_members([member / "model" for member in members])
    save_model_repo(ensemble, tokenizer, folder / "run" / "model")
    scores = {"validation": {"f1": 0.5}, "test": {"f1": 0.25}, "seconds": 60}
    metrics = {"vote": "majority", "members": [scores, scores], "ensemble": {"test": {**SCORES, "per_label": {}}}}
    (folder / "run" / "metrics.json").write_text(json.dumps(metrics))
    shutil.copytree(folder / "run", folder / "other")
    shutil.copytree(folder / "run/member-1/model", folder / "other/member-2/model", dirs_exist_ok=True)
    make_language_model(folder / "lm", tokenizer)
    (folder / "app").mkdir()
    (folder / "app" / "app.py").write_text(APP)
    client = client_of(hub, folder)
    yield hub, dict(zip(COMMANDS, clinx_of(client)(*COMMANDS.values()), strict=True)), client
    hub.close()


def test_an_ensemble_is_pushed_after_its_members_and_names_their_commits(pushed):
    hub, told, client = pushed
    assert told["ensemble"][0] == 0, told["ensemble"]
    members = [hub.repos["model", f"org/notes-ner-member-{n}"] for n in (1, 2)]
    sources = [f"{repo.id}@{repo.branches['main']}" for repo in members]
    assert all(repo.private and repo.tags["v1"] == repo.branches["main"] for repo in members)
    files = hub.files("org/notes-ner")
    assert json.loads(files["config.json"])["members"] == sources
    assert [member["source"] for member in json.loads(files["results.json"])["members"]] == sources
    content = files["README.md"].decode()
    assert f"https://huggingface.co/org/notes-ner-member-2/tree/{members[1].branches['main']}" in content
    assert told["ensemble"][1].count("downloaded again and compared: it gives the same") == 3


def test_the_ensemble_is_read_under_transformers_4(pushed):
    if not COMPAT.is_dir():
        pytest.skip(f"{COMPAT} is not there: make test-compat")
    _, _, client = pushed
    (there,) = read(client, "v1", PYTHONPATH=str(COMPAT), token=READER, home="compat")
    assert there["classes"][0] == "ClinXEnsembleForTokenClassification" and there["found"]


def test_members_that_did_not_change_are_not_committed_again(pushed):
    hub, told, _ = pushed
    assert told["again"][0] == 0, told["again"]
    repos = [hub.repos["model", f"org/notes-ner{end}"] for end in ("-member-1", "-member-2", "")]
    assert [len(repo.commits) for repo in repos] == [2, 2, 2]


READ_LM = """
encoder = AutoModel.from_pretrained(folder, revision="main")
tokenizer = AutoTokenizer.from_pretrained(folder, revision="main")
(best, *_) = pipeline("fill-mask", model=folder)("dolor <mask>.")
print(json.dumps([type(encoder).__name__, tokenizer("dolor")["input_ids"], best["token_str"]]))
"""


def test_a_language_model_is_read_by_plain_transformers(pushed, tokenizer):
    hub, told, client = pushed
    assert told["language model"][0] == 0, told["language model"]
    assert "it gives the same" in told["language model"][1]
    done = client("-c", WITHOUT_PROJECT + READ_LM, "org/clin-x-mini", PYTHONPATH="", token=READER, home="reader")
    assert done.returncode == 0, done.stderr[-3000:]
    kind, ids, _ = json.loads(done.stdout.splitlines()[-1])
    assert (kind, ids) == ("XLMRobertaModel", tokenizer("dolor")["input_ids"])


def test_a_language_model_card_says_what_it_is(pushed):
    hub, _, _ = pushed
    files = hub.files("org/clin-x-mini")
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag == "fill-mask" and card.data.base_model == "FacebookAI/xlm-roberta-large"
    assert [result.metric_value for result in card.data.eval_results] == [5.25, 1.658]
    assert "| perplexity | 5.25 |" in card.content and "Spanish case reports" in card.content
    assert len(re.findall(r"^\| .*<mask>", card.content, re.M)) == 4
    assert "{{" not in card.content and not any(b"secret" in data for data in files.values())
    assert not any("clinx" in name for name in files)


LOAD_METRIC = """
import sys, evaluate
gold = [[{"start": 0, "end": 3, "label": "a"}, {"start": 9, "end": 12, "label": "b"}]]
print(evaluate.load(sys.argv[1]).compute(predictions=[gold[0][:1]], references=gold)["recall"])
"""


def test_the_metric_is_loaded_from_its_private_space(pushed):
    hub, told, client = pushed
    assert told["metric"][0] == 0, told["metric"]
    assert hub.repos["space", "org/strict_f1"].private
    done = client("-c", LOAD_METRIC, "org/strict_f1", PYTHONPATH="", home="metric")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "0.5"
    card = SpaceCard(hub.files("org/strict_f1", "space")["README.md"].decode())
    assert card.data.tags == ["evaluate", "metric"] and card.data.sdk == "gradio" and card.data.title == "strict f1"
    assert 'evaluate.load("org/strict_f1")' in card.content and "train/strict_f1" not in card.content
    assert told["metric elsewhere"][0] == 2 and "expected a repo named strict_f1" in told["metric elsewhere"][2]
    assert ("space", "org/f1") not in hub.repos


def test_a_space_has_the_front_matter_that_it_is_built_from(pushed, tmp_path):
    hub, told, _ = pushed
    assert told["app"][0] == 0, told["app"]
    files = hub.files("org/demo", "space")
    card = SpaceCard(files["README.md"].decode())
    about = card.data.to_dict()
    assert (about["sdk"], about["app_file"], about["models"]) == ("gradio", "app.py", ["org/notes-ner"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", about["sdk_version"]) and len(about["short_description"]) <= 60
    assert files["app.py"].decode() == APP
    own = tmp_path / "own"
    own.mkdir()
    (own / "app.py").write_text(APP)
    (own / "README.md").write_text("---\ntitle: mine\n---\n")
    export(own, tmp_path / "out", "org/own", CardFields())
    assert "title: mine" in (tmp_path / "out" / "README.md").read_text()


def test_what_cannot_be_pushed_so_is_told(pushed, tmp_path, capsys):
    hub, told, _ = pushed
    for name, fault in {
        "no members": "lm: there are no members (member-1 …), only a run with splits has them",
        "other members": "other/member-2: its weights are not those in the ensemble, other/model",
        "members as pull requests": "--members and --pr exclude each other",
        "no organization": "'notes-ner': expected the repo's name as ORG/NAME",
        "no folder": "org/notes-ner: there is no such folder",
        "public": "org/demo is private already: leave out --public",
    }.items():
        assert told[name][0] == 2 and fault in told[name][2], told[name]
    assert "nothing has changed: no pull request was opened" in told["pull request without changes"][1]
    assert not {"org/other", "org/other-member-1", "org/copy"} & {name for _, name in hub.repos}
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "notes.csv").write_text("a note")
    assert main(["push", str(tmp_path), "org/demo", "--dry-run"]) == 2
    assert "found notes.csv, which a space repo does not hold" in capsys.readouterr().err


def test_the_metric_scores_what_is_pasted(monkeypatch):
    gradio = pytest.importorskip("gradio")
    from clinx.strict_f1 import app

    assert app.scores(app.GOLD, app.PRED)[0] == ["all", 1.0, 0.5, 0.6667, 2, 1, 0, 1]
    for wrong in ("{", "[1]", '[[{"start": 1}]]', "[]"):
        with pytest.raises(gradio.Error):
            app.scores(wrong, app.PRED)
