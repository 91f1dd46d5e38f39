"""A `datasets` dataset, from the Hub or disk: our rows, `tokens` and `ner_tags`, or the BigBio `kb` schema."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from datasets import ClassLabel, Dataset, Features, List, Value, concatenate_datasets, load_dataset, load_from_disk
from datasets.table import InMemoryTable
from pyarrow import parquet

from ...errors import InputError, brief
from ..documents import Document, DocumentBuilder, Reading, without_surrogates
from ..rows import Row, documents_from_rows
from ..source import local_path, looks_local, readable, split_names, split_of
from .conll import TAG, SentenceJoiner


LARGEST_GAP = 100_000  # characters between passages
FEATURES = Features(
    {
        "id": Value("string"),
        "text": Value("large_string"),  # 64-bit offsets: a corpus may hold more than 2 GiB of text
        "entities": List({"start": Value("int64"), "end": Value("int64"), "label": Value("string")}),
    }
)


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


class HubName(NamedTuple):
    """A dataset on the Hub, or a part of it."""

    repo: str
    revision: str | None
    config: str | None
    split: str | None


def hub_name(path: str) -> HubName | None:
    """What `org/name`, maybe with `@revision`, `/split` or `/configuration/split` after it, names; None for others."""
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?:/([\w.-]+))?(?:/([\w.-]+))?", path)
    if not match or looks_local(path):
        return None
    repo, revision, first, second = match.groups()
    return HubName(repo, revision, *((first, second) if second else (None, first)))


def load_splits(path: str) -> dict[str, Dataset]:
    """The dataset's splits, or the one that `path` names."""
    folder = local_path(path)
    try:
        if _is_saved(folder):
            loaded = load_from_disk(str(folder))
        elif folder.exists():
            loaded = _parquet(folder)
        elif _is_saved(folder.parent) or any(folder.parent.glob("data/*.parquet")):
            parts = load_splits(str(folder.parent))
            if folder.name not in parts:
                raise InputError(f"{path}: found no split {folder.name!r}, expected one of: {', '.join(parts)}.")
            return {folder.name: parts[folder.name]}
        else:
            name = hub_name(path)
            if name is None:
                raise InputError(f"{path}: found no such file or folder; check the path.")
            loaded, split = load_dataset(name.repo, name.config, revision=name.revision), name.split
            loaded = {split: loaded[split]} if split else loaded
    except Exception as error:  # pyarrow and datasets raise anything on a damaged file
        if isinstance(error, InputError):
            raise
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: found no such file or folder, and no dataset or split of this name can be loaded from the Hub "
            f"({reason}); check the name."
            if not folder.exists()
            else f"{path}: this dataset cannot be loaded ({reason}); check the files."
        ) from None
    return {"all": loaded} if isinstance(loaded, Dataset) else dict(loaded)


def _is_saved(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("dataset_dict.json", "state.json"))


def _parquet(path: Path) -> dict[str, Dataset]:
    """By the splits that folders or files are called after; `test` and `test_unseen` stay two. Not by `load_dataset`:
    its cache knows a local file by its time alone."""
    parts: dict[str, list[Dataset]] = {}
    for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
        name = file.relative_to(path).as_posix().removesuffix(".parquet") if path.is_dir() else file.stem
        split, part = split_of(name)
        name = "/".join(name.split("/")[: part + 1]) if split else name
        name = re.sub(r"-[0-9]+-of-[0-9]+$", "", name).removeprefix("data/")
        parts.setdefault(name, []).append(Dataset(InMemoryTable(parquet.read_table(file))))
    if not parts:
        raise InputError(f"{path}: found no Parquet files and nothing that `save_to_disk` wrote.")
    names = split_names(parts)
    return {names[name]: concatenate_datasets(rows) for name, rows in parts.items()}


def read_rows(rows: Dataset, reading: Reading, where: str = "dataset") -> Iterator[Document]:
    """The documents in the rows of a dataset; raises InputError as `read_dataset` does."""
    with readable(where):
        yield from _read_rows(rows, reading, where)


def _read_rows(rows: Dataset, reading: Reading, where: str) -> Iterator[Document]:
    columns = set(rows.features)
    placed = (Row(f"{where}, row {number}", f"row-{number}", row) for number, row in enumerate(rows))
    if {"tokens", "ner_tags"} <= columns or ("tokens" in columns and not reading.annotated):
        yield from _from_tokens(placed, _names(rows.features, "ner_tags"), reading)
    elif {"passages", "entities"} <= columns:
        for place, _, row in placed:
            yield _from_kb(row, reading, place)
    elif "text" in columns:
        name = _names(rows.features, "entities", "label")
        named = (Row(place, id, _named(row, name, place)) for place, id, row in placed)
        yield from documents_from_rows(named, reading)
    else:
        raise InputError(
            f'{where}: found the columns {", ".join(sorted(columns))}, expected "text" and "entities", "tokens" and '
            '"ner_tags", or "passages" and "entities" (BigBio kb).'
        )


def _names(features: Features, *path: str) -> Callable[[object], object]:
    """What gives numbers their names, where the items of a list are a `ClassLabel`."""
    feature = getattr(features.get(path[0]), "feature", None)
    feature = feature.get(path[1]) if path[1:] and isinstance(feature, dict) else feature
    return feature.int2str if isinstance(feature, ClassLabel) else lambda value: value


def _named(row: Mapping, name: Callable, where: str) -> Mapping:
    if not isinstance(entities := row.get("entities"), list):
        return row
    try:
        named = [{**e, "label": name(e["label"])} if isinstance(e, Mapping) and "label" in e else e for e in entities]
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: found a label without a name ({error}).") from None
    return {**row, "entities": named}


def _from_tokens(rows: Iterable[Row], name: Callable, reading: Reading) -> Iterator[Document]:
    joined = None
    for where, default_id, row in rows:
        group = next((row[column] for column in ("document_id", "doc_id") if row.get(column) is not None), None)
        id = str(group if group is not None else default_id if row.get("id") is None else row["id"])
        tokens, tags = row["tokens"], row["ner_tags"] if reading.annotated else None
        try:
            tags = [name(tag) for tag in tags] if reading.annotated else ["O"] * len(tokens)
        except (ValueError, TypeError):
            tags = tags or []
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise InputError(f"{where}: found the tokens {brief(tokens)}, expected a list of strings.")
        if len(tags) != len(tokens) or not all(isinstance(tag, str) and TAG.fullmatch(tag) for tag in tags):
            raise InputError(f"{where}: found the ner_tags {brief(tags)}, expected O, B-… or I-… of each token.")
        if joined and (group is None or id != joined.id):
            yield joined.document(reading)
            joined = None
        joined = joined or SentenceJoiner(id)
        joined.add([(0, token, tag) for token, tag in zip(tokens, tags, strict=True)], None, where, reading)
    if joined:
        yield joined.document(reading)


def _from_kb(row: Mapping, reading: Reading, where: str) -> Document:
    """Passages stand at their offsets, with spaces between them where there is a gap."""
    try:
        parts, length = [], 0
        for passage in sorted(_structs(row["passages"]), key=lambda passage: passage["offsets"][0][0]):
            for piece, (start, _) in zip(passage["text"], passage["offsets"], strict=True):
                if not 0 <= start - length <= LARGEST_GAP:
                    raise InputError(f"{where}: found a passage at {start}, expected one at or soon after {length}.")
                parts += [" " * (start - length), piece]
                length = start + len(piece)
        id = row["id"] if row.get("document_id") is None else row["document_id"]
        document = DocumentBuilder(str(id), "".join(parts), reading)
        for entity in _structs(row["entities"]) if reading.annotated else ():
            quoted = " ".join(entity["text"]) if entity.get("text") else None
            spans = [tuple(span) for span in entity["offsets"]]
            document.add(spans, entity["type"], where, quoted=quoted)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}: this row is not a document of the BigBio kb schema ({error!r}).") from None
    return document.build()


def to_dataset(documents: Iterable[Document], features: Features = FEATURES) -> Dataset:
    """One row a document, in memory; scores, agreement and problems stay behind.

    Arrow refuses lone surrogates: each becomes U+FFFD, one for one, so that offsets hold.
    """
    columns = {name: [] for name in FEATURES}
    for document in documents:
        columns["id"].append(without_surrogates(document.id))
        columns["text"].append(without_surrogates(document.text))
        columns["entities"].append(
            [{"start": e.start, "end": e.end, "label": without_surrogates(e.label)} for e in document.entities]
        )
    return Dataset.from_dict(columns, features=features)


def _structs(rows: object) -> list[Mapping]:
    """A list of structs; an older `Sequence` gives a struct of lists."""
    if isinstance(rows, Mapping):
        return [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    return list(rows)
