"""Standoff XML: a note's <TEXT>, and <TAGS> with start, end, text and type (i2b2 2012 and 2014, MEDDOCAN)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from ...errors import InputError, brief
from ..documents import Document, DocumentBuilder, Reading, reads
from ..source import CorpusFile
from .xml_tree import parse_xml, shown


NEARBY = (0, 1, -1, 2, -2)  # how far offsets may be off: a line end more or less, a byte-order mark


class _Tag(NamedTuple):
    start: int
    end: int
    text: str | None
    label: str
    where: str


def read_standoff_xml(files: Sequence[CorpusFile], reading: Reading, tag: str | None = None) -> Iterator[Document]:
    """The notes of XML files, one in each; a document's id is its path without the suffix.

    The label is the tag's TYPE or type. Of the text as XML has it and with the file's own line ends, that one is taken
    with which more tags agree. Offsets that are off by a leading line end are moved to where the tags' texts are.

    Args:
        tag: only tags of this name, such as EVENT; by default all that have a start or a TYPE.

    Raises InputError for what is no XML, has not one <TEXT> and one <TAGS>, and for a tag without offsets or type.
    """
    for file in files:
        root = parse_xml(file)
        written = shown(only(root, "TEXT", file.where).text)
        text, tags = normalized(written), []
        if reading.annotated:
            elements = list(only(root, "TAGS", file.where).iter())[1:]
            tags = [_tag(element, file) for element in elements if _is_mention(element, tag)]
            if "\r" in written and _agreeing(written, tags) > _agreeing(text, tags):
                text = written
        document = DocumentBuilder(file.stem, text, reading)
        _add_mentions(document, tags)
        yield document.build()


def only(root: Element, name: str, where: str) -> Element:
    """The one element of this name; raises InputError for none, several, and a <TEXT> with tags in it."""
    elements = root.findall(name)
    if len(elements) != 1 or (name == "TEXT" and len(elements[0])):
        what = "tags inside of the" if len(elements) == 1 else len(elements) or "no"
        raise InputError(f"{where}: found {what} <{name}>, expected one of a note in standoff XML.")
    return elements[0]


def normalized(text: str) -> str:
    """With the line ends that XML gives."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_mention(element: Element, tag: str | None) -> bool:
    return element.tag == tag if tag else "start" in element.attrib or "TYPE" in element.attrib


def _tag(element: Element, file: CorpusFile) -> _Tag:
    where = f"{file.where}: <{element.tag} id={element.get('id')!r} start={element.get('start')!r}>"
    offsets = element.get("start", ""), element.get("end", "")
    if not all(re.fullmatch("-?[0-9]{1,18}", offset) for offset in offsets):
        raise InputError(f"{where}: found start={offsets[0]!r} and end={offsets[1]!r}, expected two whole numbers.")
    text = shown(element.get("text"))
    label = shown(element.get("TYPE") or element.get("type"))
    return _Tag(int(offsets[0]), int(offsets[1]), text if text.strip() else None, label, where)


def _agrees(text: str, tag: _Tag, shift: int) -> bool:
    start, end = tag.start + shift, tag.end + shift
    return tag.text is not None and 0 <= start < end <= len(text) and reads(text, [(start, end)], tag.text)


def _agreeing(text: str, tags: Sequence[_Tag], shift: int = 0) -> int:
    return sum(_agrees(text, tag, shift) for tag in tags)


def _add_mentions(document: DocumentBuilder, tags: Sequence[_Tag]) -> None:
    text, shifts = document.text, NEARBY
    if _agreeing(text, tags) < sum(tag.text is not None for tag in tags):  # first the one that mends most
        shifts = sorted(NEARBY, key=lambda shift: (-_agreeing(text, tags, shift), NEARBY.index(shift)))
    for tag in tags:
        shift = next((shift for shift in shifts if _agrees(text, tag, shift)), None)
        start, end = tag.start + (shift or 0), tag.end + (shift or 0)
        if shift is not None and tag.text == tag.text.strip():  # then the line end before it is none of the mention
            covered = text[start:end]
            start, end = start + len(covered) - len(covered.lstrip()), end - len(covered) + len(covered.rstrip())
        document.add([(start, end)], tag.label, tag.where, quoted=tag.text)
        if shift:
            document.report("offsets moved", f"{tag.where}: by {shift}, to {brief(tag.text)}")
