"""Annotated corpora: what is there, in another form, from their public homes."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from ..console import EXCLUDE, Progress, console, help_with_example, printable, show_any_text
from ..corpora import FORMATS, read_corpus, read_splits
from ..corpora.documents import Problem, telling_problems
from ..corpora.pubmed.filters import FILTERS
from ..corpora.source import SPLITS, CorpusFile, corpus_files, local_path, looks_local
from ..corpora.tasks import TASKS, Task
from ..errors import InputError


if TYPE_CHECKING:  # rich is imported where something is shown, so that `--help` answers at once
    from rich.table import Table


EXAMPLES = {
    "stats": "clinx corpus stats notes/train --tokenizer llange/xlm-roberta-large-spanish-clinical",
    "convert": "clinx corpus convert notes --out notes-dataset --to dataset",
    "fetch": "clinx corpus fetch meddocan",
    "tasks": "clinx corpus tasks",
    "pubmed": "clinx corpus pubmed baseline updatefiles --filter therapy-narrow --out pubmed.jsonl.gz",
}
HEADINGS = ("corpus", "documents", "sentences", "mentions", "labels", "not exact", "ceiling F1")
TARGETS = ("dataset", "jsonl", "brat", "conll")


def main(argv: list[str]) -> None:
    """Runs `clinx corpus`; raises InputError for what the user has to mend."""
    args = _parser().parse_args(argv)
    show_any_text()
    args.run(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clinx corpus", **help_with_example(__doc__, EXAMPLES["stats"]))
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    reading = _reading_options()

    def verb(name: str, help: str, run, parents=()) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=help, parents=parents, **help_with_example(help, EXAMPLES[name]))
        sub.set_defaults(run=run)
        return sub

    stats = verb("stats", "count documents, mentions and what labels cannot represent", _stats, [reading])
    stats.add_argument(
        "path", nargs="*", metavar="PATH", help="folder, file or archive; or a dataset's name on the Hub"
    )
    stats.add_argument("--tokenizer", metavar="M", help="model or folder whose subwords are labelled: adds the ceiling")
    stats.add_argument("--unit", choices=("subword", "word"), help="what a label stands on (default: subword)")
    form = stats.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, one line for each path")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown, one row for each path")

    convert = verb("convert", "write a corpus in another form", _convert, [reading])
    convert.add_argument("path", metavar="PATH", help="folder, file or archive; or a dataset's name on the Hub")
    convert.add_argument("--out", required=True, metavar="DIR", help="a new folder for the converted corpus")
    convert.add_argument(
        "--to", choices=TARGETS, default="dataset", help="its form (default: dataset, which `load_dataset` loads)"
    )
    convert.add_argument("--push", metavar="ORG/NAME", help="also push it to the Hub, with a card: a private dataset")
    convert.add_argument("--public", action="store_true", help="make the pushed dataset public")

    fetch = verb("fetch", "download a task's corpus, or tell where to apply for it", _fetch)
    fetch.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    fetch.add_argument("--mirror", metavar="URL", help="base URL of a mirror of Zenodo, as inside of a firewall")

    verb("tasks", "list the ten tasks", _tasks)

    _add_pubmed_options(verb("pubmed", "select abstracts from PubMed's dump, as text to pretrain on", _pubmed))
    return parser


def _add_pubmed_options(pubmed: argparse.ArgumentParser) -> None:
    pubmed.add_argument(
        "path",
        nargs="+",
        metavar="PATH",
        help="files of the dump, .xml or .xml.gz, or folders of them; of a citation that comes again the last counts",
    )
    which = pubmed.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--filter",
        choices=FILTERS,
        help="PubMed's filters for studies of therapies (Haynes et al. 2005): the specific or the sensitive one",
    )
    which.add_argument(
        "--query",
        metavar="Q",
        help="a query in PubMed's language, as 'therapy/narrow[filter] AND asthma[Title/Abstract] AND 2000:2024[dp]'",
    )
    pubmed.add_argument(
        "--mesh",
        action="append",
        default=[],
        metavar="FILE",
        help="MeSH's desc2026.gz or, for subheadings, qual2026.xml: for queries with other headings than the filters'",
    )
    pubmed.add_argument(
        "--out", required=True, metavar="FILE", help="a new file of JSON Lines (gzipped if its name ends in .gz)"
    )


def _reading_options() -> argparse.ArgumentParser:
    """Options of the verbs that read a corpus."""
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument("--format", choices=sorted(FORMATS), help="format of the files (default: guessed from them)")
    reading.add_argument("--task", choices=TASKS, help="one of the ten tasks: which files, and what is expected there")
    reading.add_argument("--exclude", **EXCLUDE)
    reading.add_argument(
        "--discontinuous",
        choices=("hull", "drop"),
        default="hull",
        help="what becomes of mentions in several parts (default: hull, from the first part to the last)",
    )
    reading.add_argument(
        "--outside",
        choices=("refuse", "drop"),
        help="what becomes of mentions outside of their text (default: stats drops and reports them, convert refuses)",
    )
    reading.add_argument(
        "--token-column", type=int, default=0, metavar="N", help="column of the tokens in column files (default: 0)"
    )
    reading.add_argument(
        "--label-column",
        type=int,
        default=-1,
        metavar="N",
        help="column of the tags in column files (default: -1, the last)",
    )
    reading.add_argument("--unannotated", action="store_true", help="read the texts alone")
    reading.add_argument("--verbose", action="store_true", help="list every mention that is not exact, by document")
    return reading


def _options(args) -> dict:
    chosen = {name: getattr(args, name) for name in ("discontinuous", "token_column", "label_column", "exclude")}
    return chosen | {"annotated": not args.unannotated, "outside": args.outside or "refuse"}


def _stats(args) -> None:
    from ..corpora.statistics import corpus_stats  # not above: `--help` answers at once

    if args.unit and not args.tokenizer:
        raise InputError("found --unit without --tokenizer, whose subwords it is about; add one, or leave it out.")
    tokenizer = None if args.tokenizer is None else _tokenizer(args.tokenizer)
    task = TASKS[args.task] if args.task else None
    paths = args.path or ([str(task.home)] if task else [])
    if not paths:
        raise InputError("found no PATH; name a corpus, or a task whose corpus was fetched.")
    if task and not args.path and not task.home.is_dir():
        raise InputError(f"{task.home}: there is no such folder; run `clinx corpus fetch {task.name}`, or name a PATH.")
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
            where = f"{path}, split {name}" if task else path
            documents = telling_problems(where, Progress("Reading", "notes").through(part))
            columns[name], part_problems = corpus_stats(documents, tokenizer, args.unit or "subword")
            problems += part_problems
        _print_stats(args, path, task, columns)
        for problem in problems if args.verbose else ():
            print(_describe(problem), file=sys.stderr if args.json or args.markdown else sys.stdout)


def _describe(problem: Problem) -> str:
    return printable(f"{problem.kind}: {problem.detail}")


def _tokenizer(name: str):
    from transformers import AutoTokenizer  # not above: without a tokenizer nothing of it is needed

    folder = local_path(name)
    if looks_local(name) and not folder.exists():
        raise InputError(f"cannot load the tokenizer {name}: there is no such folder; check the path.")
    try:
        return AutoTokenizer.from_pretrained(folder if folder.exists() else name)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the tokenizer {name}: {error}") from None


def _print_stats(args, path: str, task: Task | None, columns: dict[str, dict]) -> None:
    from ..corpora.statistics import differences_from_task

    differences = differences_from_task(task, columns) if task else []
    if args.json:
        print(json.dumps({**columns, "findings": differences} if task else columns["all"]))
    elif args.markdown:
        for name, stats in columns.items():
            print(_markdown_row(f"{path} ({name})" if task else path, stats))
    else:
        console().print(_table(f"{path}: {task.title}" if task else path, columns, task))
        print(*(f"{difference}\n" for difference in differences), sep="", end="")


def _table(title: str, columns: dict[str, dict], task: Task | None) -> Table:
    from rich.table import Table

    table = Table(title=printable(title), title_justify="left", show_header=len(columns) > 1 or task is not None)
    for name in ("", *columns):
        table.add_column(name, justify="right" if name else "left")

    def row(name: str, cells: list) -> None:
        table.add_row(
            printable(name), *("" if cell is None else cell if type(cell) is str else f"{cell:,}" for cell in cells)
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


def _markdown_row(name: str, stats: dict) -> str:
    problems = ", ".join(f"{count:,} {kind}" for kind, count in stats["problems"].items()) or "–"
    ceiling = f"{100 * stats['ceiling']:.2f}" if "ceiling" in stats else "–"
    counts = [f"{count:,}" for count in (stats["documents"], stats["sentences"], stats["entities"])]
    name = printable(name).replace("|", "\\|")
    return f"| {' | '.join([name, *counts, str(len(stats['labels'])), problems, ceiling])} |"


def _convert(args) -> None:
    import datasets  # not above: it takes a second, which `stats` does not need

    from ..corpora.conversion import convert

    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    if args.push and args.to != "dataset":
        raise InputError(f"found --push with --to {args.to}, expected --to dataset, the form that the Hub reads.")
    if args.public and not args.push:
        raise InputError("found --public without --push, so that nothing would be public; add --push, or leave it out.")
    task = TASKS[args.task] if args.task else None
    counts, problems, lost = convert(args.path, args.out, args.to, args.format, task, args.push, **_options(args))
    for kind, count in Counter(problem.kind for problem in lost).items():
        print(f"{args.out}: {count} mention(s) not written exactly: {kind}", file=sys.stderr)
    if args.verbose:
        for problem in [*problems, *lost]:
            print(_describe(problem))
    print(f"{args.out}: {', '.join(f'{count} documents in {name}' for name, count in counts.items())}")
    if args.push:
        _push(args)


def _push(args) -> None:
    from hub_cards.upload import Target

    from .push import push

    try:
        print(push(args.out, Target(args.push, "dataset", not args.public)))
    except InputError as error:
        raise InputError(f"{error}\n{args.out} is whole: `clinx push {args.out} {args.push}` goes on") from None


def _fetch(args) -> None:
    from ..corpora.download import download

    download(TASKS[args.task], args.mirror)


def _tasks(args) -> None:
    from rich.table import Table

    table = Table("task", "language", "format", "labels", "train / validation / test sentences", "license")
    for task in TASKS.values():
        sizes = " / ".join(f"{task.sentences[s]:,}" if s in task.sentences else "–" for s in SPLITS)
        table.add_row(task.name, task.language, task.format, str(len(task.labels)), sizes, task.license)
    console().print(table)


def _pubmed(args) -> None:
    from ..corpora.pubmed.mesh import Thesaurus  # not above: of what is here only this verb needs XML and numpy
    from ..corpora.pubmed.query import compile_query, parse_query
    from ..corpora.pubmed.selection import select_abstracts

    query = parse_query(FILTERS[args.filter] if args.filter else args.query)
    matches = compile_query(query, Thesaurus(_xml_files(args.mesh)))
    counts = select_abstracts(_xml_files(args.path), matches, local_path(args.out))
    print(f"query: {query}")
    print(f"{counts.files:,} files, {counts.citations:,} citations, {counts.with_abstract:,} of them with an abstract")
    print(f"left out: {counts.superseded:,} that stand again in a later place, {counts.deleted:,} that were deleted")
    print(f"{args.out}: {counts.selected:,} abstracts, {counts.text_bytes:,} bytes of text")


def _xml_files(paths: list[str]) -> list[CorpusFile]:
    files = []
    for path in paths:
        found = corpus_files(local_path(path).absolute(), (".xml",))
        if not found:
            raise InputError(f"{path}: found no .xml or .xml.gz file; check the path.")
        files += found
    return files
