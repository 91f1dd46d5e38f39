"""Inline XML: many <RECORD ID="…"><TEXT> in a file, mentions as <PHI TYPE="…"> in the text (i2b2 2006)."""

import re
from collections.abc import Iterator, Sequence

from ...errors import InputError
from ..documents import Document, DocumentBuilder, Reading
from ..source import CorpusFile
from .standoff_xml import normalized
from .xml_tree import parse_xml, shown


# `<PHI …>25th of July<PHI …>`, and another mention follows: the second tag stands for the end of the first.
UNCLOSED = re.compile("(<PHI [^<>]*>[^<]*)<PHI [^<>]*>(?=[^<]*<PHI )")


def read_inline_xml(files: Sequence[CorpusFile], reading: Reading) -> Iterator[Document]:
    """The records of XML files; a document's id is the record's ID, after the file's path where there are several.

    Raises InputError for what is no XML, a record without ID or one <TEXT>, and a mention without TYPE.
    """
    for file in files:
        root = parse_xml(file, "ROOT|RECORD|TEXT|PHI", lambda text: UNCLOSED.sub(r"\1</PHI>", text))
        for record in root.iter("RECORD"):
            id, bodies = shown(record.get("ID")), record.findall("TEXT")
            if not id or len(bodies) != 1:
                raise InputError(f"{file.where}: found a <RECORD ID={id!r}> with {len(bodies)} <TEXT>, expected one.")
            where = f"{file.where}: record {id!r}"
            yield _document(f"{file.stem}/{id}" if len(files) > 1 else id, bodies[0], where, reading)


def _document(id: str, body, where: str, reading: Reading) -> Document:
    parts, mentions, length, open_since = [], [], 0, []
    # Elements in the order of their beginnings and ends, without recursion: a hostile file may nest them deeply.
    todo = [(body, False)]
    while todo:
        element, is_end = todo.pop()
        if is_end and element is not body:
            mentions.append((open_since.pop(), length, element))
        elif not is_end:
            open_since += [length] if element is not body else []
            todo.append((element, True))
            todo += [(child, False) for child in reversed(element)]
        piece = normalized(shown(element.text if not is_end else element.tail if element is not body else ""))
        parts.append(piece)
        length += len(piece)
    document = DocumentBuilder(id, "".join(parts), reading)
    for start, end, element in sorted(mentions, key=lambda mention: mention[:2]) if reading.annotated else ():
        label = shown(element.get("TYPE"))
        if element.tag != "PHI" or not label:
            raise InputError(f"{where}: found <{element.tag}> without TYPE in the text, expected <PHI TYPE=…>.")
        document.add([(start, end)], label, where)
    return document.build()
