"""Labelled windows of annotated documents."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora.alignment import align
from clinx.corpora.documents import Document, Entity
from clinx.finetuning.windows import TrainingWindows
from modeling_clinx.labels_clinx import spans_from_bio
from tests.train.annotated import TEXT, config, document


@pytest.mark.parametrize("segmentation", ["packed", "sentence"])
def test_every_mention_is_whole_in_the_core_of_one_window(tokenizer, segmentation):
    note = document("54 años", "dolor torácico", "Dra. García")
    windows = TrainingWindows([note], tokenizer, config(segmentation=segmentation))
    assert not windows.inexact
    found = [spans_from_bio(f["labels"][f["core_mask"]]) for f in windows]
    assert sum(len(first) for first, _, _ in found) == len(note.entities)


def test_labels_stand_on_the_core_only_and_all_cores_make_the_document(tokenizer):
    windows = TrainingWindows([document("54 años")], tokenizer, config())
    tokens = next(align([document("54 años")], tokenizer, ["A"]))[1]
    assert sum(f["core_mask"].sum() for f in windows) == tokens.chain.sum()
    for feature in windows:
        assert (feature["labels"][~feature["core_mask"]] == -100).all()
        assert len(feature["input_ids"]) <= 32
    assert [f["edge_mask"].tolist() for f in windows] == [
        [index == 0, index == len(windows) - 1] for index in range(len(windows))
    ]


def test_a_mention_longer_than_a_core_is_left_unlabelled_and_counted(tokenizer):
    text = "palabra " * 60
    note = Document("note", text, [Entity(0, len(text) - 1, "A")])
    windows = TrainingWindows([note], tokenizer, config())
    assert windows.inexact["longer than a window"] > 0
    assert all((f["labels"] == -100).all() for f in windows)


def cores(windows):
    return [feature["core_mask"].sum() for feature in windows]


def test_every_epoch_cuts_a_document_elsewhere_and_the_same_seed_at_the_same_places(tokenizer):
    notes = [document("54 años", "Dra. García", text=TEXT * 6)]
    one, other, same = (TrainingWindows(notes, tokenizer, config(window_length=160), seed) for seed in (0, 1, 0))
    cut = set()
    for epoch in range(5):
        one.cut_anew(epoch), other.cut_anew(epoch), same.cut_anew(epoch)
        assert all(np.array_equal(a["input_ids"], b["input_ids"]) for a, b in zip(one, same, strict=True))
        cut |= {tuple(cores(one)), tuple(cores(other))}
    assert len(cut) > 4


@pytest.mark.parametrize("segmentation", ["packed", "sentence"])
def test_context_dropout_lets_some_sentences_see_only_themselves(tokenizer, segmentation):
    notes = [document("54 años", "Dra. García", text=TEXT * 6)]
    sizes = {"window_length": 160, "context_size": 12}
    by_sentence = TrainingWindows(notes, tokenizer, config(window_length=160, context_size=0, segmentation="sentence"))
    without_context = {tuple(feature["input_ids"]) for feature in by_sentence.features}
    windows = TrainingWindows(notes, tokenizer, config(**sizes, segmentation=segmentation), context_dropout=0.5)
    n_labelled, shares = windows.sizes().sum(), []
    for epoch in range(8):
        windows.cut_anew(epoch)
        assert windows.sizes().sum() == n_labelled and windows[0]["edge_mask"][0] and windows[-1]["edge_mask"][1]
        shares.append(np.mean([tuple(feature["input_ids"]) in without_context for feature in windows.features]))
    assert 0.3 < np.mean(shares) < 0.8 and len(set(shares)) > 1

    windows.context_dropout = 1
    windows.cut_anew(0)
    pairs = zip(windows.features, by_sentence.features, strict=True)
    assert all(np.array_equal(a[name], b[name]) for a, b in pairs for name in a)


def test_the_same_windows_lose_their_context_with_the_same_seed(tokenizer):
    notes = [document("54 años", text=TEXT * 6)]
    one, same = (TrainingWindows(notes, tokenizer, config(), seed=3, context_dropout=0.5) for _ in range(2))
    one.cut_anew(0), one.cut_anew(4), same.cut_anew(4)  # as a run that goes on in that epoch
    assert cores(one) == cores(same)


def test_windows_that_an_ensemble_has_read_stay_as_they_are(tokenizer):
    windows = TrainingWindows([document("54 años", text=TEXT * 3)], tokenizer, config(window_length=64))
    before = windows.fixed()
    windows.cut_anew(1)
    assert windows.features is before


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(0, 3), st.integers(24, 80))
def test_however_they_are_cut_windows_fit_hold_all_labels_and_are_no_fewer(tokenizer, lengths, epoch, length):
    text = " ".join(" ".join(["dolor"] * n) + "." for n in lengths)
    entities = [Entity(match.start(), match.end(), "A") for match in re.finditer(r"dolor dolor\.", text)]
    windows = TrainingWindows([Document("a", text, entities)], tokenizer, config(window_length=length), epoch)
    n_windows, n_labelled = len(windows), windows.sizes().sum()
    windows.cut_anew(epoch)
    assert len(windows) >= n_windows and windows.sizes().sum() == n_labelled
    assert all(len(feature["input_ids"]) <= length for feature in windows)
    spans = [spans_from_bio(f["labels"][f["core_mask"]]) for f in windows]
    assert sum(len(first) for first, _, _ in spans) == len(entities)
