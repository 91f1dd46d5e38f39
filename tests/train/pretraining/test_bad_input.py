"""What `clinx pretrain` cannot use is told in a line, and nothing is half-written."""

import gzip
import json

import pytest
from transformers import BartConfig, GPT2Config, XLMRobertaForTokenClassification, XLMRobertaModel

from clinx import cli
from tests.modeling_clinx.models import tiny_config


def _token_classifier(folder, tokenizer):
    XLMRobertaForTokenClassification(tiny_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _sequence_to_sequence(folder, tokenizer):
    BartConfig(architectures=["BartForConditionalGeneration"]).save_pretrained(folder)


def _decoder(folder, tokenizer):
    GPT2Config(architectures=["GPT2LMHeadModel"]).save_pretrained(folder)


def _without_mask(folder, tokenizer):
    XLMRobertaModel(tiny_config(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "mask_token": None}))


@pytest.mark.parametrize(
    "make, expected",
    [
        (_token_classifier, "found a XLMRobertaForTokenClassification, expected a masked language model"),
        (_sequence_to_sequence, "found a model of type bart, which has no masked language model"),
        (_decoder, "found a model of type gpt2, which has no masked language model"),
        (_without_mask, "has no mask token"),
    ],
)
def test_what_is_no_masked_language_model_is_told(pretraining_recipe, tokenizer, tmp_path, capsys, make, expected):
    make(tmp_path / "model", tokenizer)
    folders = ["--output_dir", str(tmp_path / "run"), "--model", str(tmp_path / "model")]
    assert cli.main(["pretrain", str(pretraining_recipe), *folders]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "run/recipe.yaml").exists()


@pytest.mark.parametrize(
    "name, content, expected",
    [
        ("texts.jsonl", b"", "texts.jsonl: found no documents"),
        ("texts.txt", b"a", "the texts leave nothing to learn from, or nothing to hold out"),
        ("texts.jsonl", b'{"text": "a"}\n{"text": "\xe1"}\n', "texts.jsonl:2: found the byte 0xe1"),
        ("texts.jsonl", b'{"text": "' + b"dolor " * 20_000_000, "texts.jsonl:1: this line is not JSON"),
        ("texts.jsonl.gz", gzip.compress(b'{"text": "dolor"}\n' * 1000)[:-20], "texts.jsonl.gz"),
    ],
    ids=["empty", "one character", "no UTF-8", "a cut line of 120 MB", "a cut gzip"],
)
def test_texts_that_cannot_be_read_are_told_and_nothing_is_half_written(
    pretraining_recipe, tmp_path, capsys, name, content, expected
):
    (tmp_path / name).write_bytes(content)
    command = ["pretrain", str(pretraining_recipe), "--train", str(tmp_path / name)]
    assert cli.main([*command, "--output_dir", str(tmp_path / "run")]) == 2
    assert expected in capsys.readouterr().err
    files = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert files <= {".clinx-lock"}


@pytest.mark.parametrize(
    "overrides, expected",
    [
        (("--model", "/no/model"), "cannot start from the model /no/model"),
        (("--block_length", "513"), "cannot read as many subwords (its max_position_embeddings is 514"),
        (("--update_blocks", "6"), "expected a multiple of per_device_train_batch_size 4"),
        (("--update_blocks", "80"), "blocks, and an update takes 80"),
        (("--gradient_accumulation_steps", "2"), "it follows from update_blocks"),
        (("--label_smoothing_factor", "0.1"), "the loss is the mean over the masked subwords of an update"),
        (("--metric_for_best_model", "loss"), "the checkpoint with the lowest perplexity is the best one"),
    ],
)
def test_what_cannot_be_trained_is_told(pretraining_recipe, tmp_path, capsys, overrides, expected):
    assert cli.main(["pretrain", str(pretraining_recipe), "--output_dir", str(tmp_path / "run"), *overrides]) == 2
    assert expected in capsys.readouterr().err
