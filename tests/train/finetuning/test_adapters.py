"""`clinx finetune --lora_rank` as a user runs it, and the soup of what such members and others have learned."""

import json

import pytest
import torch
from safetensors.torch import load_file

from clinx.finetuning.ensemble import uniform_soup
from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification
from tests.modeling_clinx.models import new_model
from tests.train.finetuning.test_ensemble import clinx


def test_members_with_adapters_share_the_encoder_that_they_began_with(few, tiny_encoder_dir, tmp_path):
    settings = ("--splits", 2, "--lora_rank", 4, "--head_learning_rate", 1e-2, "--soup", "--max_steps", 2)
    assert clinx("finetune", few, *settings, "--output_dir", tmp_path / "run") == 0
    before = load_file(tiny_encoder_dir / "model.safetensors")
    after = load_file(tmp_path / "run/model/model.safetensors")
    shared = {name.removeprefix("members.0.encoder."): weight for name, weight in after.items() if ".encoder." in name}
    adapters = {name for name in shared if "lora_" in name}
    assert all(torch.equal(shared[name], before[name]) for name in shared.keys() - adapters)
    assert all(shared[name].abs().amax((1, 2)).all() for name in adapters if "lora_b" in name)  # both have learned
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["settings"]["lora_rank"] == 4 and metrics["soup"]["test"]["support"] > 0
    soup, name = load_file(tmp_path / "run/soup/model.safetensors"), "encoder.layer.0.attention.self.query"
    added = (shared[f"{name}.lora_b"] @ shared[f"{name}.lora_a"]).mean(0)
    torch.testing.assert_close(soup[f"encoder.{name}.weight"], shared[f"{name}.weight"] + added)
    from_it = ("--source_models", tmp_path / "run", tmp_path / "run/soup", "--lora_rank", 2)
    assert clinx("finetune", few, *from_it, "--test_fraction", 0.2, "--output_dir", tmp_path / "next") == 0


@pytest.mark.parametrize("rank", [None, 2])
def test_a_soup_of_one_member_is_that_member(tiny_encoder_dir, tokenizer, tmp_path, rank):
    member = save_model_repo(new_model(tiny_encoder_dir, lora_rank=rank), tokenizer, tmp_path / "member")
    soup = uniform_soup(ClinXEnsembleForTokenClassification.from_members([member]), [2.0]).state_dict()
    weights = load_file(member / "model.safetensors")
    assert soup and all(torch.equal(weight, weights[name]) for name, weight in soup.items())
