"""Mentions projected on subwords, and the ceiling of what labels give back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinx.corpora.alignment import align, project_mentions
from clinx.corpora.ceiling import ceiling_counts
from clinx.corpora.documents import Entity
from clinx.errors import InputError
from clinx.finetuning.windows import TrainingWindows
from modeling_clinx.labels_clinx import spans_from_bio
from tests.train.annotated import config, document


def test_a_label_that_the_model_does_not_know_is_told_with_its_document(tokenizer):
    with pytest.raises(InputError, match="document note: found the label 'C' at 18–25"):
        TrainingWindows([document("54 años", label="C")], tokenizer, config())


def test_the_ceiling_counts_what_perfect_labels_miss(tokenizer):
    note = document("54 años")
    note.entities.append(Entity(note.entities[0].start, note.entities[0].end - 5, "B"))  # overlaps
    (aligned,) = align([note], tokenizer, ["A", "B"])
    assert aligned.inexact == [(1, "overlapping")]
    assert ceiling_counts(aligned, ["A", "B"]) == {"tp": 1, "fn": 1, "fp": 0}


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
    labels, problems = project_mentions(in_characters, starts, ends)
    assert not problems and labels.dtype == np.int64
    assert as_tuples(spans_from_bio(labels)) == spans


@given(
    positions_and_spans(),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(0, 2)), max_size=8),
)
def test_a_span_is_given_back_exactly_or_reported(case, spans):
    starts, ends, _ = case
    spans = [(start, start + size, kind) for start, size, kind in spans]
    labels, problems = project_mentions(spans, starts, ends)
    back = {(int(starts[a]), int(ends[b - 1]), kind) for a, b, kind in as_tuples(spans_from_bio(labels))}
    reported = dict(problems)
    assert len(reported) == len(problems)
    assert set(reported.values()) <= {"overlapping", "boundary inside a subword", "no subword"}
    assert back >= {span for index, span in enumerate(spans) if index not in reported}
    inexact = sum(reason == "boundary inside a subword" for reason in reported.values())
    assert len(back) == len(spans) - len(problems) + inexact


FIVE = np.arange(0, 50, 10), np.arange(9, 59, 10)  # positions 0-9, 10-19, 20-29, 30-39, 40-49


def test_of_overlapping_spans_the_longest_is_kept():
    labels, problems = project_mentions([(0, 9, 0), (0, 29, 1), (20, 39, 2)], *FIVE)
    assert labels.tolist() == [3, 4, 4, 0, 0]
    assert problems == [(0, "overlapping"), (2, "overlapping")]


def test_of_equally_long_overlapping_spans_the_first_is_kept():
    assert project_mentions([(10, 29, 1), (0, 19, 0)], *FIVE)[0].tolist() == [1, 2, 0, 0, 0]
    assert project_mentions([(10, 29, 1), (10, 29, 0)], *FIVE)[0].tolist() == [0, 3, 4, 0, 0]


def test_a_boundary_inside_a_subword_takes_in_the_whole_and_is_reported():
    labels, problems = project_mentions([(12, 29, 0), (30, 35, 1)], *FIVE)
    assert labels.tolist() == [0, 1, 2, 3, 0]
    assert problems == [(0, "boundary inside a subword"), (1, "boundary inside a subword")]


def test_a_span_that_no_subword_covers_is_reported():
    labels, problems = project_mentions([(9, 10, 0), (60, 70, 0)], *FIVE)
    assert not labels.any()
    assert problems == [(0, "no subword"), (1, "no subword")]
    assert project_mentions([(0, 5, 0)], np.zeros(0, np.int64), np.zeros(0, np.int64))[1] == [(0, "no subword")]
