"""A student learns the marginals of an ensemble: the loss against brute force, and what the features carry."""

import itertools
import json

import pytest
import torch

from clinx import cli
from clinx.corpora.documents import Document
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.corpora.synthetic import synthetic_notes
from clinx.errors import InputError
from clinx.finetuning.batches import WindowCollator
from clinx.finetuning.distillation import add_teacher_marginals, distillation_loss, entity_types_of_teacher
from clinx.finetuning.ensemble import student_of
from clinx.finetuning.finetune import documents_of, trainer_for, windows_of
from clinx.finetuning.finetune import new_model as model_of_recipe
from clinx.finetuning.windows import TrainingWindows
from clinx.recipe import Recipe
from clinx.training import training_arguments
from clinx.writing import write_json
from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification
from modeling_clinx.crf_clinx import ClinXCRF
from tests.modeling_clinx.models import TYPES, new_model


NOTES = [
    Document("a", "La Dra. García solicita analítica: hemoglobina 13.5 g/dl. " * 20),
    Document("b", ""),
    Document("c", "Niega fiebre."),
]
SETTINGS = {"window_length": 64, "context_size": 8}


def random_crf(seed, linear=False):
    torch.manual_seed(seed)
    crf = ClinXCRF(1, "BIO", linear=linear)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    return crf


@pytest.mark.parametrize("linear", [False, True])
def test_the_loss_is_the_cross_entropy_of_two_distributions_over_labellings(linear):
    student, teacher = random_crf(0, linear), random_crf(1)
    n_steps, n_tags = 4, len(student.tags)
    emissions, taught_by = torch.randn(1, n_steps, n_tags), torch.randn(1, n_steps, n_tags)
    mask, edges = torch.ones(1, n_steps, dtype=torch.bool), torch.tensor([[True, False]])

    def log_probabilities(crf, scores):
        total = {}
        for path in itertools.product(range(n_tags), repeat=n_steps):
            value = sum(scores[0, t, tag].double() for t, tag in enumerate(path))
            if crf.transitions is not None:
                if not crf.tags.starts[path[0]] or not all(crf.tags.allowed[i, j] for i, j in itertools.pairwise(path)):
                    continue
                value += crf.start[path[0]] + sum(crf.transitions[i, j] for i, j in itertools.pairwise(path))
            total[path] = value
        log_z = torch.logsumexp(torch.stack(list(total.values())), 0)
        return {path: value - log_z for path, value in total.items()}

    ours, theirs = log_probabilities(student, emissions), log_probabilities(teacher, taught_by)
    tags, pairs = torch.zeros(1, n_steps, n_tags), torch.zeros(1, n_tags, n_tags)
    for path, value in theirs.items():
        for t, tag in enumerate(path):
            tags[0, t, tag] += value.exp().item()
        for i, j in itertools.pairwise(path):
            pairs[0, i, j] += value.exp().item()
    expected = -sum(value.exp() * ours[path] for path, value in theirs.items()) / n_steps
    emissions.requires_grad_()
    loss = distillation_loss(student, emissions, mask, edges, tags, pairs)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    loss.backward()
    marginals = torch.zeros(1, n_steps, n_tags)
    for path, value in ours.items():
        for t, tag in enumerate(path):
            marginals[0, t, tag] += value.exp().item()
    assert torch.allclose(emissions.grad, (marginals - tags) / n_steps, atol=1e-5)


@pytest.fixture(scope="module")
def teacher(tiny_encoder_dir, tokenizer, tmp_path_factory):
    folders = [tmp_path_factory.mktemp("members") / str(seed) for seed in range(2)]
    for seed, folder in enumerate(folders):
        save_model_repo(new_model(tiny_encoder_dir, seed=seed, **SETTINGS), tokenizer, folder)
    ensemble = ClinXEnsembleForTokenClassification.from_members(folders)
    return save_model_repo(ensemble, tokenizer, folders[0].with_name("ensemble"))


def test_each_window_carries_the_mean_marginals_of_its_core(teacher, tokenizer):
    ensemble = ClinXEnsembleForTokenClassification.from_pretrained(teacher)
    features = TrainingWindows(NOTES, tokenizer, ensemble.config).fixed()
    add_teacher_marginals(features, NOTES, str(teacher), tokenizer, ensemble.config, 4)
    assert len(features) > 3
    batch = WindowCollator(tokenizer.pad_token_id, len(ensemble.members[0].crf.tags))(features)
    sums = batch["teacher_tags"].sum(-1)
    assert torch.allclose(sums, batch["core_mask"].float(), atol=1e-5)
    assert torch.allclose(batch["teacher_pairs"].sum((1, 2)), batch["core_mask"].sum(1) - 1.0, atol=1e-3)
    # Of a document that is one window, the pairs' sums over one side are the tags but for an end of the chain.
    last = batch["teacher_tags"][-1][batch["core_mask"][-1]]
    assert torch.allclose(batch["teacher_pairs"][-1].sum(1), last[:-1].sum(0), atol=2e-3)
    assert torch.allclose(batch["teacher_pairs"][-1].sum(0), last[1:].sum(0), atol=2e-3)
    with torch.inference_mode():
        inputs = {name: batch[name][-1:] for name in ("input_ids", "attention_mask", "core_mask", "edge_mask")}
        mean = sum(member(**inputs).logits.exp() for member in ensemble.members) / 2
    assert torch.allclose(
        ensemble.members[0].crf.tags.fold(batch["teacher_tags"][-1:])[batch["core_mask"][-1:]],
        mean[batch["core_mask"][-1:]],
        atol=1e-3,
    )


def test_a_student_like_its_teacher_has_no_gradient(tiny_encoder_dir, tokenizer, tmp_path):
    model = new_model(tiny_encoder_dir, **SETTINGS)
    save_model_repo(model, tokenizer, tmp_path / "one")
    features = TrainingWindows(NOTES, tokenizer, model.config).fixed()
    add_teacher_marginals(features, NOTES, str(tmp_path / "one"), tokenizer, model.config, 4)
    short = [feature for feature in features if feature["edge_mask"].all()]  # others see their core's neighbours
    batch = WindowCollator(tokenizer.pad_token_id, len(model.crf.tags))(short)
    teacher = batch.pop("teacher_tags"), batch.pop("teacher_pairs")
    emissions = model(**{k: v for k, v in batch.items() if k != "labels"}).emissions
    loss = distillation_loss(model.crf, emissions, batch["core_mask"], batch["edge_mask"], *teacher)
    (gradient,) = torch.autograd.grad(loss, emissions)
    assert gradient.abs().max() < 1e-3


def test_a_teacher_of_other_labels_is_refused(teacher, tiny_encoder_dir, tokenizer):
    for settings, fault in (({"entity_types": ["X"]}, "entity_types"), ({"scheme": "BIO"}, "scheme BIOSE")):
        config = new_model(tiny_encoder_dir, **{"entity_types": TYPES, **settings}).config
        with pytest.raises(InputError, match=fault):
            add_teacher_marginals([], NOTES, str(teacher), tokenizer, config, 4)
    with pytest.raises(InputError, match="cannot load the ensemble /no/where"):
        add_teacher_marginals([], NOTES, "/no/where", tokenizer, config, 4)


def test_what_is_no_ensemble_is_told_in_words(tiny_encoder_dir, tmp_path):
    write_json(tmp_path / "model/config.json", {"model_type": "clinx"})  # a run, in which the model lies
    with pytest.raises(InputError, match=f"found no config.json .* did you mean {tmp_path}/model?"):
        entity_types_of_teacher(str(tmp_path))
    with pytest.raises(InputError, match="it is xlm-roberta, expected a CLIN-X model"):
        entity_types_of_teacher(str(tiny_encoder_dir))


def test_a_student_comes_nearer_to_the_ensemble_over_other_notes_too(ensemble_run, few, tmp_path):
    write_jsonl(synthetic_notes(9, split="validation")[4:], tmp_path / "more.jsonl")
    more = ["--distill", ensemble_run / "model", "--unlabelled", tmp_path / "more.jsonl", "--split_kind", "all"]
    more = [*map(str, more), "--output_dir", str(tmp_path / "student")]
    assert cli.main(["finetune", str(few), *more]) == 0
    metrics = json.loads((tmp_path / "student/metrics.json").read_text())
    assert metrics["documents"] == {"train": 13, "unlabelled": 5, "validation": 0, "test": 3}

    recipe = Recipe.read(few, more)
    data, args = documents_of(recipe), training_arguments(recipe)
    untrained, tokenizer = model_of_recipe(recipe, [], data.entity_types)
    windows = windows_of(recipe, data, tokenizer, untrained.config, seed=0)
    batch = WindowCollator(tokenizer.pad_token_id, len(untrained.crf.tags))(windows.features)

    def distance(model):
        trainer = trainer_for(recipe, args, data, windows, model.eval(), tokenizer)
        with torch.no_grad():
            return trainer.compute_loss(model, dict(batch)).item()

    student = ClinXForTokenClassification.from_pretrained(tmp_path / "student" / "model")
    assert distance(student) < distance(untrained)


def test_a_student_of_an_ensemble_s_recipe_is_one_model_with_the_validation_that_is_left():
    recipe = Recipe(encoder="e", train="notes", splits=5, soup=True, vote="average", member=2, max_train_documents=3)
    student = student_of(recipe)
    assert not student.is_ensemble and not student.soup and student.member is None and student.split_kind is None
    assert student.vote == "majority"  # as of all that are no ensemble: another vote would do nothing
    assert student_of(recipe.changed(max_train_documents=None)).split_kind == "all"
