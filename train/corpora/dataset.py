"""A `datasets` dataset, from the Hub or disk: our rows, `tokens` and `ner_tags`, or the BigBio `kb` schema."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, List, concatenate_datasets, load_dataset, load_from_disk
from datasets.table import InMemoryTable
from pyarrow import parquet

from train.corpora.conll import TAG, detokenized, spans_from_tags
from train.corpora.source import readable
from train.documents import Document, Reading, from_rows, in_order
from train.errors import InputError


def read_dataset(path: str, reading: Reading) -> Iterator[Document]:
    """The documents of a dataset, split after split; where there are several, ids begin with the split's name.

    Args:
        path: a folder as `save_to_disk` or `clinx corpus convert` writes it, maybe with a split's name after it
            (`folder/train`), or a name on the Hub, `org/name`, `org/name/split` or `org/name/configuration/split`,
            maybe with `@revision` after `org/name`.

    Rows have `text` and `entities` (a document each), `tokens` and `ner_tags` (a sentence each; those with the same
    `document_id` one after another are a document), or `passages` and `entities` as BigBio's `kb`.

    Raises InputError for a dataset that is not there, columns of another form, and tags without names.
    """
    parts = load_splits(path)
    for name, rows in parts.items():
        for document in read_rows(rows, reading, f"{path}, split {name}" if len(parts) > 1 else path):
            document.id = f"{name}/{document.id}" if len(parts) > 1 else document.id
            yield document


def load_splits(path: str) -> dict[str, Dataset]:
    """The dataset's splits, or the one that `path` names."""
    folder = Path(path)
    try:
        if folder.is_dir() or folder.parent.is_dir():
            if not folder.is_dir():  # a split's name
                return {folder.name: load_splits(str(folder.parent))[folder.name]}
            saved = any((folder / name).exists() for name in ("dataset_dict.json", "state.json"))
            found = load_from_disk(path) if saved else _parquet(folder)
        else:
            match = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?:/([\w.-]+))?(?:/([\w.-]+))?", path)
            if not match:
                raise InputError(f"{path}: found no such folder and no name of a dataset, expected one of them.")
            name, revision, first, second = match.groups()
            config, split = (first, second) if second else (None, first)
            found = load_dataset(name, config, revision=revision)
            found = {split: found[split]} if split else found
    except Exception as error:  # pyarrow and datasets raise anything on a damaged file
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: found no dataset or split that loads ({error}); check the name.") from None
    return {"all": found} if isinstance(found, Dataset) else dict(found)


def _parquet(folder: Path) -> dict[str, Dataset]:
    """Not by `load_dataset`: its cache knows a local file by its time alone."""
    parts: dict[str, list[Dataset]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        split = re.match(r"[^-._]*", file.name)[0]
        parts.setdefault(split, []).append(Dataset(InMemoryTable(parquet.read_table(file))))
    if not parts:
        raise InputError(f"{folder}: found no Parquet files and nothing that `save_to_disk` wrote.")
    return {name: concatenate_datasets(rows) for name, rows in parts.items()}


def read_rows(rows: Dataset, reading: Reading, where: str = "row") -> Iterator[Document]:
    """The documents in the rows of a dataset; raises InputError as `read_dataset` does."""
    with readable(where):
        yield from _read_rows(rows, reading, where)


def _read_rows(rows: Dataset, reading: Reading, where: str) -> Iterator[Document]:
    columns = set(rows.features)
    if {"tokens", "ner_tags"} <= columns or ("tokens" in columns and not reading.annotated):
        yield from _from_tokens(rows, reading, where)
    elif {"passages", "entities"} <= columns:
        seen = set()
        for number, row in enumerate(rows):
            document = _from_kb(row, reading, f"{where} {number}")
            if document.id in seen:
                raise InputError(f"{where} {number}: found the document_id {document.id!r} again.")
            seen.add(document.id)
            yield document
    elif "text" in columns:
        label = _label_names(rows.features)
        named = ({**row, "entities": _named(row.get("entities"), label)} for row in rows)
        yield from from_rows(((f"{where} {n}", f"row-{n}", row) for n, row in enumerate(named)), reading)
    else:
        raise InputError(
            f'{where}: found the columns {", ".join(sorted(columns))}, expected "text" and "entities", "tokens" and '
            '"ner_tags", or "passages" and "entities" (BigBio kb).'
        )


def _label_names(features: Features) -> Callable[[object], object]:
    entities = features.get("entities")
    label = entities.feature.get("label") if isinstance(entities, List) and isinstance(entities.feature, dict) else None
    return label.int2str if isinstance(label, ClassLabel) else lambda value: value


def _named(entities: object, name: Callable) -> object:
    if not isinstance(entities, list):
        return entities
    return [{**e, "label": name(e["label"])} if isinstance(e, Mapping) and "label" in e else e for e in entities]


def _from_tokens(rows: Dataset, reading: Reading, where: str) -> Iterator[Document]:
    name = lambda tag: tag  # noqa: E731
    if reading.annotated:
        tags = rows.features["ner_tags"]
        if isinstance(getattr(tags, "feature", None), ClassLabel):
            name = tags.feature.int2str
    group = next((column for column in ("document_id", "doc_id") if column in rows.features), None)
    document, seen = None, set()
    for number, row in enumerate(rows):
        place = f"{where} {number}"
        id = str(row[group]) if group else str(row["id"]) if row.get("id") is not None else f"row-{number}"
        if document is None or not group or id != document.id:
            if document:
                yield document
            if id in seen:
                raise InputError(f"{place}: found the id {id!r} again; give each document its own.")
            seen.add(id)
            document = Document(id, "")
        text, offsets = detokenized(row["tokens"])
        begin = len(document.text) + bool(document.text)
        document.text += "\n" * bool(document.text) + text
        if not reading.annotated:
            continue
        named = [name(tag) for tag in row["ner_tags"]]
        if len(named) != len(offsets) or not all(isinstance(tag, str) and TAG.fullmatch(tag) for tag in named):
            raise InputError(f"{place}: found {named[:5]!r} … as ner_tags, expected O, B-… or I-… of each token.")
        for first, last, label in spans_from_tags(named):
            reading.add(document, [(begin + offsets[first][0], begin + offsets[last][1])], label, place)
    if document:
        yield document


def _from_kb(row: Mapping, reading: Reading, where: str) -> Document:
    """Passages stand at their offsets, with spaces between them where there is a gap."""
    try:
        text = ""
        for passage in sorted(_structs(row["passages"]), key=lambda passage: passage["offsets"][0][0]):
            for piece, (start, _) in zip(passage["text"], passage["offsets"], strict=True):
                text += " " * min(start - len(text), 1_000_000) + piece
        document = Document(str(row.get("document_id") or row["id"]), text)
        for entity in _structs(row["entities"]) if reading.annotated else ():
            reading.add(document, [tuple(span) for span in entity["offsets"]], entity["type"], where)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: found no document of the BigBio kb schema ({error!r}).") from None
    document.entities = in_order(document.entities)
    return document


def _structs(rows: object) -> list[Mapping]:
    """A list of structs; an older `Sequence` gives a struct of lists."""
    if isinstance(rows, Mapping):
        return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    return list(rows)
