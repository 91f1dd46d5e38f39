"""The temperature that is fitted on validation documents."""

import json

import pytest
import torch
from transformers import AutoTokenizer

from clinx import cli
from clinx.corpora.documents import Document, Entity
from clinx.corpora.synthetic import synthetic_notes
from clinx.finetuning.temperature import _chains, _negative_log_likelihood, apply_temperature, fit_temperature
from clinx.scoring.calibration import CURVES
from hub_cards.repo_files import files_to_push
from modeling_clinx import ClinXForTokenClassification, DocumentPredictor


@pytest.fixture
def predictor(run):
    model = ClinXForTokenClassification.from_pretrained(run / "model").eval()
    return DocumentPredictor(model, AutoTokenizer.from_pretrained(run / "model"))


def loss(predictor, documents):
    crf = predictor.members[0].crf
    return sum(_negative_log_likelihood(crf, *chains) for chains in _chains(predictor, documents))


def test_annotations_are_the_most_likely_at_the_temperature_and_what_is_found_stays(predictor):
    documents = list(synthetic_notes(6, split="validation", seed=5))
    texts = [document.text for document in documents]
    found = [prediction.labels for prediction in predictor(texts)]
    temperature = fit_temperature(predictor, documents)
    apply_temperature(predictor.model, temperature)
    best = loss(predictor, documents)
    for factor in (1.05, 1 / 1.05):
        apply_temperature(predictor.model, factor)
        assert loss(predictor, documents) > best
        apply_temperature(predictor.model, 1 / factor)
    assert [prediction.labels for prediction in predictor(texts)] == found
    assert fit_temperature(predictor, documents) == pytest.approx(1, abs=0.02)


def test_a_model_whose_scores_are_too_large_gets_a_temperature_that_is_as_much_larger(predictor):
    documents = list(synthetic_notes(4, split="validation", seed=5))
    before = fit_temperature(predictor, documents)
    apply_temperature(predictor.model, 0.8)
    assert fit_temperature(predictor, documents) == pytest.approx(before / 0.8, rel=0.02)


def test_documents_without_text_or_with_other_labels_say_nothing(predictor):
    assert fit_temperature(predictor, [Document("a", ""), Document("b", "  ")]) == 1.0
    odd = Document("c", "Ana Ruiz", [Entity(0, 8, "NO_SUCH_TYPE")])
    assert fit_temperature(predictor, [odd]) > 0


@pytest.mark.parametrize("kind", ["run", "ensemble_run"])
def test_the_curves_of_validation_documents_are_pushed_with_a_model(kind, request):
    folder = request.getfixturevalue(kind)
    curves = json.loads(files_to_push(folder / "model", "model")[CURVES].read_text())
    scores = json.loads((folder / "metrics.json").read_text())
    support = sum(member["validation"]["support"] for member in scores.get("members", [scores]))
    assert curves["all"]["support"] == support and curves["per_label"]


def test_a_run_keeps_its_temperature_and_one_without_validation_documents_has_none(run, recipe, tmp_path):
    assert json.loads((run / "metrics.json").read_text())["temperature"] > 0
    for name, more in (("all", ["--split_kind", "all"]), ("off", ["--calibrate", "false"])):
        assert cli.main(["finetune", str(recipe), "--output_dir", str(tmp_path / name), *more]) == 0
        assert "temperature" not in json.loads((tmp_path / name / "metrics.json").read_text())
    on, off = (ClinXForTokenClassification.from_pretrained(folder / "model") for folder in (run, tmp_path / "off"))
    temperature = json.loads((run / "metrics.json").read_text())["temperature"]
    assert torch.allclose(on.crf.transitions * temperature, off.crf.transitions, rtol=1e-5)
