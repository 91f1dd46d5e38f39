"""Strict micro precision, recall and F1 of predictions, and whether two systems differ."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import EXCLUDE, Progress, console, help_with_example, printable
from ..corpora import FORMATS, read_corpus
from ..corpora.documents import Document, telling_problems
from ..writing import atomic_file, check_writable


if TYPE_CHECKING:  # rich is imported where something is shown, so that `--help` answers at once
    from rich.table import Table


EXAMPLE = "clinx score --gold notes/test --pred predictions --against other-predictions"


def main(argv: list[str]) -> None:
    """Runs `clinx score`; raises InputError for what the user has to mend."""
    args = _parser().parse_args(argv)
    from ..scoring.scores import score  # not above: `--help` answers at once

    target = None if args.json in (None, "-") else Path(args.json).expanduser()
    if target:
        check_writable(target)
    gold = _read(args.gold, args.gold_format, args.exclude)
    paths = [path for path in (args.pred, args.against) if path is not None]
    systems = {path: _read(path, args.pred_format, args.exclude) for path in paths}
    results = {"pred": score(gold, systems[args.pred])}
    if args.against is not None:
        from ..scoring.significance import compare

        results["against"] = score(gold, systems[args.against])
        results["comparison"] = compare(gold, systems[args.pred], systems[args.against])

    out = console(stderr=args.json == "-")
    for name in ("pred", "against"):
        if name in results:
            out.print(_table(getattr(args, name), results[name]))
    if "comparison" in results:
        print(_describe(results["comparison"]), file=out.file)
    if args.json == "-":
        print(json.dumps(results))
    elif target:
        with atomic_file(target) as file:
            file.write(json.dumps(results, indent=2).encode("ascii") + b"\n")


def _read(path: str, format: str | None, exclude: list[str]) -> list[Document]:
    documents = Progress("Reading", "notes").through(read_corpus(path, format, exclude=exclude))
    return list(telling_problems(path, documents))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clinx score", **help_with_example(__doc__, EXAMPLE))
    parser.add_argument("--gold", required=True, metavar="PATH", help="the annotated corpus")
    parser.add_argument("--pred", required=True, metavar="PATH", help="a system's predictions on the same documents")
    parser.add_argument("--against", metavar="PATH", help="another system's predictions, to test the difference")
    parser.add_argument(
        "--gold-format", choices=sorted(FORMATS), help="format of the gold corpus (default: guessed from its files)"
    )
    parser.add_argument(
        "--pred-format",
        choices=sorted(FORMATS),
        help="format of the predictions, --pred and --against (default: guessed from their files)",
    )
    parser.add_argument("--exclude", **EXCLUDE)
    parser.add_argument(
        "--json", metavar="FILE", help="write the scores to this file; with -, to standard output, tables to stderr"
    )
    return parser


def _table(title: str, result: dict) -> Table:
    from rich.table import Table

    table = Table("label", title=printable(title), title_justify="left")
    for column in ("precision %", "recall %", "F1 %", "support"):
        table.add_column(column, justify="right")
    by_support = sorted(result["per_label"].items(), key=lambda item: (-item[1]["support"], item[0]))
    for label, row in [*by_support, ("micro", result)]:
        if row is result:
            table.add_section()
        percents = (f"{100 * row[name]:.2f}" for name in ("precision", "recall", "f1"))
        table.add_row(printable(label), *percents, str(row["support"]))
    return table


def _describe(comparison: dict) -> str:
    low, high = (f"{100 * bound:+.2f}" for bound in comparison["interval"])
    return (
        f"difference in F1 (pred - against): {100 * comparison['difference']:+.2f} points, "
        f"95 % interval [{low}, {high}] (paired bootstrap over {comparison['documents']} documents, "
        f"{comparison['resamples']:,} resamples, seed {comparison['seed']}), "
        f"p = {comparison['p_value']:.4f} (approximate randomization, two-sided)"
    )
