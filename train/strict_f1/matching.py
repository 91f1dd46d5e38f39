"""Where predicted mentions are matched with gold ones and counted: the only place, which needs nothing but Python."""

from collections import Counter
from collections.abc import Iterable


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
