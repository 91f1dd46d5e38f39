"""Look at an annotated corpus: documents, sentences, mentions, and what labels on subwords can represent."""

import argparse
import json
from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from modeling_clinx.windows_clinx import sentence_starts

from .corpora import READERS, read_corpus
from .features import aligned, ceiling_counts
from .finetune import entity_types_of


def corpus_stats(path: str, format: str | None = None, tokenizer=None, unit: str = "subword") -> dict:
    """Counts of a corpus; with a tokenizer also its subwords and the ceiling.

    Returns:
        `documents`, `characters`, `sentences`, `entities`, `labels` (mentions by label), `read` (mentions that the
        reader could not keep exactly, by kind); with a tokenizer `subwords` (chain positions), `unrepresentable`
        (mentions by reason) and `ceiling`, the strict F1 (0 to 1) that perfect labels would get.
    """
    documents = list(read_corpus(path, format))
    labels = Counter(entity.label for document in documents for entity in document.entities)
    stats = {
        "documents": len(documents),
        "characters": sum(len(document.text) for document in documents),
        "sentences": sum(len(sentence_starts(document.text)) for document in documents if document.text.strip()),
        "entities": labels.total(),
        "labels": dict(labels.most_common()),
        "read": dict(sum((document.problems for document in documents), Counter())),
    }
    if tokenizer is not None:
        types = entity_types_of(documents, path)
        subwords, reasons, counts = 0, Counter(), Counter()
        for document, tokens, bio, problems in aligned(documents, tokenizer, types, unit):
            subwords += int(tokens.chain.sum())
            reasons.update(reason for _, reason in problems)
            counts.update(ceiling_counts(document, tokens, bio, types))
        f1 = 2 * counts["tp"] / max(1, 2 * counts["tp"] + counts["fp"] + counts["fn"])
        stats |= {"subwords": subwords, "unrepresentable": dict(reasons), "ceiling": f1}
    return stats


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="clinx corpus", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    stats = verbs.add_parser("stats", help="count documents, mentions and what cannot be represented")
    stats.add_argument("path", metavar="PATH", help="a folder or file of annotated documents")
    stats.add_argument("--format", choices=sorted(READERS), help="guessed unless given")
    stats.add_argument("--tokenizer", metavar="M", help="model or folder whose subwords are labelled: adds the ceiling")
    stats.add_argument("--unit", choices=("subword", "word"), default="subword", help="what a label stands on")
    stats.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    tokenizer = None
    if args.tokenizer:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    found = corpus_stats(args.path, args.format, tokenizer, args.unit)
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
        return
    table = Table(title=Text(args.path), title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name in ("documents", "characters", "sentences", "subwords", "entities"):
        if name in found:
            table.add_row(name, f"{found[name]:,}")
    table.add_section()
    for label, count in found["labels"].items():
        table.add_row(Text(label), f"{count:,}")
    table.add_section()
    for problem, count in {**found["read"], **found.get("unrepresentable", {})}.items():
        table.add_row(problem, f"{count:,}")
    if "ceiling" in found:
        table.add_row("ceiling (strict F1)", f"{100 * found['ceiling']:.2f} %")
    console = Console()
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
