"""Strict micro precision, recall and F1 of predictions, of one run or several, and whether two systems differ."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from itertools import chain
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING

from ..console import EXCLUDE, Progress, console, help_with_example, printable
from ..corpora import FORMATS, read_corpus
from ..corpora.documents import Document, telling_problems
from ..errors import InputError
from ..writing import atomic_file, check_writable


if TYPE_CHECKING:  # rich is imported where something is shown, so that `--help` answers at once
    from rich.table import Table


EXAMPLE = "clinx score --gold notes/test --pred predictions --against other-predictions"


def main(argv: list[str]) -> None:
    """Runs `clinx score`; raises InputError for what the user has to mend."""
    args = _parser().parse_args(argv)
    target = None if args.json in (None, "-") else Path(args.json).expanduser()
    plot = Path(args.calibration).expanduser() if args.calibration else None
    for path in filter(None, (target, plot)):
        check_writable(path)
    sides = {name: paths for name in ("pred", "against") if (paths := getattr(args, name))}
    results = _results(args, sides)

    out = console(stderr=args.json == "-")
    for name, paths in sides.items():
        out.print(_table(paths[0], results[name]) if len(paths) == 1 else _table_of_runs(name, results[name]))
    if "comparison" in results:
        print(_describe(results["comparison"]), file=out.file)
    if plot:
        from ..plots import reliability_diagram

        out.print(_calibration_table(results["calibration"]))
        reliability_diagram(results["calibration"], plot)
        print(f"reliability diagram: {plot}", file=out.file)
    if args.json == "-":
        print(json.dumps(results))
    elif target:
        with atomic_file(target) as file:
            file.write(json.dumps(results, indent=2).encode("ascii") + b"\n")


def _results(args: argparse.Namespace, sides: dict[str, list[str]]) -> dict:
    """The scores of each side, of one run or of several ones with their mean, and the comparison of two sides."""
    from ..scoring.scores import score_runs  # not above: `--help` answers at once

    for name, paths in sides.items():
        if twice := [path for path, times in Counter(map(Path, paths)).items() if times > 1]:
            raise InputError(f"{twice[0]}: found twice in --{name}, expected each run once; leave one out.")
    gold = _read(args.gold, args.gold_format, args.exclude)
    runs = {path: _read(path, args.pred_format, args.exclude) for path in dict.fromkeys(chain(*sides.values()))}
    results = {}
    if args.calibration:
        from ..scoring.calibration import calibration, scored_mentions

        if len(runs) > 1:
            raise InputError(f"--calibration looks at one run, and there are {len(runs)}: give it each by itself")
        results["calibration"] = calibration(scored_mentions(gold, *runs.values()))
    for name, paths in sides.items():
        scores = score_runs(gold, {path: runs[path] for path in paths})
        results[name] = scores if len(paths) > 1 else scores["runs"][paths[0]]
    if args.against:
        from ..scoring.significance import compare, compare_runs

        pred, against = ([runs[path] for path in paths] for paths in sides.values())
        is_single = len(pred) == len(against) == 1
        results["comparison"] = compare(gold, *pred, *against) if is_single else compare_runs(gold, pred, against)
    return results


def _read(path: str, format: str | None, exclude: list[str]) -> list[Document]:
    documents = Progress("Reading", "notes").through(read_corpus(path, format, exclude=exclude))
    return list(telling_problems(path, documents))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clinx score", **help_with_example(__doc__, EXAMPLE))
    parser.add_argument("--gold", required=True, metavar="PATH", help="the annotated corpus")
    several = {"nargs": "+", "action": "extend", "metavar": "PATH"}
    parser.add_argument(
        "--pred", required=True, **several, help="a system's predictions on the same documents, of one run or several"
    )
    parser.add_argument("--against", **several, help="another system's predictions, to test the difference")
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
        "--calibration",
        metavar="PNG",
        help="how often mentions of a score are right: expected calibration error, by label, and a reliability diagram "
        "in this file; predictions need scores, as JSON Lines have them",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write the scores to this file; with -, to standard output, tables to stderr"
    )
    return parser


def _table(path: str, result: dict) -> Table:
    table = _empty_table(path, "label", "support")
    by_support = sorted(result["per_label"].items(), key=lambda item: (-item[1]["support"], item[0]))
    for label, row in [*by_support, ("micro", result)]:
        if row is result:
            table.add_section()
        table.add_row(printable(label), *_percents(row), str(row["support"]))
    return table


def _table_of_runs(side: str, result: dict) -> Table:
    table = _empty_table(f"{side}: {len(result['runs'])} runs", "run")
    for path, row in result["runs"].items():
        table.add_row(printable(path), *_percents(row))
    table.add_section()
    for title, name in (("mean", "mean"), ("standard deviation", "sd")):
        table.add_row(title, *_percents(result[name]))
    return table


def _empty_table(title: str, first: str, *more: str) -> Table:
    from rich.table import Table

    table = Table(first, title=printable(title), title_justify="left")
    for column in ("precision %", "recall %", "F1 %", *more):
        table.add_column(column, justify="right")
    return table


def _percents(row: dict) -> list[str]:
    return [f"{100 * row[name]:.2f}" for name in ("precision", "recall", "f1")]


def _calibration_table(result: dict) -> Table:
    from rich.table import Table

    table = Table("label", title="calibration of scores", title_justify="left")
    for column in ("mentions", "mean score %", "precision %", "calibration error %"):
        table.add_column(column, justify="right")
    by_number = sorted(result["per_label"].items(), key=lambda item: (-item[1]["mentions"], item[0]))
    for label, row in [*by_number, ("all", result)]:
        if row is result:
            table.add_section()
        percents = (f"{100 * row[name]:.2f}" for name in ("score", "precision", "ece"))
        table.add_row(printable(label), f"{row['mentions']:,}", *percents)
    return table


def _describe(comparison: dict) -> str:
    """The difference, its interval and its p-values, one of runs only where a side has several, and R's legend."""
    from ..scoring.p_values import LEGEND

    low, high = (f"{100 * bound:+.2f}" for bound in comparison["interval"])
    runs = comparison.get("runs")
    what = f"mean F1 ({runs[0]} of pred - {runs[1]} of against)" if runs else "F1 (pred - against)"
    lines = [
        f"difference in {what}: {100 * comparison['difference']:+.2f} points, "
        f"95 % interval [{low}, {high}] ({'bootstrap over runs and' if runs else 'paired bootstrap over'} "
        f"{comparison['documents']} documents, {comparison['resamples']:,} resamples, seed {comparison['seed']}), "
        f"p = {comparison['p_value']:.4f}{_code(comparison['code'])} (approximate randomization, two-sided"
        f"{', of these runs over documents' if runs else ''})"
    ]
    if runs:
        lowest = min(1, 2 / comb(sum(runs), runs[0]))
        lines.append(
            f"over seeds: p = {comparison['p_value_of_runs']:.4f}{_code(comparison['code_of_runs'])} (permutation of "
            f"whole runs, two-sided{f'; so few runs never give less than {lowest:.2g}' if lowest > 0.05 else ''})"
        )
    return "\n".join([*lines, f"codes: {LEGEND}"])


def _code(code: str) -> str:
    return f" {code}" if code else ""
