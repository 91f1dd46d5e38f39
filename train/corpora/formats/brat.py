"""BRAT standoff: NAME.txt holds a note, NAME.ann its mentions, one `T` line each."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import InputError, brief
from ...writing import atomic_file
from ..documents import Document, DocumentBuilder, Reading, without_surrogates
from ..source import CorpusFile


NUMBER = "[0-9]{1,18}"  # int() refuses thousands of digits
MENTION = re.compile(rf"T\S+\t(\S+) ({NUMBER}) ({NUMBER})((?:;{NUMBER} {NUMBER})*)\t([^\r]*)", re.DOTALL)
LONGEST = 250  # bytes of a file's name without .ann; file systems allow 255
IGNORED = ("#", "R", "E", "A", "M", "N", "*")  # notes, relations, events, attributes, normalizations, equivalences


def read_brat(files: Sequence[CorpusFile], reading: Reading) -> Iterator[Document]:
    """The notes, each from its .txt and the .ann beside it; a document's id is its path without the suffix.

    Line ends and a byte-order mark count as characters, as the offsets of the annotations count them. A mention whose
    text in the .ann is not the text at its offsets is in `Document.problems`.

    Raises InputError for a note without an .ann, an .ann without a note, bytes that are not UTF-8, and a `T` line
    that is malformed or points outside of its text.
    """
    notes, annotations = {}, {}
    for file in files:
        id, suffix = os.path.splitext(file.name)
        of_kind = annotations if suffix.lower() == ".ann" else notes
        if id in of_kind:
            raise InputError(f"{file.where}: found the note {id!r} again, after {of_kind[id].where}; rename one.")
        of_kind[id] = file
    if reading.annotated and (orphans := annotations.keys() - notes.keys()):
        orphan = min(orphans)
        where, name = annotations[orphan].where, os.path.basename(orphan)
        raise InputError(f"{where}: found annotations without {name}.txt beside them; add the note's text.")
    for id, note in notes.items():
        try:
            document = _read_note(id, note, annotations.get(id), reading)
        except InputError as error:
            reading.pass_over(error)
        else:
            yield document


def _read_note(id: str, note: CorpusFile, annotations: CorpusFile | None, reading: Reading) -> Document:
    document = DocumentBuilder(id, note.text(), reading)
    if reading.annotated:
        if annotations is None:
            raise InputError(
                f"{os.path.splitext(note.where)[0]}.ann: found no such file for the note; add an empty one if the "
                f"note has no mentions, or, if {os.path.basename(note.name)} is no note, leave it out (exclude, "
                "--exclude); or read the texts alone (annotated=False, `clinx corpus --unannotated`)."
            )
        _read_annotations(annotations, document)
    return document.build()


def _read_annotations(file: CorpusFile, document: DocumentBuilder) -> None:
    # Not splitlines(): a mention's text may hold U+2028 and other characters that Python takes for line ends.
    for number, line in enumerate(file.text().removeprefix("\ufeff").split("\n"), 1):
        if line.startswith(IGNORED) or not line or line.isspace():
            continue
        where = f"{file.where}:{number}"
        match = MENTION.fullmatch(line.removesuffix("\r"))
        if not match:
            raise InputError(
                f"{where}: found {line[:100]!r}, expected an identifier, a tab, a label, a space, START END in "
                "characters (more pairs after semicolons), a tab, and the mention's text."
            )
        label, start, end, others, quoted = match.groups()  # where the text has line ends, the quotation has spaces
        spans = [(int(start), int(end))]
        for other in others.split(";")[1:]:
            spans.append(tuple(map(int, other.split(" "))))
        document.add(spans, label, where, quoted=quoted)


def write_brat(document: Document, folder: str | Path) -> None:
    """Write `folder/ID.txt` and `folder/ID.ann`, each whole or not at all; sub-folders in the id are made.

    Lone surrogates become U+FFFD, one for one. Raises InputError as `ann_text` does, and for what cannot be written.
    """
    annotations = ann_text(document, folder)
    # The .ann comes last: where it stands, the document is complete.
    try:
        for suffix, content in ((".txt", without_surrogates(document.text)), (".ann", annotations)):
            with atomic_file(Path(folder, document.id + suffix)) as file:
                file.write(content.encode("utf-8"))
    except OSError as error:
        raise InputError(f"document {document.id!r}: cannot be written to {folder} ({error}).") from None


def ann_text(document: Document, folder: str | Path) -> str:
    """What `folder/ID.ann` holds. Predicted scores and agreement go into `AnnotatorNotes`.

    Raises InputError for an id that is no path inside of the folder and for a label with white space, which the format
    cannot hold.
    """
    if not _is_inside(document.id):
        raise InputError(
            f"document {brief(document.id)}: found an id that is no path inside of {folder}, expected names that do "
            f"not begin with a dot, each of {LONGEST} bytes at most, separated by slashes; rename the document, or "
            "write JSON Lines."
        )
    lines = []
    for number, entity in enumerate(document.entities, 1):
        if not re.fullmatch(r"\S+", entity.label):
            raise InputError(
                f"document {document.id!r}: found the label {entity.label!r}, expected one without white space, which "
                "BRAT cannot hold; rename the label or write JSON Lines."
            )
        mention = re.sub(r"\s", " ", document.text[entity.start : entity.end])
        lines.append(f"T{number}\t{entity.label} {entity.start} {entity.end}\t{mention}\n")
        figures = [
            f"{name} {value:.3f}" for name in ("score", "agreement") if (value := getattr(entity, name)) is not None
        ]
        if figures:
            lines.append(f"#{number}\tAnnotatorNotes T{number}\t{', '.join(figures)}\n")
    return without_surrogates("".join(lines))


def _is_inside(id: str) -> bool:
    try:
        encoded = os.fsencode(id)
    except UnicodeEncodeError:
        return False
    return b"\0" not in encoded and all(
        part and not part.startswith(b".") and len(part) <= LONGEST for part in re.split(rb"[/\\]", encoded)
    )
