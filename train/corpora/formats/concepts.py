"""Concepts by line and token, `c="chest pain" 12:3 12:4||t="problem"`: i2b2 2010 (.con) and 2012 (.extent)."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from ...errors import InputError
from ..documents import Document, DocumentBuilder, Reading, reads
from ..source import CorpusFile
from .standoff_xml import normalized, only
from .xml_tree import parse_xml, shown


PLACE = "([0-9]{1,9}):([0-9]{1,9})"
CONCEPT = re.compile(rf'(?P<key>\w+)="(?P<text>.*)" {PLACE} {PLACE}\|\|t(?:ype)?="(?P<label>[^"]+)"(?:\|\|.*)?')


def read_concepts(files: Sequence[CorpusFile], reading: Reading, key: str) -> Iterator[Document]:
    """The notes, each from its .txt (or the <TEXT> of its .xml) and the concepts of the same name, in any folder.

    Lines count from 1, tokens, which white space divides, from 0; the last token belongs to the mention. Lines that
    are off by one, as by a leading line end, are moved to where the concepts' texts are. A document's id is its text's
    path without the suffixes.

    Args:
        key: what concepts to take: `c` (2010), `EVENT` or `TIMEX3` (2012).

    Raises InputError for a note without concepts' file and the other way round, two of the same name that nothing
    tells apart, and a malformed line.
    """
    texts, concepts = {}, []
    for file in files:
        other = texts.get(file.stem)
        if file.name.lower().endswith((".con", ".extent")):
            concepts.append(file)
        elif other and other.name.lower().endswith(".xml") == file.name.lower().endswith(".xml"):
            raise InputError(f"{file.where}: found the note {file.stem!r} again, after {other.where}; rename one.")
        elif not other or file.name.lower().endswith(".txt"):
            texts[file.stem] = file
    of_text = _pairs(texts.values(), concepts) if reading.annotated else {}
    for file in texts.values():
        text = file.text()
        if file.name.lower().endswith(".xml"):
            text = normalized(shown(only(parse_xml(file), "TEXT", file.where).text))
        document = DocumentBuilder(file.stem, text, reading)
        if reading.annotated:
            _read_concepts(of_text[file.name], document, key)
        yield document.build()


def _pairs(texts: Iterable[CorpusFile], concepts: Sequence[CorpusFile]) -> dict[str, CorpusFile]:
    """By the name of the last part; of several the one with most folders in common."""
    by_name: dict[str, list[CorpusFile]] = {}
    for file in concepts:
        by_name.setdefault(os.path.basename(file.stem), []).append(file)
    pairs = {}
    for text in texts:
        folders = text.name.split("/")[:-1]
        near: dict[int, list[CorpusFile]] = {0: []}
        for file in by_name.get(os.path.basename(text.stem), ()):
            near.setdefault(len(os.path.commonprefix([folders, file.name.split("/")[:-1]])), []).append(file)
        nearest = near[max(near)]
        if len(nearest) != 1:
            candidates = ", ".join(file.where for file in nearest[:3]) or "none"
            raise InputError(
                f"{text.where}: expected one file of concepts of this name, found {candidates}; if it is no note, "
                "leave it out (exclude, --exclude)."
            )
        pairs[text.name] = nearest[0]
    if orphans := {file.where for file in concepts} - {file.where for file in pairs.values()}:
        raise InputError(f"{min(orphans)}: found concepts without a text of this name; add the note's text.")
    return pairs


class _Places:
    """Where the tokens of a text lie, by line and number."""

    def __init__(self, text: str):
        self.text, self.lines, begin = text, [], 0
        for line in text.split("\n"):
            self.lines.append((begin, line))
            begin += len(line) + 1
        self.tokens = lru_cache(maxsize=None)(self._tokens)

    def _tokens(self, line: int) -> list[tuple[int, int]]:
        begin, content = self.lines[line - 1] if 0 < line <= len(self.lines) else (0, "")
        # a byte-order mark at the beginning of a text belongs to no token
        return [(begin + match.start(), begin + match.end()) for match in re.finditer(r"(?!\ufeff)\S+", content)]

    def span(self, concept: re.Match, shift: int) -> tuple[int, int] | None:
        line, token, last_line, last_token = (int(place) for place in concept.group(3, 4, 5, 6))
        first, last = self.tokens(line + shift), self.tokens(last_line + shift)
        if token >= len(first) or last_token >= len(last) or first[token][0] >= last[last_token][1]:
            return None
        return first[token][0], last[last_token][1]

    def agrees(self, concept: re.Match, shift: int) -> bool:
        span = self.span(concept, shift)
        return bool(span) and reads(self.text[slice(*span)].lower(), [(0, span[1] - span[0])], concept["text"].lower())


def _read_concepts(file: CorpusFile, document: DocumentBuilder, key: str) -> None:
    concepts, places = [], _Places(document.text)
    for number, line in enumerate(file.text().removeprefix("\ufeff").split("\n"), 1):
        where, line = f"{file.where}:{number}", line.removesuffix("\r")
        if not line or line.isspace():
            continue
        concept = CONCEPT.fullmatch(line)
        if not concept:
            raise InputError(
                f'{where}: found {line[:100]!r}, expected {key}="TEXT" LINE:TOKEN LINE:TOKEN||t="LABEL" (or type=).'
            )
        if concept["key"] == key:
            concepts.append((where, concept))
    shift = 0
    if not all(places.agrees(concept, 0) for _, concept in concepts):
        shift = max((0, 1, -1), key=lambda shift: sum(places.agrees(concept, shift) for _, concept in concepts))
    for where, concept in concepts:
        span = places.span(concept, shift)
        if span is None:
            shown = " ".join(concept.group(3, 4, 5, 6))
            fault = f"{where}: found {concept['text']!r} at line, token, line, token {shown}, where the text has none."
            if document.reading.outside == "refuse":
                raise InputError(fault)
            document.report("outside the text", fault)
            continue
        # what is quoted is in lower case
        quoted = document.text[slice(*span)] if places.agrees(concept, shift) else concept["text"]
        document.add([span], concept["label"], where, quoted=quoted)
        if shift:
            document.report("offsets moved", f"{where}: by {shift} lines")
