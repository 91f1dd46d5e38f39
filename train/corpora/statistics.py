"""What a corpus holds: counts, what labels cannot represent, and what does not fit its task."""

from collections import Counter
from collections.abc import Sequence

from modeling_clinx.windows_clinx import sentence_starts

from .alignment import align
from .documents import Document, Problem, describe_mention
from .formats.conll import pieces_and_tags
from .tasks import Task


def corpus_stats(documents: Sequence[Document], tokenizer=None, unit: str = "subword") -> tuple[dict, list[Problem]]:
    """Counts of documents, and what could not be read exactly or what labels cannot represent: on subwords, or without
    a tokenizer on any pieces of the text.

    Returns:
        `documents`, `characters`, `sentences`, `entities`, `labels` (mentions by label), `problems` (how many of each
        kind); with a tokenizer `subwords` (chain positions) and `ceiling`, the strict F1 (0 to 1) that perfect labels
        would get. And the problems.
    """
    labels = Counter(entity.label for document in documents for entity in document.entities)
    problems, on_subwords = [], {}
    if tokenizer is not None and labels:
        on_subwords, problems = _on_subwords(documents, tokenizer, sorted(labels), unit)
    else:
        for document in documents:
            problems += document.problems
            problems += pieces_and_tags(document).problems if tokenizer is None else ()
    stats = {
        "documents": len(documents),
        "characters": sum(len(document.text) for document in documents),
        "sentences": sum(len(sentence_starts(document.text)) for document in documents if document.text.strip()),
        "entities": labels.total(),
        "labels": dict(labels.most_common()),
        "problems": dict(Counter(problem.kind for problem in problems).most_common()),
    }
    return stats | on_subwords, problems


def _on_subwords(documents, tokenizer, entity_types, unit) -> tuple[dict, list[Problem]]:
    """How many subwords and the ceiling; the documents' problems, and those of labels on subwords."""
    from .ceiling import ceiling_counts  # and with it torch

    subwords, counts, problems = 0, Counter(), []
    for aligned in align(documents, tokenizer, entity_types, unit):
        problems += aligned.document.problems
        problems += [_problem(aligned.document, *inexact) for inexact in aligned.inexact]
        subwords += int(aligned.tokens.chain.sum())
        counts.update(ceiling_counts(aligned, entity_types))
    f1 = 2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"])
    return {"subwords": subwords, "ceiling": f1}, problems


def _problem(document: Document, index: int, reason: str) -> Problem:
    entity = document.entities[index]
    is_blank = not document.text[entity.start : entity.end].strip()
    return Problem("white space only" if is_blank else reason, describe_mention(document, entity))


def differences_from_task(task: Task, splits: dict[str, dict]) -> list[str]:
    """What does not fit the task: splits that are missing, labels that it does not know or that do not occur.

    Args:
        splits: `corpus_stats` of each split.
    """
    differences = [f"the {name} split is missing" for name in task.sentences if name not in splits]
    labels = {label for stats in splits.values() for label in stats["labels"]}
    differences += [f"the label {label} is none of the task's" for label in sorted(labels - set(task.labels))]
    return differences + [f"the label {label} does not occur" for label in task.labels if label not in labels]
