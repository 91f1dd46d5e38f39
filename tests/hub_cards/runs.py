"""Folders to push: runs of models that learned nothing, a language model, an app."""

import json

import torch
from transformers import XLMRobertaForMaskedLM

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification
from tests.modeling_clinx.models import new_model, tiny_config


SCORES = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 4, "tp": 1, "fp": 1, "fn": 3}
APP = "import gradio as gr\n\ngr.Interface(str, 'text', 'text').launch()\n"


def make_run(folder, encoder, tokenizer, seed=1, **config_kwargs):
    """What `clinx finetune` leaves; its files name local paths, all with "secret" in them."""
    save_model_repo(new_model(encoder, seed=seed, **config_kwargs), tokenizer, folder / "model")
    _update_json(folder / "model/config.json", _name_or_path="/home/secret/base")
    metrics = {
        "settings": {
            "train": "/home/secret/notes",
            "encoder": str(encoder),
            "head": "crf",
            "learning_rate": 2e-5,
            "split": "random",
        },
        "documents": {"train": 8, "validation": 2, "test": 0},
        "seconds": 3600.0,
        "device": "NVIDIA H100 80GB HBM3",
        "versions": {"torch": "2.13.0"},
        "unrepresentable": {"overlapping": 2},
        "test": {**SCORES, "per_label": {"FARMACO": SCORES, "DOLENCIA": SCORES}},
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def make_ensemble_run(folder, encoder, tokenizer, **config_kwargs):
    """What `clinx finetune --splits 2` leaves."""
    members = [make_run(folder / f"member-{n}", encoder, tokenizer, n, **config_kwargs) for n in (1, 2)]
    ensemble = ClinXEnsembleForTokenClassification.from_members([member / "model" for member in members])
    save_model_repo(ensemble, tokenizer, folder / "model")
    scores = {"validation": {"f1": 0.5}, "test": {"f1": 0.25}, "seconds": 60}
    metrics = {"vote": "majority", "members": [scores, scores], "ensemble": {"test": {**SCORES, "per_label": {}}}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def make_language_model(folder, tokenizer):
    """What pretraining leaves; its files name local paths, all with "secret" in them."""
    torch.manual_seed(0)
    XLMRobertaForMaskedLM(tiny_config(tokenizer)).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    _update_json(folder / "model/config.json", _name_or_path="/home/secret/base")
    paths = {"tokenizer_file": "/home/secret/tokenizer.json", "name_or_path": "models/secret"}
    _update_json(folder / "model/tokenizer_config.json", **paths)
    metrics = {
        "validation": {"perplexity": 5.25, "loss": 1.658},
        "before": {"perplexity": 42.5, "loss": 3.75},
        "new_head": False,
        "report": {
            "train_documents": 4182,
            "excluded_notes": 250,
            "excluded": 3,
            "/home/secret": 1,
            "where": "/home/secret",
        },
        "blocks": {"train": 9000, "validation": 40},
        "steps": 600,
        "subwords": 1234567,
        "subwords_per_second": 2345.6,
        "device": "CPU",
        "seconds": 36.0,
        "settings": {
            "model": "models/secret",
            "learning_rate": 1e-4,
            "train": ["/home/secret"],
            "exclude": ["/home/secret"],
            "block_length": 128,
            "cross_documents": True,
            "mlm_probability": 0.15,
            "min_characters": 1,
            "near_duplicates": 0.8,
            "update_blocks": 32,
        },
        "base_model": "FacebookAI/xlm-roberta-large",
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def make_app(folder):
    """A Gradio app without a card."""
    folder.mkdir()
    (folder / "app.py").write_text(APP)
    return folder


def _update_json(file, **values):
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
