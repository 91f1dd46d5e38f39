"""Characters of the target's notes: which are drawn, and what their labels are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinx.corpora.documents import Document, Entity
from clinx.corpora.synthetic import synthetic_notes
from clinx.errors import InputError
from clinx.transfer.sample import sample_characters


NOTES = list(synthetic_notes(12, split="train"))


def words_of(sample):
    return [sample.documents[i].text[c:].split()[0] for i, c in zip(sample.numbers, sample.characters, strict=True)]


def test_the_characters_are_the_first_of_words_with_the_labels_of_mentions():
    text = "toma ácido acetil-salicílico (AAS) hoy"
    note = Document("a", text, [Entity(5, 28, "FARMACO"), Entity(30, 33, "AAS")])
    sample = sample_characters([Document("b", "sin nada."), note])
    assert sample.entity_types == ["AAS", "FARMACO"]
    assert [text[c] for c in sample.characters[2:]] == list("táasAh")
    assert sample.numbers.tolist() == [0] * 2 + [1] * 6
    assert sample.labels.tolist() == [0, 0, 0, 3, 4, 4, 1, 0]


def test_of_overlapping_mentions_the_longest_counts_as_in_training():
    note = Document("a", "dolor de pecho agudo", [Entity(0, 5, "A"), Entity(0, 14, "B"), Entity(9, 20, "C")])
    assert sample_characters([note]).labels.tolist() == [3, 4, 4, 0]


def test_a_mention_that_begins_inside_of_a_word_begins_at_the_next():
    note = Document("a", "hipertensión arterial", [Entity(5, 21, "A")])
    assert sample_characters([note]).labels.tolist() == [0, 1]


@given(st.integers(1, 400), st.integers(0, 9))
def test_a_sample_is_bounded_seeded_and_of_whole_documents(size, seed):
    try:
        sample = sample_characters(NOTES, size, seed)
    except InputError:
        return  # no mention among a few words
    again = sample_characters(NOTES, size, seed)
    assert all(np.array_equal(a, b) for a, b in zip(sample[1:4], again[1:4], strict=True))
    whole = sample_characters(NOTES, 10**6)
    assert len(sample.characters) == len(sample.labels) == min(size, len(whole.characters))
    places = {
        (whole.documents[i].id, c): label for i, c, label in zip(*(part.tolist() for part in whole[1:4]), strict=True)
    }
    for i, c, label in zip(*(part.tolist() for part in sample[1:4]), strict=True):
        assert places[sample.documents[i].id, c] == label
    per_document = np.bincount(sample.numbers)
    of_all = {note.id: n for note, n in zip(whole.documents, np.bincount(whole.numbers), strict=True)}
    cut = [note.id for note, n in zip(sample.documents, per_document, strict=True) if n < of_all[note.id]]
    assert len(cut) <= 1 and per_document.min() > 0


def test_what_fits_as_a_whole_does_not_depend_on_the_seed():
    one, other = (sample_characters(NOTES, seed=seed) for seed in (1, 2))
    assert [note.id for note in one.documents] == [note.id for note in NOTES]
    assert np.array_equal(one.characters, other.characters)
    few = [sample_characters(NOTES, 100, seed).characters.tolist() for seed in range(4)]
    assert len({*map(tuple, few)}) > 1


@pytest.mark.parametrize("documents", [[], [Document("a", "")], [Document("a", "Niega fiebre.")]])
def test_a_target_without_mentions_is_refused(documents):
    with pytest.raises(InputError, match="found no mention at the [02] words .* expected an annotated corpus"):
        sample_characters(documents)
