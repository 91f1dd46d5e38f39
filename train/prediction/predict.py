"""Find the entities of many notes in flat memory, going on after an interruption and with what has changed."""

import os
import sys
from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from modeling_clinx import DocumentPredictor

from ..console import Progress
from ..corpora import read_corpus
from ..corpora.documents import Document
from ..corpora.registry import RANKING
from ..errors import InputError
from ..fingerprint import model_digest
from ..scoring.evaluation import predict_documents
from ..writing import exclusive, refuse_overlap
from .disagreement import write_ranking
from .journal import Entry, Figures, Journal, digest_text
from .loading import Computing, load_predictor
from .min_scores import MinScores
from .writers import WRITERS, Writer


class Counts(NamedTuple):
    """What became of the notes of the input, and of those that are no longer in it."""

    new: int
    changed: int
    as_before: int
    removed: int

    @property
    def read(self) -> int:
        return self.new + self.changed


def predict(
    model: str,
    source: str,
    output: str,
    format: str = "brat",
    *,
    source_format: str | None = None,
    exclude: Sequence[str] = (),
    disagreement: bool = False,
    keep: MinScores | None = None,
    computing: Computing | None = None,
) -> Counts:
    """Writes predictions for the documents at `source`, and says which were read this time.

    With `brat`: NAME.txt and NAME.ann of each document. With `jsonl`: `predictions.jsonl`, which has that name only
    while it is complete. A document is written whole or not at all. What an earlier call wrote is passed over, but for
    notes whose text has changed since; predictions of notes that are gone are removed; and where the files of the model
    have changed, all predictions are made again. Memory does not grow with the number of documents, but for their ids.

    Args:
        exclude: patterns of files that are left out, see `Reading`.
        disagreement: also write `disagreement.tsv`, see `write_ranking`.
        keep: the scores that mentions need to be written (default: all are).

    Raises InputError for documents or a model that cannot be read, an output folder that another command is writing,
    that overlaps with the input, that holds anything else or was edited where it would be overwritten, and disagreement
    asked of a single model.
    """
    folder = Path(output)
    refuse_overlap(source, folder)
    documents = read_corpus(source, source_format, annotated=False, exclude=exclude)
    documents = chain([next(documents)], documents)  # a fault in the path or format shows before anything is written
    predictor = load_predictor(model, computing or Computing())
    if disagreement and predictor.model.config.vote is None:
        raise InputError(f"{model} is a single model, which agrees with itself: disagreement needs an ensemble")
    keep = keep or MinScores()
    digest = model_digest(model) if keep == MinScores() else f"{model_digest(model)} {keep}"
    claim = {"model": _place(model), "digest": digest, "input": _place(source), "format": format}
    with exclusive(folder), Journal.opened(folder) as journal:
        writer, ranking = WRITERS[format](folder, journal), folder / RANKING
        _begin(claim, writer, ranking)
        counts = write_predictions(documents, predictor, writer, keep)
        if disagreement or ranking.exists():
            write_ranking(journal, ranking)
    return counts


def _begin(claim: dict, writer: Writer, ranking: Path) -> None:
    """Makes the folder one of predictions of this model, input and format, without any of another model."""
    folder, journal, before = writer.folder, writer.journal, writer.journal.claim
    if before is None:
        writer.refuse_others()
        journal.begin(claim)
    elif before["digest"] == claim["digest"] and before | {"model": claim["model"]} == claim:
        return
    elif before | {"digest": claim["digest"]} == claim:
        is_same_model = before["digest"].split()[0] == claim["digest"].split()[0]
        why = "mentions of other scores are kept" if is_same_model else "the model has changed"
        writer.clear(why)
        ranking.unlink(missing_ok=True)
        print(f"{why}: {journal.totals()[0]} notes are read again", file=sys.stderr)
        journal.begin(claim)
    else:
        raise InputError(
            f"{folder} holds predictions of {before['model']} for {before['input']} as {before['format']}: choose "
            "another --output, or remove that folder"
        )


def write_predictions(
    documents: Iterable[Document], predictor: DocumentPredictor, writer: Writer, keep: MinScores
) -> Counts:
    """Reads and writes the documents that are new or have changed, and removes predictions of those that are gone."""
    journal = writer.journal
    positions = array("q")  # by number in the journal, where in the input a note is; -1 for none
    waiting: deque[tuple[int, Entry | None]] = deque()  # of documents that are being read
    new = changed = as_before = 0

    def see(number: int, position: int) -> None:
        positions.extend([-1] * (number + 1 - len(positions)))
        positions[number] = position
        progress.update()

    def todo() -> Iterator[Document]:
        nonlocal as_before
        for position, document in enumerate(documents):
            entry = journal.find(document.id)
            if entry and entry.text == digest_text(document.text) and writer.holds(entry):
                as_before += 1
                see(entry.number, position)
            else:
                waiting.append((position, entry))
                yield document

    with Progress("Reading", "notes") as progress:
        for document, prediction in predict_documents(todo(), predictor, quiet=True):
            position, before = waiting.popleft()
            document = replace(document, entities=keep.keep(document.entities))
            disputed = sum(e.agreement is not None and e.agreement < 1 for e in document.entities)
            figures = Figures(float(prediction.disagreement), len(document.entities), disputed)
            see(writer.write(document, figures, before), position)
            is_changed = before is not None and before.text != digest_text(document.text)
            new, changed = new + (not is_changed), changed + is_changed
    gone = []
    if journal.totals()[0] > new + changed + as_before:
        gone = [entry for entry in journal if entry.number >= len(positions) or positions[entry.number] < 0]
        writer.remove(gone, "their notes are no longer in the input")
        journal.forget(gone)
    writer.finish(positions)
    return Counts(new, changed, as_before, len(gone))


def _place(name: str) -> str:
    """A path from the root, so that it means the same from every folder; or a name on the Hub."""
    return os.path.abspath(name) if os.path.exists(name) else str(name)
