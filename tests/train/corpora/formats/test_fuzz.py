"""Damaged files of every format give an InputError or documents whose mentions lie in their texts, in bounded time and
memory. A sample here; `pytest -m fuzz` makes 10,000 mutations a format."""

import gzip
import random
import resource
import subprocess
import sys
import time
import zlib

import pytest

from clinx.corpora import read_corpus
from clinx.corpora.conversion import convert
from clinx.corpora.documents import Document, Entity
from clinx.corpora.formats.brat import write_brat
from clinx.corpora.formats.conll import write_conll
from clinx.corpora.formats.jsonl import write_jsonl
from clinx.corpora.synthetic import synthetic_notes
from clinx.errors import InputError
from tests.train.corpora.formats.archives import tar, zipped
from tests.train.corpora.formats.layouts import concepts, inline_xml, standoff_xml
from tests.train.corpora.formats.test_i2b2 import EXTENT_2012, xml_2012


SECONDS = 5  # for one small file; a busy machine is slow
MEGABYTES = 700  # of which an archive's file may take 256, twice


@pytest.fixture(scope="session")
def seeds(tmp_path_factory) -> dict[str, tuple[str, dict[str, bytes]]]:
    """A small corpus in each form: its format, and its files."""
    folder = tmp_path_factory.mktemp("seeds")
    notes = synthetic_notes(2)
    note = Document("note", notes[0].text, [e for e in notes[0].entities if e.label in ("PATIENT", "PHONE", "DATE")])
    cuts = [(e, e.start, e.end) for e in note.entities]
    whole = [e for e, start, end in cuts if not (note.text[start - 1] + note.text[end : end + 1]).strip()]
    for suffix in ("jsonl", "jsonl.gz"):
        write_jsonl(notes, folder / f"notes.{suffix}")
    write_brat(note, folder / "brat")
    write_conll(notes, folder / "notes.conll")
    convert(str(folder / "notes.jsonl"), str(folder / "dataset"))
    brat = {f"note.{suffix}": (folder / f"brat/note.{suffix}").read_bytes() for suffix in ("txt", "ann")}
    brat["note.ann"] += b"T90\tA 0 4;8 12\tx\n#1\tAnnotatorNotes T1\tx\n"
    parquet = (folder / "dataset/data/train-00000-of-00001.parquet").read_bytes()
    return {
        "brat": ("brat", brat),
        "brat in zip": ("brat", {"a.zip": zipped(brat)}),
        "brat in tar.gz": ("brat", {"a.tar.gz": tar(brat)}),
        "brat in tar": ("brat", {"a.tar": tar(brat, "w")}),
        "jsonl": ("jsonl", {"a.jsonl": (folder / "notes.jsonl").read_bytes()}),
        "jsonl.gz": ("jsonl", {"a.jsonl.gz": (folder / "notes.jsonl.gz").read_bytes()}),
        "conll": ("conll", {"a.conll": (folder / "notes.conll").read_bytes()}),
        "conll without text": ("conll", {"a.tsv": b"-DOCSTART- O\n\nDr. O\nLi B-P\n\n-DOCSTART-\n\nAna\tNN\tS-P\n"}),
        "i2b2-2006": ("i2b2-2006", {"a.xml": inline_xml([note, notes[1]]).encode()}),
        "i2b2-2010": ("i2b2-2010", {"a.txt": note.text.encode(), "a.con": concepts(_only(note, whole)).encode()}),
        "i2b2-2012-c": ("i2b2-2012-c", {"23.xml": xml_2012().encode()}),
        "i2b2-2012-c-extent": (
            "i2b2-2012-c-extent",
            {"23.xml": xml_2012().encode(), "23.xml.extent": EXTENT_2012.encode()},
        ),
        "i2b2-2014": ("i2b2-2014", {"a.xml": standoff_xml(note).encode()}),
        "dataset": ("dataset", {"train.parquet": parquet}),
    }


def _only(note: Document, entities: list[Entity]) -> Document:
    return Document(note.id, note.text, entities)


TOKENS = (
    *(b"9" * 30, b"9" * 5000, b"-1", b"1e999", b"NaN", b"null", b"../", b"[" * 3000, b"{" * 3000, b"\n\n", b"\t", b'"'),
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\xe2\x80\xa8", b"<", b"&", b"]]>", b"||", b":", b"# newdoc\n"),
    *(b"<![CDATA[", b"<TEXT>", b"</PHI>", b"<!--", b"<?xml", b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&#0;", b"<a>" * 2000),
)


def mutated(data: bytes, chance: random.Random) -> bytes:
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at, kind = chance.randrange(len(data) + 1), chance.randrange(7)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            lines = bytes(data).split(b"\n")
            line = chance.choice(lines)
            lines.insert(chance.randrange(len(lines) + 1), line)
            data = bytearray(b"\n".join(lines))
        elif kind == 3:
            data[at:at] = chance.choice(TOKENS)
        elif kind == 4:
            data[at : at + len(token)] = (token := chance.choice(TOKENS))
        elif kind == 5:
            del data[at : at + chance.randrange(1, 40)]
        else:
            part = data[at : at + chance.randrange(1, 200)]
            data[chance.randrange(len(data) + 1) :] += part * chance.randrange(1, 4)
    return bytes(data)


FORMS = (
    *("brat", "brat in zip", "brat in tar.gz", "brat in tar", "jsonl", "jsonl.gz", "conll", "conll without text"),
    *("i2b2-2006", "i2b2-2010", "i2b2-2012-c", "i2b2-2012-c-extent", "i2b2-2014", "dataset"),
)


def fuzz(form: str, seeds: dict, folder, count: int) -> int:
    """Reads `count` mutations; returns how many were refused."""
    format, files = seeds[form]
    refused, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        chance = random.Random(f"{form} {number}")
        victim = chance.choice(sorted(files))
        for name, content in files.items():
            (folder / name).write_bytes(mutated(content, chance) if name == victim else content)
        start = time.monotonic()
        try:
            for document in read_corpus(folder, format, outside=chance.choice(("refuse", "drop"))):
                for entity in document.entities:
                    assert 0 <= entity.start < entity.end <= len(document.text) and entity.label, (form, number)
        except InputError as error:
            assert str(folder) in str(error) or "document" in str(error), (form, number, error)
            refused += 1
        except Exception as error:
            raise AssertionError(f"mutation {number} of {form}") from error
        assert time.monotonic() - start < SECONDS, (form, number)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MEGABYTES, (form, grown)
    return refused


@pytest.mark.parametrize("form", FORMS)
def test_a_sample_of_damaged_files(form, seeds, tmp_path):
    assert fuzz(form, seeds, tmp_path, 500)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", FORMS)
def test_ten_thousand_damaged_files(form, seeds, tmp_path):
    refused = fuzz(form, seeds, tmp_path, 10_000)
    print(f"{form}: 10,000 mutations, {refused:,} refused, {10_000 - refused:,} read")


LAUGHS = (
    "<!DOCTYPE x ["
    + "".join(f"<!ENTITY l{i + 1} '{f'&l{i};' * 10}'>" if i else "<!ENTITY l1 'ha'>" for i in range(10))
    + "]>\n<deIdi2b2><TEXT>&l10;</TEXT><TAGS/></deIdi2b2>"
)


def _gz_of_zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()


BOMBS = {
    "laughs.xml": lambda: LAUGHS.encode(),
    "external.xml": lambda: b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x><TEXT>&e;</TEXT><TAGS/></x>',
    "deep.xml": lambda: b"<a>" * 2_000_000,
    "returns.xml": lambda: b"<x>" + b"<TEXT>\r" * 1_000_000,
    "strays.xml": lambda: b"<x>" + b"<a b='" * 300_000 + b"& <![CDATA[" * 300_000,
    "comments.xml": lambda: b"<x>" + b"<!--" * 500_000 + b"<?xml " * 300_000,
    "line.jsonl.gz": lambda: _gz_of_zeros(300),
    "nested.jsonl": lambda: b"[" * 5_000_000,
    "zeros.conll.gz": lambda: _gz_of_zeros(300),
    "text.txt.gz": lambda: _gz_of_zeros(300),
    "zeros.zip": lambda: zipped({f"{i}.txt": bytes(200 * 2**20) for i in range(2)}),
    "zeros.tar.gz": lambda: gzip.compress(tar({f"{i}.txt": bytes(200 * 2**20) for i in range(2)}, "w"), 1),
    "tabs.conll": lambda: b"\t" * 20_000_000,
    "note.ann": lambda: b"T1\tA 0 1" + b";0 1" * 200_000 + b"\tx\n",
}
FORMAT_OF = {".xml": "i2b2-2014", ".jsonl": "jsonl", ".conll": "conll", "": "brat"}


READ = """
import resource, sys, time
from pathlib import Path
from clinx.corpora import read_corpus
from clinx.errors import InputError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


before = peak()  # not nothing: a child begins with its parent's
for folder in sorted(Path(sys.argv[1]).iterdir()):
    start, format = time.monotonic(), (folder / "format").read_text()
    (folder / "format").unlink()
    try:
        outcome = f"{len(list(read_corpus(folder, format)))} read"
    except InputError as error:
        outcome = f"refused: {str(error)[:150]}"
    print(f"{folder.name}: {time.monotonic() - start:.1f} s, {peak() - before} MB more: {outcome}", flush=True)
    assert time.monotonic() - start < 30 and peak() - before < 1000
"""


def test_bombs_are_refused_in_bounded_time_and_memory(tmp_path):
    for name, bomb in BOMBS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(bomb())
        (tmp_path / name / "format").write_text(next(f for part, f in FORMAT_OF.items() if part in name))
    (tmp_path / "note.ann/note.txt").write_text("xy")
    run = subprocess.run([sys.executable, "-c", READ, tmp_path], capture_output=True, text=True, timeout=300)
    print(run.stdout)
    assert run.returncode == 0, run.stderr
    outcomes = {line.split(":")[0]: line for line in run.stdout.splitlines()}
    assert outcomes.keys() == BOMBS.keys()
    assert [name for name, line in outcomes.items() if "refused" not in line] == ["note.ann"]
