"""The built-in recipes, which can be named without a path."""

import argparse
import re

from ..console import console, help_with_example
from ..recipe_reading import BUILT_IN


EXAMPLE = "clinx recipes"
COMMANDS = {  # by a key that only its recipes have
    "study transfer": "targets",
    "study compare": "systems",
    "study ablation": "test_fraction",
    "pretrain": "model|from_scratch",
}


def main(argv: list[str]) -> None:
    """Runs `clinx recipes`."""
    parser = argparse.ArgumentParser(prog="clinx recipes", **help_with_example(__doc__, EXAMPLE))
    parser.parse_args(argv)
    from rich.table import Table  # not above: `--help` answers at once

    table = Table("command", "what it is", box=None, show_header=False)
    for path in sorted(BUILT_IN.glob("*.yaml")):
        if path.stem.startswith("demo"):  # `clinx demo` fills in the rest
            continue
        text = path.read_text(encoding="utf-8")
        of_key = (command for command, key in COMMANDS.items() if re.search(rf"^({key}):", text, re.M))
        table.add_row(f"clinx {next(of_key, 'finetune')} {path.stem}", text.partition("\n")[0].removeprefix("# "))
    console().print(table)
    print(f"\nThey lie in {BUILT_IN}; `--key value` behind a command trains with other settings.")
