"""Folders, files and archives give the same documents; what leads out of an archive or blows up is refused."""

import gzip
import os

import pytest

from clinx.corpora import read_corpus, read_splits
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.dataset import to_dataset
from clinx.corpora.source import corpus_files
from clinx.errors import InputError
from tests.train.corpora.formats.archives import tar, zipped


NOTES = {
    "corpus/train/a.txt": "Dr. Li",
    "corpus/train/a.ann": "T1\tDOCTOR 4 6\tLi\n",
    "corpus/train/.hidden.txt": "x",
    "__MACOSX/corpus/train/._a.txt": "x",
    "corpus/test/ñ b.txt": "Ana",
    "corpus/test/ñ b.ann": "",
}
EXPECTED = [Document("corpus/test/ñ b", "Ana"), Document("corpus/train/a", "Dr. Li", [Entity(4, 6, "DOCTOR")])]


@pytest.fixture
def folder(tmp_path):
    for name, content in NOTES.items():
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return tmp_path / "folder"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("corpus.zip", zipped(NOTES)),
        ("corpus.tar.gz", tar(NOTES)),
        ("corpus.tgz", tar(NOTES)),
        ("corpus.tar", tar(NOTES, "w")),
        ("windows.zip", zipped({name.replace("/", "\\"): content for name, content in NOTES.items()})),
        ("dotted.tar.gz", tar({f"./{name}": content for name, content in NOTES.items()})),
    ],
)
def test_an_archive_is_read_as_its_folder_and_in_part(tmp_path, folder, name, content):
    (tmp_path / name).write_bytes(content)
    assert list(read_corpus(folder)) == list(read_corpus(tmp_path / name)) == EXPECTED
    (inside,) = read_corpus(tmp_path / name / "corpus/train")
    assert inside == Document("a", "Dr. Li", [Entity(4, 6, "DOCTOR")])
    (single,) = read_corpus(tmp_path / name / "corpus/train/a.txt", annotated=False)
    assert single.text == "Dr. Li"
    with pytest.raises(InputError, match="found nothing called 'corpus/dev' in it"):
        list(read_corpus(tmp_path / name / "corpus/dev"))


def test_a_folder_of_archives_is_looked_into_and_one_with_notes_is_not(tmp_path):
    (tmp_path / "b.zip").write_bytes(zipped({"x.txt": "x", "x.ann": ""}))
    (tmp_path / "a.tar.gz").write_bytes(tar({"y.txt": "y", "y.ann": ""}))
    assert [document.id for document in read_corpus(tmp_path)] == ["a.tar.gz/y", "b.zip/x"]
    (tmp_path / "z.txt").write_text("z")
    assert [document.id for document in read_corpus(tmp_path, annotated=False)] == ["z"]


def test_splits_are_known_by_their_folders_and_ids_are_paths_inside_of_them(folder):
    splits = {name: list(documents) for name, documents in read_splits(folder).items()}
    assert splits == {"train": [Document("a", "Dr. Li", [Entity(4, 6, "DOCTOR")])], "test": [Document("ñ b", "Ana")]}
    assert list(read_splits(folder / "corpus/test")) == ["test"]


def test_files_of_no_split_are_passed_over_and_told(folder, capsys):
    (folder / "corpus/README.txt").write_text("About this corpus.")
    assert list(read_splits(folder)) == ["train", "test"]
    assert "note: 1 files of no split are passed over" in capsys.readouterr().err


@pytest.mark.parametrize("read", [read_corpus, read_splits])
@pytest.mark.parametrize("format", [None, "brat", "dataset"])
@pytest.mark.parametrize("path", ["", "  "])
def test_an_empty_path_is_refused_and_is_not_the_working_directory(folder, monkeypatch, read, format, path):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="found an empty path, expected a folder, file or archive"):
        list(read(path, format))


def test_a_path_may_begin_with_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert list(read_corpus("~/folder")) == EXPECTED
    assert list(read_splits("~/folder")) == ["train", "test"]
    to_dataset(EXPECTED).save_to_disk(folder.parent / "saved")
    assert list(read_corpus("~/saved")) == list(read_corpus("~/saved", "dataset")) == EXPECTED


@pytest.mark.parametrize("path", ["nowhere/notes", "./nowhere", "/nowhere/a/b", "nowhere.zip/train", "folder/nowhere"])
@pytest.mark.parametrize("format", [None, "brat", "dataset"])
def test_a_path_that_is_not_there_is_called_so(folder, monkeypatch, path, format):
    monkeypatch.chdir(folder.parent)
    for module in ("datasets.config", "huggingface_hub.constants"):
        monkeypatch.setattr(f"{module}.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=f"^{path}: found no such file or folder") as fault:
        list(read_corpus(path, format))
    assert "Repo id" not in str(fault.value)


def test_a_name_that_may_be_a_dataset_on_the_hub_is_told_how_to_be_read_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="name the format dataset if it is a dataset on the Hub"):
        read_corpus("org/notes")


def test_files_are_left_out_by_their_names_or_those_of_their_folders(folder):
    (folder / "README.txt").write_text("About this corpus.")
    (folder / "corpus/train/README.txt").write_text("About this split.")
    with pytest.raises(InputError, match=r"README.ann: found no such file .* leave it out \(exclude, --exclude\)"):
        list(read_corpus(folder))
    assert list(read_corpus(folder, exclude=["README.txt"])) == EXPECTED
    assert list(read_splits(folder, exclude=["README*"])) == ["train", "test"]
    for patterns in (["README.txt", "test"], ["README.txt", "corpus/test/*"], ["README*", "*ñ b.*"]):
        assert list(read_corpus(folder, exclude=patterns)) == EXPECTED[1:]
    with pytest.raises(InputError, match="found no documents"):
        list(read_corpus(folder, "brat", exclude=["*"]))


def test_in_an_archive_too_and_the_format_is_guessed_without_them(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"a.txt": "x", "notes/b.jsonl": '{"text": "y"}'}))
    assert [d.text for d in read_corpus(tmp_path / "a.zip", annotated=False, exclude=["notes"])] == ["x"]
    assert [d.text for d in read_corpus(tmp_path / "a.zip", annotated=False, exclude=["a.txt"])] == ["y"]


def test_archives_beside_what_is_left_out_are_looked_into(tmp_path):
    (tmp_path / "notes.zip").write_bytes(zipped({"x.txt": "x"}))
    (tmp_path / "README.txt").write_text("read me")
    assert [d.id for d in read_corpus(tmp_path, exclude=["README*"], annotated=False)] == ["notes.zip/x"]


def test_what_is_left_out_is_a_list_of_patterns_and_about_files(tmp_path):
    with pytest.raises(InputError, match=r"found exclude='README\*', expected a list of patterns"):
        read_corpus(tmp_path, exclude="README*")
    with pytest.raises(InputError, match="exclude.* leaves out files, and a dataset has rows"):
        list(read_corpus(tmp_path, "dataset", exclude=["README*"]))


def test_which_of_several_formats_is_read_is_told_and_what_is_not(folder, capsys):
    (folder / "corpus/more.jsonl").write_text('{"text": "x"}')
    (folder / "corpus/list.tsv").write_text("x\tO\n")
    (folder / "corpus/list2.tsv").write_text("x\tO\n")
    (folder / "corpus/disagreement.tsv").write_text("")  # as `clinx predict` writes it beside predictions
    assert list(read_corpus(folder)) == EXPECTED
    assert capsys.readouterr().err == (
        f"note: {folder} is read as brat (2 .ann, 2 .txt); of other formats, and not read: 1 .jsonl, 2 .tsv\n"
    )
    list(read_corpus(folder, "brat"))
    list(read_corpus(folder, exclude=["more.jsonl", "list*"]))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.txt", "a.conll", "a.jsonl"])
def test_utf_16_is_called_so(tmp_path, encoding, name):
    text = {
        "a.txt": "Dr. Li, 54 years old.",
        "a.conll": "Dr\tO\nLi\tB-DOCTOR\n",
        "a.jsonl": '{"id": "a", "text": "x"}\n',
    }
    (tmp_path / name).write_bytes(text[name].encode(encoding))
    with pytest.raises(InputError, match=r"a\.\w+(:1)?: found UTF-16, expected UTF-8; .*iconv -f UTF-16"):
        list(read_corpus(tmp_path, annotated=False))


def test_text_that_only_holds_null_characters_is_none(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"a\0" + b"word " * 10)
    assert [document.text for document in read_corpus(tmp_path, annotated=False)] == ["a\0" + "word " * 10]


def test_compressed_files_are_read_unpacked(tmp_path):
    for name in ("a.txt", "a.ann", "b.xml", "c.conll"):
        content = {"a.txt": b"Li", "b.xml": b"<x><TEXT>Li</TEXT><TAGS/></x>", "c.conll": b"Li\tO\n"}.get(name, b"")
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    assert [d.text for format in ("brat", "i2b2-2014", "conll") for d in read_corpus(tmp_path, format)] == ["Li"] * 3


def test_a_file_and_what_lies_beside_it(tmp_path):
    for name in ("a.txt", "a.ann", "b.txt"):
        (tmp_path / name).write_text("")
    found = corpus_files(tmp_path / "a.txt", (".txt",), (".ann",))
    assert [file.name for file in found] == ["a.ann", "a.txt"]


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("trainset", "testset"), {"train": ["trainset"], "test": ["testset"]}),
        (("train", "train_dev", "devel", "test"), {"train": ["train"], "validation": ["devel"], "test": ["test"]}),
        (("Corpus_training", "Corpus_tests"), {"train": ["Corpus_training"], "test": ["Corpus_tests"]}),
        (("a", "b"), {"train": ["a", "b"]}),
        (("trained-on", "tested"), {"train": ["tested", "trained-on"]}),
    ],
)
def test_what_is_called_after_two_splits_or_none_is_in_neither(tmp_path, names, splits, capsys):
    for name in names:
        (tmp_path / f"{name}.tsv").write_text(f"{name}\tO\n")
    assert {name: [d.text for d in part] for name, part in read_splits(tmp_path).items()} == splits
    assert ("note: " in capsys.readouterr().err) == (len(splits) == 1 or "train_dev" in names)


@pytest.mark.parametrize(
    "names",
    [("a.txt", "a.TXT", "a.ann"), ("a.txt", "a.txt.gz", "a.ann"), ("a.xml", "a.XML"), ("a.tsv", "a.conll")],
)
def test_two_notes_of_one_name_are_refused(tmp_path, names):
    contents = {"xml": b"<x><TEXT>Li</TEXT><TAGS/></x>", "ann": b"", "gz": gzip.compress(b"x")}
    for name in names:
        (tmp_path / name).write_bytes(contents.get(name.rpartition(".")[2].lower(), b"Li\tO\n"))
    with pytest.raises(InputError, match="found the (note|document) 'a' again"):
        list(read_corpus(tmp_path, "i2b2-2014" if "a.xml" in names else None))


def test_suffixes_may_be_written_large_and_folders_be_links_and_pipes_are_no_notes(tmp_path):
    for name, content in (
        ("A.TXT", b"x"),
        ("A.ANN", b""),
        ("b.jsonl.GZ", gzip.compress(b'{"text":"y","entities":[]}')),
    ):
        (tmp_path / "corpus").mkdir(exist_ok=True)
        (tmp_path / "corpus" / name).write_bytes(content)
    os.mkfifo(tmp_path / "corpus/pipe.txt")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/test").symlink_to(tmp_path / "corpus")
    (tmp_path / "corpus/loop").symlink_to(tmp_path / "linked")
    assert [d.id for d in read_corpus(tmp_path / "linked", "brat")] == ["test/A"]
    assert [d.text for d in read_corpus(tmp_path / "corpus", "jsonl")] == ["y"]
    for path in ("corpus/A.TXT", "linked/test/A.TXT"):
        assert [d.text for d in read_corpus(tmp_path / path)] == ["x"]
    (tmp_path / "D.ZIP").write_bytes(zipped({"in/a.txt": "z", "in/a.ann": ""}))
    assert [d.id for d in read_corpus(tmp_path / "D.ZIP")] == ["in/a"]
    assert [d.id for d in read_corpus(tmp_path / "D.ZIP/in/a.txt")] == ["a"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp437"])
def test_names_in_an_archive_that_do_not_say_how_they_are_encoded(tmp_path, encoding):
    letter = "ñ".encode(encoding)
    stand_in = "@" * len(letter)  # ASCII, so that nothing is said of UTF-8
    content = zipped({f"a{stand_in}o.txt": "x", f"a{stand_in}o.ann": ""})
    (tmp_path / "a.zip").write_bytes(content.replace(stand_in.encode(), letter))
    assert [document.id for document in read_corpus(tmp_path / "a.zip")] == ["año"]


def test_an_archive_beside_notes_is_told(tmp_path, capsys):
    (tmp_path / "test.zip").write_bytes(zipped({"x.txt": "x"}))
    (tmp_path / "a.txt").write_text("a")
    list(read_corpus(tmp_path, annotated=False))
    assert capsys.readouterr().err == f"note: {tmp_path}/test.zip is not looked into, since files lie beside it\n"


@pytest.mark.parametrize(("name", "target"), [("b.txt", "nowhere"), ("b.txt", "b.txt"), ("b.txt.gz", "b.txt.gz")])
def test_a_note_that_is_a_link_to_nothing_is_not_passed_over(tmp_path, name, target):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "other").symlink_to("nowhere")
    assert [d.id for d in read_corpus(tmp_path, annotated=False)] == ["a"]
    (tmp_path / name).symlink_to(target)
    with pytest.raises(InputError, match=rf"{name}: found no readable file .*; check the path"):
        list(read_corpus(tmp_path, annotated=False))


def test_a_pipe_is_called_so(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InputError, match="found a pipe or a device, expected a file"):
        list(read_corpus(tmp_path / "pipe.jsonl"))


def test_an_archive_without_files_is_called_so(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({}))
    with pytest.raises(InputError, match="a.zip: found nothing in it"):
        list(read_corpus(tmp_path / "a.zip"))


def test_patterns_that_leave_out_all_notes_are_named(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(InputError, match=r"exclude=\['\*'\] leaves out all notes"):
        list(read_corpus(tmp_path, exclude=["*"], annotated=False))
