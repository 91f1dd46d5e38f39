"""What a corpus holds: counts, what labels cannot represent, and what does not fit its task."""

from collections import Counter
from collections.abc import Iterable

from modeling_clinx.windows_clinx import sentence_starts

from .alignment import align
from .documents import Document, Problem, describe_mention
from .formats.conll import pieces_and_tags
from .tasks import Task


def corpus_stats(documents: Iterable[Document], tokenizer=None, unit: str = "subword") -> tuple[dict, list[Problem]]:
    """Counts of documents, and what could not be read exactly or what labels cannot represent: on subwords, or without
    a tokenizer on any pieces of the text. Documents are read one by one, and none is kept.

    Returns:
        `documents`, `characters`, `sentences`, `entities`, `labels` (mentions by label), `problems` (how many of each
        kind); with a tokenizer `subwords` (chain positions) and, if there are mentions, `ceiling`, the strict F1 (0 to
        1) that perfect labels would get. And the problems.
    """
    counts, labels, problems, on_subwords = Counter(), Counter(), [], Counter()
    for document in documents:
        is_blank = not document.text.strip()
        counts.update(documents=1, characters=len(document.text), entities=len(document.entities))
        counts.update(sentences=0 if is_blank else len(sentence_starts(document.text)))
        labels.update(entity.label for entity in document.entities)
        problems += document.problems
        if tokenizer is None:
            problems += pieces_and_tags(document).problems
        else:
            problems += _inexact_on_subwords(document, tokenizer, unit, on_subwords)
    stats = {name: counts[name] for name in ("documents", "characters", "sentences", "entities")}
    stats["labels"] = dict(labels.most_common())
    stats["problems"] = dict(Counter(problem.kind for problem in problems).most_common())
    if tokenizer is not None:
        stats["subwords"] = on_subwords["subwords"]
    if matches := 2 * on_subwords["tp"] + on_subwords["fp"] + on_subwords["fn"]:
        stats["ceiling"] = 2 * on_subwords["tp"] / matches
    return stats, problems


def _inexact_on_subwords(document: Document, tokenizer, unit: str, counts: Counter) -> list[Problem]:
    """What labels on subwords do not give back exactly; adds to the counts of subwords and of tp, fp and fn."""
    from .ceiling import ceiling_counts  # and with it torch

    entity_types = sorted({entity.label for entity in document.entities})
    (aligned,) = align([document], tokenizer, entity_types, unit)
    counts.update(ceiling_counts(aligned, entity_types), subwords=int(aligned.tokens.chain.sum()))
    return [_problem(document, *inexact) for inexact in aligned.inexact]


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
