"""JSON Lines are read line by line, and a fault is named by file and line."""

import gzip
import json

import pytest

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.errors import InputError


@pytest.fixture
def read(tmp_path):
    def read(content: str | bytes, **options) -> list[Document]:
        file = tmp_path / "notes.jsonl"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(read_corpus(file, **options))

    return read


def test_a_real_gzipped_corpus_without_annotations_is_read_whole(corpora):
    documents = list(read_corpus(corpora / "pretraining-es/notes.jsonl.gz", annotated=False))
    assert len(documents) == len({document.id for document in documents}) == 4182
    assert all(document.text and not document.entities for document in documents)


def test_a_document_without_an_id_is_called_after_its_line(read):
    rows = '{"text": "a", "entities": []}\n\n{"id": null, "text": "b", "entities": []}\r\n{"id": "", "text": "c"}'
    assert [document.id for document in read(rows, annotated=False)] == ["line-1", "line-3", ""]


def test_a_byte_order_mark_before_the_first_line_is_passed_over(read):
    assert read(b'\xef\xbb\xbf{"id": "a", "text": "\xef\xbb\xbfx", "entities": []}') == [Document("a", "\ufeffx")]


def test_line_ends_nul_and_separators_inside_of_a_text_do_not_end_a_line(read):
    text = "a\r\nb\u2028c\0\x85"
    row = json.dumps({"id": "a", "text": text, "entities": []}, ensure_ascii=False)
    assert read(row) == [Document("a", text)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not json", "this line is not JSON"),
        ("[" * 100_000, "this line is not JSON"),
        ("1" * 5000, "this line is not JSON|found 1"),
        ("[]", r"found \[\], expected an object"),
        ('{"id": true, "text": "x", "entities": []}', "found the id True, expected a string"),
        ('{"id": "b", "entities": []}', 'found None as the "text"'),
        ('{"id": "b", "text": "x"}', 'found None as the "entities"'),
        ('{"text": "x", "entities": [{"start": 0, "end": 2, "label": "A"}]}', "found a mention from 0 to 2"),
        ('{"text": "x", "entities": [{"start": 0, "end": 1.0, "label": "A"}]}', "found the offsets 0 and 1.0"),
        ('{"text": "x", "entities": [{"start": 0, "end": true, "label": "A"}]}', "found the offsets 0 and True"),
        ('{"text": "x", "entities": [{"start": 0, "end": 1, "label": ""}]}', "found the label ''"),
        ('{"text": "x", "entities": [{"start": 0, "end": 1, "label": "A", "score": NaN}]}', "found the score nan"),
        (b'{"text": "Espa\xf1a", "entities": []}', "found the byte 0xf1 at byte offset 14, expected UTF-8"),
    ],
)
def test_a_faulty_line_is_refused_with_its_file_and_number(read, line, message):
    line = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(InputError, match=rf"notes\.jsonl:2: ({message})"):
        read(b'{"id": "a", "text": "", "entities": []}\n' + line)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    whole = gzip.compress(b'{"text": "x", "entities": []}\n' * 1000)
    contents = {"cut.jsonl.gz": whole[:-20], "plain.jsonl.gz": b"{}", "broken.jsonl.gz": whole[:12] + b"\xff" * 30}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in contents:
        with pytest.raises(InputError, match=rf"{name}: found no readable file"):
            list(read_corpus(tmp_path / name, annotated=False))


def test_writing_leaves_no_half_file_when_the_documents_break_off(tmp_path):
    def documents():
        yield Document("a", "x", [Entity(0, 1, "A", 0.5)])
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_jsonl(documents(), tmp_path / "out.jsonl")
    assert not list(tmp_path.iterdir())


def test_a_row_is_written_as_the_dataset_has_it_and_a_score_only_where_there_is_one(tmp_path):
    write_jsonl([Document("a", "xy", [Entity(0, 1, "A", 0.5), Entity(1, 2, "B")])], tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {
        "id": "a",
        "text": "xy",
        "entities": [{"start": 0, "end": 1, "label": "A", "score": 0.5}, {"start": 1, "end": 2, "label": "B"}],
    }
