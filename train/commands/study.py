"""The paper's tables on your corpora: its components, transfer between tasks, and systems side by side."""

import argparse
import sys

from ..console import help_with_example, quiet_loading
from ..recipe import Recipe
from ..recipe_reading import recipe_from_command_line


TABLES = {
    "ablation": "Trains and compares the rows of the paper's Table 4 and one more, 38 models, from one recipe; with "
    "--equal time each trains for the same time rather than for as many updates.",
    "transfer": "Which source helps which target, and what foresaw it: Tables 5 and 6, from a study's file.",
    "compare": "Which encoder and architecture is the best: Tables 3 and 7, from a study's file.",
}
EXAMPLES = {
    "ablation": "clinx study ablation ablation-mini",
    "transfer": "clinx study transfer transfer-mini --at_once 2",
    "compare": "clinx study compare compare-mini --at_once 2",
}


EQUAL = {
    "choices": ("updates", "time"),
    "default": "updates",
    "help": "whether all train for as many updates, or for as long as the first or the reference (default: updates)",
}


def main(argv: list[str]) -> None:
    """Runs `clinx study`; raises InputError for what the user has to mend."""
    table, *rest = argv or ["--help"]
    if table not in TABLES:
        print(f"usage: clinx study TABLE FILE [--key value …]\n\n{__doc__}\n")
        print("\n".join(f"  {name:12}{text}" for name, text in TABLES.items()) + f"\n\nexample: {EXAMPLES['ablation']}")
        sys.exit(0 if table in ("-h", "--help") else 2)
    {"ablation": _ablation, "transfer": _transfer, "compare": _compare}[table](rest)


def _ablation(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="clinx study ablation", add_help=False, allow_abbrev=False)
    parser.add_argument("--equal", **EQUAL)
    args, argv = parser.parse_known_args(argv)
    description = f"{TABLES['ablation']}\n\n--equal updates|time: {EQUAL['help']}"
    about = ("clinx study ablation", description, EXAMPLES["ablation"])
    recipe = recipe_from_command_line(Recipe, argv, *about)
    quiet_loading()
    from ..study.ablation import ablation
    from ..study.tables import as_markdown

    if result := ablation(recipe, equal_time=args.equal == "time"):
        _show(as_markdown(result))


def _transfer(argv: list[str]) -> None:
    args, overrides = _study(argv, "transfer")
    from ..study.transfer import TransferStudy, study_transfer
    from ..study.transfer_tables import as_markdown

    study = TransferStudy.read(args.study, args.output_dir, overrides)
    _show(as_markdown(study_transfer(study, args.at_once)))


def _compare(argv: list[str]) -> None:
    args, overrides = _study(argv, "compare")
    from ..study.compare import CompareStudy, as_markdown, study_compare

    study = CompareStudy.read(args.study, args.output_dir, overrides)
    _show(as_markdown(study_compare(study, args.at_once, args.equal == "time")))


def _study(argv: list[str], table: str) -> tuple[argparse.Namespace, tuple[str, ...]]:
    """A study's file, how many trainings run at once and its folder; and options for the recipes of all."""
    parser = argparse.ArgumentParser(
        prog=f"clinx study {table}", allow_abbrev=False, **help_with_example(TABLES[table], EXAMPLES[table])
    )
    parser.add_argument(
        "study",
        metavar="FILE",
        help="a study's YAML file, or the name of a built-in one; `--key value` changes a setting of all its runs",
    )
    parser.add_argument("--at_once", type=int, default=1, metavar="N", help="trainings side by side (default: 1)")
    parser.add_argument("--output_dir", metavar="DIR", help="where runs and tables go (default: runs/NAME of the file)")
    if table == "compare":
        parser.add_argument("--equal", **EQUAL)
    args, overrides = parser.parse_known_args(argv)
    if args.at_once < 1:
        parser.error("--at_once is at least 1")
    quiet_loading()
    return args, tuple(overrides)


def _show(markdown: str) -> None:
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(markdown))
