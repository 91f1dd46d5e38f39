"""An annotated corpus in another form: a dataset as the Hub has it, JSON Lines, BRAT or columns."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import ClassLabel, Features, List, Value

from hub_cards.dataset_card import UNKNOWN, Provenance, save_dataset_card

from ..console import Progress
from ..errors import InputError
from ..writing import check_writable, refuse_overlap
from .documents import Document, Problem, describe_mention, telling_problems, without_surrogates
from .formats.brat import write_brat
from .formats.conll import write_conll
from .formats.dataset import FEATURES, to_dataset
from .formats.jsonl import write_jsonl
from .registry import read_splits
from .sentences import cut, sentence_boundaries
from .source import local_path
from .synthetic import synthetic_notes
from .tasks import Task


TARGETS = ("dataset", "jsonl", "brat", "conll")


def convert(
    path: str,
    out: str,
    to: str = "dataset",
    format: str | None = None,
    task: Task | None = None,
    repo_id: str | None = None,
    **options,
) -> tuple[dict[str, int], list[Problem], list[Problem]]:
    """Writes the corpus to the new folder `out`, whole or not at all.

    `dataset`: Parquet files and a card, which `load_dataset(out)` loads as a `DatasetDict` of `id`, `text` and
    `entities` with `start`, `end` and `label`, a `ClassLabel`. `jsonl` and `conll`: a file a split; `brat`: a folder a
    split.

    Args:
        repo_id: where the dataset is going to be pushed, for its card.
        options: how it is read, see `Reading`.

    Returns:
        Documents by split, what could not be read exactly, and what cannot be held in that form. The first is told on
        standard error too.

    Raises InputError as the readers do, and for a folder that is there already or overlaps with the corpus.
    """
    folder = local_path(out).absolute()
    refuse_overlap(local_path(path), folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: found it there already; choose another --out, or remove it.")
    check_writable(folder / to)
    splits = {
        name: list(telling_problems(f"{path}, split {name}", Progress(f"Reading {name}", "notes").through(part)))
        for name, part in read_splits(path, format, task, **options).items()
    }
    lost = [] if to in ("jsonl", "brat") else _scores(splits)
    problems = [problem for documents in splits.values() for document in documents for problem in document.problems]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{folder.name[:100]}.", dir=folder.parent) as partial:
            new = Path(partial, "new")
            new.mkdir()
            if to == "dataset":
                title = without_surrogates(repo_id or Path(path).name).rpartition("/")[2]
                _write_dataset(splits, new, title, task, repo_id, problems)
            for name, documents in splits.items():
                if to == "jsonl":
                    write_jsonl(documents, new / f"{name}.jsonl")
                elif to == "conll":
                    lost += write_conll(documents, new / f"{name}.conll")
                elif to == "brat":
                    for document in documents:
                        _refuse_same_name(new / name / f"{document.id}.txt", document)
                        write_brat(document, new / name)
            if folder.exists():
                folder.rmdir()
            new.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error}).") from None
    return {name: len(documents) for name, documents in splits.items()}, problems, lost


def _scores(splits: dict[str, list[Document]]) -> list[Problem]:
    """The scores of predicted mentions, which neither columns nor the dataset hold."""
    documents = (document for part in splits.values() for document in part)
    mentions = ((document, entity) for document in documents for entity in document.entities)
    return [Problem("score left out", describe_mention(*pair)) for pair in mentions if pair[1].score is not None]


def _refuse_same_name(path: Path, document: Document) -> None:
    """Raises InputError for an id that is another one's where the disk does not tell case or normal forms apart."""
    if path.exists():
        raise InputError(
            f"document {document.id!r}: found another id that is the same file name on this disk, as A and a may be; "
            "rename one of them, or write JSON Lines."
        )


def _write_dataset(
    splits: dict[str, list[Document]],
    folder: Path,
    name: str,
    task: Task | None,
    repo_id: str | None,
    problems: list[Problem],
) -> None:
    documents = [document for part in splits.values() for document in part]
    labels = Counter(without_surrogates(entity.label) for document in documents for entity in document.entities)
    entity = {"start": Value("int64"), "end": Value("int64"), "label": ClassLabel(names=sorted(labels))}
    features = Features({**FEATURES, "entities": List(entity)}) if labels else FEATURES
    (folder / "data").mkdir()
    for split, part in splits.items():
        to_dataset(part, features).to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    (note,) = synthetic_notes(1)
    provenance = Provenance(task.language, task.license, task.homepage, task.citation) if task else UNKNOWN
    save_dataset_card(
        folder,
        name=task.title if task else name,
        labels=dict(labels.most_common()),
        splits={
            split: {
                "documents": len(part),
                "characters": sum(len(document.text) for document in part),
                "entities": sum(len(document.entities) for document in part),
            }
            for split, part in splits.items()
        },
        problems=dict(Counter(problem.kind for problem in problems)),
        example=to_dataset([cut(note, 0, sentence_boundaries(note)[4])])[0],
        provenance=provenance,
        repo_id=repo_id,
    )
