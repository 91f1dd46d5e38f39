"""Strict micro precision, recall and F1 of predicted documents against gold ones, overall and by label."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from ..corpora.documents import Document, without_surrogates
from ..errors import InputError
from ..strict_f1.matching import count_matches, summarize


def score(gold: Sequence[Document], pred: Sequence[Document]) -> dict:
    """Strict precision, recall and f1 (0 to 1), support, tp, fp, fn (mentions), and "per_label" with the same keys.

    Documents are matched by id. Raises InputError where one is missing, too many, doubled, or has another text; a
    prediction whose text is empty carries none and is not compared.
    """
    return summarize(document_counts(gold, pred))


def score_runs(gold: Sequence[Document], runs: Mapping[str, Sequence[Document]]) -> dict:
    """What `score` says of each run by its name ("runs"), and of two or more "mean" and "sd" of precision, recall and
    f1 over them (n - 1 in the denominator). InputError as of `score`, with the run's name before it."""
    scores = {}
    for name, pred in runs.items():
        try:
            scores[name] = score(gold, pred)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
    result: dict = {"runs": scores}
    if len(runs) > 1:
        columns = {key: [run[key] for run in scores.values()] for key in ("precision", "recall", "f1")}
        for key, statistic in (("mean", fmean), ("sd", stdev)):
            result[key] = {name: statistic(values) for name, values in columns.items()}
    return result


def document_counts(gold: Sequence[Document], pred: Sequence[Document]) -> list[dict[str, Counter]]:
    """For each gold document, for each label, how many mentions are "tp", "fp" and "fn"; raises as `score` does."""
    predicted = {document.id: document for document in pred}
    gold_ids = {document.id for document in gold}
    _refuse([d.id for d in gold if d.id not in predicted], "in the gold but not predicted")
    _refuse([d.id for d in pred if d.id not in gold_ids], "predicted but not in the gold")
    for side in (gold, pred):
        _refuse([id for id, times in Counter(d.id for d in side).items() if times > 1], "there more than once")
    pairs = [(document, predicted[document.id]) for document in gold]
    _refuse([g.id for g, p in pairs if p.text and not _same_text(g, p)], "predicted on another text than the gold's")
    return count_matches((_spans(g) for g, _ in pairs), (_spans(p) for _, p in pairs))


def median_member(scores: Sequence[float]) -> int:
    """Index of the median; of an even number the lower of the two middle ones, so that it is a member's."""
    return sorted(range(len(scores)), key=lambda member: scores[member])[(len(scores) - 1) // 2]


def _spans(document: Document) -> list[tuple[int, int, str]]:
    return [(entity.start, entity.end, entity.label) for entity in document.entities]


def _same_text(gold: Document, pred: Document) -> bool:
    return gold.text == pred.text or without_surrogates(gold.text) == without_surrogates(pred.text)


def _refuse(ids: list[str], fault: str) -> None:
    if ids:
        shown = ", ".join(map(repr, ids[:3])) + (", …" if len(ids) > 3 else "")
        raise InputError(
            f"found {len(ids)} document(s) {fault}: {shown}; expected the same documents, each once, on both sides."
        )
