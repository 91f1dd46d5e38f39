"""Column files: a token and its tag a line, sentences between empty lines; BIO, IOB1, BIOES, BILOU (CoNLL 2003 …)."""

import json
import re
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from ...writing import atomic_file
from ..alignment import project_mentions
from ..documents import Document, DocumentBuilder, Problem, Reading, describe_mention, without_surrogates
from ..sentences import sentence_boundaries
from ..source import CorpusFile, decode_utf8


TAG = re.compile(r"O|([BIESLUM])-(.+)", re.DOTALL)
COMMENT = re.compile(r"#\s*(?P<key>new(?:doc|par)(?: id)?|[\w.-]+(?=\s+=(?:\s|$)))\s*(?:=\s*(?P<value>.*))?", re.DOTALL)
RANGE = re.compile("[0-9]+[-.][0-9]+")  # of CoNLL-U: a word that the next lines divide, or one that is left out
LONGEST = 1_000_000  # tokens in a sentence
NO_SPACE_BEFORE = frozenset(". , ; : ! ? ) ] } % … » ” ’ ' º ª °".split())
NO_SPACE_AFTER = frozenset("( [ { ¿ ¡ « “ ‘ '".split())
KINDS = {"no subword": "white space only", "boundary inside a subword": "white space at its edge"}  # of pieces
PIECE = re.compile(r"\w+|[^\w\s]")


def read_conll(files: Sequence[CorpusFile], reading: Reading) -> Iterator[Document]:
    """The documents of column files, whose columns tabs divide, or else white space.

    A document begins at `-DOCSTART-` or `# newdoc`, and else with the file; its id is the one given there, and else the
    file's path without the suffix, with a number where there are several. Its text is the one in the comments
    `# text = …` of its sentences, and else put together from the tokens: with spaces, but for those that punctuation
    goes without, and a line for each sentence. A mention ends where its sentence ends.

    Raises InputError, naming file and line, for too few columns, what is no tag, and tokens that are not in the text.
    """
    for file in files:
        documents = _split(file, reading)
        first = list(islice(documents, 2))
        for number, document in enumerate(chain(first, documents), 1):
            if document.id is None:
                document.id = file.stem if len(first) == 1 else f"{file.stem}-{number}"
            elif len(files) > 1:
                document.id = f"{file.stem}/{document.id}"
            yield document


def _split(file: CorpusFile, reading: Reading) -> Iterator[Document]:
    document, tokens, text = None, [], None
    for number, line in enumerate(chain(file.lines(), [b"# newdoc"]), 1):  # the end, as if another began
        where = f"{file.where}:{number}"
        line = decode_utf8(line, where).removesuffix("\n").removesuffix("\r")
        line = line.removeprefix("\ufeff") if number == 1 else line
        if "\r" in line:
            raise InputError(f"{where}: found a carriage return in a line; convert the line ends, as with dos2unix.")
        begins, id = _marker(line)
        comment = None if begins or "\t" in line else COMMENT.fullmatch(line)
        key, value = (comment["key"], comment["value"] or "") if comment else (None, "")
        if key and key.startswith("newdoc"):
            begins, id = True, _value(value) if value else None
        if begins or key == "text" or not line or line.isspace():
            has_text = text is not None and (begins or key or _value(text) is not text)  # else its tokens may follow
            if tokens or has_text:
                document = document or SentenceJoiner(None)
                document.add(tokens, text, file.where, reading)
                tokens, text = [], None
            text = value if key == "text" else text
        elif not comment and (columns := _columns(line, where, reading, is_first=not tokens)):
            tokens.append((number, *columns))
            if len(tokens) > LONGEST:
                raise InputError(f"{where}: found more than {LONGEST:,} tokens in a sentence; part it by empty lines.")
        if begins:
            if document and (document.parts or document.id is not None):
                yield document.document(reading)
            document = SentenceJoiner(id)


def _marker(line: str) -> tuple[bool, str | None]:
    """Whether a line begins a document, and the id that it gives to it."""
    words = line.split()
    if words and words[0].upper() == "-DOCSTART-":
        named = re.match(r"\s*\S+\s+\((.+?)\)", line)
        alone = words[1] if len(words) == 2 and words[1] not in ("O", "-X-", "_", words[0]) else None
        return True, named[1] if named else alone
    if len(words) == 1 and line.startswith("###"):  # GENIA's ###MEDLINE:95369245
        return True, line[3:]
    return False, None


def _value(text: str) -> str:
    """What stands after the = of a comment: as it is, or a string of JSON."""
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return text


def _columns(line: str, where: str, reading: Reading, is_first: bool) -> tuple[str, str] | None:
    """A line's token and tag; None for a comment and for a range of CoNLL-U."""
    columns = line.rstrip("\t ").split("\t") if "\t" in line else re.split(" +", line.strip(" "))
    try:
        token = columns[reading.token_column]
        tag = sys.intern(columns[reading.label_column]) if reading.annotated else "O"
    except IndexError:
        tag = token = ""
    if reading.token_column > 0 and RANGE.fullmatch(columns[0]):
        return None
    if token and TAG.fullmatch(tag) and (len(columns) > 1 or not reading.annotated):
        return token, tag
    if is_first and line.startswith("#"):
        return None
    if not token or (reading.annotated and len(columns) < 2):
        raise InputError(
            f"{where}: found {len(columns)} columns in {line[:60]!r}, expected a token in column "
            f"{reading.token_column} and a tag in column {reading.label_column}, divided by tabs or spaces."
        )
    raise InputError(
        f"{where}: found the tag {tag[:60]!r}, expected O or B-, I-, E-, S-, L- or U- and a label; name the column of "
        "the tags with label_column (`clinx corpus --label-column`)."
    )


class SentenceJoiner:
    """Puts a document together from sentences of tokens."""

    def __init__(self, id: str | None):
        self.id, self.parts, self.length = id, [], 0
        self.spans: list[tuple[int, int, str, str]] = []

    def document(self, reading: Reading) -> Document:
        document = DocumentBuilder(self.id, "".join(self.parts), reading)
        for start, end, label, where in self.spans:
            document.add([(start, end)], label, where)
        return document.build()

    def add(self, tokens: Sequence[tuple[int, str, str]], text: str | None, where: str, reading: Reading) -> None:
        """Adds a sentence of (number of the line, token, tag), whose text is the one given, or made of the tokens."""
        is_exact = False
        if text is None:
            text, offsets = detokenized([token for _, token, _ in tokens])
        else:
            exact, exact_offsets = _value(text), _token_offsets(_value(text), tokens)
            is_exact = exact is not text and isinstance(exact_offsets, list)
            text, offsets = (exact, exact_offsets) if is_exact else (text, _token_offsets(text, tokens))
            if isinstance(offsets, str):
                raise InputError(f"{where}:{offsets}")
        line_end = "\n" if self.parts and not is_exact else ""
        begin = self.length + len(line_end)
        self.parts.append(line_end + text)
        self.length = begin + len(text)
        for first, last, label in spans_from_tags([tag for _, _, tag in tokens]):
            place = f"{where}:{tokens[first][0]}"
            self.spans.append((begin + offsets[first][0], begin + offsets[last][1], label, place))


def _token_offsets(text: str, tokens: Sequence[tuple[int, str, str]]) -> list[tuple[int, int]] | str:
    """The characters of each token, or what is wrong with one, after the number of its line."""
    offsets, end = [], 0
    for number, token, _ in tokens:
        start = text.find(token, end)
        if start < 0 or text[end:start].strip():
            return f"{number}: found the token {token!r}, which does not come next in its sentence's # text."
        end = start + len(token)
        offsets.append((start, end))
    return offsets


def detokenized(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The tokens as text, with spaces between them but where punctuation goes without, and the characters of each."""
    parts, offsets, length, before = [], [], 0, None
    for token in tokens:
        if before is not None and token not in NO_SPACE_BEFORE and before not in NO_SPACE_AFTER:
            parts.append(" ")
            length += 1
        parts.append(token)
        offsets.append((length, length + len(token)))
        length, before = length + len(token), token
    return "".join(parts), offsets


def spans_from_tags(tags: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """First token, last token and label of each mention, in any scheme: B, S and U begin one, S, U, E and L end one,
    and an I, E, L or M that carries on nothing begins one too, as in IOB1."""
    begin, label = None, None
    for index, tag in enumerate([*tags, "O"]):
        role, _, tag_label = tag.partition("-")
        if begin is not None and (role in "OBSU" or tag_label != label):
            yield begin, index - 1, label
            begin = None
        if role != "O" and begin is None:
            begin, label = index, tag_label
        if role in "SUEL":
            yield begin, index, label
            begin = None


def write_conll(documents: Iterable[Document], path: str | Path) -> list[Problem]:
    """Write one file: a line a token, its tag in BIO, a comment with the exact text before each sentence.

    `read_conll` gives back the same documents, but for the mentions that tags cannot hold. They are returned, of the
    kinds "overlapping" (the longest is kept), "white space only" and "white space at its edge" (which is left out).
    Lone surrogates become U+FFFD, one for one. Raises InputError for a label that holds a tab or a line end.
    """
    lost = []
    with atomic_file(Path(path)) as file:
        for document in documents:
            problems, lines = _lines(document)
            lost += problems
            file.write("\n".join(lines).encode("utf-8") + b"\n")
    return lost


def _lines(document: Document) -> tuple[list[Problem], list[str]]:
    text = without_surrogates(document.text)
    for entity in document.entities:
        if re.search(r"[\t\r\n]", entity.label) or entity.label != entity.label.strip():
            raise InputError(
                f"document {document.id!r}: found the label {entity.label!r}, which a column cannot hold; rename it."
            )
    pieces, tags, problems = pieces_and_tags(document)
    id = document.id
    is_plain = id and id.isprintable() and id == id.strip() and not id.startswith('"')
    lines = [f"# newdoc id = {id if is_plain else json.dumps(id)}"]
    for begin, end in pairwise([*sentence_boundaries(document), len(text)] if text else ()):
        lines.append(f"# text = {json.dumps(text[begin:end], ensure_ascii=False)}")
        first, stop = (bisect_left(pieces, (place,)) for place in (begin, end))
        lines += [
            f"{text[slice(*piece)]}\t{tag}" for piece, tag in zip(pieces[first:stop], tags[first:stop], strict=True)
        ]
        lines.append("")
    return problems, lines


class TaggedPieces(NamedTuple):
    """A document divided into words and marks."""

    pieces: list[tuple[int, int]]  # characters, half-open
    tags: list[str]  # of each piece, in BIO
    problems: list[Problem]  # mentions that tags cannot hold


def pieces_and_tags(document: Document) -> TaggedPieces:
    """The words and marks of a text, divided where mentions begin and end, the tag of each in BIO, and what these
    cannot hold."""
    entities = [replace(entity, label=without_surrogates(entity.label)) for entity in document.entities]
    types = {label: number for number, label in enumerate(sorted({entity.label for entity in entities}))}
    cuts = sorted({cut for entity in entities for cut in (entity.start, entity.end)})
    pieces = [piece for match in PIECE.finditer(document.text) for piece in _cut(*match.span(), cuts)]
    starts, ends = np.array(pieces, np.int64).reshape(-1, 2).T
    labels, inexact = project_mentions([(e.start, e.end, types[e.label]) for e in entities], starts, ends)
    names = ["O", *(f"{role}-{label}" for label in types for role in "BI")]
    problems = [Problem(KINDS.get(reason, reason), describe_mention(document, entities[i])) for i, reason in inexact]
    return TaggedPieces(pieces, [names[label] for label in labels.tolist()], problems)


def _cut(start: int, end: int, cuts: list[int]) -> Iterator[tuple[int, int]]:
    """The piece, cut where mentions begin and end."""
    return pairwise([start, *cuts[bisect_right(cuts, start) : bisect_left(cuts, end)], end])
