"""What is left out: copies, near copies, and whatever shares text with notes that a model is tested on."""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora.shared_text import RUN, ExcludedNotes, run_hashes, word_pieces
from clinx.errors import InputError
from clinx.pretraining.filters import NearDuplicates, TextFilter
from clinx.pretraining.recipe import PretrainingRecipe
from clinx.pretraining.texts import Text


def words(n: int, seed: int) -> list[str]:
    return [f"w{number}" for number in random.Random(seed).choices(range(10_000), k=n)]


def filtered(texts, **settings):
    recipe = PretrainingRecipe(model="m", train=["t"], **settings)
    filter = TextFilter(recipe)
    kept = list(filter.through(Text(str(number), text) for number, text in enumerate(texts)))
    return [int(id) for id, _ in kept], filter.report


def test_short_texts_and_copies_are_left_out_and_told():
    kept, report = filtered(
        ["", " \n\ufeff", "corto", "un texto largo", "un  texto\nlargo", "otro texto más"], min_characters=6
    )
    assert kept == [3, 5]
    counts = report.as_dict()
    assert (counts["documents_read"], counts["documents_kept"]) == (6, 2)
    assert (counts["too_short"], counts["exact_duplicates"]) == (3, 1)
    assert counts["examples"] == {"too_short": ["0", "1", "2"], "exact_duplicates": ["4"]}
    assert counts["bytes_read"] > counts["bytes_kept"] == len("un texto largootro texto más".encode())
    assert report.lines()[0].startswith("6 documents read (0.0 MB), 2 kept")
    assert len(report.lines()) == 3


def test_no_more_than_five_examples_are_told():
    _, report = filtered(["lo mismo"] * 10)
    assert report.left_out["exact_duplicates"] == 9 and len(report.examples["exact_duplicates"]) == 5
    assert report.lines()[1].endswith("5, …")


def test_near_copies_are_left_out_and_different_texts_are_not():
    originals = [words(300, seed) for seed in range(50)]
    near = [[*text[:150], "otra", *text[151:]] for text in originals]  # Jaccard of 5-grams: 291 / 301
    far = [[*text[:100], *words(200, 1000 + seed)] for seed, text in enumerate(originals)]  # about 0.2
    texts = [" ".join(text) for text in (*originals, *near, *far)]
    kept, report = filtered(texts)
    assert kept == [*range(50), *range(100, 150)]
    assert report.left_out["near_duplicates"] == 50
    assert filtered(texts, near_duplicates=1)[0] == [*range(150)]


def test_texts_of_few_or_no_words_are_near_only_their_like():
    near = NearDuplicates(0.8)
    assert near.add("Alta médica.") and near.add("Sin fiebre.") and near.add("…") and near.add("¡!")
    assert not near.add("alta   MÉDICA")


def test_near_copies_in_texts_of_many_pieces_are_left_out(monkeypatch):
    monkeypatch.setattr("clinx.corpora.shared_text.PIECE", 64)
    text, near = words(300, 1), NearDuplicates(0.8)
    assert near.add(" ".join(text)) and near.add(" ".join(words(300, 2)))
    assert not near.add(" ".join([*text[:150], "otra", *text[151:]]))


def test_what_is_near_does_not_depend_on_the_process():
    code = "from clinx.pretraining.filters import sketch_of; print(sketch_of('fiebre y tos desde hace dos'.split()))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(1, 12))
def test_equal_runs_have_equal_hashes(values, length):
    hashes = np.array(values, np.uint64)
    runs = run_hashes(hashes, length)
    assert len(runs) == max(0, len(values) - length + 1)
    for start, run in enumerate(runs):
        assert run_hashes(hashes[start : start + length], length) == [run]


@settings(max_examples=30)
@given(st.integers(0, 200), st.integers(0, 60))
def test_pieces_of_words_hold_every_run(n, overlap):
    import clinx.corpora.shared_text as shared_text

    text, before = " ".join(words(n, 1)), shared_text.PIECE
    shared_text.PIECE = 64
    try:
        pieces = list(word_pieces(text, overlap))
    finally:
        shared_text.PIECE = before
    runs = {tuple(piece[i : i + overlap + 1]) for piece in pieces for i in range(len(piece) - overlap)}
    assert runs == {tuple(text.split()[i : i + overlap + 1]) for i in range(n - overlap)}


@pytest.mark.parametrize("n", [2, 3, 20, RUN - 1, RUN, 300])
def test_a_text_that_contains_a_note_or_stands_in_one_is_known(n):
    note = words(n, 1)
    notes = ExcludedNotes([" ".join(note), "", "…"])
    assert notes.shares_text(" ".join(note))
    assert notes.shares_text("Informe: " + "\n".join(note).upper() + " " + " ".join(words(100, 2)))
    assert notes.shares_text(" ".join(note[n // 3 :]))
    assert not notes.shares_text(" ".join(words(200, 3)))
    assert not notes.shares_text("") and not notes.shares_text("…")


def test_a_long_run_of_a_note_is_known_and_a_short_one_is_not():
    notes, others = ExcludedNotes([" ".join(words(300, 1))]), words(200, 2)
    assert notes.shares_text(" ".join([*others, *words(300, 1)[100 : 100 + RUN]]))
    assert not notes.shares_text(" ".join([*others, *words(300, 1)[100 : 100 + RUN - 1]]))


def test_notes_of_excluded_corpora_are_read_without_their_annotations(tmp_path):
    note = " ".join(words(80, 1))
    (tmp_path / "test.jsonl").write_text(json.dumps({"id": "n", "text": note}) + "\n")
    kept, report = filtered([f"Antes. {note} Después.", "otro texto"], exclude=[str(tmp_path / "test.jsonl")])
    assert kept == [1] and report.left_out["excluded"] == 1
    with pytest.raises(InputError, match="missing"):
        filtered([], exclude=[str(tmp_path / "missing")])
