"""Splits: what every division of documents holds, and the parts that stand for documents."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinx.documents import Document, Entity
from clinx.errors import InputError
from clinx.splits import (
    Splits,
    cut,
    first_sentences,
    hold_out,
    make_splits,
    median_member,
    pick,
    sentence_blocks,
)
from clinx.synthetic import synthetic_notes


def documents(n, prefix="note"):
    return [Document(f"{prefix}-{i}", f"Nota {i}. Sin fiebre.") for i in range(n)]


@given(st.integers(2, 40), st.integers(0, 10), st.integers(2, 7), st.integers(0, 1000))
def test_random_parts_validate_each_document_once_and_keep_it_whole(n_train, n_validation, n_members, seed):
    train, validation = documents(n_train), documents(n_validation, "dev")
    if n_members > n_train + n_validation:
        with pytest.raises(InputError, match="cannot be divided"):
            make_splits("random", train, validation, n_members, seed)
        return
    splits = make_splits("random", train, validation, n_members, seed)
    pool = [document.id for document in [*train, *validation]]
    assert sorted(id for member in splits.members for id in member.validation) == sorted(pool)
    sizes = [len(member.validation) for member in splits.members]
    assert max(sizes) - min(sizes) <= 1
    for member in splits.members:
        assert sorted([*member.train, *member.validation]) == sorted(pool) and member.seed_offset == 0
    assert splits == make_splits("random", train, validation, n_members, seed)


def test_standard_splits_differ_by_their_seeds_only():
    train, validation = documents(4), documents(2, "dev")
    members = make_splits("standard", train, validation, 3, seed=1).members
    assert [member.seed_offset for member in members] == [0, 1, 2]
    assert all(m.train == [d.id for d in train] and m.validation == ["dev-0", "dev-1"] for m in members)
    with pytest.raises(InputError, match="need validation documents"):
        make_splits("standard", train, [], 3, seed=1)


def test_everything_is_learned_from_in_the_split_of_all():
    (member,) = make_splits("all", documents(3), documents(2, "dev"), 1, seed=1).members
    assert len(member.train) == 5 and member.validation == []


def test_an_unknown_kind_is_named():
    with pytest.raises(InputError, match="split is 'leave-one-out', expected one of standard, random, all"):
        make_splits("leave-one-out", documents(3), [], 1, seed=1)


def test_splits_are_written_and_read_back(tmp_path):
    splits = make_splits("random", documents(5), [], 5, seed=3)
    splits.write(tmp_path / "splits.json")
    assert Splits.read(tmp_path / "splits.json") == splits
    assert set(json.loads((tmp_path / "splits.json").read_text())) == {"kind", "seed", "members"}
    for content in ("{", "[]", "3", '{"kind": "random"}', '{"kind": "a", "seed": 1, "members": [{"trian": []}]}'):
        (tmp_path / "splits.json").write_text(content)
        with pytest.raises(InputError, match="splits.json: expected splits"):
            Splits.read(tmp_path / "splits.json")


def test_a_tenth_is_held_out_always_the_same():
    rest, held = hold_out(documents(75), 0.1, seed=1)
    assert len(held) == 8 and len(rest) == 67 and not {d.id for d in rest} & {d.id for d in held}
    assert hold_out(documents(75), 0.1, seed=1)[1] == held != hold_out(documents(75), 0.1, seed=2)[1]
    with pytest.raises(InputError, match="test_fraction is 1.5"):
        hold_out(documents(3), 1.5, seed=1)


def test_a_note_that_stands_twice_is_not_learned_from_when_it_judges():
    notes = documents(20)
    twins = [Document(f"twin-{note.id}", note.text + "\n") for note in notes]
    rest, held = hold_out([*notes, *twins], 0.2, seed=1)
    assert not {d.text.strip() for d in rest} & {d.text.strip() for d in held}
    with pytest.raises(InputError, match="leaves none to learn from"):
        hold_out([notes[0], twins[0]], 0.5, seed=1)


def test_picking_names_a_document_that_is_not_there():
    with pytest.raises(InputError, match="'note-9', which is not among the 3"):
        pick(documents(3), ["note-1", "note-9"])


# Sentences


def mentions(some):
    return [(d.text[e.start : e.end], e.label) for d in some for e in d.entities]


@given(st.integers(1, 60))
def test_the_first_sentences_are_in_order_and_the_last_document_is_cut_between_two(n):
    notes = synthetic_notes(4, seed=2)
    chosen = first_sentences(notes, n)
    text = "".join(document.text for document in notes)
    assert text.startswith("".join(document.text for document in chosen))
    assert [document.id for document in chosen[:-1]] == [note.id for note in notes[: max(0, len(chosen) - 1)]]
    assert mentions(chosen) == mentions(notes)[: len(mentions(chosen))]
    assert len(first_sentences(notes, n + 1)) >= len(chosen)
    assert pick(notes, [document.id for document in chosen]) == chosen


def test_counted_sentences():
    with pytest.raises(InputError, match="max_train_sentences is 0"):
        first_sentences([], 0)
    notes = [Document("a", "Uno. Dos."), Document("b", "Tres. Cuatro. Cinco.")]
    assert [d.text for d in first_sentences(notes, 3)] == ["Uno. Dos.", "Tres. "]
    assert [d.text for d in first_sentences(notes, 2)] == ["Uno. Dos."]
    assert [d.text for d in first_sentences(notes, 99)] == [d.text for d in notes]


def test_blocks_of_sentences_cover_the_text_and_cut_no_mention():
    note = Document("all", "Dolor. Fiebre alta. Tos. Asma.\nAlta.", [Entity(0, 18, "X"), Entity(25, 29, "Y")])
    blocks = sentence_blocks([note], n_sentences=1)
    assert [block.text for block in blocks] == ["Dolor. Fiebre alta. ", "Tos. ", "Asma.\n", "Alta."]
    assert "".join(block.text for block in blocks) == note.text
    assert mentions(blocks) == mentions([note])
    assert pick([note], [block.id for block in blocks]) == blocks
    assert blocks[1] == cut(note, 20, 25) and blocks[1].id == "all.20-25"


def test_the_median_of_an_even_number_is_the_lower_of_the_two_middle_ones():
    assert median_member([0.3, 0.1, 0.2]) == 2
    assert median_member([0.4, 0.1, 0.3, 0.2]) == 3
    assert median_member([0.5]) == 0
