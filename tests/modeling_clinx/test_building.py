"""What makes new models: which members may vote together, and how they are put together."""

import json
import shutil

import pytest
import torch
from transformers import XLMRobertaModel

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification
from tests.modeling_clinx.models import new_model, tiny_config


pytestmark = pytest.mark.compat


def changed(folder, tmp_path, change):
    """A copy of a member with another tokenizer."""
    copy = tmp_path / f"changed-{len(list(tmp_path.iterdir()))}"
    shutil.copytree(folder, copy)
    backend = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))
    change(backend)
    (copy / "tokenizer.json").write_text(json.dumps(backend), encoding="utf-8")
    return copy


def test_members_that_differ_are_refused_with_the_difference(member_folders, tiny_encoder_dir, tokenizer, tmp_path):
    settings = {"window_length": 128, "context_size": 16}
    others = {
        "entity_types 1: DOLENCIA and None": (["FARMACO"], {}),
        "entity_types 0: FARMACO and DOLENCIA": (["DOLENCIA", "FARMACO"], {}),
        "scheme: BIOSE and BIO": (["FARMACO", "DOLENCIA"], {"scheme": "BIO"}),
    }
    refused = {}
    for number, (fault, (types, other)) in enumerate(others.items()):
        model = new_model(tiny_encoder_dir, types, **settings, **other)
        refused[fault] = save_model_repo(model, tokenizer, tmp_path / f"member-{number}")

    def word(backend):
        backend["model"]["vocab"][100][0] = "▁paracetamol"

    def score(backend):
        backend["model"]["vocab"][100][1] -= 1.0

    def normalizer(backend):
        backend["normalizer"] = {"type": "Lowercase"}

    refused["tokenizer model vocab 100 0: .* and ▁paracetamol"] = changed(member_folders[1], tmp_path, word)
    refused[r"tokenizer model vocab 100 1: -\d.* and -\d"] = changed(member_folders[1], tmp_path, score)
    refused["tokenizer normalizer type: NFKC and Lowercase"] = changed(member_folders[1], tmp_path, normalizer)
    for fault, member in refused.items():
        with pytest.raises(ValueError, match=f"cannot vote together: they differ in {fault}"):
            ClinXEnsembleForTokenClassification.from_members([member_folders[0], member])


def test_members_with_other_positions_are_refused(member_folders, tokenizer, tmp_path):
    """One ensemble has one encoder configuration: such members would be saved as what cannot be loaded."""
    config = tiny_config(tokenizer)
    config.max_position_embeddings = 1026
    XLMRobertaModel(config).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    other = new_model(tmp_path / "encoder", window_length=128, context_size=16)
    save_model_repo(other, tokenizer, tmp_path / "member")
    with pytest.raises(ValueError, match="they differ in encoder max_position_embeddings: 514 and 1026"):
        ClinXEnsembleForTokenClassification.from_members([member_folders[0], tmp_path / "member"])


@pytest.mark.parametrize("half_first", [True, False])
def test_members_of_mixed_precision_are_read_in_float32_whatever_their_order(
    member_folders, tokenizer, tmp_path, half_first
):
    half = ClinXForTokenClassification.from_pretrained(member_folders[0], dtype=torch.bfloat16)
    save_model_repo(half, tokenizer, tmp_path / "half")
    members = [tmp_path / "half", member_folders[1]][:: 1 if half_first else -1]
    ensemble = ClinXEnsembleForTokenClassification.from_members(members)
    ensemble.save_pretrained(tmp_path / "mixed")
    for model in (ensemble, ClinXEnsembleForTokenClassification.from_pretrained(tmp_path / "mixed")):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    given = ClinXEnsembleForTokenClassification.from_members(members, dtype=torch.bfloat16)
    assert {member.encoder.dtype for member in given.members} == {torch.bfloat16}


def test_only_single_models_are_members(member_folders, tiny_encoder_dir, tmp_path):
    repo = tmp_path / "ensemble"
    ClinXEnsembleForTokenClassification.from_members(member_folders[:2]).save_pretrained(repo)
    with pytest.raises(ValueError, match="at least one member"):
        ClinXEnsembleForTokenClassification.from_members([])
    for folder, kind in ((repo, "clinx-ensemble"), (tiny_encoder_dir, "xlm-roberta")):
        with pytest.raises(ValueError, match=f"is a {kind} model, expected a clinx token classifier"):
            ClinXEnsembleForTokenClassification.from_members([folder])
