"""The built-in recipes, which can be named without a path."""

import argparse

from ..console import console, help_with_example
from ..recipe_reading import BUILT_IN


EXAMPLE = "clinx recipes"


def main(argv: list[str]) -> None:
    """Runs `clinx recipes`."""
    parser = argparse.ArgumentParser(prog="clinx recipes", **help_with_example(__doc__, EXAMPLE))
    parser.parse_args(argv)
    from rich.table import Table  # not above: `--help` answers at once

    table = Table("name", "what it is", box=None, show_header=False)
    for path in sorted(BUILT_IN.glob("*.yaml")):
        first_line = path.read_text(encoding="utf-8").partition("\n")[0]
        table.add_row(path.stem, first_line.removeprefix("# "))
    console().print(table)
    print(f"\nThey lie in {BUILT_IN}; `clinx finetune NAME --key value` trains one with other settings.")
