"""Concepts by line and token, `c="chest pain" 12:3 12:4||t="problem"`: i2b2 2010 (.con) and 2012 (.extent)."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from train.corpora.source import CorpusFile
from train.corpora.standoff_xml import normalized
from train.corpora.xml_tree import parse_xml, shown
from train.documents import Document, Problem, Reading, in_order
from train.errors import InputError


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
        if file.name.lower().endswith((".con", ".extent")):
            concepts.append(file)
        elif file.stem not in texts or file.name.lower().endswith(".txt"):
            texts[file.stem] = file
    of_text = _pairs(texts.values(), concepts) if reading.annotated else {}
    for file in texts.values():
        text = file.text()
        if file.name.lower().endswith(".xml"):
            body = parse_xml(file).find("TEXT")
            if body is None:
                raise InputError(f"{file.where}: found no <TEXT>, expected a note.")
            text = normalized(shown(body.text))
        document = Document(file.stem, text)
        if reading.annotated:
            _read_concepts(of_text[file.name], document, reading, key)
        yield document


def _pairs(texts: Iterable[CorpusFile], concepts: Sequence[CorpusFile]) -> dict[str, CorpusFile]:
    """By the name of the last part; of several the one with most folders in common."""
    by_name: dict[str, list[CorpusFile]] = {}
    for file in concepts:
        by_name.setdefault(os.path.basename(file.stem), []).append(file)
    pairs = {}
    for text in texts:
        folders = text.name.split("/")[:-1]
        near = [
            (len(os.path.commonprefix([folders, file.name.split("/")[:-1]])), file)
            for file in by_name.get(os.path.basename(text.stem), ())
        ]
        nearest = [file for common, file in near if common == max(near, key=lambda one: one[0])[0]]
        if len(nearest) != 1:
            found = ", ".join(file.where for file in nearest) or "none"
            raise InputError(f"{text.where}: expected one file of concepts of this name, found {found}.")
        pairs[text.name] = nearest[0]
    if orphans := {file.where for file in concepts} - {file.where for file in pairs.values()}:
        raise InputError(f"{min(orphans)}: found concepts without a text of this name; add the note's text.")
    return pairs


def _read_concepts(file: CorpusFile, document: Document, reading: Reading, key: str) -> None:
    text, lines, begin = document.text, [], 0
    for line in text.split("\n"):
        lines.append((begin, line))
        begin += len(line) + 1

    @cache
    def tokens(line: int) -> list[tuple[int, int]]:
        start, content = lines[line - 1]
        return [(start + match.start(), start + match.end()) for match in re.finditer(r"\S+", content)]

    def span(concept: re.Match, shift: int) -> tuple[int, int]:
        places = [int(place) for place in concept.group(3, 4, 5, 6)]
        if not all(0 < line + shift <= len(lines) for line in places[::2]):
            return -1, -1
        first, last = tokens(places[0] + shift), tokens(places[2] + shift)
        return (
            (first[places[1]][0], last[places[3]][1]) if places[1] < len(first) and places[3] < len(last) else (-1, -1)
        )

    def agrees(concept: re.Match, shift: int) -> bool:
        start, end = span(concept, shift)
        return start >= 0 and text[start:end].lower().split() == concept["text"].lower().split()

    found = []
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
            found.append((where, concept))
    shift = (
        0
        if all(agrees(concept, 0) for _, concept in found)
        else max((0, 1, -1), key=lambda shift: sum(agrees(concept, shift) for _, concept in found))
    )
    for where, concept in found:
        start, end = span(concept, shift)
        if reading.add(document, [(start, end)], concept["label"], where):
            if shift:
                document.problems.append(Problem("offsets moved", f"{where}: by {shift} lines"))
            if not agrees(concept, shift):
                shown_there = text[start:end]
                document.problems.append(
                    Problem("text differs", f"{where}: {concept['text']!r}, in the text {shown_there!r}")
                )
    document.entities = in_order(document.entities)
