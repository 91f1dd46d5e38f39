"""A predictor on annotated documents: what it finds in them, and how good that is."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..console import Progress
from ..corpora.documents import Document, Entity
from ..corpora.formats.jsonl import write_jsonl
from .scores import score


class Evaluation(NamedTuple):
    """What a predictor finds in annotated documents."""

    documents: list[Document]  # with the predicted mentions in place of the gold ones
    scores: dict  # strict scores, as `score` returns them


def predict_documents(documents: Iterable[Document], predictor, quiet: bool = False) -> Iterator:
    """Yields pairs of a document, with the predicted mentions in place of its own, and its prediction.

    Documents are read ahead by a bounded number of subwords, so that memory stays flat.

    Args:
        predictor: a `DocumentPredictor`.
        quiet: do not show how far it is.
    """
    ahead: deque[Document] = deque()  # read by the predictor, not yet yielded

    def texts():
        for document in documents:
            ahead.append(document)
            yield document.text

    total = len(documents) if isinstance(documents, Sequence) else None
    for prediction in Progress("Reading", "notes", total, quiet).through(predictor(texts())):
        document = ahead.popleft()
        yield Document(document.id, document.text, entities_of(prediction)), prediction


def evaluate_documents(documents: Sequence[Document], predictor, keep: Path | None = None) -> Evaluation:
    """What a predictor finds in annotated documents.

    Args:
        keep: JSON Lines file for the predicted documents, beside `gold.jsonl`, so that `clinx score` can compare runs.
    """
    predicted = [document for document, _ in predict_documents(documents, predictor)]
    if keep:
        write_jsonl(predicted, keep)
        write_jsonl(documents, keep.with_name("gold.jsonl"))
    return Evaluation(predicted, score(documents, predicted))


def entities_of(prediction) -> list[Entity]:
    """The mentions of a `Prediction`."""
    return [Entity(span.start, span.end, span.label, span.score, span.agreement) for span in prediction.rows()]
