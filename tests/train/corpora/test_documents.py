"""A Document is validated in one place and comes back the same from every form that it is written to."""

import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document, Entity, Reading, checked_entity, in_order, without_surrogates
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.formats.dataset import FEATURES, read_rows, to_dataset
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.corpora.rows import documents_from_rows
from clinx.errors import InputError
from clinx.writing import atomic_file


def given_rows(rows, **options):
    """Rows as a reader hands them over."""
    return documents_from_rows(((f"row {n}", f"row-{n}", row) for n, row in enumerate(rows)), Reading(**options))


ANY_CHARACTER = st.characters()  # lone surrogates too
UTF8_CHARACTER = st.characters(codec="utf-8")
TRICKY = "\ufeff\r\n\t\0 ½\u2028\x85\x1cمريض👩🏽‍⚕️e\u0301"


@st.composite
def documents(draw, characters):
    text = draw(st.text(characters | st.sampled_from(TRICKY), max_size=60))
    entities = []
    if text:
        bounds = st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True).map(sorted)
        labels = st.sampled_from(["DOCTOR", "problem", "Ñ-1", "[b]"])
        for start, end in draw(st.lists(bounds, max_size=6)):
            entities.append(Entity(start, end, draw(labels), draw(st.none() | st.floats(0, 1))))
    return Document(draw(st.sampled_from(["a", "b.c", "ñ/d e"])), text, in_order(entities))


@given(documents(UTF8_CHARACTER))
@settings(deadline=None)
def test_a_document_survives_brat(document):
    with tempfile.TemporaryDirectory() as folder:
        write_brat(document, folder)
        (read,) = read_corpus(folder)
    assert read == document
    assert not read.problems


@given(documents(ANY_CHARACTER), st.sampled_from(["x.jsonl", "x.jsonl.gz"]))
@settings(deadline=None)
def test_a_document_survives_json_lines_with_its_scores_and_lone_surrogates(document, name):
    with tempfile.TemporaryDirectory() as folder:
        write_jsonl([document], Path(folder, name))
        (read,) = read_corpus(Path(folder, name))
    assert read == document
    assert [e.score for e in read.entities] == [e.score for e in document.entities]


@given(documents(ANY_CHARACTER))
@settings(deadline=None, max_examples=30)
def test_a_document_survives_a_dataset_but_for_its_surrogates(document):
    dataset = to_dataset([document])
    (read,) = read_rows(dataset, Reading())
    assert read == Document(document.id, without_surrogates(document.text), document.entities)


def test_a_dataset_has_the_same_features_with_no_documents_and_with_no_entities():
    assert to_dataset([]).features == to_dataset([Document("a", "x")]).features == FEATURES


def test_each_lone_surrogate_becomes_one_replacement_character_so_that_offsets_hold():
    text = "\ud800Dr.\udfff👍 Li"
    (row,) = to_dataset([Document("\udce1", text, [Entity(7, 9, "DOCTOR")])])
    assert row["id"] == "\ufffd"
    assert row["text"] == "\ufffdDr.\ufffd👍 Li"
    assert row["text"][7:9] == text[7:9] == "Li"


def test_the_score_takes_no_part_in_comparing_entities():
    assert Entity(0, 1, "A", 0.5) == Entity(0, 1, "A")
    assert sorted([Entity(1, 2, "A", 0.1), Entity(0, 2, "B"), Entity(0, 1, "B")])[0] == Entity(0, 1, "B")


@pytest.mark.parametrize("bounds", [(-1, 1), (0, 0), (2, 1), (0, 4), (3, 4), ("0", 1), (0.0, 1), (None, 1), (False, 1)])
def test_a_mention_outside_of_the_text_is_refused_with_its_place(bounds):
    with pytest.raises(InputError, match=r"^notes\.ann:7: found .* expected "):
        checked_entity(*bounds, "A", "abc", "notes.ann:7")


@pytest.mark.parametrize("label", ["", None, 3, ["A"]])
def test_a_label_that_is_no_name_is_refused(label):
    with pytest.raises(InputError, match="^here: found the label"):
        checked_entity(0, 1, label, "abc", "here")


@pytest.mark.parametrize("score", ["0.5", math.nan, math.inf, True])
def test_a_score_that_is_no_number_is_refused(score):
    with pytest.raises(InputError, match="^here: found the score"):
        checked_entity(0, 1, "A", "abc", "here", score)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": True, "text": "", "entities": []}, "row 0: found the id True, expected a string or a number"),
        ({"id": math.nan, "text": "", "entities": []}, "row 0: found the id nan, expected a string or a number"),
        ({"id": ["a"], "text": "", "entities": []}, r"row 0: found the id \['a'\], expected a string or a number"),
        ({"id": "a", "entities": []}, "row 0: found None as the \"text\" of document 'a'"),
        ({"id": "a", "text": "x"}, 'row 0: found None as the "entities" .*annotated=False'),
        ({"id": "a", "text": "x", "entities": {"start": [0]}}, 'row 0: found .* as the "entities"'),
        ({"id": "a", "text": "x", "entities": ["DOCTOR"]}, "row 0: found 'DOCTOR' in \"entities\""),
        ({"id": "a", "text": "x", "entities": [{"start": 0, "end": 1}]}, "row 0: found the label None"),
        ("a", "row 0: found 'a', expected an object"),
    ],
)
def test_a_row_of_another_form_is_refused_with_its_number(row, message):
    with pytest.raises(InputError, match=message):
        list(given_rows([row]))


def test_ids_that_are_numbers_are_read_as_they_are_written():
    rows = [{"id": id, "text": "", "entities": []} for id in (12, 12.5, 3.0, "012")]
    assert [document.id for document in given_rows(rows)] == ["12", "12.5", "3.0", "012"]


def test_an_id_seen_before_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "", "entities": []}\n' * 2)
    with pytest.raises(InputError, match="a.jsonl: found the document 'a' again"):
        list(read_corpus(tmp_path / "a.jsonl"))


def test_texts_without_annotations_are_read_when_asked_for():
    rows = [{"text": "x"}, {"id": "b", "text": "y", "entities": [{"start": 0, "end": 1, "label": "A"}]}]
    assert list(given_rows(rows, annotated=False)) == [Document("row-0", "x"), Document("b", "y")]


def test_what_a_row_says_that_a_mention_reads_is_compared_with_the_text():
    mentions = [{"start": 0, "end": 4, "label": "A", "text": text} for text in ("left", "right")]
    rows = [{"id": str(n), "text": "left lung", "entities": [mention]} for n, mention in enumerate(mentions)]
    right, wrong = given_rows(rows)
    assert not right.problems
    assert wrong.problems == [("text differs", "row 1: 'right', in the text 'left'")]


def test_a_mention_given_twice_is_kept_once():
    mention = {"start": 0, "end": 1, "label": "A"}
    (document,) = given_rows([{"id": "a", "text": "x", "entities": [mention, {**mention, "label": "B"}, mention]}])
    assert document.entities == [Entity(0, 1, "A"), Entity(0, 1, "B")]


def test_an_atomic_file_leaves_the_old_one_and_nothing_else_when_writing_fails(tmp_path):
    target = tmp_path / "new" / "file"
    with atomic_file(target) as file:
        file.write(b"old")
    with pytest.raises(RuntimeError), atomic_file(target) as file:
        file.write(b"new")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_format_is_guessed_from_what_is_there(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.ann").write_text("")
    (tmp_path / "b.jsonl").write_text('{"text": "y", "entities": []}')
    assert [d.id for d in read_corpus(tmp_path)] == ["a"]
    assert [d.id for d in read_corpus(tmp_path / "a.txt")] == ["a"]
    assert [d.id for d in read_corpus(tmp_path / "b.jsonl")] == ["line-1"]


def test_an_unknown_format_is_refused_at_once_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="'conllu', expected one of: brat, .*jsonl"):
        read_corpus(tmp_path, "conllu")
    with pytest.raises(InputError, match="no file here tells its format by its name; name it, one of: brat, .*jsonl"):
        read_corpus(tmp_path)
    with pytest.raises(InputError, match="found no such file or folder"):
        read_corpus(tmp_path / "absent")


def test_an_empty_corpus_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    for path, format in ((tmp_path, "brat"), (tmp_path / "empty.jsonl", None)):
        with pytest.raises(InputError, match="found no documents"):
            list(read_corpus(path, format))


def test_a_corpus_is_read_only_as_far_as_asked(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "y", "entities": []}\nnot json\n')
    documents = read_corpus(tmp_path / "a.jsonl")
    assert next(documents).text == "y"
    with pytest.raises(InputError, match="a.jsonl:2"):
        next(documents)
