"""An annotated corpus in another form: a dataset as the Hub has it, JSON Lines, BRAT or columns."""

import shutil
from pathlib import Path

from datasets import ClassLabel, Features, List, Value
from tqdm import tqdm

from hub_cards.dataset import save_dataset_card
from hub_cards.push import push_folder

from .corpora import read_splits
from .corpora.brat import write_brat
from .corpora.conll import write_conll
from .corpora.jsonl import write_jsonl
from .corpora.tasks import Task
from .documents import FEATURES, Document, Problem, problem_counts, to_dataset
from .errors import InputError
from .splits import cut, sentence_boundaries
from .synthetic import synthetic_notes


TARGETS = ("dataset", "jsonl", "brat", "conll")


def convert(
    path: str,
    out: str,
    to: str = "dataset",
    format: str | None = None,
    task: Task | None = None,
    push: str | None = None,
    public: bool = False,
    **options,
) -> tuple[dict[str, int], list[Problem]]:
    """Writes the corpus to the new folder `out`, whole or not at all.

    `dataset`: Parquet files and a card, which `load_dataset(out)` loads as a `DatasetDict` of `id`, `text` and
    `entities` with `start`, `end` and `label`, a `ClassLabel`. `jsonl` and `conll`: a file a split; `brat`: a folder a
    split.

    Args:
        push: also push it to this repo of datasets, in one commit; private unless `public`.
        options: how it is read, see `Reading`.

    Returns:
        Documents by split, and what could not be read exactly or cannot be held in that form.

    Raises InputError as the readers do, and for a folder that is there already.
    """
    if push and to != "dataset":
        raise InputError(f"found --push with --to {to}, expected --to dataset, the form that the Hub reads.")
    folder = Path(out)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: found it there already; choose another --out, or remove it.")
    splits = {
        name: list(tqdm(part, f"Reading {name}", unit=" notes", leave=False, disable=None))
        for name, part in read_splits(path, format, task, **options).items()
    }
    problems = [problem for documents in splits.values() for document in documents for problem in document.problems]
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if to == "dataset":
            _write_dataset(splits, partial, push.rpartition("/")[2] if push else Path(path).name, task, push)
        for name, documents in splits.items():
            if to == "jsonl":
                write_jsonl(documents, partial / f"{name}.jsonl")
            elif to == "conll":
                problems += write_conll(documents, partial / f"{name}.conll")
            elif to == "brat":
                for document in documents:
                    write_brat(document, partial / name)
        if push:
            _push(partial, push, public)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {name: len(documents) for name, documents in splits.items()}, problems


def _push(folder: Path, repo_id: str, public: bool) -> None:
    try:
        push_folder(folder, repo_id, "dataset", private=not public, message="Corpus converted by clinx")
    except (OSError, ValueError) as error:  # also those of huggingface_hub: no login, no rights, a wrong name
        reason = " ".join(str(error).split())
        raise InputError(
            f"{repo_id}: cannot push there ({reason}); see `hf auth login`. Nothing was written, neither there nor here."
        ) from None


def _write_dataset(
    splits: dict[str, list[Document]], folder: Path, name: str, task: Task | None, repo_id: str | None
) -> None:
    labels = sorted({e.label for documents in splits.values() for document in documents for e in document.entities})
    counts = {}
    for split, documents in splits.items():
        entity = {"start": Value("int64"), "end": Value("int64"), "label": ClassLabel(names=labels)}
        rows = to_dataset(documents, Features({**FEATURES, "entities": List(entity)}) if labels else FEATURES)
        (folder / "data").mkdir(exist_ok=True)
        rows.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
        counts[split] = {
            "documents": len(documents),
            "characters": sum(len(document.text) for document in documents),
            "entities": sum(len(document.entities) for document in documents),
        }
    (note,) = synthetic_notes(1)
    example = cut(note, 0, sentence_boundaries(note)[4])
    save_dataset_card(
        folder,
        name=task.title if task else name,
        language=task.language if task else None,
        licence=task.licence if task else None,
        homepage=task.homepage if task else None,
        citation=task.citation if task else None,
        labels={
            label: sum(e.label == label for documents in splits.values() for d in documents for e in d.entities)
            for label in labels
        },
        splits=counts,
        problems=dict(problem_counts(document for documents in splits.values() for document in documents)),
        example=to_dataset([example])[0],
        repo_id=repo_id,
    )
