"""Texts come one by one out of whatever holds them, and what cannot be read is told by its place."""

import gzip
import io
import json
import lzma
import tarfile
import tracemalloc
import zipfile

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from clinx.errors import InputError
from clinx.pretraining.texts import Text, read_texts


LINES = "\n".join(json.dumps(row) for row in ({"id": "a", "text": "uno\ndos"}, {"text": "tres"})) + "\n"


def write(path, data: str):
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opener(path, "wb") as file:
        file.write(data.encode())
    return str(path)


def read(*paths, **options):
    return list(read_texts(paths, **options))


@pytest.mark.parametrize("packing", ["", ".gz", ".xz"])
def test_plain_text_is_a_document_and_lines_are_one_each(tmp_path, packing):
    note = write(tmp_path / f"note.txt{packing}", "\ufeffuno\r\ndos\n")
    rows = write(tmp_path / f"rows.jsonl{packing}", LINES)
    assert read(note, rows) == [("note", "uno\r\ndos\n"), ("a", "uno\ndos"), ("rows:line-2", "tres")]


@pytest.mark.parametrize("name", ["c.zip", "c.tar", "c.tar.gz", "c.tgz", "c.tar.xz", "c.tar.bz2"])
def test_archives_and_folders_of_them_are_read(tmp_path, name):
    members = {"train/a.txt": b"uno", "train/b.jsonl.gz": gzip.compress(LINES.encode()), "README.md": b"no text"}
    if name == "c.zip":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
    else:
        with tarfile.open(
            tmp_path / name, f"w:{name.split('.')[-1].replace('tgz', 'gz').replace('tar', '')}"
        ) as archive:
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    texts = ["uno", "uno\ndos", "tres"]
    assert [text for _, text in read(str(tmp_path / name))] == texts
    assert [text for _, text in read(str(tmp_path / name / "train"))] == texts
    write(tmp_path / "z.txt", "fin")
    assert [text for _, text in read(str(tmp_path))] == [*texts, "fin"]


def test_parquet_is_read_in_parts(tmp_path):
    parquet.write_table(pa.table({"id": [1, 2], "nota": ["uno", "dos"], "x": [0, 0]}), tmp_path / "a.parquet")
    assert read(str(tmp_path), column="nota") == [Text("1", "uno"), Text("2", "dos")]
    with pytest.raises(InputError, match="a.parquet: found the columns id, nota, x, expected 'text'"):
        read(str(tmp_path))


def test_a_dataset_on_the_hub_is_streamed(monkeypatch):
    asked = {}

    def load_dataset(repo, config, **options):
        asked.update(repo=repo, **options)
        rows = datasets.Dataset.from_list([{"text": "uno"}, {"text": "dos"}])
        return rows if options["split"] else {"train": rows}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read("org/notes@v1") == [("train:row-1", "uno"), ("train:row-2", "dos")]
    assert asked == {"repo": "org/notes", "revision": "v1", "split": None, "streaming": True}
    assert len(read("org/notes/test")) == 2 and asked["split"] == "test"


def test_a_dataset_that_is_not_there_is_told(monkeypatch):
    def load_dataset(*_, **__):
        raise ConnectionError("no such repo")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InputError, match="org/none: found no such file or folder, and no dataset"):
        read("org/none")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "c.jsonl: found no documents"),
        (b'{"text": "a"}\n\n{"id": "b"}\n', "c.jsonl:3: found the fields id, expected 'text'"),
        (b'{"text": "a"}\n{"text": 3}\n', "c.jsonl:2: found 3 as 'text', expected a string"),
        (b'{"text": "a"}\n["a"]\n', "c.jsonl:2: found .*, expected 'text'"),
        (b'{"text": "a"}\n{"text": "\xe1"}\n', "c.jsonl:2: found the byte 0xe1"),
        (b'{"text": "a"}\n{"text": "\n', "c.jsonl:2: this line is not JSON"),
    ],
)
def test_faults_are_told_by_file_and_line(tmp_path, content, message):
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(str(tmp_path / "c.jsonl"))


def test_an_annotated_corpus_of_another_form_gives_its_texts(tmp_path):
    path = write(tmp_path / "notes.tsv", "Dolor\tB-X\ntorácico\tI-X\n.\tO\n\n")
    assert [text.text for text in read_texts([str(path)])] == ["Dolor torácico."]


def test_damaged_and_missing_files_are_told(tmp_path):
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(LINES.encode() * 1000)[:-20])
    with pytest.raises(InputError, match="c.jsonl.gz: found no readable file"):
        read(str(tmp_path / "c.jsonl.gz"))
    (tmp_path / "note.txt").write_bytes(b"a\xe1")
    with pytest.raises(InputError, match="note.txt: found the byte 0xe1"):
        read(str(tmp_path / "note.txt"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="bad.parquet: found no readable file"):
        read(str(tmp_path / "bad.parquet"))
    with pytest.raises(InputError, match="missing: found no such file or folder"):
        read(str(tmp_path / "missing"))
    with pytest.raises(InputError, match="found no documents, expected files of these kinds: .txt"):
        (tmp_path / "empty").mkdir()
        read(str(tmp_path / "empty"))


def test_a_lone_surrogate_becomes_a_replacement_character(tmp_path):
    assert read(write(tmp_path / "a.jsonl", '{"id": "\\ud800", "text": "a\\ud800b"}\n')) == [("\ufffd", "a\ufffdb")]


def test_a_very_long_line_is_read(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "palabra " * 2**20}) + "\n")
    assert [len(text) for _, text in read(path)] == [8 * 2**20]


def test_memory_stays_flat(tmp_path):
    path = write(tmp_path / "a.jsonl.gz", (json.dumps({"text": "palabra " * 200}) + "\n") * 5000)
    tracemalloc.start()
    assert sum(1 for _ in read_texts([path])) == 5000  # 8 MB
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
