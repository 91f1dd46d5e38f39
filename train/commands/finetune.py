"""Fine-tune a concept extractor from a recipe: one model, an ensemble on splits, or the student of an ensemble."""

from ..recipe import Recipe
from ..recipe_reading import recipe_from_command_line


EXAMPLE = "clinx finetune my-notes.yaml --splits 5"


def main(argv: list[str]) -> None:
    """Runs `clinx finetune`; raises InputError for what the user has to mend."""
    recipe = recipe_from_command_line(Recipe, argv, "clinx finetune", __doc__, EXAMPLE)
    from ..finetuning.ensemble import run_recipe, student_of  # not above: `--help` answers at once

    run_recipe(student_of(recipe) if recipe.distill else recipe)
