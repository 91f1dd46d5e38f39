"""What the card of a fine-tuned model or an ensemble says, and that its metadata survive."""

import json
import re

import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData, eval_result_entries_to_yaml, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from hub_cards.card_fields import CardFields
from hub_cards.errors import HubError
from hub_cards.export import export
from hub_cards.figures import published_figures
from hub_cards.model_card import save_model_card
from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification
from tests.hub_cards.readers import TEXT
from tests.hub_cards.runs import SCORES
from tests.modeling_clinx.models import new_model


def exported(run, folder, **fields) -> str:
    card_fields = CardFields(note=TEXT, publishable_settings=("head", "learning_rate"), **fields)
    export(run, folder, "org/notes-ner", card_fields, revision="v1")
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_card_says_what_the_run_did(run, tmp_path):
    content = exported(run, tmp_path / "out", datasets=["org/notes"], license="cc-by-4.0", language="es")
    for words in (
        "| FARMACO | 50.00 | 25.00 | 33.33 | 4 |",
        "2 overlapping",
        "8 notes for train, 2 notes for validation",
        "NVIDIA H100 80GB HBM3, 1.00 hours",
        "about 332 g of CO₂, estimated as 700 W",
        "`head: crf`",
        "learning_rate: 2e-05",
    ):
        assert words in content
    headings = "How to use it, What it finds, Results, Training, Intended use, and limits, Privacy, Citation"
    assert ", ".join(re.findall("^## (.*)", content, re.M)) == headings
    assert "secret" not in content and "{{" not in content
    assert not any("secret" in path.read_text() for path in (tmp_path / "out").rglob("*.json"))


def test_the_metadata_survive_a_round_trip(run, tmp_path):
    card = ModelCard(exported(run, tmp_path / "out", datasets=["org/notes"], license="cc-by-4.0"))
    data = card.data.to_dict()
    assert (data["pipeline_tag"], data["library_name"]) == ("token-classification", "transformers")
    assert (data["license"], data["datasets"]) == ("cc-by-4.0", ["org/notes"]) and "base_model" not in data
    assert ModelCardData(**{**data, "model_name": card.data.model_name}).to_dict() == data
    name, results = model_index_to_eval_results(data["model-index"])
    assert name == "notes-ner" and [r.metric_value for r in results] == [0.5, 0.25, 0.3333]
    entries = yaml.safe_load((tmp_path / "out/.eval_results/org--notes.yaml").read_text())
    assert entries[0]["dataset"] == {"id": "org/notes", "task_id": "default"} and entries[0]["value"] == 33.33
    assert eval_result_entries_to_yaml(parse_eval_result_entries(entries)) == entries


@pytest.mark.parametrize(
    "figures, split, is_result",
    [
        ({"test": 1}, "test", True),
        ({"test": 1, "settings": {"test_fraction": 0.1}}, "held out", False),
        ({"validation": 1}, "validation", False),
    ],
)
def test_a_result_on_a_benchmark_is_one_on_its_test_notes(tmp_path, figures, split, is_result):
    scores = {**SCORES, "per_label": {"A|B": SCORES}}
    figures = {name: scores if value == 1 else value for name, value in figures.items()}
    content = {"figures": figures, "labels": ["A|B"], "example": {"text": "x", "entities": []}}
    save_model_card(tmp_path, "org/x", CardFields(datasets=["org/notes"]), **content)
    card = ModelCard.load(tmp_path / "README.md")
    assert {result.dataset_split for result in card.data.eval_results} == {split}
    assert len(list(tmp_path.glob(".eval_results/*"))) == is_result
    assert "| A\\|B | 50.00 |" in card.content
    save_model_card(tmp_path / "two", "org/x", CardFields(datasets=["org/notes", "org/more"]), **content)
    assert not (tmp_path / "two/.eval_results").exists()
    card = ModelCard.load(tmp_path / "two/README.md")
    assert {result.dataset_type for result in card.data.eval_results} == {"custom"}


@pytest.mark.parametrize(
    "start, line, names",
    [
        (
            {"base_model": "org/a", "sources": [{"name": "org/a", "revision": "1a2b3c4d5e", "member": 3}]},
            "the encoder of [org/a](https://huggingface.co/org/a/tree/1a2b3c4d5e) at `1a2b3c4`, member 3 of that "
            "ensemble",
            {"base_model": "org/a", "base_model_revision": {"org/a": "1a2b3c4d5e"}},
        ),
        (
            {"base_model": "org/a", "sources": [{"name": "org/a", "revision": "1a2b3c4d5e"}, {}]},
            "the mean of the encoders of [org/a](https://huggingface.co/org/a/tree/1a2b3c4d5e) at `1a2b3c4`; a "
            "fine-tuned model that is not on the Hub",
            {"base_model": "org/a", "base_model_revision": {"org/a": "1a2b3c4d5e"}},
        ),
        (
            {"base_model": "org/encoder", "sources": [{}]},
            "the encoder of a fine-tuned model that is not on the Hub (which descends from org/encoder)",
            {"base_model": "org/encoder"},
        ),
        ({"sources": [{}]}, "the encoder of a fine-tuned model that is not on the Hub", {}),
        ({"base_model": "org/encoder"}, "org/encoder", {"base_model": "org/encoder"}),
    ],
)
def test_the_card_names_the_sources_on_the_hub_and_their_commits(tmp_path, start, line, names):
    (tmp_path / "metrics.json").write_text(json.dumps(start))
    content = {"figures": published_figures(tmp_path, []), "labels": ["A"], "example": {"text": "x", "entities": []}}
    save_model_card(tmp_path, "org/x", CardFields(), **content)
    content = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"\n- Started from: {line}\n" in content
    data = ModelCard(content).data.to_dict()
    assert {name: value for name, value in data.items() if name.startswith("base_model")} == names


def card_of(folder, **figures) -> str:
    save_model_card(folder, "org/x", CardFields(), labels=["A"], example={"text": "x", "entities": []}, figures=figures)
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("parts", "sentence", "is_crf"),
    [
        ({}, "labels on subwords, document context, and a CRF over the whole document", True),
        ({"head": "linear", "unit": "word", "context_size": 0}, "labels on words, and a linear layer", False),
    ],
)
def test_the_card_names_the_parts_that_the_model_has(tiny_encoder_dir, tokenizer, tmp_path, parts, sentence, is_crf):
    save_model_repo(new_model(tiny_encoder_dir, **parts), tokenizer, tmp_path / "model")
    content = exported(tmp_path / "model", tmp_path / "out")  # of a model without figures of a run too
    assert f"Built with CLIN-X: {sentence}." in content
    assert ("crf" in ModelCard(content).data.tags) is is_crf


@pytest.mark.parametrize(
    ("device", "watts"),
    [
        ("NVIDIA L40S", 350),
        ("NVIDIA L4", 72),
        ("NVIDIA A10G", 300),
        ("NVIDIA A100-SXM4-80GB", 400),
        ("NVIDIA H200", 8 * 700),
        ("NVIDIA GeForce RTX 4090", None),
        ("x86_64", 100),
    ],
)
def test_the_estimate_of_carbon_is_that_of_the_device(tmp_path, device, watts):
    processes = {"world_size": 8} if device.endswith("H200") else {}
    content = card_of(tmp_path, seconds=3600, device=device, settings=processes)
    assert f"{device}, 1.00 hours" in content and "\n\n## Intended use" in content
    assert (f"estimated as {watts} W" in content) if watts else ("Carbon" not in content)


def test_the_card_of_an_ensemble_lists_its_members_and_their_hours(run, tiny_encoder_dir, tokenizer, tmp_path):
    members = [save_model_repo(new_model(tiny_encoder_dir, seed=n), tokenizer, tmp_path / f"m{n}") for n in (1, 2)]
    save_model_repo(ClinXEnsembleForTokenClassification.from_members(members), tokenizer, run / "model")
    members = [{"validation": {"f1": f1}, "test": {"f1": f1 / 2}, "seconds": 7200 * f1} for f1 in (1.0, 0.5)]
    metrics = {"vote": "majority", "members": members, "ensemble": {"test": {**SCORES, "per_label": {}}}}
    (run / "metrics.json").write_text(json.dumps(metrics))
    content = exported(run, tmp_path / "out")
    assert "An ensemble of 2 models that vote" in content and "| 2 | 50.00 | 25.00 |" in content
    assert "not stated, 3.00 hours" in content and "# of the first member" in content
    assert '"end", "agreement"}, …]' in content


def test_a_card_that_is_there_is_kept_with_its_results(run, tmp_path):
    exported(run, tmp_path / "out", datasets=["org/notes"])
    (tmp_path / "out/README.md").write_text("mine")
    (tmp_path / "out/.gitattributes").write_text("of a clone")
    assert exported(tmp_path / "out", tmp_path / "again") == "mine"
    names = {path.relative_to(tmp_path / "again").as_posix() for path in (tmp_path / "again").rglob("*")}
    assert {"results.json", ".eval_results/org--notes.yaml"} < names and ".gitattributes" not in names


def test_a_card_in_the_model_of_a_run_is_kept_beside_the_results_of_the_run(run, tmp_path):
    (run / "model/README.md").write_text("mine")
    (run / "model/requirements.txt").write_text("torch\n")
    assert exported(run, tmp_path / "out") == "mine"
    assert json.loads((tmp_path / "out/results.json").read_text())["test"]["f1"] == SCORES["f1"]
    assert (tmp_path / "out/requirements.txt").read_text() == "torch\n" and (tmp_path / "out/handler.py").exists()


def test_local_paths_are_left_out_and_labels_that_look_like_them_are_not(run, tmp_path):
    config = json.loads((run / "model/config.json").read_text())
    config["encoder"]["_name_or_path"] = "/home/secret"
    names = {"FARMACO": "drug_file"}
    config["entity_types"] = [names.get(name, name) for name in config["entity_types"]]
    for key in ("id2label", "label2id"):
        config[key] = json.loads(json.dumps(config[key]).replace("FARMACO", "drug_file"))
    (run / "model/config.json").write_text(json.dumps(config))
    exported(run, tmp_path / "out")
    written = json.loads((tmp_path / "out/config.json").read_text())
    assert written["label2id"] == config["label2id"] and "_name_or_path" not in written["encoder"]


@pytest.mark.parametrize("folder, source", [(".", "{run}/model"), ("{run}/model", ".")])
def test_the_model_folder_of_a_run_is_pushed_with_the_figures_of_the_run(run, tmp_path, monkeypatch, folder, source):
    monkeypatch.chdir(folder.format(run=run))
    assert "| FARMACO | 50.00 |" in exported(source.format(run=run), tmp_path / "out")


@pytest.mark.parametrize(
    "figures, fault",
    [("[1]", "found list, expected an object with the figures"), ("{", "the figures of the run cannot be read")],
)
def test_figures_that_cannot_be_read_are_refused(run, tmp_path, figures, fault):
    (run / "metrics.json").write_text(figures)
    with pytest.raises(HubError, match=f"metrics.json: {fault}"):
        exported(run, tmp_path / "out")


def test_an_ensemble_tells_its_settings_where_its_members_are_gone(tmp_path):
    """Without test_fraction, scores on held-out notes would pass for results on a dataset's test notes."""
    metrics = {"settings": {"test_fraction": 0.2, "head": "crf"}, "members": [], "ensemble": {"test": SCORES}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    assert published_figures(tmp_path, ["head"])["settings"] == {"head": "crf", "test_fraction": 0.2}
