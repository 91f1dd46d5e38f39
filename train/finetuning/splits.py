"""Splits: documents divided into what members learn from, what selects them, and what judges them."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..corpora.documents import Document, same_note
from ..corpora.sentences import cut
from ..errors import InputError
from ..settings import SPLIT_KINDS
from ..writing import write_json


@dataclass
class Member:
    """Ids of the documents that a member of an ensemble learns from and is selected on.

    A part of a document has the id `DOCUMENT.START-END`, in characters. `seed_offset` is added to the recipe's seed.
    """

    train: list[str]
    validation: list[str]
    seed_offset: int = 0


@dataclass
class Splits:
    """A division of documents, as it is written in `splits.json`.

    `kind` is "standard" (the given train and validation documents, other seeds), "random" (Lange et al. 2022, section
    3.3: all in as many parts as members, each part the validation of one) or "all" (no validation).
    """

    kind: str
    seed: int
    members: list[Member]

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: str | Path) -> "Splits":
        """Raises InputError for a file that is none of these."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            members = [Member(**member) for member in content.pop("members")]
            return cls(**content, members=members)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: expected splits as `clinx finetune --splits` writes them: {error}") from None


def make_splits(
    kind: str, train: Sequence[Document], validation: Sequence[Document], n_members: int, seed: int
) -> Splits:
    """Divides whole documents; raises InputError where they are too few."""
    if kind not in SPLIT_KINDS:
        raise InputError(f"split_kind is {kind!r}, expected one of {', '.join(SPLIT_KINDS)}")
    train_ids, validation_ids = ([document.id for document in documents] for documents in (train, validation))
    pool = [*train_ids, *validation_ids]
    if kind == "all":
        return Splits(kind, seed, [Member(pool, [])])
    if n_members < 1:
        raise InputError(f"splits is {n_members}, expected at least 1")
    if kind == "standard":
        if not validation:
            raise InputError("standard splits need validation documents: name them in the recipe")
        return Splits(kind, seed, [Member(train_ids, validation_ids, i) for i in range(n_members)])
    notes = notes_with_copies([*train, *validation])
    if not 2 <= n_members <= len(notes):
        raise InputError(
            f"{len(notes)} different documents cannot be divided in {n_members} parts: set splits to 2 … {len(notes)}"
        )
    order = np.random.default_rng(seed).permutation(len(notes))
    parts = [{document.id for i in part for document in notes[i]} for part in np.array_split(order, n_members)]
    members = [Member([id for id in pool if id not in p], [id for id in pool if id in p]) for p in parts]
    return Splits(kind, seed, members)


def hold_out(documents: Sequence[Document], fraction: float, seed: int) -> tuple[list[Document], list[Document]]:
    """All but a random share of the notes, and that share, with all their copies: at least one; both in their order."""
    if not 0 < fraction < 1:
        raise InputError(f"test_fraction is {fraction}, expected more than 0 and less than 1")
    notes = notes_with_copies(documents)
    n = max(1, round(fraction * len(notes)))
    if n == len(notes):
        raise InputError(f"test_fraction {fraction} of {len(notes)} different documents leaves none to learn from")
    chosen = np.random.default_rng([seed, 1]).permutation(len(notes))[:n]
    held = {document.id for i in chosen for document in notes[i]}
    return [d for d in documents if d.id not in held], [d for d in documents if d.id in held]


def notes_with_copies(documents: Sequence[Document]) -> list[list[Document]]:
    """The notes, each with its copies, in the order of the first of them; a copy may differ in white space.

    Empty documents are no copies of each other.
    """
    notes: dict[tuple[str, str], list[Document]] = {}
    for document in documents:
        text = same_note(document.text)
        notes.setdefault((text, "" if text else document.id), []).append(document)
    return list(notes.values())


def pick(documents: Sequence[Document], ids: Sequence[str]) -> list[Document]:
    """The documents, or parts of documents, with these ids; raises InputError for one that is not there."""
    by_id = {document.id: document for document in documents}
    picked = []
    for id in ids:
        part = re.fullmatch(r"(.*)\.(\d+)-(\d+)", id, re.DOTALL)
        if id in by_id:
            picked.append(by_id[id])
        elif part and part[1] in by_id:
            picked.append(cut(by_id[part[1]], int(part[2]), int(part[3])))
        else:
            raise InputError(f"the splits name a document {id!r}, which is not among the {len(documents)} at hand")
    return picked
