"""Training windows keep mentions whole, and batches hold about equally many labelled subwords."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.documents import Document, Entity
from clinx.errors import InputError
from clinx.features import (
    SubwordBatchSampler,
    WindowCollator,
    aligned,
    bio_from_spans,
    ceiling_counts,
    window_features,
)
from modeling_clinx import ClinXConfig
from modeling_clinx.labels_clinx import spans_from_bio
from modeling_clinx.windows_clinx import special_affixes


TEXT = "Paciente varón de 54 años con dolor torácico.\nLa Dra. García solicita analítica: hemoglobina 13.5 g/dl. " * 4


def document(*mentions: str, text: str = TEXT, label: str = "A") -> Document:
    spans = [(text.index(mention), text.index(mention) + len(mention)) for mention in mentions]
    return Document("note", text, [Entity(start, end, label) for start, end in spans])


def config(**settings) -> ClinXConfig:
    return ClinXConfig(entity_types=["A", "B"], **{"window_length": 32, "context_size": 4, **settings})


@pytest.mark.parametrize("segmentation", ["packed", "sentence"])
def test_every_mention_is_whole_in_the_core_of_one_window(tokenizer, segmentation):
    note = document("54 años", "dolor torácico", "Dra. García")
    features, problems = window_features([note], tokenizer, config(segmentation=segmentation))
    assert not problems
    found = [spans_from_bio(f["labels"][f["core_mask"]]) for f in features]
    assert sum(len(first) for first, _, _ in found) == len(note.entities)


def test_labels_stand_on_the_core_only_and_all_cores_make_the_document(tokenizer):
    features, _ = window_features([document("54 años")], tokenizer, config())
    tokens = next(aligned([document("54 años")], tokenizer, ["A"]))[1]
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
    features, problems = window_features([note], tokenizer, config())
    assert problems["longer than a window"] > 0
    assert all((f["labels"] == -100).all() for f in features)


def test_a_label_that_the_model_does_not_know_is_told_with_its_document(tokenizer):
    with pytest.raises(InputError, match="document note: found the label 'C' at 18–25"):
        window_features([document("54 años", label="C")], tokenizer, config())


def test_the_ceiling_counts_what_perfect_labels_miss(tokenizer):
    note = document("54 años")
    note.entities.append(Entity(note.entities[0].start, note.entities[0].end - 5, "B"))  # overlaps
    (_, tokens, labels, problems), *_ = aligned([note], tokenizer, ["A", "B"])
    assert problems == [(1, "overlapping")]
    assert ceiling_counts(note, tokens, labels, ["A", "B"]) == {"tp": 1, "fn": 1, "fp": 0}


def test_padding_is_neither_attended_nor_labelled(tokenizer):
    features, _ = window_features([document("54 años"), Document("b", "Alta.")], tokenizer, config())
    batch = WindowCollator(tokenizer.pad_token_id)(features)
    padded = batch["attention_mask"] == 0
    assert padded.any()
    assert (batch["input_ids"][padded] == tokenizer.pad_token_id).all()
    assert (batch["labels"][padded] == -100).all() and not batch["core_mask"][padded].any()
    n_special = sum(map(len, special_affixes(tokenizer)))
    assert (batch["attention_mask"].sum(1) >= batch["core_mask"].sum(1) + n_special).all()


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=60),
    batch_subwords=st.integers(1, 1000),
    multiple_of=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_every_window_is_in_one_batch_and_no_batch_is_empty(sizes, batch_subwords, multiple_of, epoch):
    if len(sizes) < multiple_of:
        with pytest.raises(InputError):
            SubwordBatchSampler(sizes, batch_subwords, 0, multiple_of)
        return
    sampler = SubwordBatchSampler(sizes, batch_subwords, seed=0, multiple_of=multiple_of)
    sampler.sampler.set_epoch(epoch)
    batches = list(sampler)
    assert len(batches) == len(sampler) and len(batches) % multiple_of == 0
    assert all(batches)
    assert sorted(sum(batches, [])) == list(range(len(sizes)))


def test_epochs_are_shuffled_differently_and_reproducibly():
    def epoch(n, seed=0):
        sampler = SubwordBatchSampler([100] * 50, 500, seed)
        sampler.sampler.set_epoch(n)
        return list(sampler)

    assert epoch(0) == epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=1)


def test_batches_hold_about_as_many_labelled_subwords_as_asked():
    sizes = np.random.default_rng(0).integers(1, 60, 2000)
    filled = [sizes[batch].sum() for batch in SubwordBatchSampler(sizes, 512, 0)]
    assert abs(np.mean(filled) - 512) < 10 and max(filled) < 512 + 120


def as_tuples(spans) -> list[tuple[int, int, int]]:
    return list(zip(*(part.tolist() for part in spans), strict=True))


@st.composite
def positions_and_spans(draw):
    """Disjoint character ranges, some with gaps between, and disjoint spans of whole positions."""
    widths = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=15))
    edges = np.cumsum(np.array(widths).ravel())
    starts, ends = edges[::2], edges[1::2]
    cuts = sorted(draw(st.sets(st.integers(0, len(starts)), max_size=8)))
    pieces = [(a, b, draw(st.integers(-1, 2))) for a, b in zip(cuts, cuts[1:], strict=False)]
    return starts, ends, [piece for piece in pieces if piece[2] >= 0]


@given(positions_and_spans(), st.randoms())
def test_spans_of_whole_positions_come_back_from_their_labels(case, random):
    starts, ends, spans = case
    in_characters = [(int(starts[a]), int(ends[b - 1]), kind) for a, b, kind in spans]
    random.shuffle(in_characters)
    labels, problems = bio_from_spans(in_characters, starts, ends)
    assert not problems and labels.dtype == np.int64
    assert as_tuples(spans_from_bio(labels)) == spans


@given(
    positions_and_spans(),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(0, 2)), max_size=8),
)
def test_a_span_is_given_back_exactly_or_reported(case, spans):
    starts, ends, _ = case
    spans = [(start, start + size, kind) for start, size, kind in spans]
    labels, problems = bio_from_spans(spans, starts, ends)
    back = {(int(starts[a]), int(ends[b - 1]), kind) for a, b, kind in as_tuples(spans_from_bio(labels))}
    reported = dict(problems)
    assert len(reported) == len(problems)
    assert set(reported.values()) <= {"overlapping", "boundary inside a subword", "no subword"}
    assert back >= {span for index, span in enumerate(spans) if index not in reported}
    inexact = sum(reason == "boundary inside a subword" for reason in reported.values())
    assert len(back) == len(spans) - len(problems) + inexact


FIVE = np.arange(0, 50, 10), np.arange(9, 59, 10)  # positions 0-9, 10-19, 20-29, 30-39, 40-49


def test_of_overlapping_spans_the_longest_is_kept():
    labels, problems = bio_from_spans([(0, 9, 0), (0, 29, 1), (20, 39, 2)], *FIVE)
    assert labels.tolist() == [3, 4, 4, 0, 0]
    assert problems == [(0, "overlapping"), (2, "overlapping")]


def test_of_equally_long_overlapping_spans_the_first_is_kept():
    assert bio_from_spans([(10, 29, 1), (0, 19, 0)], *FIVE)[0].tolist() == [1, 2, 0, 0, 0]
    assert bio_from_spans([(10, 29, 1), (10, 29, 0)], *FIVE)[0].tolist() == [0, 3, 4, 0, 0]


def test_a_boundary_inside_a_subword_takes_in_the_whole_and_is_reported():
    labels, problems = bio_from_spans([(12, 29, 0), (30, 35, 1)], *FIVE)
    assert labels.tolist() == [0, 1, 2, 3, 0]
    assert problems == [(0, "boundary inside a subword"), (1, "boundary inside a subword")]


def test_a_span_that_no_subword_covers_is_reported():
    labels, problems = bio_from_spans([(9, 10, 0), (60, 70, 0)], *FIVE)
    assert not labels.any()
    assert problems == [(0, "no subword"), (1, "no subword")]
    assert bio_from_spans([(0, 5, 0)], np.zeros(0, np.int64), np.zeros(0, np.int64))[1] == [(0, "no subword")]
