"""The notes of the input in groups, each read at one time: where a command goes on does not change what it finds.

A group fills a few batches of the encoder. Which notes those are depends on the input alone, and a group that was
interrupted is read again as a whole, so that its windows share their batches with the same others as before.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import NamedTuple

from modeling_clinx.prediction_clinx import CHARACTERS_A_SUBWORD, MAX_DOCUMENTS_AHEAD

from ..corpora.documents import Document, Entity
from ..scoring.evaluation import entities_of


NEW, CHANGED, AS_BEFORE = "new", "changed", "as before"


class Note(NamedTuple):
    """A note of a group, and what was found in it once it is read."""

    document: Document  # with the predicted mentions, once it is read
    state: str  # whether its prediction is on disk: NEW (it is not), CHANGED (that of another text is), AS_BEFORE
    disagreement: float | None = None  # see `Prediction`; None before it is read


class Group(NamedTuple):
    """Notes that follow each other in the input."""

    first: int  # place of the first one in the input
    notes: list[Note]
    unreadable: list[str] = []  # why a note among them, or before them, could not be read and was passed over
    fault: str = ""  # why the input, or the model, cannot be read any further

    @property
    def unread(self) -> list[int]:
        """Which are to be read: all where one is new, otherwise those that have changed."""
        states = [note.state for note in self.notes]
        return [i for i, state in enumerate(states) if NEW in states or state == CHANGED]


def groups(
    documents: Iterable[Document], n_subwords: int, state_of: Callable[[Document], str], passed_over: list[str]
) -> Iterator[Group]:
    """The documents in groups of about so many subwords, and of at most `MAX_DOCUMENTS_AHEAD`.

    Args:
        passed_over: to which the reader of the documents adds why it passes over a note.
    """
    first, notes, n_characters = 0, [], 0
    for document in documents:
        notes.append(Note(document, state_of(document)))
        n_characters += len(document.text)
        if n_characters >= CHARACTERS_A_SUBWORD * n_subwords or len(notes) == MAX_DOCUMENTS_AHEAD:
            yield Group(first, notes, [*passed_over])
            first, notes, n_characters = first + len(notes), [], 0
            passed_over.clear()
    if notes or passed_over:
        yield Group(first, notes, [*passed_over])


def read_group(group: Group, predictor) -> Group:
    """The group with what the predictor finds in the notes that are to be read."""
    notes, unread = list(group.notes), group.unread
    for i, prediction in zip(unread, predictor(notes[i].document.text for i in unread), strict=True):
        document = notes[i].document
        read = Document(document.id, document.text, entities_of(prediction))
        notes[i] = notes[i]._replace(document=read, disagreement=float(prediction.disagreement))
    return group._replace(notes=notes)


def encode(group: Group) -> str:
    """A group as JSON in ASCII, lone surrogates included; of a note that is as before only its id."""
    notes = [
        note._replace(document=asdict(note.document) if i in group.unread else {"id": note.document.id, "text": ""})
        for i, note in enumerate(group.notes)
    ]
    return json.dumps(group._replace(notes=notes))


def decode(text: str) -> Group:
    """The group that `encode` gave, to the last digit of its scores."""
    first, notes, unreadable, fault = json.loads(text)
    return Group(first, [Note(_document(document), *rest) for document, *rest in notes], unreadable, fault)


def _document(fields: Mapping) -> Document:
    entities = [Entity(**entity) for entity in fields.get("entities", ())]
    return Document(fields["id"], fields["text"], entities)
