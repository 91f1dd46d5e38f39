"""Standoff XML: a note's <TEXT>, and <TAGS> with start, end, text and type (i2b2 2012 and 2014, MEDDOCAN)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from train.corpora.source import CorpusFile
from train.corpora.xml_tree import parse_xml, shown
from train.documents import Document, Problem, Reading, in_order
from train.errors import InputError


NEARBY = (0, 1, -1, 2, -2)  # how far offsets may be off: a line end more or less, a byte-order mark


class _Tag(NamedTuple):
    start: int
    end: int
    text: str
    label: str
    where: str


def read_standoff_xml(files: Sequence[CorpusFile], reading: Reading, tag: str | None = None) -> Iterator[Document]:
    """The notes of XML files, one in each; a document's id is its path without the suffix.

    The label is the tag's TYPE or type. Of the text as XML has it and with the file's own line ends, that one is taken
    with which more tags agree. Offsets that are off by a leading line end are moved to where the tags' texts are.

    Args:
        tag: only tags of this name, such as EVENT; by default all that have a start and a type.

    Raises InputError for what is no XML, has no <TEXT> or <TAGS>, and for a tag without offsets or type.
    """
    for file in files:
        root = parse_xml(file)
        body, tags = root.find("TEXT"), root.find("TAGS")
        if body is None or len(body):
            raise InputError(f"{file.where}: found no <TEXT> without tags in it, expected a note in standoff XML.")
        text = shown(body.text)
        document = Document(file.stem, normalized(text))
        if reading.annotated:
            if tags is None:
                raise InputError(f"{file.where}: found no <TAGS>; add them, or read without annotations.")
            found = [_tag(element, file) for element in tags if _is_mention(element, tag)]
            if "\r" in text and _agreeing(text, found) > _agreeing(document.text, found):
                document.text = text
            _add_mentions(document, found, reading)
        yield document


def normalized(text: str) -> str:
    """With the line ends that XML gives."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_mention(element, tag: str | None) -> bool:
    return element.tag == tag if tag else "start" in element.attrib or "TYPE" in element.attrib


def _tag(element, file: CorpusFile) -> _Tag:
    where = f"{file.where}: <{element.tag} id={element.get('id')!r}>"
    offsets = element.get("start", ""), element.get("end", "")
    label = shown(element.get("TYPE") or element.get("type"))
    if not all(re.fullmatch("-?[0-9]{1,18}", offset) for offset in offsets):
        raise InputError(f"{where}: found start={offsets[0]!r} and end={offsets[1]!r}, expected two whole numbers.")
    return _Tag(int(offsets[0]), int(offsets[1]), shown(element.get("text")), label, where)


def _agrees(text: str, tag: _Tag, shift: int) -> bool:
    start, end = tag.start + shift, tag.end + shift
    return 0 <= start < end <= len(text) and text[start:end].split() == tag.text.split()


def _agreeing(text: str, tags: Sequence[_Tag], shift: int = 0) -> int:
    return sum(_agrees(text, tag, shift) for tag in tags)


def _add_mentions(document: Document, tags: Sequence[_Tag], reading: Reading) -> None:
    text, shifts = document.text, NEARBY
    if _agreeing(text, tags) < len(tags):  # first the one that mends most
        shifts = sorted(NEARBY, key=lambda shift: (-_agreeing(text, tags, shift), NEARBY.index(shift)))
    for tag in tags:
        shift = next((shift for shift in shifts if _agrees(text, tag, shift)), None)
        start, end = tag.start + (shift or 0), tag.end + (shift or 0)
        if shift is not None:
            if tag.text == tag.text.strip():  # then the line end before it is none of the mention
                covered = text[start:end]
                start, end = start + len(covered) - len(covered.lstrip()), end - len(covered) + len(covered.rstrip())
            if shift:
                document.problems.append(Problem("offsets moved", f"{tag.where}: by {shift}, to {tag.text!r}"))
        if reading.add(document, [(start, end)], tag.label, tag.where) and shift is None:
            found = text[start:end]
            document.problems.append(Problem("text differs", f"{tag.where}: {tag.text!r}, in the text {found!r}"))
    document.entities = in_order(document.entities)
