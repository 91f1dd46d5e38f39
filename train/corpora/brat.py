"""BRAT standoff: NAME.txt holds a note, NAME.ann its mentions, one `T` line each."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from train.documents import Document, Entity, atomic_file, checked_entity, decode_utf8, unique, without_surrogates
from train.errors import InputError


FRAGMENT = "[0-9]{1,18} [0-9]{1,18}"  # int() refuses thousands of digits
MENTION = re.compile(rf"T\S+\t(?P<label>\S+) (?P<fragments>{FRAGMENT}(?:;{FRAGMENT})*)\t(?P<text>.*)", re.DOTALL)
IGNORED = ("#", "R", "E", "A", "M", "N", "*")  # notes, relations, events, attributes, normalizations, equivalences


def read_brat(path: str | Path, *, annotated: bool = True, discontinuous: str = "hull") -> Iterator[Document]:
    """The notes of a folder and its sub-folders in sorted order, or of one .txt file.

    A document's id is its path in the folder without the suffix; hidden files are passed over. Line ends and a
    byte-order mark count as characters, as the offsets of the annotations count them. A discontinuous mention becomes
    its hull, or is left out with `discontinuous="drop"`; both are counted in `Document.problems`, as is a mention
    whose text in the .ann is not the text at its offsets. `annotated=False` reads the texts alone.

    Raises InputError for a note without an .ann, an .ann without a note, bytes that are not UTF-8, and a `T` line
    that is malformed or points outside of its text.
    """
    if discontinuous not in ("hull", "drop"):
        raise InputError(f"found discontinuous={discontinuous!r}, expected 'hull' or 'drop'.")
    path = Path(path)
    if path.is_dir():
        root, notes = path, _files(path, "txt")
        orphans = set(_files(path, "ann")) - {note.with_suffix(".ann") for note in notes} if annotated else ()
        if orphans:
            orphan = min(orphans)
            raise InputError(f"{orphan}: found annotations without {orphan.stem}.txt beside them; add the note's text.")
    elif path.is_file() and path.suffix == ".txt":
        root, notes = path.parent, [path]
    else:
        raise InputError(f"{path}: found no folder and no .txt file, expected one of them; check the path.")
    for note in notes:
        id = note.relative_to(root).with_suffix("").as_posix()
        document = Document(id, decode_utf8(note.read_bytes(), str(note)))
        if annotated:
            _read_annotations(note.with_suffix(".ann"), document, discontinuous)
        yield document


def _files(folder: Path, suffix: str) -> list[Path]:
    files = (file for file in folder.rglob(f"*.{suffix}") if file.is_file())
    return sorted(f for f in files if not any(part.startswith(".") for part in f.relative_to(folder).parts))


def _read_annotations(path: Path, document: Document, discontinuous: str) -> None:
    if not path.is_file():
        raise InputError(
            f"{path}: found no such file for the note {path.stem}.txt; add an empty one if the note has no mentions, "
            "or read without annotations (annotated=False)."
        )
    entities = []
    # Not splitlines(): a mention's text may hold U+2028 and other characters that Python takes for line ends.
    for number, line in enumerate(decode_utf8(path.read_bytes(), str(path)).removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith(IGNORED):
            continue
        where = f"{path}:{number}"
        match = MENTION.fullmatch(line)
        if not match:
            raise InputError(
                f"{where}: found {line[:100]!r}, expected an identifier, a tab, a label, a space, START END in "
                "characters (more pairs after semicolons), a tab, and the mention's text."
            )
        fragments = sorted(
            checked_entity(*map(int, fragment.split()), match["label"], document.text, where)
            for fragment in match["fragments"].split(";")
        )
        found = " ".join(document.text[fragment.start : fragment.end] for fragment in fragments)
        document.problems["text differs"] += found.split() != match["text"].split()  # line ends are shown as spaces
        gaps = (document.text[left.end : right.start] for left, right in pairwise(fragments))
        has_gap = any(gap.strip() for gap in gaps)
        document.problems["discontinuous"] += has_gap
        if not has_gap or discontinuous == "hull":
            entities.append(Entity(fragments[0].start, max(fragment.end for fragment in fragments), match["label"]))
    document.entities = unique(entities)
    document.problems = +document.problems  # drops the kinds that were not met


def write_brat(document: Document, folder: str | Path) -> None:
    """Write `folder/ID.txt` and `folder/ID.ann`, each whole or not at all; sub-folders in the id are made.

    Predicted scores and agreement go into `AnnotatorNotes`. Lone surrogates become U+FFFD, one for one. Raises
    InputError for an id that is no path inside of the folder and for a label with white space, which the format cannot
    hold.
    """
    if not _is_inside(document.id):
        raise InputError(
            f"document {document.id!r}: found an id that is no path inside of {folder}, expected names that do not "
            "begin with a dot, separated by slashes; rename the document."
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
        told = [
            f"{name} {value:.3f}" for name in ("score", "agreement") if (value := getattr(entity, name)) is not None
        ]
        if told:
            lines.append(f"#{number}\tAnnotatorNotes T{number}\t{', '.join(told)}\n")
    # The .ann comes last: where it stands, the document is complete.
    for suffix, content in ((".txt", document.text), (".ann", "".join(lines))):
        with atomic_file(Path(folder, document.id + suffix)) as file:
            file.write(without_surrogates(content).encode("utf-8"))


def _is_inside(id: str) -> bool:
    try:
        encoded = os.fsencode(id)
    except UnicodeEncodeError:
        return False
    return b"\0" not in encoded and all(part and not part.startswith(".") for part in re.split(r"[/\\]", id))
