"""Grids of recipes: a study's file, and the training of its cells, which goes on where it stopped."""

import difflib
import re
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import yaml

from ..corpora import read_corpus
from ..corpora.documents import Document
from ..errors import InputError
from ..finetuning.data import read_annotated
from ..finetuning.ensemble import run_recipe
from ..finetuning.side_by_side import Training, train_side_by_side
from ..recipe import Recipe
from ..recipe_reading import recipe_file, settings_in
from ..run_folder import RunFolder
from ..scoring.scores import score
from ..scoring.significance import compare_runs
from ..training import resolved, training_arguments


Settings = dict[str, str | list[str] | None]  # of a recipe, as text
Failures = dict[str, str]  # the reason, by the name of the cell
NOT_IN_FILE = ("path", "folder", "overrides")
OF_TEST = ("test", "test_fraction", "max_test_documents", "split_seed")  # the same for all cells of a corpus


@dataclass(frozen=True, kw_only=True)
class Study:
    """What a study's file says: settings of a recipe for all its cells, and those in which they differ.

    A list as `seed` is a run for each. What tells cells apart is set by the study alone.

    Attributes:
        path: the file.
        folder: where its runs and tables go.
        overrides: options of the command line, for every recipe.
        settings: of every recipe.
        corpora: by the name of a corpus, its settings: `train`, `test` and whatever is its own.
    """

    of_cells = ("seed", "train", "max_train_sentences", "source_model", "source_models", "output_dir")  # no overrides

    path: Path
    folder: Path
    overrides: tuple[str, ...] = ()
    settings: dict
    corpora: dict

    @classmethod
    def read(cls, path: str | Path, folder: str | None = None, overrides: tuple[str, ...] = ()) -> Self:
        """The study in a YAML file, or a built-in one's by its name.

        Raises InputError, with the line, for a key that is unknown, missing or of another shape.
        """
        path = recipe_file(path)
        keys = {item.name: item for item in fields(cls) if item.name not in NOT_IN_FILE}
        values: dict[str, dict | list] = {}
        for key, value, line in settings_in(path):
            where = f"{path}:{line}"
            if key not in keys:
                near = difflib.get_close_matches(key, keys, n=1)
                advice = f"did you mean {near[0]}?" if near else f"expected {', '.join(keys)}"
                raise InputError(f"{where}: unknown key {key!r} of a study; {advice}")
            if key in values:
                raise InputError(f"{where}: {key!r} stands here a second time; keep one")
            values[key] = _value(keys[key], value, where)
        required = [name for name, item in keys.items() if MISSING is item.default is item.default_factory]
        if missing := [name for name in required if name not in values]:
            raise InputError(f"{path}: the study has no {', '.join(missing)}")
        folder = Path(folder or f"runs/{path.stem}").expanduser()
        study = cls(path=path, folder=folder, overrides=overrides, **values)
        study.check()
        return study

    def check(self) -> None:
        """Raises InputError for what would mix up cells, or leave them without documents to be scored on."""
        for option in self.overrides:
            name = option.removeprefix("--").partition("=")[0].replace("-", "_")
            if option.startswith("--") and name in self.of_cells:
                raise InputError(f"--{name} is what tells the study's cells apart: set it in {self.path}")
        for corpus in self.scored_corpora():
            if not self._merged([self.corpora[corpus]]).keys() & {"test", "test_fraction"}:
                raise InputError(f"{self.path}: {corpus} has no test documents: name test, or a test_fraction")

    def scored_corpora(self) -> Iterable[str]:
        """The corpora whose test documents are used."""
        return self.corpora

    def refuse_unknown(self, key: str, names: Iterable[str]) -> None:
        """Raises InputError for a name that is none of the corpora."""
        for name in names:
            if name not in self.corpora:
                raise InputError(f"{self.path}: {key} has {name}, but corpora are {', '.join(self.corpora)}")

    def refuse_settings(self, key: str, parts: Mapping[str, Settings], names: Iterable[str]) -> None:
        """Raises InputError where a part, as a size or a system, sets what has to be the same for all."""
        for part, settings in parts.items():
            for name in names:
                if name in settings:
                    raise InputError(f"{self.path}: {part} of {key} sets {name}, which belongs to corpora or settings")

    def seeds(self, *parts: Settings) -> list[str]:
        """The seeds of a cell; its settings are those of all and of these parts, of which later ones override earlier.

        Raises InputError for a seed that is there twice.
        """
        seed = self._merged(parts).get("seed") or "1"
        seeds = seed if isinstance(seed, list) else [seed]
        if len({*seeds}) < len(seeds):
            raise InputError(f"{self.path}: a seed stands twice in {', '.join(seeds)}")
        return seeds

    def recipe(self, cell: str, *parts: Settings) -> Recipe:
        """The recipe of a cell; nothing is written yet. Raises InputError for settings that cannot be used."""
        with TemporaryDirectory() as folder:
            file = Path(folder, "recipe.yaml")
            file.write_bytes(yaml.safe_dump(self._merged(parts), allow_unicode=True, sort_keys=False).encode())
            try:
                return Recipe.read(file, self.overrides).changed(output_dir=str(self.folder / cell))
            except InputError as error:
                fault = re.sub(rf"^{re.escape(str(file))}(:\d+)?: ", "", str(error))
                raise InputError(f"{self.path}: settings of {cell}: {fault}") from None

    def keep(self, recipes: Mapping[str, Recipe]) -> None:
        """Writes the recipes of cells beside the folders of their runs, from where they are trained: `CELL.yaml`.

        Raises InputError, before anything is written, where a folder holds a run of other settings.
        """
        for recipe in recipes.values():
            RunFolder(recipe.folder).refuse_other_settings(resolved(recipe, training_arguments(recipe)))
        for cell, recipe in recipes.items():
            recipe.write(self.folder / f"{cell}.yaml")

    def _merged(self, parts: Iterable[Settings]) -> Settings:
        return {key: value for part in (self.settings, *parts) for key, value in part.items()}


def _value(item: Field, value: object, where: str) -> dict | list:
    """A value of a study's file; raises InputError where it is of another shape than its field."""
    is_settings = item.name.endswith("settings")
    if item.type is list:
        is_right = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    else:
        is_right = isinstance(value, dict) and (value or is_settings)
    if not is_right:
        raise InputError(f"{where}: expected {item.name} as a {'list of names' if item.type is list else 'mapping'}")
    if is_settings:
        return _settings(value, where)
    if item.type is list or item.metadata.get("of_lists"):
        return value
    return {name: _settings(part, f"{where}: {name}") for name, part in value.items()}


def _settings(part: object, where: str) -> Settings:
    """Settings as YAML gives them, with None for null; raises InputError for what is no mapping."""
    if not isinstance(part or {}, dict):
        raise InputError(f"{where}: expected a mapping of settings")
    return {key: None if value in ("", "~", "null") else value for key, value in (part or {}).items()}


def judging_documents(recipe: Recipe) -> list[Document]:
    """The test documents of a recipe; raises InputError where they are too few to compare models on."""
    documents = read_annotated(recipe).test
    if len(documents) < 2:
        raise InputError(
            f"{recipe.test or recipe.train}: found {len(documents)} test document, too few to compare on; hold out two "
            "or more, or divide it into blocks of sentences by max_test_documents"
        )
    return documents


def train_cells(
    recipes: Mapping[str, Recipe],
    after_each: Callable[[str], object],
    train: Callable[[Recipe], object] = run_recipe,
    at_once: int = 1,
    world_size: int = 1,
) -> Failures:
    """Trains what is not there yet, and returns why cells failed, once the others are done.

    Args:
        recipes: by the name of the cell; where several are trained at once, those that `Study.keep` wrote.
        after_each: called with the name of each cell that is complete; what it raises is that cell's failure.
        train: what trains a cell, or finds its run complete and of this recipe.
        at_once: so many trainings at a time, each in a process whose output goes to `CELL.log` beside its folder.
        world_size: processes that train together; with more than one, a failure is raised, since others wait.
    """
    failed: Failures = {}
    later = [name for name, recipe in recipes.items() if at_once > 1 and not RunFolder(recipe.folder).is_done]
    for name, recipe in recipes.items():
        if name not in later:
            print(f"\n{name} → {recipe.folder}", flush=True)
            with collecting(failed, name, is_alone=world_size == 1):
                train(recipe)
                after_each(name)
    files = {name: recipes[name].folder.parent / recipes[name].folder.name for name in later}
    trainings = [Training(name, Path(f"{file}.yaml"), Path(f"{file}.log")) for name, file in files.items()]
    if trainings:
        print(f"\n{len(later)} trainings, {at_once} at a time; the output of each goes to a .log beside its folder")
    for number, (name, fault) in enumerate(train_side_by_side(trainings, at_once), 1):
        print(f"{number} of {len(later)}: {name} {'failed' if fault else 'is done'}", flush=True)
        with collecting(failed, name):
            if fault:
                raise InputError(fault)
            after_each(name)
    return failed


@contextmanager
def collecting(failed: Failures, name: str, is_alone: bool = True) -> Iterator[None]:
    """Notes an error as why `name` failed, and goes on; with others that wait (not `is_alone`) it is raised."""
    try:
        yield
    except Exception as error:
        if not is_alone:
            raise
        failed[name] = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, InputError):
            traceback.print_exc()


class ScoredRuns:
    """What runs predict for the test documents, by cell, as they become complete.

    Attributes:
        gold: the test documents, by corpus.
        f1: by complete cell, strict micro F1 of its runs, from 0 to 1.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.gold: dict[str, list[Document]] = {}
        self.f1: dict[Hashable, list[float]] = {}
        self._predicted: dict[Hashable, dict[str, list[Document]]] = {}

    def add(self, corpus: str, cell: Hashable, run: str, runs: Iterable[str]) -> bool:
        """Takes a run in, and says whether its cell is complete.

        Args:
            run: its folder in the study's.
            runs: those of all runs of the cell, in their order.

        Raises InputError where its test documents are not those of the corpus' other runs.
        """
        gold = list(read_corpus(self.folder / run / "gold.jsonl"))
        if self.gold.setdefault(corpus, gold) != gold:
            raise InputError("the test documents have changed since the study began: give its command again")
        predicted = self._predicted.setdefault(cell, {})
        predicted[run] = list(read_corpus(self.folder / run / "test.jsonl"))
        is_complete = predicted.keys() == {*runs}
        if is_complete:
            self._predicted[cell] = {name: predicted[name] for name in runs}  # whichever was done first
            self.f1[cell] = [score(gold, of_run)["f1"] for of_run in self._predicted[cell].values()]
        return is_complete

    def compare(self, corpus: str, cell: Hashable, reference: Hashable) -> dict:
        """`compare_runs` of two complete cells."""
        runs = ([*self._predicted[of].values()] for of in (cell, reference))
        return compare_runs(self.gold[corpus], *runs)


def refuse_failed(failed: Failures, cells: Iterable[str]) -> None:
    """Raises InputError with the cells that failed, if there are any; says so where none is complete."""
    if failed:
        how_to_go_on = "the others are complete; give the same command again to go on"
        if {*cells} <= failed.keys():
            how_to_go_on = "no other is complete: mend the cause, and give the same command again"
        raise InputError("\n".join([*(f"{name}: {fault}" for name, fault in failed.items()), how_to_go_on]))
