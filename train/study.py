"""The paper's tables on your corpus: `ablation` is its Table 4, from one recipe."""

import json
import sys
import time
import traceback
from copy import copy
from dataclasses import fields, replace
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from .arguments import ARGUMENTS, FinetuneTrainingArguments
from .corpora import read_corpus
from .documents import atomic_file
from .errors import InputError
from .finetune import finetune, read_documents, write_json
from .members import finetune_members
from .plots import ablation_plot
from .recipe import parse_recipe
from .score import compare, score
from .splits import median_member


# Folder, name in the table, and what is different from the recipe. Lange et al. 2022, Table 4.
ROWS = (
    ("all", "All", {"split": "all", "splits": None, "split_file": None, "early_stopping_patience": None}),
    ("standard", "Standard splits", {"split": "standard", "split_file": None}),
    ("random", "Random splits", {"split": "random"}),
    ("no-biose", "− BIOSE", {"scheme": "BIO"}),
    ("no-crf", "− CRF", {"head": "linear"}),
    ("no-context", "− context", {"context_size": 0, "segmentation": "sentence"}),
    ("no-subwords", "− subword units", {"unit": "word"}),
)
REFERENCE = "random"


def ablation(data, model_args, optimization, splitting, args, argv: list[str]) -> dict:
    """Trains the members of every row (31 models with 5 splits), and compares each row with random splits.

    The folder `args.output_dir` gets a run for each row, and `ablation.json`, `.md` and `.png`, which are written anew
    after every row. What is there already is not trained again.

    Raises:
        InputError: a recipe without documents that judge, or a row that failed, once the others are done.
    """
    folder = Path(args.output_dir)
    if not (data.test or data.test_fraction):
        raise InputError("the study needs documents that judge: name test, or a test_fraction to hold out")
    splitting = replace(splitting, splits=splitting.splits or 5)
    splitting = replace(splitting, split="random")
    gold = read_documents(data, splitting)[2]
    if len(gold) < 2:
        raise InputError(f"{len(gold)} document cannot judge and compare: hold out two or more")
    failed, result = {}, {}
    for name, title, change in ROWS:
        print(f"\n{title} → {folder / name}", flush=True)
        mine = copy(args)
        mine.output_dir = str(folder / name)
        options = [
            f"--{key}={value}"
            for key, value in {"splits": splitting.splits, "split": "random", **change}.items()
            if value is not None
        ]
        parts = [
            replace(part, **{key: value for key, value in change.items() if hasattr(part, key)})
            for part in (data, model_args, optimization, splitting)
        ]
        try:
            if parts[-1].splits:
                finetune_members(*parts, mine, [*argv, *options])
            else:
                finetune(*parts, mine)
        except Exception as error:
            if args.world_size > 1:
                raise
            failed[title] = f"{type(error).__name__}: {error}"
            if not isinstance(error, InputError):
                traceback.print_exc()
            continue
        if args.process_index == 0:
            result = tabulate(folder, gold)
    if failed:
        raise InputError(
            "\n".join(f"{title}: {error}" for title, error in failed.items())
            + "\nthe other rows are complete; give the same command again to go on"
        )
    print(f"\ntable: {folder / 'ablation.md'}; plot: {folder / 'ablation.png'}; figures: {folder / 'ablation.json'}")
    return result


def tabulate(folder: Path, gold: list) -> dict:
    """Scores and compares the rows that are complete, and writes `ablation.json`, `.md` and `.png`."""
    found = {}
    for name, title, _ in ROWS:
        if not (folder / name / "metrics.json").exists():
            continue
        members = sorted((folder / name).glob("member-*/"), key=lambda path: int(path.name.split("-")[1]))
        members = [member for member in members if member.is_dir()]
        runs = members or [folder / name]
        read = [list(read_corpus(run / "test.jsonl")) for run in runs]
        f1 = [score(gold, documents)["f1"] for documents in read]
        row = {"title": title, "members": f1, "median": f1[median_member(f1)], "best": max(f1)}
        row["predictions"] = {"median": read[median_member(f1)]}
        if members:
            row["predictions"]["ensemble"] = list(read_corpus(folder / name / "test.jsonl"))
            row["ensemble"] = score(gold, row["predictions"]["ensemble"])["f1"]
            row["ensemble_above_median"] = compare(gold, *(row["predictions"][x] for x in ("ensemble", "median")))
        row["seconds"] = [json.loads((run / "metrics.json").read_text())["seconds"] for run in runs]
        found[name] = row
    if REFERENCE in found:
        reference = found[REFERENCE]["predictions"]
        for name, row in found.items():
            if name != REFERENCE:
                row["against_random"] = {
                    what: compare(gold, documents, reference[what]) for what, documents in row["predictions"].items()
                }
    for row in found.values():
        del row["predictions"]
    result = {"documents": len(gold), "written": time.strftime("%Y-%m-%d"), "rows": found}
    write_json(folder / "ablation.json", result)
    with atomic_file(folder / "ablation.md") as file:
        file.write(as_markdown(result).encode())
    ablation_plot(found, folder / "ablation.png")
    return result


def as_markdown(result: dict) -> str:
    """The table; differences are to random splits, the intervals paired bootstrap over documents."""

    def percent(value):
        return "" if value is None else f"{100 * value:.2f}"

    def difference(comparison):
        if comparison is None:
            return ""
        low, high = (f"{100 * bound:+.2f}" for bound in comparison["interval"])
        return f"{100 * comparison['difference']:+.2f} [{low}, {high}]"

    lines = [
        "| training | median | best | ensemble | median − random's | ensemble − random's |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in result["rows"].values():
        against = row.get("against_random", {})
        cells = [percent(row.get(name)) for name in ("median", "best", "ensemble")]
        cells += [difference(against.get(name)) for name in ("median", "ensemble")]
        lines.append(f"| {row['title']} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Strict micro F1 in % on {result['documents']} documents; in brackets the 95 % interval of the paired",
    ]
    lines += [
        "bootstrap over documents, which knows nothing of other seeds and splits; median and best are by this F1."
    ]
    lines += [
        "All is one model, of all notes. The rows with − are random splits without that component; without context"
    ]
    lines += ["each sentence is a window of its own."]
    if gain := result["rows"].get(REFERENCE, {}).get("ensemble_above_median"):
        lines += ["", f"Random splits: the ensemble is above its median member by {difference(gain)}."]
    return "\n".join(lines) + "\n"


TABLES = {"ablation": ablation}


def main(argv: list[str]) -> None:
    table, *rest = argv or ["--help"]
    if table not in TABLES:
        is_help = table in ("-h", "--help")
        print(f"usage: clinx study TABLE RECIPE.yaml [--key value …]\n\n{__doc__}\n\ntables: {', '.join(TABLES)}")
        sys.exit(0 if is_help else 2)
    parts, _ = parse_recipe(ARGUMENTS, rest, f"clinx study {table}", TABLES[table].__doc__.splitlines()[0])
    args = parts[-1]
    if args.output_dir == fields(FinetuneTrainingArguments)[0].default:
        args.output_dir = f"runs/{Path(rest[0]).stem}"
    result = TABLES[table](*parts, rest)
    if result:
        Console().print(Markdown(as_markdown(result)))
