"""What each component brings (Lange et al. 2022, Table 4): one recipe, a run for each row."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from transformers import TrainingArguments

from ..errors import InputError
from ..finetuning.data import inputs_of, read_annotated
from ..finetuning.ensemble import run_recipe
from ..recipe import Recipe
from ..run_folder import RunFolder
from ..training import training_arguments
from ..writing import exclusive
from .grid import refuse_failed, train_cells
from .tables import write_table


class Row(NamedTuple):
    """A row of the table."""

    name: str  # its folder
    title: str
    settings: dict  # what is different from the recipe


ROWS = (
    Row("all", "All", {"split_kind": "all", "splits": None, "split_file": None, "early_stopping_patience": None}),
    Row("standard", "Standard splits", {"split_kind": "standard", "split_file": None}),
    Row("random", "Random splits", {}),
    Row("no-biose", "− BIOSE", {"scheme": "BIO"}),
    Row("no-crf", "− CRF", {"head": "linear"}),
    Row("no-context", "− context", {"context_size": 0, "segmentation": "sentence"}),
    Row("no-subwords", "− subword units", {"unit": "word"}),
)


def ablation(recipe: Recipe, train: Callable[[Recipe], object] = run_recipe) -> dict:
    """Trains the members of every row (31 models with 5 splits), and compares each row with random splits.

    The recipe's `output_dir` gets a run for each row, and `ablation.json`, `.md` and `.png`, which are written anew
    after every row. What is there already is not trained again.

    Args:
        train: what trains a row from its recipe.

    Raises InputError for a recipe without test documents, or for rows that failed, once the others are done.
    """
    if not (recipe.test or recipe.test_fraction):
        raise InputError("the study needs test documents: name test, or a test_fraction to hold out")
    if recipe.transfer_head == "shared":
        raise InputError("rows of the study have other heads and schemes, which share none: set transfer_head: new")
    args = training_arguments(recipe)
    with exclusive(Path(recipe.output_dir)) if args.process_index == 0 else nullcontext():
        return _train_rows(recipe.changed(splits=recipe.splits or 5, split_kind="random"), args, train)


def _train_rows(recipe: Recipe, args: TrainingArguments, train: Callable[[Recipe], object]) -> dict:
    folder = Path(recipe.output_dir)
    gold = read_annotated(recipe).test
    if len(gold) < 2:
        raise InputError(f"{len(gold)} test document is too few to compare on: hold out two or more")
    of_study = inputs_of(recipe, {"test": gold})["test"]
    recipes = {row.title: recipe.changed(output_dir=str(folder / row.name), **row.settings) for row in ROWS}
    complete, result = {}, {}  # rows that this command trained, or that were complete

    def add_row(title: str) -> None:
        name = recipes[title].folder.name
        if RunFolder(folder / name).read_inputs().get("test", of_study) != of_study:
            raise InputError("the test documents have changed since the study began: give its command again")
        complete[name] = title
        if args.process_index == 0:
            result.update(write_table(folder, gold, complete))

    refuse_failed(train_cells(recipes, add_row, train, world_size=args.world_size))
    print(f"\ntable: {folder / 'ablation.md'}; plot: {folder / 'ablation.png'}; figures: {folder / 'ablation.json'}")
    return result
