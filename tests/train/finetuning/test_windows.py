"""Labelled windows of annotated documents."""

import pytest

from clinx.corpora.alignment import align
from clinx.corpora.documents import Document, Entity
from clinx.finetuning.windows import label_windows
from modeling_clinx.labels_clinx import spans_from_bio
from tests.train.annotated import config, document


@pytest.mark.parametrize("segmentation", ["packed", "sentence"])
def test_every_mention_is_whole_in_the_core_of_one_window(tokenizer, segmentation):
    note = document("54 años", "dolor torácico", "Dra. García")
    features, problems = label_windows([note], tokenizer, config(segmentation=segmentation))
    assert not problems
    found = [spans_from_bio(f["labels"][f["core_mask"]]) for f in features]
    assert sum(len(first) for first, _, _ in found) == len(note.entities)


def test_labels_stand_on_the_core_only_and_all_cores_make_the_document(tokenizer):
    features, _ = label_windows([document("54 años")], tokenizer, config())
    tokens = next(align([document("54 años")], tokenizer, ["A"]))[1]
    assert sum(f["core_mask"].sum() for f in features) == tokens.chain.sum()
    for feature in features:
        assert (feature["labels"][~feature["core_mask"]] == -100).all()
        assert len(feature["input_ids"]) <= 32
    assert [f["edge_mask"].tolist() for f in features] == [
        [index == 0, index == len(features) - 1] for index in range(len(features))
    ]


def test_a_mention_longer_than_a_core_is_left_unlabelled_and_counted(tokenizer):
    text = "palabra " * 60
    note = Document("note", text, [Entity(0, len(text) - 1, "A")])
    features, problems = label_windows([note], tokenizer, config())
    assert problems["longer than a window"] > 0
    assert all((f["labels"] == -100).all() for f in features)
