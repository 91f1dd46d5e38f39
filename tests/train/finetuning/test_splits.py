"""Splits: what every division of documents holds, and the parts that stand for documents."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinx.corpora.documents import Document, same_note
from clinx.errors import InputError
from clinx.finetuning.splits import Splits, hold_out, make_splits, pick


def documents(n, prefix="note"):
    return [Document(f"{prefix}-{i}", f"{prefix} {i}. Sin fiebre.") for i in range(n)]


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
    with pytest.raises(InputError, match="split_kind is 'leave-one-out', expected one of standard, random, all"):
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


def with_copies(notes):
    return [*notes, *(Document(f"copy-{note.id}", note.text.replace(" ", "  ") + "\r\n") for note in notes)]


def test_a_note_that_is_held_out_is_held_out_with_its_copies():
    notes = documents(20)
    rest, held = hold_out(with_copies(notes), 0.2, seed=1)
    assert not {same_note(d.text) for d in rest} & {same_note(d.text) for d in held}
    assert len(held) == 8 and len(rest) == 32
    with pytest.raises(InputError, match="of 1 different documents leaves none to learn from"):
        hold_out(with_copies(notes[:1]), 0.5, seed=1)


def test_copies_of_a_note_stay_in_one_random_part_and_empty_notes_are_no_copies():
    empty = [Document(f"empty-{i}", " \n") for i in range(10)]
    members = make_splits("random", with_copies(documents(10)), empty, 5, seed=1).members
    for member in members:
        ids = {id for id in member.validation if not id.startswith("empty")}
        assert {f"copy-{id}" for id in ids if id.startswith("note")} == {id for id in ids if id.startswith("copy")}
    assert sum(any(id.startswith("empty") for id in member.validation) for member in members) > 1


def test_picking_names_a_document_that_is_not_there():
    with pytest.raises(InputError, match="'note-9', which is not among the 3"):
        pick(documents(3), ["note-1", "note-9"])
