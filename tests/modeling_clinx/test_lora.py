"""Adapters of low rank: what they compute, and ensembles whose members share one encoder."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from accelerate import infer_auto_device_map
from safetensors import safe_open
from torch import nn
from transformers import AutoModelForTokenClassification, GPT2Config, GPT2Model

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification
from modeling_clinx.building import layers_with_adapters, load_encoder, load_member
from tests.modeling_clinx.models import in_fresh_process, new_model
from tests.modeling_clinx.test_ensemble import TEXTS, assert_same, read


pytestmark = pytest.mark.compat


def member(folder, seed: int) -> ClinXForTokenClassification:
    """A model with adapters that add something."""
    model = new_model(folder, seed=seed, lora_rank=3, window_length=64, context_size=8)
    for layer in layers_with_adapters(model.encoder):
        nn.init.normal_(layer.lora_b, std=0.3)
    return model


@pytest.fixture(scope="module")
def members(tiny_encoder_dir, tokenizer, tmp_path_factory):
    """Folders of three members on the same encoder."""
    folder = tmp_path_factory.mktemp("adapters")
    return [save_model_repo(member(tiny_encoder_dir, seed), tokenizer, folder / f"member-{seed}") for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def repo(members, tokenizer, tmp_path_factory):
    ensemble = ClinXEnsembleForTokenClassification.from_members(members)
    return save_model_repo(ensemble, tokenizer, tmp_path_factory.mktemp("hub") / "sharing-ensemble")


def assert_same_single_models(first, second, tokenizer):
    """They read the same, and neither tells of an agreement between members."""
    for a, b in zip(read(first, tokenizer), read(second, tokenizer), strict=True):
        assert a.agreement is None and b.agreement is None and a.labels == b.labels
        assert (a.starts == b.starts).all() and (a.ends == b.ends).all()
        assert abs(a.scores - b.scores).max(initial=0) < 1e-5


def test_new_adapters_change_nothing_and_are_all_of_the_encoder_that_is_trained(tiny_encoder_dir, tokenizer):
    plain, model = (new_model(tiny_encoder_dir, lora_rank=rank) for rank in (None, 4))
    ids = torch.arange(5, 25)[None]
    assert torch.equal(model.encoder(ids)[0], plain.encoder(ids)[0])
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert {name.split(".")[-1] for name in trained if name.startswith("encoder.")} == {"lora_a", "lora_b"}
    assert {name.split(".")[0] for name in trained} == {"encoder", "classifier", "crf"}
    assert len(layers_with_adapters(model.encoder)) == 12  # six linear layers in each of two


def test_adapters_add_a_product_of_low_rank_to_each_linear_layer(tiny_encoder_dir):
    model = member(tiny_encoder_dir, 1)
    layer = layers_with_adapters(model.encoder)[0]
    inputs = torch.randn(2, 7, layer.in_features)
    weight = layer.weight + layer.lora_b[0] @ layer.lora_a[0]
    torch.testing.assert_close(layer(inputs), nn.functional.linear(inputs, weight, layer.bias))


def test_a_model_with_adapters_is_saved_and_loaded(members, tokenizer, tiny_encoder_dir):
    loaded = AutoModelForTokenClassification.from_pretrained(members[0])
    rows = [[one.rows() for one in read(model, tokenizer)] for model in (loaded, member(tiny_encoder_dir, 1))]
    assert rows[0] == rows[1]
    with pytest.raises(ValueError, match="lora_rank is 5, but this model was saved with 3"):
        ClinXForTokenClassification.from_pretrained(members[0], lora_rank=5)


def test_releases_that_know_no_adapters_refuse_such_a_model_and_no_other(members, repo, tiny_encoder_dir):
    for folder in (members[0], repo):
        assert json.loads(Path(folder, "config.json").read_text())["format_version"] == 2
    assert new_model(tiny_encoder_dir).config.format_version == 1


def test_members_share_one_encoder_and_read_as_they_did_alone(members, repo, tokenizer):
    ensemble = AutoModelForTokenClassification.from_pretrained(repo)
    assert len({id(one.encoder) for one in ensemble.members}) == 1
    for folder, one in zip(members, ensemble.members, strict=True):
        alone = ClinXForTokenClassification.from_pretrained(folder)
        assert_same(read(alone, tokenizer), read(one, tokenizer))
    with safe_open(Path(repo, "model.safetensors"), "pt") as file:
        names = list(file.keys())
    assert not [name for name in names if name.startswith(("members.1.encoder", "members.2.encoder"))]
    sizes = [Path(folder, "model.safetensors").stat().st_size for folder in (members[0], repo)]
    assert sizes[1] < 2 * sizes[0]


def test_threads_read_with_their_own_member(repo, tokenizer):
    ensemble = AutoModelForTokenClassification.from_pretrained(repo)
    expected = [read(one, tokenizer) for one in ensemble.members]
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(lambda one: read(one, tokenizer), [*ensemble.members] * 4))
    for number, result in enumerate(results):
        assert_same(result, expected[number % 3])


def test_a_stranger_reads_with_the_code_of_the_repo(repo, tokenizer):
    script = """
ner = pipeline("ner", model=folder, trust_remote_code=True)
encoder = AutoModel.from_pretrained(folder, trust_remote_code=True)
print(json.dumps({"entities": ner(more), "width": encoder.encoder.config.hidden_size}))
"""
    found = in_fresh_process(script, repo, *TEXTS)
    ours = read(AutoModelForTokenClassification.from_pretrained(repo), tokenizer)
    assert [[row["start"] for row in rows] for rows in found["entities"]] == [one.starts.tolist() for one in ours]
    assert any(found["entities"]) and found["width"] == 32


def test_one_member_of_such_an_ensemble_needs_no_adapters(repo, members, tokenizer):
    for number, folder in enumerate(members):
        alone = load_member(repo, number)
        expected = ClinXForTokenClassification.from_pretrained(folder)
        assert_same_single_models(expected, alone, tokenizer)
        assert not layers_with_adapters(alone.encoder) and alone.config.lora_rank is None
        ids = torch.arange(5, 25)[None]
        for place, index in ((repo, number), (folder, 0)):
            encoder, _ = load_encoder(str(place), member=index)
            assert not layers_with_adapters(encoder) and all(weight.requires_grad for weight in encoder.parameters())
            torch.testing.assert_close(encoder(ids)[0], expected.encoder(ids)[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("number", [0, 1])
def test_a_member_is_not_saved_without_its_encoder(repo, members, tokenizer, tmp_path, number):
    loaded = AutoModelForTokenClassification.from_pretrained(repo)
    for ensemble in (loaded, ClinXEnsembleForTokenClassification.from_members(members)):
        with pytest.raises(ValueError, match="save its ensemble"):
            ensemble.members[number].save_pretrained(tmp_path / "member")
    load_member(repo, number).save_pretrained(tmp_path / "alone")
    alone = AutoModelForTokenClassification.from_pretrained(tmp_path / "alone")
    assert type(alone) is ClinXForTokenClassification and alone.config.lora_rank is None
    assert_same(read(alone, tokenizer), read(loaded.members[number], tokenizer))


def test_a_model_whose_adapters_were_added_to_its_weights_is_like_any_other(members, tokenizer):
    expected, alone = ClinXForTokenClassification.from_pretrained(members[1]), load_member(members[1])
    assert not layers_with_adapters(alone.encoder) and alone.config.format_version == 1
    assert_same_single_models(expected, alone, tokenizer)


def test_layers_of_several_members_are_not_computed_again_with_the_adapters_of_the_first(repo):
    ensemble = AutoModelForTokenClassification.from_pretrained(repo)
    with pytest.raises(ValueError, match="does not support"):
        ensemble.gradient_checkpointing_enable()


def test_an_encoder_without_linear_layers_is_refused(tokenizer, tmp_path):
    GPT2Model(GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)  # whose layers are of another class
    with pytest.raises(ValueError, match="no linear layers that take adapters: leave lora_rank out"):
        new_model(tmp_path, lora_rank=2)


def test_members_on_different_encoders_do_not_vote_together(members, tiny_encoder_dir, tokenizer, tmp_path):
    other = member(tiny_encoder_dir, 4)
    with torch.no_grad():
        other.encoder.get_input_embeddings().weight[7] += 1
    save_model_repo(other, tokenizer, tmp_path / "other")
    with pytest.raises(ValueError, match="member 2 has adapters of another encoder than member 1: embeddings"):
        ClinXEnsembleForTokenClassification.from_members([members[0], tmp_path / "other"])
    plain = save_model_repo(
        new_model(tiny_encoder_dir, window_length=64, context_size=8), tokenizer, tmp_path / "plain"
    )
    with pytest.raises(ValueError, match="they differ in lora_rank: 3 and None"):
        ClinXEnsembleForTokenClassification.from_members([members[0], plain])


def test_the_one_encoder_stays_in_memory(repo, tokenizer):
    loaded = ClinXEnsembleForTokenClassification.from_pretrained(repo, max_members_in_memory=1)
    assert {weight.device.type for weight in loaded.parameters()} == {"cpu"}
    assert_same(read(loaded, tokenizer), read(AutoModelForTokenClassification.from_pretrained(repo), tokenizer))


def test_a_device_map_keeps_members_beside_their_encoder(repo):
    ensemble = AutoModelForTokenClassification.from_pretrained(repo)
    size = sum(weight.nbytes for weight in ensemble.parameters())
    devices = {0: size // 2, "cpu": 4 * size}  # the encoder's layers alone would fill the first
    split = infer_auto_device_map(ensemble, devices, no_split_module_classes=list(ensemble._no_split_modules))
    assert set(split.values()) == {"cpu"}


def test_layers_are_trained_with_gradient_checkpointing(tiny_encoder_dir):
    model = new_model(tiny_encoder_dir, lora_rank=2).train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model(torch.arange(5, 25)[None], labels=torch.zeros(1, 20, dtype=torch.long)).loss.backward()
    assert all(layer.lora_b.grad.abs().sum() > 0 for layer in layers_with_adapters(model.encoder))


def test_a_rank_below_one_is_refused(tiny_encoder_dir):
    with pytest.raises(ValueError, match="lora_rank 0 at least 1"):
        new_model(tiny_encoder_dir, lora_rank=0)
