"""`--source_model` and `--source_models`: what a run starts from, what it records of it, and what is refused."""

import json
import shutil

import pytest
import torch
from transformers import ByT5Tokenizer, T5Config, XLMRobertaForTokenClassification, XLMRobertaModel

from clinx import cli
from clinx.errors import InputError
from clinx.finetuning.finetune import new_model as model_of
from clinx.finetuning.finetune import starting_point
from clinx.finetuning.sources import find_sources
from clinx.recipe import Recipe
from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification
from tests.modeling_clinx.models import TYPES, new_model, tiny_config


def moved(model, seed):
    """The model after a training that moved every weight a little."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.002 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def sources(tiny_encoder_dir, tokenizer, tmp_path_factory):
    """Three models that were fine-tuned from one encoder, and the run of their ensemble: its median is the last."""
    folder = tmp_path_factory.mktemp("sources")
    for seed in range(3):
        save_model_repo(moved(new_model(tiny_encoder_dir, TYPES), seed), tokenizer, folder / str(seed))
    ensemble = ClinXEnsembleForTokenClassification.from_members([folder / str(seed) for seed in range(3)])
    save_model_repo(ensemble, tokenizer, folder / "run/model")
    figures = {"members": [{"validation": {"f1": f1}} for f1 in (0.9, 0.1, 0.5)]}
    (folder / "run/metrics.json").write_text(json.dumps(figures))
    return folder


def started(entity_types=TYPES, **settings):
    recipe = Recipe(train="notes", split_kind="all", output_dir="run", **settings).checked()
    return model_of(recipe, find_sources(recipe), entity_types)[0]


def encoder_weights(folder):
    return ClinXForTokenClassification.from_pretrained(folder).encoder.state_dict()


def are_equal(model, weights):
    return all(torch.allclose(weight, weights[name], atol=1e-6) for name, weight in model.encoder.state_dict().items())


def test_the_encoder_is_the_sources_and_the_head_is_new(sources, tiny_encoder_dir):
    model = started(["X"], source_model=str(sources / "1"), encoder=str(tiny_encoder_dir))
    assert are_equal(model, encoder_weights(sources / "1"))
    assert model.config.entity_types == ["X"] and not model.crf.transitions.any()


def test_any_token_classifier_is_a_source(tiny_encoder_dir, tokenizer, tmp_path):
    other = moved(XLMRobertaForTokenClassification.from_pretrained(tiny_encoder_dir), 7)
    other.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert are_equal(started(source_model=str(tmp_path)), other.roberta.state_dict())


@pytest.mark.parametrize("is_pushed", [False, True])
def test_of_an_ensemble_the_median_member_is_taken(sources, tmp_path, capsys, is_pushed):
    folder = sources / "run/model"
    if is_pushed:
        folder = shutil.copytree(folder, tmp_path / "repo")
        figures = {"members": [{"source": "", "validation": f1, "test": None} for f1 in (0.9, 0.1, 0.5)]}
        (folder / "results.json").write_text(json.dumps(figures))
    assert are_equal(started(source_model=str(folder)), encoder_weights(sources / "2"))
    assert "member 3, of 3 the median on validation notes, strict F1 50.00 %" in capsys.readouterr().err


def test_where_nothing_says_which_is_the_median_it_is_told_that_the_first_member_is_taken(sources, tmp_path, capsys):
    folder = shutil.copytree(sources / "run/model", tmp_path / "repo")
    assert are_equal(started(source_model=str(folder)), encoder_weights(sources / "0"))
    assert "member 1, the first, since no results.json or metrics.json" in capsys.readouterr().err


def test_several_sources_give_their_weighted_mean(sources):
    names = [str(sources / "0"), str(sources / "run/model")]
    first, second = encoder_weights(sources / "0"), encoder_weights(sources / "2")
    for weights, share in ((None, 0.5), ([3.0, 1.0], 0.75)):
        mean = {name: share * first[name] + (1 - share) * second[name] for name in first}
        assert are_equal(started(source_models=names, source_weights=weights), mean)


@pytest.mark.parametrize("settings", [{}, {"scheme": "BIO"}, {"head": "linear"}])
def test_a_shared_head_keeps_what_is_known_of_the_labels_in_common(settings, tiny_encoder_dir, tokenizer, tmp_path):
    source = moved(new_model(tiny_encoder_dir, TYPES, **settings), 3)
    save_model_repo(source, tokenizer, tmp_path / "source")
    model = started(["ALERGIA", TYPES[1]], source_model=str(tmp_path / "source"), transfer_head="shared", **settings)

    def scores(of, types, tag, after):
        tags = [
            f"{role} {types[k] if k >= 0 else ''}" for role, k in zip(of.crf.tags.roles, of.crf.tags.types, strict=True)
        ]
        i, j = tags.index(tag), tags.index(after)
        crf = [] if of.crf.transitions is None else [of.crf.transitions[i, j], of.crf.start[i], of.crf.end[i]]
        return [*of.classifier.weight[i].tolist(), of.classifier.bias[i].item(), *(score.item() for score in crf)]

    both = {f"{role} {TYPES[1] if role != 'O' else ''}" for role in model.crf.tags.roles}
    for tag in both:
        for after in both:
            assert scores(model, model.config.entity_types, tag, after) == scores(source, TYPES, tag, after)
    new = [i for i, k in enumerate(model.crf.tags.types.tolist()) if k == 0]
    assert not model.classifier.bias[new].any()
    assert model.crf.transitions is None or not model.crf.transitions[new].any()


def test_a_shared_head_needs_a_source_with_the_same_labels_head_and_scheme(sources, tiny_encoder_dir):
    shared = {"source_model": str(sources / "0"), "transfer_head": "shared"}
    for settings, fault in (
        ({"entity_types": ["X"]}, "no label in common with the notes: it finds FARMACO, DOLENCIA, they have X"),
        ({"scheme": "BIO"}, "has scheme BIOSE, not BIO"),
        ({"head": "linear"}, "has head crf, not linear"),
        ({"source_model": str(tiny_encoder_dir)}, "is a xlm-roberta model, whose head"),
    ):
        with pytest.raises(InputError, match=fault):
            started(settings.pop("entity_types", TYPES), **{**shared, **settings})


def other_encoder(folder, tokenizer, **settings):
    config = tiny_config(tokenizer)
    for name, value in settings.items():
        setattr(config, name, value)
    torch.manual_seed(9)
    XLMRobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    "settings, fault",
    [
        ({"hidden_size": 64}, "they differ in hidden size: 32 and 64"),
        ({"intermediate_size": 32}, r"apart|intermediate"),
        ({}, "so they were pretrained apart"),
        ({"tokenizer": "wordpiece_tokenizer"}, "they differ in vocabulary"),
    ],
)
def test_sources_of_different_encoders_are_refused_in_one_line(sources, tokenizer, tmp_path, request, settings, fault):
    with_tokenizer = request.getfixturevalue(settings.pop("tokenizer", "tokenizer"))
    other = other_encoder(tmp_path / "other", with_tokenizer, **settings)
    first = str(sources / "0")
    for start in ({"source_models": [first, other]}, {"source_model": first, "encoder": other}):
        with pytest.raises(InputError, match=fault) as error:
            started(**start)
        assert first in str(error.value) and "\n" not in str(error.value)


def test_a_source_that_cannot_be_read_is_one_line(sources, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    T5Config(d_model=8, num_layers=1, vocab_size=400).save_pretrained(tmp_path / "slow")
    ByT5Tokenizer().save_pretrained(tmp_path / "slow")
    for source, fault in (
        (tmp_path / "slow", "slow has no fast tokenizer"),
        (tmp_path / "none", "found no such folder"),
        (f"{sources}/0@v1", "only a repo on the Hub has revisions"),
    ):
        with pytest.raises(InputError, match=fault) as error:
            started(source_model=str(source))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings, fault",
    [
        ({}, "the setting --encoder is missing, and there is no source_model"),
        ({"source_model": "a", "source_models": ["b"]}, "leave one of them out"),
        ({"source_models": ["a", "a"]}, "names a twice"),
        ({"source_models": ["a", "b"], "source_weights": [1.0]}, "has 1 numbers for 2 source_models"),
        ({"source_models": ["a", "b"], "source_weights": [0.0, 0.0]}, "are all 0"),
        ({"source_models": ["a", "b"], "source_weights": [1.0, -1.0]}, "source_weights is -1.0, expected at least 0"),
        ({"source_models": ["a"], "transfer_head": "shared"}, "there is no source_model whose labels"),
        ({"source_model": "a", "revision": "v1"}, "set source_model: NAME@v1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, fault):
    with pytest.raises(InputError, match=fault):
        Recipe(train="notes", **settings).checked()


def test_members_that_start_from_sources_belong_to_them_as_they_were(sources, few, tmp_path, capsys):
    """Every member starts from the mean, its own recipe says so, and the card of the run names no path."""
    text = few.read_text().splitlines()
    (tmp_path / "few.yaml").write_text("\n".join(line for line in text if not line.startswith("encoder:")))
    source = shutil.copytree(sources / "run", tmp_path / "source")
    command = ["finetune", tmp_path / "few.yaml", "--source_models", sources / "0", source / "model"]
    command += ["--source_weights", "2", "1", "--splits", "2", "--max_steps", "2", "--output_dir", tmp_path / "run"]
    command = list(map(str, command))
    assert cli.main(command) == 0
    member = Recipe.read(tmp_path / "run/member-2/recipe.yaml")
    assert member.sources == [str(sources / "0"), str(source / "model")] and member.source_weights == [2.0, 1.0]
    metrics = json.loads((tmp_path / "run/member-2/metrics.json").read_text())
    assert (metrics["base_model"], metrics["sources"]) == (None, [{}, {"member": 3}])
    assert cli.main(command) == 0 and "finished run" in capsys.readouterr().out
    figures = {"members": [{"validation": {"f1": f1}} for f1 in (0.5, 0.1, 0.9)]}
    (source / "metrics.json").write_text(json.dumps(figures))
    assert cli.main(command) == 2
    assert f"holds a run with another source {source}/model" in capsys.readouterr().err


def test_what_is_on_the_hub_is_the_base_model(sources, tiny_encoder_dir):
    recipe = Recipe(train="notes", encoder="org/encoder", source_model=str(sources / "0"))
    (local,) = find_sources(recipe)
    on_hub = local._replace(name="org/source", version="1a2b3c4", is_on_hub=True, member=2)
    assert starting_point(recipe, [local]) == {"base_model": "org/encoder", "sources": [{}]}
    published = {"name": "org/source", "revision": "1a2b3c4", "member": 2}
    assert starting_point(recipe, [on_hub, local]) == {"base_model": "org/source", "sources": [published, {}]}
    assert starting_point(recipe.changed(encoder=str(tiny_encoder_dir)), [])["base_model"] is None


UPLOAD = """
import sys
from huggingface_hub import HfApi
HfApi().create_repo("org/source")
HfApi().upload_folder(repo_id="org/source", folder_path=sys.argv[1])
print(HfApi().upload_file(repo_id="org/source", path_in_repo="results.json", path_or_fileobj=sys.argv[2]).oid)
"""


def test_a_source_on_the_hub_is_ranked_started_from_and_may_have_a_teacher_beside_it(
    sources, recipe, notes, tmp_path, client, clinx
):
    """Of an ensemble on the Hub the median member; what is not there is one line."""
    commit = client("-c", UPLOAD, sources / "run/model", sources / "run/metrics.json").stdout.split()[-1]
    start = ("finetune", recipe, "--source_model", "org/source", "--max_steps", 2)
    results = clinx(
        (*start, "--output_dir", "run"),
        (*start, "--output_dir", "run"),
        (*start, "--output_dir", "student", "--distill", "run/model"),
        ("rank-sources", "--target", notes / "train", "--source_models", "org/source", sources / "0"),
        ("rank-sources", "--target", notes / "train", "--source_models", "org/source", "org/none"),
        ("finetune", recipe, "--source_model", "org/source@v9", "--output_dir", "other"),
    )
    assert [status for status, *_ in results] == [0, 0, 0, 0, 2, 2], results[2][2].splitlines()[-2:]
    assert "finished run" in results[1][1] and "org/source" in results[3][1]
    for (_, _, error), fault in zip(results[4:], ("org/none", "org/source@v9"), strict=True):
        assert fault in error.splitlines()[-1] and "Traceback" not in error
    for run in ("run", "student"):
        metrics = json.loads((tmp_path / run / "metrics.json").read_text())
        assert metrics["sources"] == [{"name": "org/source", "revision": commit, "member": 3}]
        assert metrics["base_model"] == "org/source"


def test_a_run_from_a_source_that_was_interrupted_ends_with_the_same_weights(sources, recipe, tmp_path, monkeypatch):
    from clinx.finetuning.trainer import ClinXTrainer

    command = ["finetune", str(recipe), "--source_model", str(sources / "1")]
    assert cli.main([*command, "--output_dir", str(tmp_path / "whole")]) == 0
    whole, steps = ClinXTrainer.training_step, []

    def interrupted(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(ClinXTrainer, "training_step", interrupted)
    assert cli.main([*command, "--output_dir", str(tmp_path / "cut")]) == 130
    monkeypatch.setattr(ClinXTrainer, "training_step", whole)
    assert cli.main([*command, "--output_dir", str(tmp_path / "cut")]) == 0
    once, twice = (
        ClinXForTokenClassification.from_pretrained(tmp_path / name / "model").state_dict() for name in ("whole", "cut")
    )
    assert all(torch.equal(once[name], twice[name]) for name in once)
