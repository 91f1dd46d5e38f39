"""The notes on which an ensemble's members disagree most, which teach most when they are annotated next."""

import json
from pathlib import Path

from ..corpora.documents import without_surrogates
from ..writing import atomic_file
from .journal import Journal


HEADINGS = ("disagreement", "mentions", "disputed mentions", "document")


def write_ranking(journal: Journal, path: Path) -> None:
    """Writes a row for each predicted note, the highest disagreement first.

    "disagreement" is the entropy of the members' votes, the mean over subwords in nats (Settles & Craven 2008, section
    3.2); "disputed mentions" are those that not all members find; "document" is the id as JSON writes it within quotes,
    without a tab or a line end.
    """
    with atomic_file(path) as file:
        file.write("\t".join(HEADINGS).encode() + b"\n")
        for entry in journal.ranked():
            name = json.dumps(without_surrogates(entry.id), ensure_ascii=False)[1:-1]
            disagreement, *counts = entry.figures
            file.write("\t".join([f"{disagreement:.6f}", *map(str, counts), name]).encode() + b"\n")
