"""Tags, BIO labels and character spans, and the ways between them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modeling_clinx.labels_clinx import UNKNOWN, TagSet, spans_from_bio


SCHEMES = ["BIOSE", "BIO"]


def names(tags: TagSet) -> list[str]:
    return [
        role if role == "O" else f"{role}{kind}" for role, kind in zip(tags.roles, tags.types.tolist(), strict=True)
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n_types", [1, 2, 3])
def test_every_role_of_every_type_is_one_tag(scheme, n_types):
    tags = TagSet(n_types, scheme)
    roles = {"BIOSE": "BIES", "BIO": "BI"}[scheme]
    assert len(tags) == 1 + len(roles) * n_types
    assert sorted(names(tags)) == sorted(["O"] + [f"{role}{kind}" for role in roles for kind in range(n_types)])
    bio = {"O": 0} | {f"{role}{k}": 1 + 2 * k + (role in "IE") for role in roles for k in range(n_types)}
    assert tags.bio.tolist() == [bio[name] for name in names(tags)]
    of_type = [{names(tags)[tag] for tag in row} for row in tags.of_type().tolist()]
    assert of_type == [{f"{role}{kind}" for role in roles} for kind in range(n_types)]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n_types", [1, 2, 3])
def test_what_may_follow_and_open_and_close_is_what_the_scheme_says(scheme, n_types):
    tags = TagSet(n_types, scheme)
    closers = "OES" if scheme == "BIOSE" else "OBI"
    for i, before in enumerate(names(tags)):
        assert tags.unfinished[i] == (before[0] in "BI")
        assert tags.starts[i] == (before[0] in "OBS")
        assert tags.ends[i] == (before[0] in closers)
        for j, after in enumerate(names(tags)):
            carries_on = after[0] in "IE" and before[1:] == after[1:]
            assert tags.continues[i, j] == carries_on
            legal = (carries_on and before[0] in "BI") or (before[0] in closers and after[0] in "OBS")
            assert tags.allowed[i, j] == legal


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n_types", [1, 3])
def test_tags_that_may_close_and_open_are_slices(scheme, n_types):
    """The Viterbi recursion rests on it: any of `closing` before any of `opening`, I first, B last, each in order."""
    tags = TagSet(n_types, scheme)
    in_order = np.array(names(tags))
    assert tags.ends.nonzero()[:, 0].tolist() == list(range(len(tags)))[tags.closing]
    assert tags.starts.nonzero()[:, 0].tolist() == list(range(len(tags)))[tags.opening]
    assert tags.allowed[tags.closing, tags.opening].all()
    assert in_order[:n_types].tolist() == [f"I{kind}" for kind in range(n_types)]
    assert in_order[-n_types:].tolist() == [f"B{kind}" for kind in range(n_types)]


def test_a_model_without_entity_types_is_refused():
    with pytest.raises(ValueError, match="at least one entity type"):
        TagSet(0, "BIOSE")


def tags_by_definition(tags, labels) -> list[set[str]]:
    """Position by position: the role is what the label and, where both are known, the next one say."""
    possible = []
    for label, following in zip(labels, [*labels[1:], 0], strict=False):
        kind, inside = divmod(label - 1, 2)
        if label == UNKNOWN:
            possible.append(set(names(tags)))
        elif label == 0:
            possible.append({"O"})
        elif tags.scheme == "BIO":
            possible.append({f"I{kind}" if inside else f"B{kind}"})
        else:
            alone, going_on = ("E", "I") if inside else ("S", "B")
            roles = going_on if following == 2 + 2 * kind else alone
            possible.append({f"{role}{kind}" for role in (alone + going_on if following == UNKNOWN else roles)})
    return possible


@given(
    scheme=st.sampled_from(SCHEMES),
    rows=st.lists(st.lists(st.sampled_from([UNKNOWN, 0, 1, 2, 3, 4]), max_size=7), min_size=1, max_size=4),
)
def test_labels_become_the_tags_that_they_and_their_neighbours_allow(scheme, rows):
    tags = TagSet(2, scheme)
    padded = torch.full((len(rows), 8), 2)  # what lies after a row's end is no part of it
    for row, labels in enumerate(rows):
        padded[row, : len(labels)] = torch.tensor(labels, dtype=torch.int64)
    possible = tags.from_bio(padded, torch.tensor([len(labels) for labels in rows]))
    for of_row, labels in zip(possible, rows, strict=True):
        of_row = [{names(tags)[tag] for tag in position.nonzero()[:, 0]} for position in of_row[: len(labels)]]
        assert of_row == tags_by_definition(tags, labels)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_folded_marginals_are_the_probabilities_of_bio_labels(scheme):
    tags = TagSet(3, scheme)
    marginals = torch.rand(4, 5, len(tags), dtype=torch.float64).softmax(-1)
    folded = tags.fold(marginals)
    assert folded.shape == (4, 5, 7)
    torch.testing.assert_close(folded.sum(-1), torch.ones(4, 5, dtype=torch.float64))
    i_of_1 = [index for index, name in enumerate(names(tags)) if name in ("I1", "E1")]
    torch.testing.assert_close(folded[..., 4], marginals[..., i_of_1].sum(-1))


def read(labels) -> list[tuple[int, int, int]]:
    """Spans of BIO ids, label by label."""
    spans, start, current = [], 0, None
    for position, label in enumerate([*labels, 0]):
        kind = None if label == 0 else (label - 1) // 2
        if current is not None and not (label and label % 2 == 0 and kind == current):
            spans.append((start, position, current))
            current = None
        if current is None and kind is not None:
            start, current = position, kind
    return spans


def as_tuples(spans) -> list[tuple[int, int, int]]:
    return list(zip(*(part.tolist() for part in spans), strict=True))


@given(st.lists(st.integers(0, 6), max_size=20))
def test_any_bio_labels_are_read_as_if_one_by_one(labels):
    assert as_tuples(spans_from_bio(np.array(labels, np.int64))) == read(labels)


@pytest.mark.parametrize(
    "labels, spans",
    [
        ([2, 2, 0], [(0, 2, 0)]),
        ([0, 4, 0], [(1, 2, 1)]),
        ([1, 4], [(0, 1, 0), (1, 2, 1)]),
        ([1, 1, 2], [(0, 1, 0), (1, 3, 0)]),
        ([], []),
    ],
)
def test_an_i_that_carries_on_nothing_begins_a_span(labels, spans):
    assert as_tuples(spans_from_bio(np.array(labels, np.int64))) == spans
