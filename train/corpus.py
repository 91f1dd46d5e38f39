"""Annotated corpora: what is there, in another form, from their public homes."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import datasets
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from hub_cards.upload import Target
from modeling_clinx.windows_clinx import sentence_starts

from .convert import TARGETS, convert
from .corpora import FORMATS, SPLITS, read_corpus, read_splits
from .corpora.conll import pieces_and_tags
from .corpora.tasks import TASKS, Task
from .documents import Document, Problem, mention_shown
from .errors import InputError
from .features import aligned, ceiling_counts
from .fetch import fetch


def corpus_stats(documents: Sequence[Document], tokenizer=None, unit: str = "subword") -> tuple[dict, list[Problem]]:
    """Counts of documents, and what could not be read exactly or what labels cannot represent: on subwords, or without
    a tokenizer on any pieces of the text.

    Returns:
        `documents`, `characters`, `sentences`, `entities`, `labels` (mentions by label), `problems` (how many of each
        kind); with a tokenizer `subwords` (chain positions) and `ceiling`, the strict F1 (0 to 1) that perfect labels
        would get. And the problems.
    """
    labels = Counter(entity.label for document in documents for entity in document.entities)
    types, subwords, counts, problems = sorted(labels), 0, Counter(), []
    for document in documents:
        problems += document.problems
        if tokenizer is None:
            problems += pieces_and_tags(document)[-1]
        elif types:
            ((_, tokens, bio, found),) = aligned([document], tokenizer, types, unit)
            problems += [Problem(*_shown(document, index, reason)) for index, reason in found]
            subwords += int(tokens.chain.sum())
            counts.update(ceiling_counts(document, tokens, bio, types))
    stats = {
        "documents": len(documents),
        "characters": sum(len(document.text) for document in documents),
        "sentences": sum(len(sentence_starts(document.text)) for document in documents if document.text.strip()),
        "entities": labels.total(),
        "labels": dict(labels.most_common()),
        "problems": dict(Counter(problem.kind for problem in problems).most_common()),
    }
    if counts:
        f1 = 2 * counts["tp"] / (2 * counts["tp"] + counts["fp"] + counts["fn"])
        stats |= {"subwords": subwords, "ceiling": f1}
    return stats, problems


def _shown(document: Document, index: int, reason: str) -> tuple[str, str]:
    entity = document.entities[index]
    is_blank = not document.text[entity.start : entity.end].strip()
    return "white space only" if is_blank else reason, mention_shown(document, entity)


def check_task(task: Task, splits: dict[str, dict]) -> list[str]:
    """What does not fit the task: splits that are missing, labels that it does not know or that do not occur."""
    findings = [f"the {name} split is missing" for name in task.sentences if name not in splits]
    found = {label for stats in splits.values() for label in stats["labels"]}
    findings += [f"the label {label} is none of the task's" for label in sorted(found - set(task.labels))]
    return findings + [f"the label {label} does not occur" for label in task.labels if label not in found]


def _table(title: str, columns: dict[str, dict], task: Task | None) -> Table:
    table = Table(title=Text(title), title_justify="left", show_header=len(columns) > 1 or task is not None)
    for name in ("", *columns):
        table.add_column(name, justify="right" if name else "left")

    def row(name: str, cells: list) -> None:
        table.add_row(
            Text(name), *("" if cell is None else cell if type(cell) is str else f"{cell:,}" for cell in cells)
        )

    for name in ("documents", "characters", "sentences", "subwords", "entities"):
        if any(name in stats for stats in columns.values()):
            row(name, [stats.get(name) for stats in columns.values()])
        if name == "sentences" and task:
            row("  in the paper", [task.sentences.get(column) for column in columns])
    for part in ("labels", "problems"):
        table.add_section()
        for name in dict.fromkeys(chain.from_iterable(stats[part] for stats in columns.values())):
            row(name, [stats[part].get(name) for stats in columns.values()])
    if any("ceiling" in stats for stats in columns.values()):
        row(
            "ceiling (strict F1)", [f"{100 * s['ceiling']:.2f} %" if "ceiling" in s else None for s in columns.values()]
        )
    return table


HEADINGS = ("corpus", "documents", "sentences", "mentions", "labels", "not exact", "ceiling F1")


def _markdown_row(name: str, stats: dict) -> str:
    problems = ", ".join(f"{count:,} {kind}" for kind, count in stats["problems"].items()) or "–"
    ceiling = f"{100 * stats['ceiling']:.2f}" if "ceiling" in stats else "–"
    counts = [f"{count:,}" for count in (stats["documents"], stats["sentences"], stats["entities"])]
    return f"| {' | '.join([name, *counts, str(len(stats['labels'])), problems, ceiling])} |"


def _stats(args) -> None:
    tokenizer = None
    if args.tokenizer:
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot load the tokenizer {args.tokenizer}: {error}") from None
    task = TASKS[args.task] if args.task else None
    paths = args.path or ([str(task.home)] if task else [])
    if not paths:
        raise InputError("found no PATH; name a corpus, or a task whose corpus was fetched.")
    if task and not args.path and not task.home.is_dir():
        raise InputError(f"{task.home}: found no such folder; run `clinx corpus fetch {task.name}`, or name a PATH.")
    console = _console()
    if args.markdown:
        print(f"| {' | '.join(HEADINGS)} |\n|{' --- |' * len(HEADINGS)}")
    for path in paths:
        options = {**_options(args), "outside": args.outside or "drop"}
        if task:
            splits = read_splits(path, args.format, task, **options)
        else:
            splits = {"all": read_corpus(path, args.format, **options)}
        columns, problems = {}, []
        for name, part in splits.items():
            documents = list(tqdm(part, "Reading", unit=" notes", leave=False, disable=None))
            columns[name], found = corpus_stats(documents, tokenizer, args.unit)
            problems += found
        findings = check_task(task, columns) if task else []
        if args.json:
            print(
                json.dumps(
                    {**columns, "findings": findings} if task else columns["all"],
                )
            )
        elif args.markdown:
            for name, stats in columns.items():
                print(_markdown_row(f"{path} ({name})" if task else path, stats))
        else:
            console.print(_table(f"{path}: {task.title}" if task else path, columns, task))
            for finding in findings:
                console.print(Text(finding))
        for problem in problems if args.verbose else ():
            print(f"{problem.kind}: {problem.detail}", file=sys.stderr if args.json or args.markdown else sys.stdout)


def _convert(args) -> None:
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    if args.push and args.to != "dataset":
        raise InputError(f"found --push with --to {args.to}, expected --to dataset, the form that the Hub reads.")
    task = TASKS[args.task] if args.task else None
    counts, problems = convert(args.path, args.out, args.to, args.format, task, args.push, **_options(args))
    for kind, count in Counter(problem.kind for problem in problems).items():
        print(f"{count} not exact: {kind}")
    if args.verbose:
        for problem in problems:
            print(f"{problem.kind}: {problem.detail}")
    print(f"{args.out}: {', '.join(f'{count} documents in {name}' for name, count in counts.items())}")
    if args.push:
        from .push import push  # and with it what reads models

        try:
            print(push(args.out, Target(args.push, "dataset", not args.public)))
        except InputError as error:
            raise InputError(f"{error}\n{args.out} is whole: `clinx push {args.out} {args.push}` goes on") from None


def _fetch(args) -> None:
    fetch(TASKS[args.task], args.mirror)


def _tasks(args) -> None:
    table = Table("task", "language", "format", "labels", "train / validation / test sentences", "licence")
    for task in TASKS.values():
        sizes = " / ".join(f"{task.sentences[s]:,}" if s in task.sentences else "–" for s in SPLITS)
        table.add_row(task.name, task.language, task.format, str(len(task.labels)), sizes, task.license)
    _console().print(table)


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = 10_000  # a pipe has no width: nothing is to be cut or wrapped
    return console


def _options(args) -> dict:
    chosen = {name: getattr(args, name) for name in ("discontinuous", "token_column", "label_column")}
    return chosen | {"annotated": not args.unannotated, "outside": args.outside or "refuse"}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="clinx corpus", description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument("--format", choices=sorted(FORMATS), help="guessed unless given")
    reading.add_argument("--task", choices=TASKS, help="one of the ten tasks: which files, and what is expected there")
    reading.add_argument(
        "--discontinuous", choices=("hull", "drop"), default="hull", help="mentions in parts (default: their hull)"
    )
    reading.add_argument(
        "--outside", choices=("refuse", "drop"), help="mentions outside of their text (default: stats drops, and tells)"
    )
    reading.add_argument("--token-column", type=int, default=0, metavar="N", help="of column files (default: 0)")
    reading.add_argument(
        "--label-column", type=int, default=-1, metavar="N", help="of column files (default: -1, the last)"
    )
    reading.add_argument("--unannotated", action="store_true", help="read the texts alone")
    reading.add_argument("--verbose", action="store_true", help="list every mention that is not exact, by document")

    stats = verbs.add_parser(
        "stats", parents=[reading], help="count documents, mentions and what cannot be represented"
    )
    stats.add_argument(
        "path", nargs="*", metavar="PATH", help="folder, file or archive; or a dataset's name on the Hub"
    )
    stats.add_argument("--tokenizer", metavar="M", help="model or folder whose subwords are labelled: adds the ceiling")
    stats.add_argument("--unit", choices=("subword", "word"), default="subword", help="what a label stands on")
    form = stats.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, one line a path")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown, one row a path")
    stats.set_defaults(run=_stats)

    to = verbs.add_parser("convert", parents=[reading], help="write a corpus in another form")
    to.add_argument("path", metavar="PATH", help="folder, file or archive; or a dataset's name on the Hub")
    to.add_argument("--out", required=True, metavar="DIR", help="a new folder")
    to.add_argument("--to", choices=TARGETS, default="dataset", help="default: dataset, which `load_dataset` loads")
    to.add_argument("--push", metavar="ORG/NAME", help="also push it to the Hub, with a card: a private dataset")
    to.add_argument("--public", action="store_true", help="make the pushed dataset public")
    to.set_defaults(run=_convert)

    get = verbs.add_parser("fetch", help="download a task's corpus, or tell where to apply for it")
    get.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    get.add_argument("--mirror", metavar="URL", help="of Zenodo, for example inside of a firewall")
    get.set_defaults(run=_fetch)

    verbs.add_parser("tasks", help="list the ten tasks").set_defaults(run=_tasks)
    args = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):  # a label or an id may hold what no UTF-8 does
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    args.run(args)
