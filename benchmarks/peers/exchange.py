"""What a peer is given and what it gives back: notes with mentions, and the settings that all peers share."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


BATCH_SENTENCES = 16  # in an update
LEARNING_RATE = 3e-4  # of the encoder, where a library documents none for an encoder as small as this
HEAD_LEARNING_RATE = 3e-3  # of the layers on top of it, where a library lets them have their own


class Mention(NamedTuple):
    """`text[start:end]` (characters, half-open) is of type `label`."""

    start: int
    end: int
    label: str


class Note(NamedTuple):
    """A whole clinical note."""

    id: str
    text: str
    mentions: list[Mention]


class Settings(NamedTuple):
    """What every peer trains with."""

    encoder: str  # folder of the language model
    epochs: int
    seed: int


def read_notes(path: str | Path) -> list[Note]:
    """The notes of a JSON Lines file, `{"id", "text", "entities": [{"start", "end", "label"}]}` on each line."""
    notes = []
    for line in Path(path).read_text(encoding="utf-8").split("\n"):
        if line:
            row = json.loads(line)
            mentions = [Mention(entity["start"], entity["end"], entity["label"]) for entity in row["entities"]]
            notes.append(Note(row["id"], row["text"], mentions))
    return notes


def write_notes(notes: Iterable[Note], path: str | Path) -> None:
    """Writes notes as `read_notes` reads them; raises ValueError for a mention that is not inside of its text."""
    with open(path, "w", encoding="ascii") as file:
        for note in notes:
            for mention in note.mentions:
                if not 0 <= mention.start < mention.end <= len(note.text):
                    raise ValueError(f"{note.id}: found {mention}, expected a place in {len(note.text)} characters")
            entities = [mention._asdict() for mention in note.mentions]
            file.write(json.dumps({"id": note.id, "text": note.text, "entities": entities}) + "\n")


def labels_of(notes: Iterable[Note]) -> list[str]:
    """The entity types of the notes, in alphabetical order."""
    return sorted({mention.label for note in notes for mention in note.mentions})
