"""The paper's tables on your corpus: `ablation` is its Table 4, from one recipe."""

import sys

from ..recipe import Recipe
from ..recipe_reading import recipe_from_command_line


EXAMPLE = "clinx study ablation ablation-mini"
TABLES = {"ablation": "Trains and compares the rows of the paper's Table 4 (31 models with 5 splits)."}


def main(argv: list[str]) -> None:
    """Runs `clinx study`; raises InputError for what the user has to mend."""
    table, *rest = argv or ["--help"]
    if table not in TABLES:
        print(f"usage: clinx study TABLE RECIPE [--key value …]\n\n{__doc__}\n")
        print("\n".join(f"  {name:12}{text}" for name, text in TABLES.items()) + f"\n\nexample: {EXAMPLE}")
        sys.exit(0 if table in ("-h", "--help") else 2)
    recipe = recipe_from_command_line(Recipe, rest, f"clinx study {table}", TABLES[table], EXAMPLE)
    from rich.console import Console
    from rich.markdown import Markdown

    from ..study.ablation import ablation
    from ..study.tables import as_markdown

    if result := ablation(recipe):
        Console().print(Markdown(as_markdown(result)))
