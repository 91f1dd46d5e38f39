"""Adapt a masked language model to clinical texts from a recipe: deduplicated, decontaminated, and measured."""

from ..console import quiet_loading
from ..pretraining.recipe import PretrainingRecipe
from ..recipe_reading import recipe_from_command_line


EXAMPLE = "clinx pretrain clin-x-es-mini --max_steps 200"


def main(argv: list[str]) -> None:
    """Runs `clinx pretrain`; raises InputError for what the user has to mend."""
    recipe = recipe_from_command_line(PretrainingRecipe, argv, "clinx pretrain", __doc__, EXAMPLE)
    quiet_loading()
    from ..pretraining.pretrain import pretrain  # not above: `--help` answers at once

    pretrain(recipe)
