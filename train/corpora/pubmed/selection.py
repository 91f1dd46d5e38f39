"""The citations of PubMed's dump that answer a query, in their newest form, as JSON Lines."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...console import Progress
from ...errors import InputError
from ..formats.jsonl import jsonl_file
from ..source import CorpusFile
from .citations import LARGEST_PMID, Citation, Deletion, read_citations


NEWER, DELETED = 1, 2  # what later files say of a citation


@dataclass
class SelectionCounts:
    """What was read, what was left out, and what was written.

    Attributes:
        superseded: citations that stand again in a later place.
        deleted: citations that a later place withdraws.
        text_bytes: of the texts that were written, in UTF-8.
    """

    files: int = 0
    citations: int = 0
    with_abstract: int = 0
    superseded: int = 0
    deleted: int = 0
    selected: int = 0
    text_bytes: int = 0


def select_abstracts(
    files: Sequence[CorpusFile], matches: Callable[[Citation], bool], path: str | Path
) -> SelectionCounts:
    """Writes `{"id", "title", "abstract", "text"}` a line for each matching citation with an abstract.

    The last occurrence of a citation counts, in the order of the files and in each file: NLM's update files come after
    its baseline. Files are read from the last to the first, and written so. What later files say takes a byte for each
    PMID (100 MB at most), and the abstracts of one file are held at a time.

    Args:
        path: a new file, gzipped if its name ends in .gz: whole, or on an error not there.

    Raises InputError for a file that is there already, and for what `read_citations` refuses.
    """
    path, counts = Path(path), SelectionCounts()
    if path.exists():
        raise InputError(f"{path}: this file is there already; remove it, or choose another name.")
    fates = np.zeros(LARGEST_PMID + 1, np.uint8)  # memory that is only taken where it is written to
    with jsonl_file(path) as out:
        for file in Progress("Reading", "files", len(files)).through(files[::-1]):
            for pmid, (title, abstract) in _newest_abstracts(file, matches, fates, counts).items():
                text = f"{title}\n{abstract}"
                row = {"id": str(pmid), "title": title, "abstract": abstract, "text": text}
                out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
                counts.text_bytes += len(text.encode())
                counts.selected += 1
            counts.files += 1
    return counts


def _newest_abstracts(
    file: CorpusFile, matches: Callable[[Citation], bool], fates: np.ndarray, counts: SelectionCounts
) -> dict[int, tuple[str, str]]:
    """Title and abstract by PMID of what matches in a file and is in no later place; updates the fates."""
    newest: dict[int, tuple[str, str] | None] = {}
    for entry in read_citations(file):
        if isinstance(entry, Deletion):
            gone = [pmid for pmid in entry.pmids if not fates[pmid]]
            fates[gone] = DELETED
            counts.deleted += sum(newest.pop(pmid, False) is not False for pmid in gone)
            continue
        counts.citations += 1
        counts.with_abstract += bool(entry.abstract)
        if fates[entry.pmid]:
            counts.superseded += int(fates[entry.pmid] == NEWER)
            counts.deleted += int(fates[entry.pmid] == DELETED)
        else:
            counts.superseded += entry.pmid in newest
            is_selected = entry.abstract and matches(entry)
            newest[entry.pmid] = (entry.title, entry.abstract) if is_selected else None
    fates[list(newest)] = NEWER
    return {pmid: texts for pmid, texts in newest.items() if texts}
