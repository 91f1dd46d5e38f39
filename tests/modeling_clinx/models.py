"""Models for tests, and processes that know nothing of this project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from transformers import XLMRobertaConfig

from modeling_clinx import ClinXForTokenClassification


TYPES = ["FARMACO", "DOLENCIA"]
PROJECT = Path(__file__).parents[2]
ENSEMBLE_CODE = {path.name for path in (PROJECT / "modeling_clinx").glob("*_clinx.py")}
CODE = ENSEMBLE_CODE - {"ensemble_clinx.py"}
WITHOUT_PROJECT = """
import json, os, sys
for room in ("modeling_clinx", "hub_cards", "clinx"):
    sys.modules[room] = None  # even where it is installed
from transformers import AutoModel, AutoModelForTokenClassification, AutoTokenizer, pipeline
folder, *more = sys.argv[1:]
"""


def tiny_config(tokenizer) -> XLMRobertaConfig:
    """An XLM-R of two layers, 32 wide."""
    return XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        type_vocab_size=1,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def new_model(folder, entity_types=TYPES, seed=1, **config_kwargs) -> ClinXForTokenClassification:
    """A model on the encoder of `folder`, without dropout, that finds something at random."""
    torch.manual_seed(seed)
    model = ClinXForTokenClassification.from_encoder(folder, entity_types, **config_kwargs).eval()
    nn.init.normal_(model.classifier.weight)
    return model


def in_fresh_process(script: str, *arguments) -> dict:
    """Runs a script where this project does not exist, and returns the JSON object that it prints."""
    folder = Path(arguments[0]).parent
    overlays = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    overlays = [path for path in overlays if Path(path).resolve() != PROJECT]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(overlays), "HF_HUB_OFFLINE": "1"}
    env |= {"HF_HOME": str(folder / "hf_home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITHOUT_PROJECT + script, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
