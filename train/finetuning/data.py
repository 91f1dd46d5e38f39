"""The documents of a run: read, limited and divided as its recipe says."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from ..checks import check_entity_types
from ..corpora import read_corpus
from ..corpora.documents import Document, digest, same_note, telling_problems
from ..corpora.sentences import BLOCK_SENTENCES, first_sentences, sentence_blocks
from ..corpora.shared_text import ExcludedNotes
from ..errors import InputError
from ..fingerprint import model_commit
from ..recipe import Recipe
from ..run_folder import Inputs
from .sources import find_sources
from .splits import Splits, hold_out, make_splits, pick


FEWEST_DOCUMENTS = 5  # with fewer there is nothing to divide: blocks of sentences stand for them
SHORTEST_JUDGED = 40  # characters: a shorter note may be part of another one by chance


class AnnotatedData(NamedTuple):
    """The annotated documents of a recipe."""

    splits: Splits
    documents: list[Document]  # which the splits divide
    test: list[Document]  # on which models are judged, and which are used for nothing else


class MemberData(NamedTuple):
    """The documents of one model."""

    train: list[Document]
    validation: list[Document]  # on which it is selected
    test: list[Document]
    entity_types: list[str]
    seed_offset: int  # to be added to the recipe's seed
    unlabelled: list[Document] = []  # that a student learns from too

    def documents(self) -> dict[str, list[Document]]:
        """All documents, by what they are for."""
        uses = {"training": self.train, "validation": self.validation, "test": self.test, "unlabelled": self.unlabelled}
        return {use: documents for use, documents in uses.items() if documents}


def read_annotated(recipe: Recipe) -> AnnotatedData:
    """Reads and divides the recipe's documents.

    Without `split_kind` and `splits` there is one member, with the given train and validation documents.

    Raises InputError for documents that cannot be read or divided, or that both judge and are learned from.
    """
    train, validation, test = (
        _read(path, recipe) if path else [] for path in (recipe.train, recipe.validation, recipe.test)
    )
    while {document.id for document in train} & {document.id for document in validation}:
        validation = [replace(document, id=f"validation/{document.id}") for document in validation]
    if recipe.held_out:
        train, validation = _without_shared_text(train, validation, recipe)
    kind = recipe.split_kind or ("random" if recipe.splits is not None else "standard")
    _refuse_shared_notes(train, validation, test, recipe, kind)  # before any of them is cut
    if recipe.test_fraction:
        train, validation = _dividable(train, validation, FEWEST_DOCUMENTS)
        rest, test = hold_out([*train, *validation], recipe.test_fraction, recipe.split_seed)
        kept = {document.id for document in rest}
        train, validation = ([d for d in documents if d.id in kept] for documents in (train, validation))
    train, validation = _limited(train, validation, recipe, kind)
    if recipe.max_test_documents:
        test = _dividable(test, [], FEWEST_DOCUMENTS)[0][: recipe.max_test_documents]
    n_members = 1 if kind == "all" or recipe.splits is None else recipe.splits
    if kind == "random" and not recipe.split_file:
        train, validation = _dividable(train, validation, max(FEWEST_DOCUMENTS, n_members))
    pool = [*train, *validation]
    if recipe.split_file:
        splits = Splits.read(recipe.split_file)
        if recipe.split_kind not in (None, splits.kind):
            raise InputError(f"{recipe.split_file} holds {splits.kind} splits, but split_kind is {kind}: leave one out")
        if recipe.splits not in (None, n := len(splits.members)):
            raise InputError(f"{recipe.split_file} holds {n} members, but splits is {recipe.splits}: leave one out")
        return AnnotatedData(splits, pool, test)
    if kind == "standard" and not validation:
        raise InputError(f"no validation documents: name them, or leave some of {recipe.train} to max_train_documents")
    return AnnotatedData(make_splits(kind, train, validation, n_members, recipe.split_seed), pool, test)


def _read(path: str, recipe: Recipe) -> list[Document]:
    """The documents at `path`; says how many mentions could not be read exactly, and refuses it if they are many."""
    documents = list(telling_problems(path, read_corpus(path, recipe.format, exclude=recipe.exclude or ())))
    misread = [problem.detail for d in documents for problem in d.problems if problem.kind == "text differs"]
    if len(misread) > recipe.max_misaligned * sum(len(document.entities) for document in documents):
        raise InputError(
            f"{path}: {len(misread)} annotations say that their mention reads differently from the text at their "
            f"offsets, as {misread[0]}; look at the line ends (a conversion of CRLF moves offsets) and the encoding of "
            f"the texts. To train all the same, allow a larger share than {recipe.max_misaligned} by max_misaligned"
        )
    return documents


def _without_shared_text(train: list[Document], validation: list[Document], recipe: Recipe):
    """The documents that share no text with those held out; of a corpus without documents, blocks of sentences."""
    notes = [document for path in recipe.held_out for document in read_corpus(path, annotated=False)]
    held_out = ExcludedNotes(note.text for note in notes)
    train, validation = _dividable(train, validation, FEWEST_DOCUMENTS)
    kept = [[document for document in part if not held_out.shares_text(document.text)] for part in (train, validation)]
    n_left_out = len(train) + len(validation) - sum(map(len, kept))
    print(f"note: {n_left_out} documents share text with {len(notes)} held-out ones and are left out", file=sys.stderr)
    return kept


def _dividable(train: list[Document], validation: list[Document], fewest: int) -> tuple[list[Document], list[Document]]:
    """The documents, or blocks of their sentences where they are fewer than can be divided."""
    if len(train) + len(validation) >= fewest:
        return train, validation
    train, validation = sentence_blocks(train), sentence_blocks(validation)
    blocks = f"{len(train) + len(validation)} blocks of {BLOCK_SENTENCES} sentences"
    print(f"note: there are too few documents to divide: {blocks} stand for them", file=sys.stderr)
    return train, validation


def _limited(train, validation, recipe: Recipe, kind: str) -> tuple[list[Document], list[Document]]:
    """No more documents and sentences than the recipe says."""
    if not recipe.validation and recipe.max_train_documents and kind == "standard":
        validation = train[recipe.max_train_documents :]
    train, validation = train[: recipe.max_train_documents], validation[: recipe.max_validation_documents]
    if recipe.max_train_sentences is None:
        return train, validation
    if kind == "standard":
        return first_sentences(train, recipe.max_train_sentences), validation
    return first_sentences([*train, *validation], recipe.max_train_sentences), []  # what is pooled, is few as a whole


def _refuse_shared_notes(
    train: list[Document], validation: list[Document], test: list[Document], recipe: Recipe, kind: str
) -> None:
    """Raises InputError where a note that judges is learned from or selected on too; says how many are both of these.

    Notes are the same that differ in white space only; an empty one teaches and judges nothing.
    """
    if recipe.validation or kind != "standard":  # else those after the first of them select
        train = train[: recipe.max_train_documents]
    validation = validation[: recipe.max_validation_documents]
    judged, learned = ({same_note(document.text) for document in part} - {""} for part in (test, train))
    if shared := [document.id for document in [*train, *validation] if same_note(document.text) in judged]:
        raise InputError(f"{len(shared)} notes both judge and are learned from or selected on, as {shared[0]}")
    if kind == "standard" and (shared := [d.id for d in validation if same_note(d.text) in learned]):
        print(f"note: {len(shared)} validation notes are training notes too, as {shared[0]}", file=sys.stderr)


def member_data(recipe: Recipe, annotated: AnnotatedData) -> MemberData:
    """The documents of the recipe's member, or of its only model.

    Raises InputError for a member that is not there, and documents without mentions.
    """
    splits, documents, test = annotated
    number = recipe.member or 1
    if not 1 <= number <= len(splits.members):
        raise InputError(f"member is {number}, expected 1 to {len(splits.members)}")
    member = splits.members[number - 1]
    train, validation = pick(documents, member.train), pick(documents, member.validation)
    pool = documents if len(splits.members) > 1 else train
    entity_types = recipe.entity_types or entity_types_of(pool, recipe.train)
    return MemberData(train, validation, test, entity_types, member.seed_offset)


def entity_types_of(documents: Sequence[Document], path: str) -> list[str]:
    """The labels that occur, sorted; InputError when there are none, or for one that no entity type can have."""
    if types := sorted({entity.label for document in documents for entity in document.entities}):
        check_entity_types(types, path)
        return types
    raise InputError(f"{path}: found no entities in {len(documents)} documents, so there is nothing to learn")


def unlabelled_notes(recipe: Recipe, data: MemberData) -> list[Document]:
    """The recipe's notes without annotations, but those that are known, or that share text with one that judges.

    A note shares text with another if one of them is a part of the other, but for white space.
    """
    known = {same_note(document.text) for document in [*data.train, *data.validation, *data.test]}
    judged = {same_note(document.text) for document in [*data.validation, *data.test]}
    judged = {text for text in judged if len(text) > SHORTEST_JUDGED}
    all_judged = "\n".join(judged)  # no note has a line end

    def is_new(text: str) -> bool:
        is_part = len(text) > SHORTEST_JUDGED and text in all_judged
        if text in known or is_part or any(whole in text for whole in judged):
            return False
        known.add(text)  # a copy is not read twice
        return True

    others = (
        note
        for note in read_corpus(recipe.unlabelled, annotated=False, exclude=recipe.exclude or ())
        if is_new(same_note(note.text))
    )
    new = list(islice(others, recipe.max_unlabelled_documents))
    if not new:
        print(f"note: {recipe.unlabelled} holds no note that is not known already", file=sys.stderr)
    return new


def inputs_of(recipe: Recipe, documents: Mapping[str, Sequence[Document]]) -> Inputs:
    """What a run depends on besides its settings: its documents, by what they are for, and the models it starts from.

    Raises InputError for a model that is not there.
    """
    inputs: Inputs = {use: {document.id: digest(document) for document in ones} for use, ones in documents.items()}
    for use, name, revision in (("encoder", recipe.encoder, recipe.revision), ("teacher", recipe.distill, None)):
        if name:
            try:
                inputs[use] = model_commit(name, revision)
            except OSError as error:
                fault = str(error).strip().splitlines()[0]
                raise InputError(f"cannot start from the {use} {name}: {fault}") from error
    return inputs | {f"source {source.given}": source.identity for source in find_sources(recipe)}
