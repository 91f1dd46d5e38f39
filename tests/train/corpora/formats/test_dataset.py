"""Datasets of tokens, of the BigBio kb schema and of our own rows become Documents; ours survive the way to disk."""

import re
import tempfile

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from hypothesis import given, settings

from clinx.corpora import read_corpus, read_splits
from clinx.corpora.conversion import convert
from clinx.corpora.documents import Document, Entity, Reading
from clinx.corpora.formats.dataset import read_rows, to_dataset
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.errors import InputError
from tests.train.annotated import problem_counts
from tests.train.corpora.test_documents import UTF8_CHARACTER, documents


def read(rows: Dataset, **options) -> list[Document]:
    return list(read_rows(rows, Reading(**options)))


TOKENS = {"id": ["a", "b"], "tokens": [["Dr", ".", "Li"], ["No"]], "ner_tags": [[0, 0, 1], [0]]}


def test_rows_of_tokens_are_documents_with_the_names_of_their_tags():
    tags = Features(
        {"id": Value("string"), "tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=["O", "B-P"]))}
    )
    expected = [Document("a", "Dr. Li", [Entity(4, 6, "P")]), Document("b", "No")]
    assert read(Dataset.from_dict(TOKENS, features=tags)) == expected
    named = {**TOKENS, "ner_tags": [["O", "O", "B-P"], ["O"]]}
    assert read(Dataset.from_dict(named)) == expected
    assert read(Dataset.from_dict({**named, "document_id": ["x", "x"]})) == [
        Document("x", "Dr. Li\nNo", [Entity(4, 6, "P")])
    ]
    assert [document.text for document in read(Dataset.from_dict(TOKENS), annotated=False)] == ["Dr. Li", "No"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (TOKENS, r"row 0: found the ner_tags \[0, 0, 1\]"),
        ({**TOKENS, "ner_tags": [["O"], ["O"]]}, r"row 0: found the ner_tags \['O'\], expected O, B-… or I-… of each"),
        ({**TOKENS, "ner_tags": [None, None]}, "row 0: found the ner_tags"),
        ({**TOKENS, "tokens": [["a", None, "b"], ["x"]], "ner_tags": [["O"] * 3, ["O"]]}, "row 0: found the tokens"),
        ({"words": [["x"]]}, 'found the columns words, expected "text" and "entities"'),
        (
            {"passages": [[{"text": ["x"]}]], "entities": [[]]},
            "row 0: this row is not a document of the BigBio kb schema",
        ),
    ],
)
def test_rows_of_another_form_are_refused(columns, message):
    with pytest.raises(InputError, match=message):
        read(Dataset.from_dict(columns))


def kb(entities: list) -> Dataset:
    passages = [
        {"id": "1", "type": "abstract", "text": ["Pain, left and right."], "offsets": [[7, 28]]},
        {"id": "0", "type": "title", "text": ["A case"], "offsets": [[0, 6]]},
    ]
    row = {"id": "0", "document_id": "227508", "passages": passages, "entities": entities}
    return Dataset.from_list([row])


def test_passages_stand_at_their_offsets_and_discontinuous_mentions_are_hulls():
    found = [
        {"id": "2", "type": "S", "text": ["Pain"], "offsets": [[7, 11]], "normalized": []},
        {"id": "3", "type": "S", "text": ["Pain", "right"], "offsets": [[7, 11], [22, 27]], "normalized": []},
    ]
    (document,) = read(kb(found))
    assert (document.id, document.text) == ("227508", "A case Pain, left and right.")
    assert document.entities == [Entity(7, 11, "S"), Entity(7, 27, "S")]
    assert problem_counts([document]) == {"discontinuous": 1}
    (dropped,) = read(kb(found), discontinuous="drop")
    assert dropped.entities == [Entity(7, 11, "S")]
    with pytest.raises(InputError, match="row 0: found a mention from 7 to 99"):
        read(kb([{**found[0], "offsets": [[7, 99]]}]))


def test_a_passage_that_overlaps_another_is_refused_and_a_text_that_differs_is_counted():
    entity = {"id": "2", "type": "S", "text": ["Dolor"], "offsets": [[7, 11]], "normalized": []}
    assert problem_counts(read(kb([entity]))) == {"text differs": 1}
    overlapping = kb([]).map(lambda row: {"passages": [{**p, "offsets": [[3, 9]]} for p in row["passages"]]})
    with pytest.raises(InputError, match="row 0: found a passage at 3, expected one at or soon after 24"):
        read(overlapping)


def test_splits_have_their_names_in_whatever_form_they_lie(tmp_path):
    DatasetDict(train=to_dataset(NOTES), dev=to_dataset(NOTES[:1])).save_to_disk(tmp_path / "saved")
    assert list(read_splits(tmp_path / "saved")) == ["train", "validation"]
    for split in ("train", "test"):
        (tmp_path / f"hub/{split}").mkdir(parents=True)
        to_dataset(NOTES[: 1 + (split == "train")]).to_parquet(tmp_path / f"hub/{split}/0000.parquet")
    assert {name: len(list(part)) for name, part in read_splits(tmp_path / "hub").items()} == {"test": 1, "train": 2}
    assert list(read_corpus(tmp_path / "hub/train/0000.parquet")) == NOTES


NOTES = [Document("a", "Dr. Li", [Entity(4, 6, "P")]), Document("b", "½ ñ", [])]


def test_two_splits_that_are_called_alike_stay_two(tmp_path):
    DatasetDict(test=to_dataset(NOTES[:1]), test_unseen=to_dataset(NOTES)).save_to_disk(tmp_path / "saved")
    convert(tmp_path / "saved", tmp_path / "out")
    for folder in ("saved", "out"):
        splits = {name: list(notes) for name, notes in read_splits(tmp_path / folder).items()}
        assert splits == {"test": NOTES[:1], "test_unseen": NOTES}


def test_a_dataset_on_disk_is_read_whole_or_one_split_of_it(tmp_path):
    DatasetDict(train=to_dataset(NOTES), test=to_dataset(NOTES[:1])).save_to_disk(tmp_path / "saved")
    assert [document.id for document in read_corpus(tmp_path / "saved", "dataset")] == ["train/a", "train/b", "test/a"]
    assert list(read_corpus(tmp_path / "saved/train")) == NOTES  # the format is guessed
    to_dataset(NOTES).save_to_disk(tmp_path / "one")
    assert list(read_corpus(tmp_path / "one")) == NOTES
    with pytest.raises(InputError, match="saved/dev: found no split 'dev', expected one of: train, test"):
        list(read_corpus(tmp_path / "saved/dev", "dataset"))
    with pytest.raises(InputError, match="/absent/x y: found no such file or folder"):
        list(read_corpus("/absent/x y", "dataset"))


@pytest.mark.parametrize("to", ["dataset", "jsonl", "brat", "conll"])
def test_what_is_converted_is_read_as_it_was(tmp_path, to, capsys):
    for name, notes in (("train", NOTES), ("dev", NOTES[1:])):
        write_jsonl(notes, tmp_path / f"corpus/{name}.jsonl")
    converted = convert(str(tmp_path / "corpus"), str(tmp_path / "out"), to)
    assert converted == ({"train": 2, "validation": 1}, [], [])
    back = {name: list(part) for name, part in read_splits(tmp_path / "out").items()}
    assert back == {"train": NOTES, "validation": NOTES[1:]}
    with pytest.raises(InputError, match="found it there already"):
        convert(str(tmp_path / "corpus"), str(tmp_path / "out"), to)


@given(documents(UTF8_CHARACTER))
@settings(deadline=None, max_examples=15)
def test_a_document_survives_the_conversion_to_a_dataset(document):
    with tempfile.TemporaryDirectory() as folder:
        write_jsonl([document], f"{folder}/notes.jsonl")
        convert(f"{folder}/notes.jsonl", f"{folder}/out")
        (read,) = read_corpus(f"{folder}/out/train", "dataset")
    assert read == document


def test_what_lies_beside_the_new_folder_stays(tmp_path, monkeypatch):
    write_jsonl(NOTES, tmp_path / "a.jsonl")
    (tmp_path / "out.partial").mkdir()
    convert(str(tmp_path / "a.jsonl"), str(tmp_path / "out"), "jsonl")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    convert(str(tmp_path / "a.jsonl"), ".", "jsonl")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jsonl", "empty", "out", "out.partial"]
    with pytest.raises(InputError, match="found the file .*a.jsonl, expected a folder of this name"):
        convert(str(tmp_path / "absent"), str(tmp_path / "a.jsonl/x"), "jsonl")  # before anything is read


@pytest.mark.parametrize("ids", [["1", "1"], ["h/1", "h/2"], ["x" * 300], ["x", "x.txt/y"]])
def test_ids_survive_or_are_refused(tmp_path, ids):
    for split, id in zip(("train", "test"), ids, strict=False):
        write_jsonl([Document(id, "x")], tmp_path / f"corpus/{split}.jsonl")
    for to in ("jsonl", "brat", "conll", "dataset"):
        try:
            convert(str(tmp_path / "corpus"), str(tmp_path / to), to)
        except InputError as error:
            assert to == "brat" and re.search("cannot be written|each of 250 bytes at most", str(error))
            continue
        back = [document.id for part in read_splits(tmp_path / to).values() for document in part]
        assert sorted(back) == sorted(ids)
        assert len(list(read_corpus(tmp_path / to))) == len(ids)


def test_a_conversion_that_fails_leaves_nothing(tmp_path):
    write_jsonl([Document("../x", "y")], tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="no path inside"):
        convert(str(tmp_path / "a.jsonl"), str(tmp_path / "out"), "brat")
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]
