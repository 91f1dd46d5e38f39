"""Strict micro F1 over character spans, as an `evaluate` module that needs nothing else of this project."""

from collections import Counter
from collections.abc import Iterable

import datasets
import evaluate


_DESCRIPTION = """\
Strict precision, recall and F1 of extracted concepts: a predicted mention counts when its start, its end and its label
all match a gold mention of the same document. Mentions are summed over all documents before the scores are formed
(micro average). A mention given twice in a document counts once; a score whose denominator is 0 is 0.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: one list a document of {"start", "end", "label"}; start and end in characters, half-open; no
        other keys.
    references: the gold mentions, in the same form and order.
Returns:
    precision, recall and f1 (from 0 to 1), support (gold mentions), tp, fp and fn (mentions), and
    per_label: {label: {the same seven}}.
Examples:
    >>> strict_f1 = evaluate.load("train/strict_f1")
    >>> gold = [[{"start": 0, "end": 3, "label": "problem"}, {"start": 9, "end": 12, "label": "test"}]]
    >>> pred = [[{"start": 0, "end": 3, "label": "problem"}]]
    >>> strict_f1.compute(predictions=pred, references=gold)["recall"]
    0.5
"""

_CITATION = """\
@article{lange-etal-2022-clin-x,
    author = {Lange, Lukas and Adel, Heike and Str{\\"o}tgen, Jannik and Klakow, Dietrich},
    title = {{CLIN-X}: pre-trained language models and a study on cross-task transfer for concept extraction in the
        clinical domain},
    journal = {Bioinformatics},
    year = {2022},
    doi = {10.1093/bioinformatics/btac297},
    eprint = {2112.08754},
    archivePrefix = {arXiv}
}
"""

Span = tuple[int, int, str]  # start, end, label


def count_matches(gold: Iterable[Iterable[Span]], pred: Iterable[Iterable[Span]]) -> list[dict[str, Counter]]:
    """For each document, for each label in it, how many mentions are "tp", "fp" and "fn".

    `gold` and `pred` hold the spans of the same documents in the same order; ValueError if one is longer.
    """
    documents = []
    for gold_spans, pred_spans in zip(gold, pred, strict=True):
        gold_spans, pred_spans = set(gold_spans), set(pred_spans)
        counts: dict[str, Counter] = {}
        outcomes = {"tp": gold_spans & pred_spans, "fp": pred_spans - gold_spans, "fn": gold_spans - pred_spans}
        for outcome, spans in outcomes.items():
            for _, _, label in spans:
                counts.setdefault(label, Counter())[outcome] += 1
        documents.append(counts)
    return documents


def summarize(documents: Iterable[dict[str, Counter]]) -> dict:
    """The scores over all documents, micro and "per_label" (sorted by name), from what `count_matches` returns."""
    per_label: dict[str, Counter] = {}
    for counts in documents:
        for label, outcomes in counts.items():
            per_label.setdefault(label, Counter()).update(outcomes)
    total = sum(per_label.values(), Counter())
    return _scores(total) | {"per_label": {label: _scores(per_label[label]) for label in sorted(per_label)}}


def _scores(outcomes: Counter) -> dict:
    tp, fp, fn = outcomes["tp"], outcomes["fp"], outcomes["fn"]
    return {
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "support": tp + fn,
        "tp": tp,
        "fp": fp,
        "fn": fn,
    }


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class StrictF1(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        mentions = datasets.List(
            {"start": datasets.Value("int64"), "end": datasets.Value("int64"), "label": datasets.Value("string")}
        )
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": mentions, "references": mentions}),
            reference_urls=["https://doi.org/10.1093/bioinformatics/btac297"],
        )

    def _compute(self, predictions: list[list[dict]], references: list[list[dict]]) -> dict:
        gold, pred = (
            [[(mention["start"], mention["end"], mention["label"]) for mention in document] for document in side]
            for side in (references, predictions)
        )
        return summarize(count_matches(gold, pred))
