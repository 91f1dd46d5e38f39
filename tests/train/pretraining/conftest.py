"""Texts, a tiny masked language model, and a recipe of both."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import XLMRobertaForMaskedLM

from tests.conftest import NOTES
from tests.modeling_clinx.models import tiny_config


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


def texts(n: int) -> list[str]:
    """Different documents of one block or two."""
    return [f"{NOTES[i % 7]} {NOTES[(i + 1 + i // 7) % 7]} Caso {i}." for i in range(n)]


@pytest.fixture(scope="session")
def texts_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts(24)))
    return path


@pytest.fixture(scope="session")
def language_model_dir(tokenizer, tmp_path_factory):
    """A folder with a random tiny masked language model."""
    folder = tmp_path_factory.mktemp("language_model")
    torch.manual_seed(0)
    XLMRobertaForMaskedLM(tiny_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pretraining_recipe(language_model_dir, texts_file, tmp_path_factory):
    file = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    file.write_text(
        f"model: {language_model_dir}\ntrain: {texts_file}\nnear_duplicates: 1\nvalidation_fraction: 0.2\n"
        "block_length: 60\nupdate_blocks: 8\n"
        "per_device_train_batch_size: 4\nlearning_rate: 5e-3\nmax_steps: 6\neval_steps: 2\nsave_steps: 2\n"
        "logging_steps: 2\nseed: 3\nuse_cpu: true\ndisable_tqdm: true\n"
    )
    return file
