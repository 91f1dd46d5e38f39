"""Find the entities of many notes in flat memory, going on after an interruption and with what has changed."""

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from os.path import expanduser
from pathlib import Path
from typing import NamedTuple

from ..console import Progress, printable
from ..corpora.registry import RANKING
from ..corpora.source import local_path
from ..errors import InputError
from ..fingerprint import model_digest
from ..writing import atomic_file, exclusive, refuse_overlap
from .disagreement import write_ranking
from .engines import Engine, Input, LocalEngine, from_root
from .groups import AS_BEFORE, CHANGED, NEW, Group, Note
from .journal import Figures, Journal
from .min_scores import MinScores
from .writers import WRITERS, Writer


class Counts(NamedTuple):
    """What became of the notes of the input, and of those that are no longer in it."""

    new: int
    changed: int
    as_before: int
    removed: int
    unreadable: int = 0

    @property
    def read(self) -> int:
        return self.new + self.changed


UNREADABLE = "unreadable.log"


def predict(
    model: str,
    source: str,
    output: str,
    format: str = "brat",
    *,
    source_format: str | None = None,
    exclude: Sequence[str] = (),
    keep_going: bool = False,
    disagreement: bool = False,
    keep: MinScores | None = None,
    engine: Engine | None = None,
) -> Counts:
    """Writes predictions for the documents at `source`, and says which were read this time.

    With `brat`: NAME.txt and NAME.ann of each document. With `jsonl`: `predictions.jsonl`, which has that name only
    while it is complete. A document is written whole or not at all. What an earlier call wrote is passed over, but for
    notes whose text has changed since; predictions of notes that are gone are removed; and where the files of the model
    have changed, all predictions are made again. Memory does not grow with the number of documents, but for their ids.

    Args:
        exclude: patterns of files that are left out, see `Reading`.
        keep_going: notes that cannot be read are passed over, and `unreadable.log` says why, a line each.
        disagreement: also write `disagreement.tsv`, see `write_ranking`.
        keep: the scores that mentions need to be written (default: all are).
        engine: what reads the notes (default: this process).

    Raises InputError for documents or a model that cannot be read, an output folder that another command is writing,
    that overlaps with the input, that holds anything else or was edited where it would be overwritten, and disagreement
    asked of a single model.
    """
    model, source, folder = expanduser(model), expanduser(source), local_path(output)
    notes = Input(source, source_format, tuple(exclude), keep_going)
    refuse_overlap(source, folder)
    next(notes.documents([]), None)  # a fault in the path or format shows before anything is written
    engine = engine or LocalEngine()
    config = engine.start(model)
    if disagreement and config.vote is None:
        raise InputError(f"{model} is a single model, which agrees with itself: disagreement needs an ensemble")
    keep = keep or MinScores()
    given = [str(keep)] if keep != MinScores() else []
    given += [engine.computing.dtype] if engine.computing.dtype else []
    digest = " ".join([model_digest(model), *given])
    claim = {"model": from_root(model), "digest": digest, "input": from_root(source), "format": format}
    with exclusive(folder), Journal.opened(folder) as journal:
        writer, ranking = WRITERS[format](folder, journal), folder / RANKING
        _begin(claim, writer, ranking)
        (folder / UNREADABLE).unlink(missing_ok=True)
        counts, unreadable = write_predictions(engine.read(notes, writer), writer, keep)
        if unreadable:
            with atomic_file(folder / UNREADABLE) as file:
                file.write("".join(f"{printable(why)}\n" for why in unreadable).encode())
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
        why = "other scores or another dtype are asked for" if is_same_model else "the model has changed"
        writer.clear(why)
        ranking.unlink(missing_ok=True)
        print(f"{why}: {journal.totals()[0]} notes are read again", file=sys.stderr)
        journal.begin(claim)
    else:
        raise InputError(
            f"{folder} holds predictions of {before['model']} for {before['input']} as {before['format']}: choose "
            "another --output, or remove that folder"
        )


def write_predictions(groups: Iterable[Group], writer: Writer, keep: MinScores) -> tuple[Counts, list[str]]:
    """Writes what was found in the notes that are new or have changed, and removes predictions of those that are gone.

    Also returns why notes could not be read.
    """
    journal, unreadable, states = writer.journal, [], Counter()
    positions = array("q")  # by number in the journal, where in the input a note is; -1 for none
    with Progress("Reading", "notes") as progress:
        for group in groups:
            unreadable += group.unreadable
            if group.fault:
                raise InputError(group.fault)
            for position, note in enumerate(group.notes, group.first):
                number = _write(note, writer, keep)
                positions.extend([-1] * (number + 1 - len(positions)))
                positions[number] = position
                states[note.state] += 1
                progress.update()
    gone = []
    if journal.totals()[0] > states.total():
        gone = [entry for entry in journal if entry.number >= len(positions) or positions[entry.number] < 0]
        writer.remove(gone, "their notes are no longer in the input")
        journal.forget(gone)
    writer.finish(positions)
    return Counts(states[NEW], states[CHANGED], states[AS_BEFORE], len(gone), len(unreadable)), unreadable


def _write(note: Note, writer: Writer, keep: MinScores) -> int:
    """Writes what was found in a note, if it was read; returns its number in the journal."""
    document, before = note.document, writer.journal.find(note.document.id)
    if note.state == AS_BEFORE:
        return before.number
    document = replace(document, entities=keep.keep(document.entities))
    disputed = sum(e.agreement is not None and e.agreement < 1 for e in document.entities)
    return writer.write(document, Figures(note.disagreement, len(document.entities), disputed), before)
