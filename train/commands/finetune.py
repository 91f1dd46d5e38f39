"""Fine-tune a concept extractor from a recipe: one model, an ensemble on splits, or the student of an ensemble."""

from ..checks import AUTO
from ..console import console, quiet_loading
from ..recipe import Recipe
from ..recipe_reading import recipe_from_command_line


EXAMPLE = "clinx finetune my-notes.yaml --splits 5"


def main(argv: list[str]) -> None:
    """Runs `clinx finetune`; raises InputError for what the user has to mend."""
    recipe = recipe_from_command_line(Recipe, argv, "clinx finetune", __doc__, EXAMPLE)
    quiet_loading()
    from ..finetuning.ensemble import run_recipe, student_of  # not above: `--help` answers at once

    recipe = _with_source(recipe) if recipe.source_model == AUTO else recipe
    run_recipe(student_of(recipe) if recipe.distill else recipe)


def _with_source(recipe: Recipe) -> Recipe:
    """The recipe with that of its `source_models` to start from which is likely the best for its notes."""
    from ..finetuning.data import read_annotated
    from ..transfer.ranking import rank_sources
    from ..transfer.sources import notes_of_runs
    from .rank_sources import recommendation, table

    notes = notes_of_runs(recipe.source_models)
    ranking = rank_sources(read_annotated(recipe).documents, recipe.source_models, notes)
    console().print(table(ranking))
    print(recommendation(ranking))
    return recipe.changed(source_model=ranking.sources[0].name, source_models=None)
