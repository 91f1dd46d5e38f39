"""Score predictions against gold: strict micro precision, recall and F1, per label, and a test of the difference."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy.stats import bootstrap, permutation_test

from .corpora import FORMATS, read_corpus
from .documents import Document, atomic_file, problem_counts, without_surrogates
from .errors import InputError
from .strict_f1.strict_f1 import count_matches, summarize


RESAMPLES = 10_000
BATCH = 500  # resamples held in memory at a time


def score(gold: Sequence[Document], pred: Sequence[Document]) -> dict:
    """Strict precision, recall and f1 (0 to 1), support, tp, fp, fn (mentions), and "per_label" with the same keys.

    Documents are matched by id. Raises InputError where one is missing, too many, doubled, or has another text; a
    prediction whose text is empty carries none and is not compared.
    """
    return summarize(_counts(gold, pred))


def compare(gold: Sequence[Document], pred_a: Sequence[Document], pred_b: Sequence[Document], seed: int = 0) -> dict:
    """Whether two systems differ on the same documents.

    "difference" is the micro F1 of a minus that of b (-1 to 1), "interval" its 95 % percentile bootstrap interval with
    documents resampled in pairs (Efron & Tibshirani 1993, ch. 13), "p_value" the two-sided approximate randomization
    test over documents (Noreen 1989). Raises InputError as `score` does, and for fewer than two documents.
    """
    if len(gold) < 2:
        raise InputError(f"found {len(gold)} document, expected two or more to compare systems on; add documents.")
    a, b = _sums(_counts(gold, pred_a)), _sums(_counts(gold, pred_b))  # each (2, documents)
    resampling = {"vectorized": True, "n_resamples": RESAMPLES, "batch": BATCH, "rng": seed}
    interval = bootstrap((*a, *b), _difference, paired=True, method="percentile", **resampling).confidence_interval
    # A permutation swaps a document's two outcomes; scipy swaps single numbers, so it is given their indices.
    outcomes, documents = np.concatenate([a, b], axis=1), np.arange(len(gold))
    test = permutation_test(
        (documents, documents + len(gold)),
        lambda x, y, axis: _difference(*outcomes[:, x], *outcomes[:, y], axis=axis),
        permutation_type="samples",
        **resampling,
    )
    return {
        "difference": float(_difference(*a, *b)),
        "interval": [float(interval.low), float(interval.high)],
        "confidence": 0.95,
        "p_value": float(test.pvalue),
        "resamples": RESAMPLES,
        "seed": seed,
        "documents": len(gold),
    }


def _counts(gold: Sequence[Document], pred: Sequence[Document]) -> list[dict[str, Counter]]:
    predicted = {document.id: document for document in pred}
    gold_ids = {document.id for document in gold}
    _refuse([d.id for d in gold if d.id not in predicted], "in the gold but not predicted")
    _refuse([d.id for d in pred if d.id not in gold_ids], "predicted but not in the gold")
    for side in (gold, pred):
        _refuse([id for id, times in Counter(d.id for d in side).items() if times > 1], "there more than once")
    pairs = [(document, predicted[document.id]) for document in gold]
    _refuse([g.id for g, p in pairs if p.text and not _same_text(g, p)], "predicted on another text than the gold's")
    return count_matches((_spans(g) for g, _ in pairs), (_spans(p) for _, p in pairs))


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


def _sums(documents: list[dict[str, Counter]]) -> np.ndarray:
    """(2, documents): matches, and gold + predicted mentions, of each document; F1 is twice the one by the other."""
    totals = [sum(counts.values(), Counter()) for counts in documents]
    return np.array([[t["tp"] for t in totals], [2 * t["tp"] + t["fp"] + t["fn"] for t in totals]])


def _difference(matches_a, mentions_a, matches_b, mentions_b, axis=-1):
    f1_a, f1_b = (
        2 * matches.sum(axis) / np.maximum(mentions.sum(axis), 1)
        for matches, mentions in ((matches_a, mentions_a), (matches_b, mentions_b))
    )
    return f1_a - f1_b


def _table(title: str, result: dict) -> Table:
    table = Table("label", title=Text(title), title_justify="left")
    for column in ("precision %", "recall %", "F1 %", "support"):
        table.add_column(column, justify="right")
    by_support = sorted(result["per_label"].items(), key=lambda item: (-item[1]["support"], item[0]))
    for label, row in [*by_support, ("micro", result)]:
        if row is result:
            table.add_section()
        percents = (f"{100 * row[name]:.2f}" for name in ("precision", "recall", "f1"))
        table.add_row(Text(label), *percents, str(row["support"]))  # Text: a label may look like rich's markup
    return table


def main(argv: list[str]) -> None:
    """Run `clinx score`; raises InputError for what the user has to mend."""
    parser = argparse.ArgumentParser(prog="clinx score", description=__doc__.splitlines()[0])
    parser.add_argument("--gold", required=True, metavar="PATH", help="the annotated corpus")
    parser.add_argument("--pred", required=True, metavar="PATH", help="a system's predictions on the same documents")
    parser.add_argument("--against", metavar="PATH", help="another system's predictions, to test the difference")
    parser.add_argument("--gold-format", choices=sorted(FORMATS), help="guessed unless given")
    parser.add_argument("--pred-format", choices=sorted(FORMATS), help="of --pred and --against; guessed unless given")
    parser.add_argument("--json", metavar="FILE", help="write the scores there; - for stdout, the tables to stderr")
    args = parser.parse_args(argv)

    gold = list(read_corpus(args.gold, args.gold_format))
    systems = {path: list(read_corpus(path, args.pred_format)) for path in (args.pred, args.against) if path}
    results = {"pred": score(gold, systems[args.pred])}
    if args.against:
        results["against"] = score(gold, systems[args.against])
        results["comparison"] = compare(gold, systems[args.pred], systems[args.against])

    console = Console(stderr=args.json == "-")
    if not console.is_terminal:
        console.width = 10_000  # a pipe has no width: nothing is to be cut or wrapped
    for path, documents in ((args.gold, gold), *systems.items()):
        for problem, times in problem_counts(documents).items():
            console.print(Text(f"{path}: {times} mention(s) not read exactly: {problem}"))
    for name in ("pred", "against"):
        if name in results:
            console.print(_table(getattr(args, name), results[name]))
    if args.against:
        console.print(Text(_describe(results["comparison"])))
    if args.json == "-":
        print(json.dumps(results))
    elif args.json:
        with atomic_file(Path(args.json)) as file:
            file.write(json.dumps(results, indent=2).encode("ascii") + b"\n")


def _describe(comparison: dict) -> str:
    low, high = (f"{100 * bound:+.2f}" for bound in comparison["interval"])
    return (
        f"difference in F1 (pred - against): {100 * comparison['difference']:+.2f} points, "
        f"95 % interval [{low}, {high}] (paired bootstrap over {comparison['documents']} documents, "
        f"{comparison['resamples']:,} resamples, seed {comparison['seed']}), "
        f"p = {comparison['p_value']:.4f} (approximate randomization, two-sided)"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
