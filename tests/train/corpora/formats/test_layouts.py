"""Documents in the layouts that are only read come back as they were; MEDDOCAN is the same in both of its forms."""

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document, Entity
from tests.train.annotated import problem_counts
from tests.train.corpora.formats.layouts import concepts, inline_xml, standoff_xml
from tests.train.corpora.test_documents import documents


XML_CHARACTER = st.characters(codec="utf-8", exclude_characters="\r\0\ufffe\uffff", exclude_categories=["Cs", "Cc"])


def without_returns(document: Document) -> Document:
    return Document(document.id, document.text.translate({0xD: " ", 0: " ", 0x1C: " ", 0x85: " "}), document.entities)


def apart(document: Document) -> Document:
    """Without the mentions that overlap an earlier one."""
    kept: list[Entity] = []
    for entity in document.entities:
        if not kept or entity.start >= kept[-1].end:
            kept.append(entity)
    return Document(document.id, document.text, kept)


@given(documents(XML_CHARACTER).map(without_returns))
@settings(deadline=None)
def test_a_document_survives_standoff_xml(document):
    inside = [e for e in document.entities if document.text[e.start : e.end].strip()]
    document.entities = [e for e in inside if document.text[e.start : e.end] == document.text[e.start : e.end].strip()]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.xml").write_bytes(standoff_xml(document).encode())
        (read,) = read_corpus(folder, "i2b2-2014")
    assert read == Document("x", document.text, document.entities)
    assert not read.problems


@given(documents(XML_CHARACTER).map(without_returns).map(apart))
@settings(deadline=None)
def test_a_document_survives_inline_xml(document):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.xml").write_bytes(inline_xml([document, Document("other", "x")]).encode())
        read = list(read_corpus(folder, "i2b2-2006"))
    assert read == [document, Document("other", "x")]


@given(documents(st.characters(codec="utf-8")), st.data())
@settings(deadline=None)
def test_a_document_survives_concepts_by_line_and_token(document, data):
    tokens = [match.span() for match in re.finditer(r"\S+", document.text)]
    bounds = st.lists(st.integers(0, max(0, len(tokens) - 1)), min_size=2, max_size=2).map(sorted)
    chosen = data.draw(st.lists(bounds, max_size=4)) if tokens else []
    entities = sorted({Entity(tokens[a][0], tokens[b][1], "problem") for a, b in chosen})
    document = Document("x", document.text, entities)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "x.txt").write_bytes(document.text.encode())
        Path(folder, "x.con").write_bytes(concepts(document).encode())
        (read,) = read_corpus(folder)
    assert read == document
    assert not problem_counts([read])["offsets moved"] and not problem_counts([read])["outside the text"]


def test_meddocan_is_the_same_from_brat_and_from_xml(corpora):
    brat, xml = (list(read_corpus(corpora / name)) for name in ("meddocan", "meddocan-xml"))
    assert len(brat) == 750
    assert brat == xml
    assert not problem_counts(xml)
    assert sum(document.text.startswith("\ufeff") for document in xml) == 22
