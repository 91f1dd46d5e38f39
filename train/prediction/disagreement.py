"""The notes on which an ensemble's members disagree most, which teach most when they are annotated next."""

import json
from pathlib import Path
from typing import NamedTuple

from ..corpora.documents import Document, without_surrogates
from ..writing import atomic_file
from .writers import whole_lines


class Rank(NamedTuple):
    """A row of the ranking."""

    disagreement: str  # entropy of the members' votes, mean over subwords (Settles & Craven 2008, section 3.2), nats
    mentions: str
    disputed: str  # mentions that not all members find
    document: str  # its id, as JSON writes it within quotes: no tab, no line end


HEADINGS = Rank("disagreement", "mentions", "disputed mentions", "document")


class DisagreementRanking:
    """`disagreement.tsv` in a folder, the highest disagreement first; `.partial` until it is complete."""

    def __init__(self, folder: Path):
        self.path, self.partial = folder / "disagreement.tsv", folder / "disagreement.tsv.partial"
        whole_lines(self.partial)  # removes one that was cut off
        self.file = open(self.partial, "a", encoding="utf-8", buffering=1)

    def add(self, document: Document, prediction) -> None:
        """Adds the predicted document; its row is on disk when this returns."""
        disputed = int((prediction.agreement < 1).sum())
        name = json.dumps(without_surrogates(document.id), ensure_ascii=False)[1:-1]
        row = Rank(f"{prediction.disagreement:.6f}", str(len(document.entities)), str(disputed), name)
        print(*row, sep="\t", file=self.file)

    def close(self, complete: bool) -> None:
        """Puts the rows in order and in their place, with those that were ranked before, once all are written."""
        self.file.close()
        if not complete:
            return
        before = self.path.read_text(encoding="utf-8").split("\n")[1:] if self.path.exists() else []
        lines = [line.split("\t") for line in [*before, *self.partial.read_text(encoding="utf-8").split("\n")]]
        rows = {row.document: row for row in (Rank(*line) for line in lines if len(line) == len(HEADINGS))}
        with atomic_file(self.path) as file:
            for row in (HEADINGS, *sorted(rows.values(), key=lambda row: (-float(row.disagreement), row.document))):
                file.write("\t".join(row).encode() + b"\n")
        self.partial.unlink()
