"""Blocks without the preparation of texts, a tiny masked language model, and a recipe of both."""

import sys
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import XLMRobertaForMaskedLM

from tests.conftest import NOTES
from tests.modeling_clinx.models import tiny_config


class Blocks(NamedTuple):
    train: Dataset
    validation: Dataset
    report: dict
    digest: str


def blocks_of(tokenizer, n: int) -> Dataset:
    """Blocks of unequal lengths, each of one or two notes."""
    rows = []
    for i in range(n):
        text = " ".join(NOTES[j % len(NOTES)] for j in range(i, i + 1 + i % 2))
        encoding = tokenizer(text, truncation=True, max_length=60)
        words = encoding.word_ids()
        starts = [word is not None and word != before for before, word in zip([None, *words], words, strict=False)]
        rows.append((np.array(encoding["input_ids"], np.int32), np.array(starts)))
    ids, starts = zip(*rows, strict=True)
    return Dataset.from_dict({"input_ids": list(ids), "word_starts": list(starts)})


def prepare_blocks(recipe, tokenizer, folder) -> Blocks:
    report = {"train_documents": 18, "near_duplicates": 2, "/home/secret": 1, "where": "/home/secret"}
    return Blocks(blocks_of(tokenizer, 18), blocks_of(tokenizer, 5), report, "0123")


def put_blocks_in_place(modules: dict) -> None:
    """Puts blocks of the tests' notes in place of those that are prepared of texts."""
    module = ModuleType("clinx.pretraining.blocks")
    module.prepare_blocks = prepare_blocks
    modules[module.__name__] = module


@pytest.fixture
def prepared(monkeypatch):
    """Blocks of the tests' notes in place of those that are prepared of texts."""
    modules = {}
    put_blocks_in_place(modules)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture(scope="session")
def language_model_dir(tokenizer, tmp_path_factory):
    """A folder with a random tiny masked language model."""
    folder = tmp_path_factory.mktemp("language_model")
    torch.manual_seed(0)
    XLMRobertaForMaskedLM(tiny_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pretraining_recipe(language_model_dir, tmp_path_factory):
    file = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    file.write_text(
        f"model: {language_model_dir}\ntrain: texts\nblock_length: 60\nupdate_blocks: 8\n"
        "per_device_train_batch_size: 4\nlearning_rate: 5e-3\nmax_steps: 6\neval_steps: 2\nsave_steps: 2\n"
        "logging_steps: 2\nseed: 3\nuse_cpu: true\ndisable_tqdm: true\n"
    )
    return file
