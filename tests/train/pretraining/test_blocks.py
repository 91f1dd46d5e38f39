"""Every subword of a text is in exactly one block, and blocks are used again only while nothing has changed."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
from huggingface_hub import HfApi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinx.errors import InputError
from clinx.pretraining import blocks as blocks_module
from clinx.pretraining.blocks import prepare_blocks, text_pieces
from clinx.pretraining.recipe import PretrainingRecipe
from clinx.pretraining.texts import read_texts
from modeling_clinx.windows_clinx import special_affixes, tokenize
from tests.conftest import NOTES


TEXTS = [f"Caso {number}. {note} {other}" for number, note in enumerate(NOTES) for other in NOTES]


def corpus(folder, texts, name="texts.jsonl") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": f"{number}", "text": text}) + "\n" for number, text in enumerate(texts)]
    (folder / name).write_text("".join(lines))
    return str(folder / name)


def recipe_of(tmp_path, texts=TEXTS, **settings) -> PretrainingRecipe:
    settings = {"near_duplicates": 1, "block_length": 16, "seed": 1, "validation_fraction": 0.1} | settings
    return PretrainingRecipe(model="m", **{"train": [corpus(tmp_path / "corpus", texts)], **settings})


def inner(tokenizer, rows) -> list[int]:
    """The subwords of blocks one after another, without the special tokens at both ends, which are checked."""
    prefix, suffix = special_affixes(tokenizer)
    ids = []
    for row in rows["input_ids"]:
        assert row[: len(prefix)] == prefix and row[len(row) - len(suffix) :] == suffix
        ids += row[len(prefix) : len(row) - len(suffix)]
    return ids


def expected(tokenizer, texts) -> list[int]:
    return [id for tokens in tokenize(tokenizer, list(texts)) for id in tokens.ids.tolist()]


@pytest.mark.parametrize("crosses", [False, True])
def test_every_subword_is_in_exactly_one_block(tmp_path, any_tokenizer, crosses):
    texts = [*TEXTS, "Un nombre: <mask> </s> [MASK] <s>.", "."]
    blocks = prepare_blocks(recipe_of(tmp_path, texts, cross_documents=crosses), any_tokenizer, tmp_path / "blocks")
    ids = inner(any_tokenizer, blocks.train) + inner(any_tokenizer, blocks.validation)
    assert sorted(ids) == sorted(expected(any_tokenizer, texts))
    lengths = [len(row) for row in blocks.train["input_ids"]]
    assert max(lengths) == 16
    assert sum(length < 16 for length in lengths) <= (1 if crosses else blocks.report["train_documents"])
    special = set(any_tokenizer.all_special_ids) - {any_tokenizer.unk_token_id}
    assert not special & set(ids)
    report = blocks.report
    assert report["train_subwords"] + report["validation_subwords"] == len(ids)
    assert report["train_blocks"] == len(blocks.train)
    assert report["train_mean_fill"] == pytest.approx(np.mean(lengths) / 16, abs=1e-4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), min_size=1, max_size=8, unique=True),
    crosses=st.booleans(),
    longest=st.integers(5, 100),
)
def test_any_texts_are_packed_whole(tmp_path_factory, tokenizer, texts, crosses, longest):
    folder = tmp_path_factory.mktemp("any")
    recipe = recipe_of(folder, cross_documents=crosses, block_length=8)
    before, blocks_module.LONGEST = blocks_module.LONGEST, longest
    try:
        pieces = [piece for text in texts for piece, _ in text_pieces(text)]
        with open(folder / "x.arrow", "wb") as file, blocks_module._Packer(file, tokenizer, recipe, 6) as packer:
            assert packer.add_all(blocks_module.Text("id", text) for text in texts) == len(texts)
    finally:
        blocks_module.LONGEST = before
    assert "".join(pieces) == "".join(texts)
    rows = blocks_module.Dataset.from_file(str(folder / "x.arrow"))
    assert inner(tokenizer, rows) == expected(tokenizer, pieces)


def test_no_block_holds_two_documents(tmp_path, tokenizer):
    recipe = recipe_of(tmp_path)
    blocks = prepare_blocks(recipe, tokenizer, tmp_path / "blocks")
    cuts = {
        tuple(tokens.ids[start : start + 14].tolist())
        for tokens in tokenize(tokenizer, TEXTS)
        for start in range(0, len(tokens.ids), 14)
    }
    assert {tuple(row[1:-1]) for row in [*blocks.train["input_ids"], *blocks.validation["input_ids"]]} == cuts


def test_words_begin_where_they_begin(tmp_path, any_tokenizer):
    texts = ["Paciente: hipertensión arterial, 54 años.", "Hemoglobina 13.5 g/dl"]
    recipe = recipe_of(tmp_path, texts, block_length=64, validation_fraction=0.5)
    blocks = prepare_blocks(recipe, any_tokenizer, tmp_path / "blocks")
    starts = [tokens.chain for text in texts for tokens in tokenize(any_tokenizer, [text], unit="word")]
    prefix, suffix = special_affixes(any_tokenizer)
    wanted = [[False] * len(prefix) + chain.tolist() + [False] * len(suffix) for chain in starts]
    rows = [*blocks.train["word_starts"], *blocks.validation["word_starts"]]
    assert sorted(rows) == sorted(wanted)


def test_what_is_held_out_does_not_depend_on_the_order(tmp_path, tokenizer):
    ids = {}
    for name, order in (("a", 1), ("b", -1)):
        folder = tmp_path / name
        folder.mkdir()
        rows = [json.dumps({"id": text[:7], "text": text}) + "\n" for text in TEXTS][::order]
        (folder / "t.jsonl").write_text("".join(rows))
        recipe = recipe_of(tmp_path, train=[str(folder / "t.jsonl")])
        blocks = prepare_blocks(recipe, tokenizer, folder / "blocks")
        ids[name] = blocks.validation["input_ids"]
        assert blocks.report["validation_documents"] == 5 and blocks.report["train_documents"] == 44
    assert ids["a"] == ids["b"]


def test_as_many_are_held_out_as_the_settings_say(tmp_path, tokenizer):
    def held_out(**settings):
        return prepare_blocks(recipe_of(tmp_path, **settings), tokenizer, tmp_path / "b").report["validation_documents"]

    assert held_out(validation_fraction=0.001) == 1
    assert held_out(validation_fraction=0.5, max_validation_documents=3) == 3
    assert held_out(max_train_documents=20, validation_fraction=0.25) == 5


def test_copies_of_validation_texts_are_not_learned_from(tmp_path, tokenizer):
    held = corpus(tmp_path / "held", TEXTS[:4])
    blocks = prepare_blocks(recipe_of(tmp_path, validation=[held]), tokenizer, tmp_path / "blocks")
    assert blocks.report["exact_duplicates"] == 4
    assert (blocks.report["train_documents"], blocks.report["validation_documents"]) == (len(TEXTS) - 4, 4)


def test_blocks_are_used_again_until_something_changes(tmp_path, tokenizer, wordpiece_tokenizer, capsys):
    recipe, folder = recipe_of(tmp_path), tmp_path / "blocks"
    first = prepare_blocks(recipe, tokenizer, folder)

    def is_used_again(recipe=recipe, tokenizer=tokenizer):
        capsys.readouterr()
        blocks = prepare_blocks(recipe, tokenizer, folder)
        return "again: texts" in capsys.readouterr().err, blocks

    again, blocks = is_used_again()
    assert again and blocks.digest == first.digest and blocks.report == first.report
    tokenizer("a b c", truncation=True, max_length=4)  # leaves its mark in the tokenizer
    assert is_used_again()[0]
    assert is_used_again(replace(recipe, learning_rate=1.0, output_dir="elsewhere"))[0]
    assert not is_used_again(replace(recipe, min_characters=2))[0]
    assert not is_used_again(tokenizer=wordpiece_tokenizer)[0]
    assert not is_used_again()[0] and is_used_again()[0]
    os.utime(recipe.train[0], ns=(1, 1))
    again, blocks = is_used_again()
    assert not again and blocks.digest == first.digest  # the same texts after all
    corpus(tmp_path / "corpus", TEXTS[:-1])
    again, blocks = is_used_again()
    assert not again and blocks.digest != first.digest
    with open(folder / "train.arrow", "r+b") as file:
        file.truncate(100)
    assert not is_used_again()[0] and len(is_used_again()[1].train) == len(blocks.train)


def test_blocks_of_a_dataset_on_the_hub_belong_to_its_commit(tmp_path, tokenizer, monkeypatch, capsys):
    rows, commits = datasets.Dataset.from_list([{"text": text} for text in TEXTS]), ["aaa", "aaa", "bbb"]
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: {"train": rows})
    monkeypatch.setattr(HfApi, "dataset_info", lambda *_, **__: SimpleNamespace(sha=commits.pop(0)))
    recipe, again = recipe_of(tmp_path, train=["org/notes"]), []
    for _ in range(3):
        assert prepare_blocks(recipe, tokenizer, tmp_path / "blocks").report["train_documents"] == len(TEXTS) - 5
        again.append("again: texts" in capsys.readouterr().err)
    assert again == [False, True, False]


def test_an_interrupted_preparation_leaves_no_blocks(tmp_path, tokenizer, monkeypatch):
    recipe, folder = recipe_of(tmp_path), tmp_path / "blocks"

    def interrupted(paths, column):
        yield from list(read_texts(paths, column))[:20]
        raise KeyboardInterrupt

    monkeypatch.setattr(blocks_module, "read_texts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_blocks(recipe, tokenizer, folder)
    assert list(folder.iterdir()) == []


def test_a_disk_that_gets_full_is_told_and_leaves_no_blocks(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr("clinx.pretraining.seen.SETTINGS", ("max_page_count = 6",))
    with pytest.raises(InputError, match="blocks/.seen.sqlite: cannot be written"):
        prepare_blocks(recipe_of(tmp_path, near_duplicates=0.8), tokenizer, tmp_path / "blocks")
    assert list((tmp_path / "blocks").iterdir()) == []


def test_blocks_are_made_anew_alike(tmp_path, tokenizer):
    digests = [prepare_blocks(recipe_of(tmp_path), tokenizer, tmp_path / name).digest for name in ("a", "b")]
    assert digests[0] == digests[1]
    files = [(tmp_path / name / "train.arrow").read_bytes() for name in ("a", "b")]
    assert files[0] == files[1]


def test_too_few_documents_and_a_folder_in_the_way_are_refused(tmp_path, tokenizer):
    with pytest.raises(InputError, match="nothing to learn from(.|\n)*1 documents read"):
        prepare_blocks(recipe_of(tmp_path, TEXTS[:1]), tokenizer, tmp_path / "blocks")
    with pytest.raises(InputError, match="inside of the input"):
        prepare_blocks(recipe_of(tmp_path, train=[str(tmp_path)]), tokenizer, tmp_path / "blocks")


def test_a_real_corpus_is_prepared(tmp_path, corpora, spanish_tokenizer):
    path = corpora / "pretraining-es" / "notes.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    recipe = recipe_of(tmp_path, train=[str(path)], max_train_documents=300, block_length=128, near_duplicates=0.8)
    blocks = prepare_blocks(recipe, spanish_tokenizer, tmp_path / "blocks")
    assert blocks.report["validation_documents"] == 30
    assert 0.5 < blocks.report["train_mean_fill"] <= 1 and 0.1 < np.mean(blocks.train[0]["word_starts"]) < 0.9
