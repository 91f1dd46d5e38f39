"""What reads the notes: this process; others are in files of their own."""

import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from ..corpora import read_corpus
from ..corpora.documents import Document
from .groups import Group, groups, read_group
from .loading import Computing, load_predictor
from .writers import Writer


BATCHES_OF_A_GROUP = 2  # few, so that workers end at about the same time and a kill loses little


class Input(NamedTuple):
    """The notes, where and how they are read."""

    source: str
    format: str | None = None  # None: guessed
    exclude: tuple[str, ...] = ()  # see `Reading`
    keep_going: bool = False  # notes that cannot be read are passed over

    def documents(self, passed_over: list[str]) -> Iterator[Document]:
        """The notes without their annotations; why one is passed over is added to the list."""
        passed_over = passed_over if self.keep_going else None
        return read_corpus(self.source, self.format, annotated=False, exclude=self.exclude, passed_over=passed_over)


class Engine(Protocol):
    """What reads the notes of an input with a model."""

    def start(self, model: str):
        """Makes ready to read with a model, and returns its configuration; raises InputError as `load_predictor`."""

    def read(self, notes: Input, writer: Writer) -> Iterator[Group]:
        """All notes, in the order of the input, with what was found in those that the writer does not have."""


class LocalEngine:
    """Reads in this process."""

    def __init__(self, computing: Computing | None = None):
        self.computing = computing or Computing()

    def start(self, model: str):
        self.predictor = load_predictor(model, self.computing)
        return self.predictor.model.config

    def read(self, notes: Input, writer: Writer) -> Iterator[Group]:
        passed_over: list[str] = []
        n_subwords = group_size(self.computing, self.predictor.model.config)
        for group in groups(notes.documents(passed_over), n_subwords, writer.state_of, passed_over):
            yield read_group(group, self.predictor)


def group_size(computing: Computing, config) -> int:
    """How many subwords are read at one time."""
    return BATCHES_OF_A_GROUP * computing.batch_size * config.window_length


def from_root(name: str) -> str:
    """A path that means the same in every folder; a name on the Hub stays."""
    return os.path.abspath(name) if os.path.exists(name) else str(name)
