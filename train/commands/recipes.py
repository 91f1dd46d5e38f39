"""The built-in recipes, which can be named without a path."""

import argparse
import re

from ..console import console, help_with_example
from ..recipe_reading import BUILT_IN


EXAMPLE = "clinx recipes"


def main(argv: list[str]) -> None:
    """Runs `clinx recipes`."""
    parser = argparse.ArgumentParser(prog="clinx recipes", **help_with_example(__doc__, EXAMPLE))
    parser.parse_args(argv)
    from rich.table import Table  # not above: `--help` answers at once

    table = Table("command", "what it is", box=None, show_header=False)
    for path in sorted(BUILT_IN.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        verb = "pretrain" if re.search(r"^(model|from_scratch):", text, re.M) else "finetune"
        table.add_row(f"clinx {verb} {path.stem}", text.partition("\n")[0].removeprefix("# "))
    console().print(table)
    print(f"\nThey lie in {BUILT_IN}; `--key value` behind a command trains with other settings.")
