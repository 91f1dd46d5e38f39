"""What a cascade could gain: a first member reads all, and the others only sentences of which it is not sure.

Every member reads every note whole here, so that the others read the chosen sentences as well as they ever could; what
a cascade would cost is counted in subwords. A sentence's confidence is the lowest marginal of the first member's labels
in it; those of the lowest confidence get what the ensemble finds in them. Each member is the first one once.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from report import finish

from clinx.corpora import read_corpus
from clinx.corpora.documents import Document
from clinx.corpora.sentences import sentence_boundaries
from clinx.prediction.loading import Computing, load_predictor
from clinx.scoring.evaluation import entities_of
from clinx.scoring.scores import score
from modeling_clinx.windows_clinx import tokenize


SHARES = (0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1)
CONTEXTS = (0, 25, 100)  # subwords that are read on each side of a chosen sentence


class Sentence(NamedTuple):
    """A sentence of a note as the first member reads it."""

    document: int
    start: int  # in chain positions
    stop: int
    confidence: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="DIR", help="an ensemble")
    parser.add_argument("--members", required=True, nargs="+", metavar="DIR", help="its members as single models")
    parser.add_argument("--gold", required=True, metavar="PATH", help="annotated notes that no member has seen")
    parser.add_argument("--notes", type=int, default=150, help="the first N of them")
    parser.add_argument("--out", metavar="FILE", help="keep the JSON there")
    args = parser.parse_args()

    gold = list(islice(read_corpus(args.gold), args.notes))
    texts = [document.text for document in gold]
    whole = [entities_of(prediction) for prediction in load_predictor(args.model, Computing())(texts)]
    f1 = {"ensemble": score(gold, with_entities(gold, whole))["f1"]}
    curves = [curve(gold, whole, member, len(args.members)) for member in args.members]
    f1["member"] = [rows[0]["f1"] for rows in curves]
    rows = [("strict F1 of the ensemble", f"{100 * f1['ensemble']:.2f}")]
    for i, share in enumerate(SHARES):
        of_share = [points[i] for points in curves]
        cost = ", ".join(f"{np.mean([point['cost'][str(c)] for point in of_share]):.2f}" for c in CONTEXTS)
        points = 100 * (np.mean([point["f1"] for point in of_share]) - f1["ensemble"])
        rows.append((f"{100 * share:g} % read by all", f"{points:+.2f} F1; {cost} times one member's subwords"))
    rows.append(("costs", f"with {', '.join(map(str, CONTEXTS))} subwords of context"))
    finish(
        "cascade",
        {"notes": len(gold), "f1": f1, "curves": dict(zip(args.members, curves, strict=True))},
        rows,
        args.out,
    )


def curve(gold: list[Document], whole: list, member: str, n_members: int) -> list[dict]:
    """F1 and costs, in subwords that one member reads, by the share of labelled subwords that all members read."""
    predictor = load_predictor(member, Computing())
    texts = [document.text for document in gold]
    alone = [entities_of(prediction) for prediction in predictor(texts)]
    labels = list(predictor(texts, subwords=True))
    tokens = tokenize(predictor.tokenizer, texts, predictor.model.config.unit)
    read = sum(int(batch.attention_mask.sum()) for batch in predictor.window_batches(texts, tokens))
    sentences = sorted(
        (one for i, of in enumerate(labels) for one in sentences_of(i, gold[i], of)), key=lambda one: one.confidence
    )
    sizes = np.cumsum([0, *(one.stop - one.start for one in sentences)])
    points = []
    for share in SHARES:
        chosen = sentences[: int(np.searchsorted(sizes, share * sizes[-1], side="right")) - 1]
        inside = [np.zeros(len(of.starts), bool) for of in labels]
        for one in chosen:
            inside[one.document][one.start : one.stop] = True
        mixed = [mix(*of) for of in zip(alone, whole, labels, inside, strict=True)]
        again = {str(context): sum(map(lambda mask: widened(mask, context), inside)) for context in CONTEXTS}
        points.append(
            {
                "share": share,
                "confidence": chosen[-1].confidence if chosen else 0.0,
                "f1": score(gold, with_entities(gold, mixed))["f1"],
                "cost": {context: 1 + (n_members - 1) * size / read for context, size in again.items()},
            }
        )
    return points


def sentences_of(number: int, document: Document, labels) -> Iterator[Sentence]:
    """The sentences of a note that hold a labelled subword."""
    starts = sentence_boundaries(Document(document.id, document.text, []))
    borders = [*np.searchsorted(labels.starts, starts).tolist(), len(labels.starts)]
    for start, stop in zip(borders[:-1], borders[1:], strict=True):
        if start < stop:
            yield Sentence(number, start, stop, float(labels.scores[start:stop].min()))


def mix(alone: list, whole: list, labels, inside: np.ndarray) -> list:
    """The ensemble's mentions that begin inside, and the first member's others; without overlaps."""

    def is_inside(entity) -> bool:
        return bool(inside[np.searchsorted(labels.starts, entity.start, side="right") - 1])

    taken = [entity for entity in whole if is_inside(entity)]
    others = [entity for entity in alone if not is_inside(entity)]
    free = [one for one in others if all(one.end <= entity.start or entity.end <= one.start for entity in taken)]
    return sorted([*taken, *free], key=lambda entity: entity.start)


def widened(inside: np.ndarray, context: int) -> int:
    """How many subwords are read for what is inside, with context on both sides that neighbours share."""
    return int((np.convolve(inside, np.ones(2 * context + 1)) > 0)[context : len(inside) + context].sum())


def with_entities(gold: list[Document], entities: list) -> list[Document]:
    return [Document(document.id, document.text, of) for document, of in zip(gold, entities, strict=True)]


if __name__ == "__main__":
    main()
