"""Archives that are damaged, encrypted or lead out of themselves are refused, and lose no note silently."""

import gzip
import io
import os
import tarfile

import pytest

from clinx.corpora import read_corpus
from clinx.errors import InputError
from tests.train.corpora.formats.archives import tar, zipped


def link(kind: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.txt")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    return target.getvalue()


@pytest.mark.parametrize("name", ["../a.txt", "/a.txt", "x/../../a.txt", "C:/a.txt", "..\\a.txt", "\\a.txt"])
def test_a_member_that_leads_out_of_the_archive_is_refused(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped({name: "x"}))
    (tmp_path / "a.tar.gz").write_bytes(tar({name: "x"}))
    for archive in ("a.zip", "a.tar.gz"):
        with pytest.raises(InputError, match=rf"{archive}: found the member .*, which leads out of the archive"):
            list(read_corpus(tmp_path / archive, "brat"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_an_archive_are_refused(tmp_path, kind):
    (tmp_path / "a.tar.gz").write_bytes(link(kind))
    with pytest.raises(InputError, match="found the member 'a.txt', which is no file"):
        list(read_corpus(tmp_path / "a.tar.gz", "brat"))


def encrypted() -> bytes:
    data = bytearray(zipped({"a.txt": "x"}))
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + flags] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.zip", b""),
        ("a.zip", zipped({"a.txt": os.urandom(5000)})[:3000]),
        ("a.zip", encrypted()),
        ("a.tar.gz", tar({"a.txt": os.urandom(5000)})[:3000]),
        ("a.tar.gz", b"no archive"),
        ("a.tar.gz", gzip.compress(b"no archive" * 1000, mtime=0)),
        ("a.tar", b"\xff" * 5000),
    ],
)
def test_a_damaged_or_encrypted_archive_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*: found no readable file"):
        list(read_corpus(tmp_path / name, "brat", annotated=False))


def damaged(offset: int) -> bytes:
    data = bytearray(tar(MANY, "w"))
    data[offset] ^= 1
    return bytes(data)


MANY = {f"{i}.txt": f"Nota {i}." for i in range(40)}  # with its header, a file of 1,024 bytes
WHOLE, COMPRESSED = tar(MANY, "w"), tar(MANY)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("a.tar", WHOLE[:size]) for size in (1024, 1100, 1024 * 20, 1024 * 20 + 100, 1024 * 20 + 600)),
        ("a.tar", damaged(1024 * 20 + 3)),
        ("a.tar.gz", gzip.compress(damaged(1024 * 20 + 3), mtime=0)),
        ("a.tar.gz", COMPRESSED[:-6] + bytes([COMPRESSED[-6] ^ 1]) + COMPRESSED[-5:]),
    ],
)
def test_a_tar_that_was_cut_off_or_damaged_loses_no_note_silently(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*: found no readable file"):
        list(read_corpus(tmp_path / name, annotated=False))
    (tmp_path / name).write_bytes(WHOLE if name == "a.tar" else COMPRESSED)
    assert len(list(read_corpus(tmp_path / name, annotated=False))) == 40
