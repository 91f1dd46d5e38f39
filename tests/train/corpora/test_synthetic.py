"""Synthetic notes are reproducible, exactly annotated, varied, ambiguous without context, and split without leaks."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from clinx.corpora.synthetic import ENTITY_TYPES, synthetic_notes


ROOT = Path(__file__).parents[3]
OPEN_TYPES = ("PATIENT", "DOCTOR", "HOSPITAL", "LOCATION", "DATE", "BIRTHDATE", "ID", "PHONE", "DRUG")
DISEASE = re.compile(r"\w+(?:itis|opatía|opathy|algia)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def train():
    return synthetic_notes(400)


@pytest.fixture(scope="module")
def validation():
    return synthetic_notes(400, split="validation")


def mentions(notes, *labels: str) -> set[str]:
    return {note.text[e.start : e.end] for note in notes for e in note.entities if e.label in labels}


def words(texts) -> set[str]:
    return {word for text in texts for word in re.findall(r"\w{4,}", text.lower())}


def test_every_mention_is_a_trimmed_stretch_of_one_line_and_none_overlap(train, validation):
    for note in train + validation:
        ends = 0
        for entity in note.entities:
            mention = note.text[entity.start : entity.end]
            assert ends <= entity.start < entity.end <= len(note.text), note.id
            assert mention == mention.strip() and "\n" not in mention, note.id
            assert entity.label in ENTITY_TYPES and entity.score is None
            ends = entity.end


def test_a_mention_starts_and_ends_with_its_words(train):
    for note in train:
        for e in note.entities:
            around = note.text[e.start - 1 : e.start] + note.text[e.end : e.end + 1]
            assert not any(character.isalnum() for character in around), (note.id, note.text[e.start : e.end])


def test_no_mark_of_the_grammar_is_left_in_a_note(train, validation):
    for note in train + validation:
        assert not re.search(r"[{}\[\]<>|#~↵=^_]", note.text), note.id


def test_notes_are_the_same_in_another_process():
    code = "from clinx.corpora.synthetic import synthetic_notes; print(ascii(synthetic_notes(20, seed=3)))"
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ascii(synthetic_notes(20, seed=3))


def test_more_notes_begin_with_the_same_notes_and_another_seed_gives_others(train):
    assert synthetic_notes(10) == train[:10]
    assert not {note.text for note in synthetic_notes(10, seed=1)} & {note.text for note in train}


def test_languages_alternate_and_ids_tell_split_language_and_place():
    assert [note.id for note in synthetic_notes(3)] == ["train-es-0000", "train-en-0001", "train-es-0002"]
    assert [note.id for note in synthetic_notes(2, split="validation", language="en")] == [
        "validation-en-0000",
        "validation-en-0001",
    ]


@pytest.mark.parametrize("wrong", [{"split": "test"}, {"language": "fr"}])
def test_an_unknown_split_or_language_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong.values()))):
        synthetic_notes(1, **wrong)


@pytest.mark.parametrize("label", OPEN_TYPES)
def test_no_open_class_mention_of_validation_was_seen_in_training(train, validation, label):
    assert not mentions(train, label) & mentions(validation, label)


def test_no_name_or_drug_or_disease_of_validation_occurs_anywhere_in_training(train, validation):
    seen = words(note.text for note in train)
    assert not words(mentions(validation, "PATIENT", "DOCTOR", "DRUG")) & seen
    diseases = {mention.lower() for text in mentions(validation, "PROBLEM") for mention in DISEASE.findall(text)}
    assert len(diseases) > 30 and not diseases & seen


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_type_is_frequent_in_150_notes(language):
    notes = synthetic_notes(150, language=language)
    counts = Counter(entity.label for note in notes for entity in note.entities)
    assert set(counts) == set(ENTITY_TYPES)
    assert min(counts.values()) >= 60


AMBIGUOUS = (
    *(("ID", "PHONE"), ("AGE", "DOSE"), ("DOCTOR", "PATIENT")),
    *(("DOCTOR", "HOSPITAL"), ("PROBLEM", "FAMILY_HISTORY")),
)


@pytest.mark.parametrize("pair", AMBIGUOUS, ids="-".join)
@pytest.mark.parametrize("language", ["es", "en"])
def test_a_line_of_the_same_shape_is_a_mention_of_one_type_or_another_by_the_lines_around_it(language, pair):
    shapes = {label: set() for label in ENTITY_TYPES}
    for note in synthetic_notes(200, language=language):
        lines = {line.strip() for line in note.text.splitlines()}
        for e in note.entities:
            if note.text[e.start : e.end] in lines:
                shapes[e.label].add(re.sub(r"[^\W\d]+", "x", re.sub(r"\d", "9", note.text[e.start : e.end])))
    assert shapes[pair[0]] & shapes[pair[1]]


def test_the_same_name_is_a_doctor_a_patient_and_a_hospital(train):
    assert len(mentions(train, "DOCTOR") & mentions(train, "PATIENT") & mentions(train, "HOSPITAL")) >= 5


def test_300_notes_do_not_look_like_copies():
    notes = synthetic_notes(300)
    assert len({note.text for note in notes}) == len(notes)
    long_lines = [line for note in notes for line in note.text.splitlines() if len(line) > 40]
    assert len(set(long_lines)) / len(long_lines) > 0.5


def test_notes_have_the_length_of_notes(train):
    assert all(400 <= len(note.text) <= 2500 for note in train)


MARKS = {
    "es": "|\n\n|\n  - Familiares:|\n1. |\n  1) |Dra. |La Sra. |aprox. |p.ej. | vs. | b.i.d.| q.d.| 2,5 mg|½|…| °C|ñ|",
    "en": "|\n\n|\n  - Family:|\n1. |\n  1) |Dr. |Ms. |approx. |e.g. | vs. | b.i.d.| q.d.| 2.5 mg|½|…| °C|",
}


@pytest.mark.parametrize("language", MARKS)
def test_notes_have_the_marks_of_clinical_writing(language):
    text = "\n".join(note.text for note in synthetic_notes(100, language=language))
    assert [mark for mark in MARKS[language].split("|") if mark not in text] == []


def test_some_addresses_run_over_lines(train):
    assert sum(bool(re.search(r"\d[^\n]*\n +(5\d{4} \w|\w+ 5\d{4}\n)", note.text)) for note in train) > 20


def test_some_sentences_run_over_a_line_break(train):
    assert sum(bool(re.search(r"[a-zñ,]\n[a-zñ]", note.text)) for note in train) > len(train) / 3
