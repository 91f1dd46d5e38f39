"""A vocabulary that is learned from texts, and a model with rows for its pieces."""

import copy
import itertools
import json

import pytest
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
    XLMRobertaForMaskedLM,
)

from clinx import cli
from clinx.corpora.documents import Document
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.pretraining.vocabulary import ROLES, train_tokenizer, with_vocabulary
from tests.conftest import NOTES
from tests.modeling_clinx.models import tiny_config


TEXTS = [f"{note} Paciente {number}." for note in NOTES for number in range(3)]


@pytest.fixture(scope="module")
def learned():
    return train_tokenizer(TEXTS, 200)


def test_a_learned_tokenizer_gives_texts_back(learned):
    for text in NOTES:
        ids = learned(text)["input_ids"]
        assert (ids[0], ids[-1]) == (learned.cls_token_id, learned.sep_token_id) == (0, 2)
        assert learned.decode(ids, skip_special_tokens=True).split() == text.split()
    assert learned.pad_token_id == 1 and train_tokenizer(TEXTS, 200, pad_first=True).pad_token_id == 0


def test_the_same_texts_give_the_same_vocabulary(learned):
    assert train_tokenizer(TEXTS, 200).get_vocab() == learned.get_vocab()


def test_every_piece_stands_in_three_texts_or_is_a_character():
    texts = [*TEXTS, " ".join(["Zacarías Zacarías"] * 50)]
    vocabulary = train_tokenizer(texts, 200)
    pieces = [piece for piece in vocabulary.get_vocab() if piece not in vocabulary.all_special_tokens]
    words = [text.replace(" ", "▁") for text in texts]
    for piece in pieces:
        assert len(piece.strip("▁")) <= 1 or sum(piece.strip("▁") in text for text in words) >= 3, piece
    assert any(len(piece) > 3 for piece in pieces) and not any("aca" in piece for piece in pieces)


def test_a_word_that_no_piece_knows_begins_with_a_letter_that_begins_words():
    texts = [f"{first}{''.join(rest)}" for first in "mp" for rest in itertools.permutations("aeiou")]
    vocabulary = train_tokenizer([" ".join(texts[i::9]) for i in range(9)], 40)
    assert len(vocabulary) <= 40
    assert {"▁m", "▁p"} <= {*vocabulary.get_vocab()} and "▁" not in vocabulary.tokenize("moooo paaaa mm")


def models(vocab_size: int) -> list:
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    untied = RobertaConfig(vocab_size=vocab_size, pad_token_id=1, tie_word_embeddings=False, **size)
    bert = BertConfig(vocab_size=vocab_size, pad_token_id=0, **size)
    return [RobertaForMaskedLM(untied), BertForMaskedLM(bert)]


def test_rows_of_new_pieces_are_the_mean_of_their_old_ones(tokenizer, learned):
    for model in [XLMRobertaForMaskedLM(tiny_config(tokenizer)), *models(len(tokenizer))]:
        torch.nn.init.normal_(model.get_output_embeddings().bias)
        new = with_vocabulary(model, tokenizer, learned)
        assert new.config.vocab_size == len(learned)
        assert new.config.pad_token_id == learned.pad_token_id
        places = (lambda m: m.get_input_embeddings().weight, lambda m: m.get_output_embeddings().weight)
        places = (*places, lambda m: m.get_output_embeddings().bias)
        old_vocabulary = tokenizer.get_vocab()
        for piece, id in learned.get_vocab().items():
            old = [old_vocabulary[piece]] if piece in old_vocabulary else None
            old = old or tokenizer(piece.replace("▁", " "), add_special_tokens=False)["input_ids"]
            if old and id >= 5:
                for weight in places:
                    assert torch.allclose(weight(new)[id], weight(model)[old].mean(0), atol=1e-6), piece
        for role in ROLES:
            after, before = (getattr(one, f"{role}_id") for one in (learned, tokenizer))
            assert torch.equal(places[0](new)[after], places[0](model)[before])
        same = [name for name, weight in model.state_dict().items() if "layer.0" in name]
        assert same and all(torch.equal(model.state_dict()[name], new.state_dict()[name]) for name in same)


def test_a_vocabulary_of_the_same_size_has_its_own_rows_too(tokenizer):
    """A vocabulary of the same pieces in another order."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    n_special = len(tokenizer.all_special_ids)
    pieces = content["model"]["vocab"]
    content["model"]["vocab"] = pieces[:n_special] + pieces[n_special:][::-1]
    turned = copy.deepcopy(tokenizer)
    turned._tokenizer = Tokenizer.from_str(json.dumps(content))
    assert len(turned) == len(tokenizer) and turned.get_vocab() != tokenizer.get_vocab()
    model = XLMRobertaForMaskedLM(tiny_config(tokenizer))
    old, new = (m.get_input_embeddings().weight for m in (model, with_vocabulary(model, tokenizer, turned)))
    for piece, id in turned.get_vocab().items():
        assert torch.equal(new[id], old[tokenizer.get_vocab()[piece]]), piece


def test_too_few_pieces_for_the_letters_are_refused(pretraining_recipe, tmp_path, capsys):
    letters = [chr(0x4E00 + number) for number in range(200)]
    write_jsonl([Document(f"{n}", f"{n} " + " ".join(letters)) for n in range(8)], tmp_path / "letters.jsonl")
    command = ["pretrain", str(pretraining_recipe), "--train", str(tmp_path / "letters.jsonl")]
    assert cli.main([*command, "--output_dir", str(tmp_path / "run"), "--train_tokenizer", "100"]) == 2
    assert "train_tokenizer is 100: The vocabulary is not large enough" in capsys.readouterr().err
    assert cli.main([*command, "--output_dir", str(tmp_path / "run"), "--train_tokenizer", "220"]) == 2
    assert "train_tokenizer is 220, but special tokens and the letters" in capsys.readouterr().err


def test_a_run_with_a_vocabulary_of_its_own_goes_on_with_it(pretraining_recipe, tmp_path, capsys):
    command = ["pretrain", str(pretraining_recipe), "--output_dir", str(tmp_path / "run"), "--train_tokenizer", "150"]
    assert cli.main(command) == 0
    assert "Names of people" in capsys.readouterr().err
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "run/model")
    assert 50 < model.config.vocab_size <= 150
    assert cli.main(command) == 0
    assert "Names of people" not in capsys.readouterr().err


def test_a_refused_command_leaves_the_vocabulary_of_the_run_as_it_was(pretraining_recipe, texts_file, tmp_path, capsys):
    texts = [tmp_path / f"{number}.jsonl" for number in (1, 2)]
    lines = texts_file.read_text().splitlines(keepends=True)
    for file, part in zip(texts, (lines, lines[:18]), strict=True):
        file.write_text("".join(part))
    command = ["pretrain", str(pretraining_recipe), "--output_dir", str(tmp_path / "run"), "--train_tokenizer", "150"]
    assert cli.main([*command, "--train", str(texts[0])]) == 0
    vocabulary = (tmp_path / "run/tokenizer/tokenizer.json").read_bytes()
    capsys.readouterr()
    assert cli.main([*command, "--train", str(texts[1])]) == 2
    texts[0].write_text("".join(lines[:18]))
    assert cli.main([*command, "--train", str(texts[0])]) == 2
    assert capsys.readouterr().err.count("holds a run with") == 2
    assert (tmp_path / "run/tokenizer/tokenizer.json").read_bytes() == vocabulary
    texts[0].write_text("".join(lines))  # at another time
    assert cli.main([*command, "--train", str(texts[0])]) == 0


def test_weights_from_scratch_need_no_model(pretraining_recipe, tmp_path, capsys):
    recipe = tmp_path / "scratch.yaml"
    lines = pretraining_recipe.read_text().splitlines()
    recipe.write_text("\n".join(line for line in lines if not line.startswith("model:")))
    command = ["pretrain", str(recipe), "--output_dir", str(tmp_path / "run"), "--from_scratch", "tiny"]
    assert cli.main(command) == 2
    assert "model is missing" in capsys.readouterr().err
    assert cli.main([*command, "--train_tokenizer", "150"]) == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["new_head"] is True and metrics["before"]["perplexity"] > metrics["validation"]["perplexity"]
    config = json.loads((tmp_path / "run/model/config.json").read_text())
    assert config["model_type"] == "modernbert" and config["sep_token_id"] == config["eos_token_id"]
