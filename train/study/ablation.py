"""What each component brings (Lange et al. 2022, Table 4): one recipe, a run or three for each row."""

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from transformers import TrainingArguments

from ..errors import InputError
from ..finetuning.data import inputs_of
from ..finetuning.ensemble import OF_ENSEMBLE, run_recipe
from ..finetuning.splits import Splits
from ..recipe import Recipe
from ..run_folder import RunFolder
from ..training import training_arguments
from ..writing import exclusive
from .cost import steps_of_equal_time
from .grid import judging_documents, refuse_failed, train_cells
from .tables import REFERENCE, write_table


class Row(NamedTuple):
    """A row of the table."""

    name: str  # its folder
    title: str
    settings: dict  # what is different from the recipe


ROWS = (
    Row(
        "all",
        "All",
        {"split_kind": "all", "splits": None, "split_file": None, "early_stopping_patience": None} | OF_ENSEMBLE,
    ),
    Row("standard", "Standard splits", {"split_kind": "standard", "split_file": None}),
    Row(REFERENCE, "Random splits", {}),
    Row("no-biose", "− BIOSE", {"scheme": "BIO"}),
    Row("no-crf", "− CRF", {"head": "linear"}),
    Row("sentences", "− packing: sentence windows, with context", {"segmentation": "sentence"}),
    Row("no-context", "− packing and context", {"context_size": 0, "segmentation": "sentence"}),
    Row("no-subwords", "− subword units", {"unit": "word"}),
)
SEEDS_OF_ALL = 3  # the row of one model has as many, with other seeds


def ablation(recipe: Recipe, train: Callable[[Recipe], object] = run_recipe, equal_time: bool = False) -> dict:
    """Trains the members of every row (38 models with 5 splits), and compares each row with random splits.

    The recipe's `output_dir` gets a folder for each row, and `ablation.json`, `.md` and `.png`, which are written anew
    after every row. What is there already is not trained again.

    Args:
        train: what trains a run from its recipe.
        equal_time: members train for as long as those of random splits, rather than for as many updates: `costs.json`
            says how many updates that are, as measured once, before the first training.

    Raises InputError for a recipe without test documents, or of which a row cannot be trained; or for rows that failed,
    once the others are done.
    """
    if not (recipe.test or recipe.test_fraction):
        raise InputError("the study needs test documents: name test, or a test_fraction to hold out")
    if recipe.transfer_head == "shared":
        raise InputError("rows of the study have other heads and schemes, which share none: set transfer_head: new")
    if recipe.save_strategy not in ("steps", "epoch"):
        raise InputError(
            f"save_strategy is {recipe.save_strategy}, and the row All chooses among checkpoints by training loss, "
            "without an evaluation: set steps or epoch"
        )
    args = training_arguments(recipe)
    of_file = len(Splits.read(recipe.split_file).members) if recipe.split_file else 5
    recipe = recipe.changed(splits=recipe.splits or of_file, split_kind="random")
    with exclusive(Path(recipe.output_dir)) if args.process_index == 0 else nullcontext():
        recipes = _rows(recipe)
        if equal_time:
            steps = steps_of_equal_time(recipes, REFERENCE, Path(recipe.output_dir) / "costs.json")
            recipes = {name: of_row.changed(**steps[name]) for name, of_row in recipes.items()}
        return _train_rows(recipe, recipes, args, train)


def _rows(recipe: Recipe) -> dict[str, Recipe]:
    """The recipes of the rows; one that is the same as random splits or an earlier row is left out, with a note."""
    recipes, titles = {REFERENCE: recipe}, {row.name: row.title for row in ROWS}
    for row in ROWS:
        of_row = recipe.changed(**row.settings)
        same = next((name for name, other in recipes.items() if other == of_row and name != row.name), None)
        if same:
            print(f"note: the row {row.title} is left out: with this recipe it is {titles[same]}", file=sys.stderr)
        else:
            recipes[row.name] = of_row
    return {name: recipes[name] for name in titles if name in recipes}


def _train_rows(
    recipe: Recipe, recipes: dict[str, Recipe], args: TrainingArguments, train: Callable[[Recipe], object]
) -> dict:
    folder = Path(recipe.output_dir)
    gold = judging_documents(recipe)
    of_study = inputs_of(recipe, {"test": gold})["test"]
    titles = {row.name: row.title for row in ROWS}
    runs = {run: of for name, of_row in recipes.items() for run, of in _runs(folder, name, of_row).items()}
    trained: dict[str, list[str]] = {}  # the runs that this command trained or that were complete, by their rows
    result = {}

    def add_run(run: str) -> None:
        if RunFolder(folder / run).read_inputs().get("test", of_study) != of_study:
            raise InputError("the test documents have changed since the study began: give its command again")
        row = run.partition("/")[0]
        trained.setdefault(row, []).append(run)
        whole = [name for name, of in trained.items() if len(of) == len(_runs(folder, name, recipes[name]))]
        if args.process_index == 0 and row in whole:
            result.update(write_table(folder, gold, {titles[name]: trained[name] for name in titles if name in whole}))

    refuse_failed(train_cells(runs, add_run, train, world_size=args.world_size), runs)
    print(f"\ntable: {folder / 'ablation.md'}; plot: {folder / 'ablation.png'}; figures: {folder / 'ablation.json'}")
    return result


def _runs(folder: Path, row: str, recipe: Recipe) -> dict[str, Recipe]:
    """The runs of a row by their folders in the study's: an ensemble, or single models with other seeds."""
    if recipe.is_ensemble:
        return {row: recipe.changed(output_dir=str(folder / row))}
    first = 1 if recipe.seed is None else recipe.seed
    names = {f"{row}/seed-{seed}": seed for seed in range(first, first + SEEDS_OF_ALL)}
    return {name: recipe.changed(output_dir=str(folder / name), seed=seed) for name, seed in names.items()}
