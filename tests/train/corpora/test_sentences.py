"""The first sentences of documents, and blocks of sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinx.corpora.documents import Document, Entity
from clinx.corpora.sentences import cut, first_sentences, sentence_blocks
from clinx.corpora.synthetic import synthetic_notes
from clinx.errors import InputError
from clinx.finetuning.splits import pick


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
