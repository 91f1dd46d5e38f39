"""Which source helps which target, and what foresaw it (Lange et al. 2022, Tables 5 and 6)."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from ..corpora.documents import Document
from ..corpora.formats.jsonl import write_jsonl
from ..errors import InputError
from ..finetuning.data import member_data, read_annotated
from ..fingerprint import model_commit
from ..recipe import Recipe
from ..transfer.ranking import rank_sources
from ..writing import exclusive, write_json
from .grid import OF_TEST, ScoredRuns, Settings, Study, collecting, judging_documents, refuse_failed, train_cells
from .transfer_tables import with_evaluated_measures, write_tables


NO_SOURCE = "none"


@dataclass(frozen=True, kw_only=True)
class TransferStudy(Study):
    """Each target is trained at each size from each source, and from none; each source on all of its own notes.

    Attributes:
        targets: the corpora that are transferred to.
        sources: those that are transferred from; never to themselves.
        sizes: by the number of sentences of the target, or `all`, settings for trainings of that size.
        source_settings: of the models that are sources. Where a corpus has settings of its own, it keeps them.
    """

    of_cells = (*Study.of_cells, "held_out", "test", "test_fraction")

    targets: list
    sources: list
    sizes: dict
    source_settings: dict = field(default_factory=dict)

    def check(self) -> None:
        self.refuse_unknown("targets", self.targets)
        self.refuse_unknown("sources", self.sources)
        super().check()
        self.refuse_settings("sizes", self.sizes, ("encoder", "train", *OF_TEST))
        if "max_train_sentences" in self.settings:
            raise InputError(
                f"{self.path}: settings has max_train_sentences, which sizes are; set it in source_settings"
            )
        if NO_SOURCE in self.corpora:
            raise InputError(f"{self.path}: a corpus is called {NO_SOURCE}, which is the name of no transfer")
        if wrong := [size for size in self.sizes if size != "all" and not (size.isdecimal() and int(size))]:
            raise InputError(f"{self.path}: sizes has {wrong[0]}, expected a number of sentences, or all")

    def scored_corpora(self) -> list[str]:
        return self.targets

    def source_recipe(self, source: str) -> Recipe:
        """The recipe of a source, which learns from no document that shares text with what judges a target."""
        parts = (self.source_settings, self.corpora[source])
        held_out = self._merged(parts).get("held_out") or []
        held_out = [held_out] if isinstance(held_out, str) else [*held_out]
        held_out += [_as_setting(self._judging_file(target)) for target in self.judging if target != source]
        own: Settings = {"seed": self.seeds(*parts)[0], "held_out": held_out or None}
        return self.recipe(f"sources/{source}", *parts, own)

    @cached_property
    def judging(self) -> dict[str, list[Document]]:
        """By target, the documents that judge it; raises InputError where they are too few."""
        cells = [Cell(target, next(iter(self.sizes)), NO_SOURCE) for target in self.targets]
        return {cell.target: judging_documents(self.target_recipe(cell, self.runs(cell)[0])) for cell in cells}

    def _judging_file(self, target: str) -> Path:
        return self.folder / "judging" / f"{target}.jsonl"

    def keep(self, recipes: Mapping[str, Recipe]) -> None:
        """Writes the texts that judge each target too, in whatever form these lie: sources hold them out."""
        super().keep(recipes)
        for target, documents in self.judging.items():
            texts = (Document(document.id, document.text) for document in documents)
            write_jsonl(texts, self._judging_file(target))

    def cells(self, sources: list[str]) -> Iterator["Cell"]:
        """The cells of these sources."""
        for size in self.sizes:
            for target in self.targets:
                yield from (Cell(target, size, source) for source in sources if target != source)

    def runs(self, cell: "Cell") -> list[str]:
        """The runs of a cell, one a seed, by the names of their folders in the study's."""
        seeds = self.seeds(self.sizes[cell.size], self.corpora[cell.target])
        return [f"{cell.target}/{cell.size}/{cell.source}/seed-{seed}" for seed in seeds]

    def recipes(self, sources: list[str]) -> dict[str, Recipe]:
        """The recipes of the runs of all cells of these sources, by the names of the runs."""
        return {run: self.target_recipe(cell, run) for cell in self.cells(sources) for run in self.runs(cell)}

    def target_recipe(self, cell: "Cell", run: str) -> Recipe:
        """The recipe of a run of a cell."""
        own: Settings = {"seed": run.rpartition("-")[2]}
        own |= {} if cell.size == "all" else {"max_train_sentences": cell.size}
        if cell.source != NO_SOURCE:
            own["source_model"] = _as_setting(self.folder / "sources" / cell.source)
        return self.recipe(run, self.sizes[cell.size], self.corpora[cell.target], own)


def _as_setting(path: Path) -> str:
    """A path as settings have it, in which a dollar sign would begin the name of a variable."""
    return str(path).replace("$", "$$")


class Cell(NamedTuple):
    """A cell of the tables: a target, how much of it is learned from, and the source."""

    target: str
    size: str
    source: str


def study_transfer(study: TransferStudy, at_once: int = 1) -> dict:
    """Trains what is missing, foresees what every source will give, and compares it with what it gives.

    The folder gets a run for each cell and seed, `transfer.json`, `.md` and `.png`, written anew after each cell, and
    `transfers.json`, from which `clinx rank-sources --transfers` learns. Sources are ranked before any transfer to
    their target is trained.

    Raises InputError for cells that failed, once the others are done.
    """
    with exclusive(study.folder):
        source_recipes = {f"sources/{name}": study.source_recipe(name) for name in study.sources}
        names = [NO_SOURCE, *study.sources]
        recipes = {name: study.recipes([name]) for name in names}  # all, before one is trained
        study.keep(
            source_recipes | {run: recipe for of_source in recipes.values() for run, recipe in of_source.items()}
        )
        notes_of = cache(lambda name: _documents(source_recipes[f"sources/{name}"]))
        figures = Figures(study)
        cells = {run: cell for cell in study.cells(names) for run in study.runs(cell)}

        def add(run: str) -> None:
            figures.add(cells[run], run)

        failed = train_cells(source_recipes, lambda _: None, at_once=at_once)
        failed |= train_cells(recipes[NO_SOURCE], add, at_once=at_once)
        known = [name for name in study.sources if f"sources/{name}" not in failed]
        for target, size in figures.without_transfer():
            if sources := [name for name in known if name != target]:
                with collecting(failed, f"ranking of {target}, {size}"):
                    figures.rankings[target, size] = rank(study, target, size, sources, notes_of)
        failed |= train_cells({run: of for name in known for run, of in recipes[name].items()}, add, at_once=at_once)
        refuse_failed(failed, [*source_recipes, *recipes[NO_SOURCE]])  # without these nothing is trained
    print(f"\ntable: {study.folder / 'transfer.md'}; heat map: {study.folder / 'transfer.png'}")
    return figures.result()


class Figures:
    """What is known of a study's cells so far.

    Attributes:
        rankings: by target and size, what `rank` foresaw.
    """

    def __init__(self, study: TransferStudy):
        self.study = study
        self.rankings: dict[tuple[str, str], dict] = {}
        self._runs = ScoredRuns(study.folder)
        self._gains: dict[Cell, dict] = {}

    def add(self, cell: Cell, run: str) -> None:
        """Takes a run in, and writes the tables when its cell is complete."""
        none = cell._replace(source=NO_SOURCE)
        is_complete = self._runs.add(cell.target, cell, run, self.study.runs(cell))
        if is_complete and cell != none and none in self._runs.f1:
            self._gains[cell] = self._runs.compare(cell.target, cell, none)
            write_tables(self.study.folder, self.result())

    def without_transfer(self) -> list[tuple[str, str]]:
        """The targets and sizes that are trained without transfer."""
        cells = self.study.cells([NO_SOURCE])
        return [(cell.target, cell.size) for cell in cells if cell in self._runs.f1]

    def result(self) -> dict:
        """All figures, by size and target, with the evaluation of measures where all sources of a target are there."""
        sizes: dict[str, dict] = {size: {"targets": {}} for size in self.study.sizes}
        for target, size in self.without_transfer():
            ranking = self.rankings.get((target, size), {})
            gains = {
                cell.source: gain for cell, gain in self._gains.items() if (cell.target, cell.size) == (target, size)
            }
            sizes[size]["targets"][target] = {
                "documents": len(self._runs.gold[target]),
                "without_transfer": self._runs.f1[Cell(target, size, NO_SOURCE)],
                "sources": {
                    name: {
                        "f1": self._runs.f1[Cell(target, size, name)],
                        "gain": gain,
                        **ranking.get("sources", {}).get(name, {}),
                    }
                    for name, gain in gains.items()
                },
                "ranked": [*ranking.get("sources", {})],
                "foreseen": ranking.get("foreseen"),
                "ahead": ranking.get("ahead"),
                "best": max(gains, key=lambda name, gains=gains: gains[name]["difference"], default=None),
            }
        about = {"study": self.study.path.stem, "written": time.strftime("%Y-%m-%d"), "sources": self.study.sources}
        return with_evaluated_measures({**about, "sizes": sizes})


def rank(
    study: TransferStudy, target: str, size: str, sources: list[str], notes_of: Callable[[str], list[Document]]
) -> dict:
    """What `rank_sources` says of the sources; written to `ranking.json`, and read there while all models are the same.

    The model of the target, for the measures that need one, is that of the first seed without transfer.

    Args:
        notes_of: gives what a source learned from.
    """
    file = study.folder / target / size / "ranking.json"
    cell = Cell(target, size, NO_SOURCE)
    first = study.runs(cell)[0]
    folders = {name: str(study.folder / "sources" / name) for name in sources}
    models = {name: model_commit(str(Path(folder, "model"))) for name, folder in folders.items()}
    models[NO_SOURCE] = model_commit(str(study.folder / first / "model"))
    if file.exists() and (known := json.loads(file.read_text()))["models"] == models:
        return known
    print(f"ranking the sources of {target}, {size}", flush=True)
    notes = {folders[name]: notes_of(name) for name in sources}
    documents = _documents(study.target_recipe(cell, first))
    ranking = rank_sources(documents, [*folders.values()], notes, str(study.folder / first))
    names = {folder: name for name, folder in folders.items()}
    of_sources = {
        names[source.name]: {
            "measures": {name: None if math.isnan(value) else value for name, value in source.measures.items()},
            "score": source.score,
        }
        for source in ranking.sources
    }
    result = {
        "models": models,
        "sources": of_sources,
        "foreseen": next(iter(of_sources)),
        "ahead": None if math.isnan(ranking.ahead) else ranking.ahead,
    }
    write_json(file, result)
    return result


def _documents(recipe: Recipe) -> list[Document]:
    return member_data(recipe, read_annotated(recipe)).train
