"""Uploads are checked before they are read, and downloads hold what was shown."""

import io
import json
import zipfile

import pytest

from clinx.corpora import read_corpus


files = pytest.importorskip("files")
NOTES = [("a.txt", "Ana\nRuiz toma =1+1.", [{"start": 0, "end": 8, "label": "NAME", "score": 0.9, "agreement": 1.0}])]


def archive(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_texts_and_archives_of_them_are_read(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffuna".encode())
    hidden = {"__MACOSX/deep/._b.txt": b"\xff", ".DS_Store": "x", "deep/.hidden.txt": "x"}  # as macOS packs them
    zipped = archive(tmp_path / "more.zip", {"deep/b.txt": "dos", "c.TXT": "tres", **hidden})
    assert files.read_uploads([tmp_path / "a.txt", zipped]) == [
        ("a.txt", "una"),
        ("deep/b.txt", "dos"),
        ("c.TXT", "tres"),
    ]


def test_names_in_archives_are_those_of_the_files(tmp_path, monkeypatch):
    """macOS does not tell that it writes UTF-8, Windows does not tell its code page, tar begins with a dot."""
    encoded = {"niño.txt": "niño.txt".encode(), "caña.txt": "caña.txt".encode("cp437")}
    flags = zipfile.ZipInfo._encodeFilenameFlags
    monkeypatch.setattr(
        zipfile.ZipInfo,
        "_encodeFilenameFlags",
        lambda of: (encoded[of.filename], 0) if of.filename in encoded else flags(of),
    )
    names = [*encoded, "mañana.txt", "./año.txt", "./deep/b.txt"]
    zipped = archive(tmp_path / "notes.zip", dict.fromkeys([*names, "./.hidden.txt"], "una"))
    assert [name for name, _ in files.read_uploads([zipped])] == [name.removeprefix("./") for name in names]


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"../a.txt": "x"}, "expected .txt files only"),
        ({"/a.txt": "x"}, "expected .txt files only"),
        ({"a\\..\\..\\b.txt": "x"}, "expected .txt files only"),
        ({"more.zip": "x"}, "expected .txt files only"),
        ({"a.txt": "x" * 300_000}, "more than 200,000 bytes"),
        ({f"{i}.txt": "x" for i in range(201)}, "holds more than 200 files"),
        ({f"{i}.txt": "x" * 199_000 for i in range(60)}, "more than 10,000,000 bytes together"),
        ({"a.txt": b"\xff\xfe"}, "a.txt is not UTF-8"),
        ({}, "There is no .txt file"),
    ],
)
def test_archives_that_hold_more_than_notes_are_refused(tmp_path, members, fault):
    with pytest.raises(files.UploadError, match=fault):
        files.read_uploads([archive(tmp_path / "notes.zip", members)])


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_is_refused(tmp_path, method):
    data = archive(tmp_path / "a.zip", {"a.txt": "una nota " * 500}, method).read_bytes()
    (tmp_path / "a.zip").write_bytes(data[:40] + b"\xff" * 20 + data[60:])
    with pytest.raises(files.UploadError, match="no readable archive"):
        files.read_uploads([tmp_path / "a.zip"])


@pytest.mark.parametrize("end", ["\r\n", "\r", "\x0b", "\u2028"])
def test_brat_of_lines_that_end_otherwise_is_read_again(tmp_path, end):
    text, label = f"Dolor torácico{end}de reposo.", "CHIEF COMPLAINT"
    data = files.as_brat([("a.txt", text, [{"start": 0, "end": len(text) - 1, "label": label}])])
    (tmp_path / "notes.zip").write_bytes(data)
    (document,) = read_corpus(tmp_path / "notes.zip")
    assert (document.text, document.problems) == (text, [])
    assert [(e.start, e.end, e.label) for e in document.entities] == [(0, len(text) - 1, "CHIEF_COMPLAINT")]


def test_what_is_no_archive_and_no_text_is_refused(tmp_path):
    for name, data, fault in (("a.zip", b"PK\x03\x04", "no readable archive"), ("a.pdf", b"x", "neither a .txt nor")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(files.UploadError, match=fault):
            files.read_uploads([tmp_path / name])
    (tmp_path / "a.txt").write_text("una")
    with pytest.raises(files.UploadError, match=r"Two notes are called a\.txt"):
        files.read_uploads([tmp_path / "a.txt", archive(tmp_path / "b.zip", {"a.txt": "otra"})])
    with pytest.raises(files.UploadError, match=r"no \.txt file"):
        files.read_uploads([])
    for name in "gone.txt", "gone.zip":  # two visitors uploaded the same, which has one place on the server
        with pytest.raises(files.UploadError, match=f"{name} was uploaded by somebody else at the same time"):
            files.read_uploads([tmp_path / name])


def test_an_archive_that_claims_to_be_small_is_read_no_further_than_allowed(tmp_path):
    path = archive(tmp_path / "bomb.zip", {"a.txt": "0" * 5_000_000})
    path.write_bytes(path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(files.UploadError):
        files.read_uploads([path])


def test_downloads_hold_what_was_found():
    with zipfile.ZipFile(io.BytesIO(files.as_brat(NOTES))) as brat:
        assert brat.read("a.txt").decode() == NOTES[0][1]
        assert brat.read("a.ann").decode() == "T1\tNAME 0 3;4 8\tAna Ruiz\n"
    assert json.loads(files.as_json_lines(NOTES)) == {"id": "a.txt", "text": NOTES[0][1], "entities": NOTES[0][2]}
    assert files.as_csv([("=a.txt", *NOTES[0][1:])]).decode("utf-8-sig").splitlines()[1].startswith("'=a.txt,")
