"""The ceiling: the strict F1 of a model that predicts the labels of all subwords perfectly."""

from collections import Counter
from collections.abc import Sequence

from modeling_clinx.labels_clinx import spans_from_bio

from .alignment import Aligned


def ceiling_counts(aligned: Aligned, entity_types: Sequence[str]) -> Counter:
    """tp, fp and fn of a document's perfect labels: what bounds the strict F1 of any model."""
    document, tokens, labels, _ = aligned
    starts, ends = tokens.starts[tokens.chain], tokens.ends[tokens.chain]
    first, stop, kinds = spans_from_bio(labels)
    predicted = {
        (int(starts[a]), int(ends[b - 1]), entity_types[k]) for a, b, k in zip(first, stop, kinds, strict=True)
    }
    gold = {(entity.start, entity.end, entity.label) for entity in document.entities}
    return Counter(tp=len(gold & predicted), fp=len(predicted - gold), fn=len(gold - predicted))
