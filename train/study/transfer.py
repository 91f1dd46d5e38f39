"""Which source helps which target, and what foresaw it (Lange et al. 2022, Tables 5 and 6)."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..corpora.documents import Document
from ..errors import InputError
from ..finetuning.data import member_data, read_annotated
from ..fingerprint import model_commit
from ..recipe import Recipe
from ..transfer.ranking import rank_sources
from ..writing import exclusive, write_json
from .grid import Failures, JudgedRuns, Settings, Study, collecting, refuse_failed, train_cells
from .transfer_tables import with_judged_measures, write_tables


NO_SOURCE = "none"


@dataclass(frozen=True, kw_only=True)
class TransferStudy(Study):
    """Each target is trained at each size from each source, and from none; each source on all of its own notes.

    Attributes:
        targets: the corpora that are transferred to.
        sources: those that are transferred from; never to themselves.
        sizes: by the number of sentences of the target, or `all`, settings for trainings of that size.
        source_settings: of the models that are sources.
    """

    targets: list
    sources: list
    sizes: dict
    source_settings: dict

    def check(self) -> None:
        super().check()
        for key in ("targets", "sources"):
            self.refuse_unknown(key, getattr(self, key))
        if wrong := [size for size in self.sizes if size != "all" and not (size.isdecimal() and int(size))]:
            raise InputError(f"{self.path}: sizes has {wrong[0]}, expected a number of sentences, or all")

    def source_recipe(self, source: str) -> Recipe:
        own = {"seed": self.seeds(self.corpora[source], self.source_settings)[0]}
        return self.recipe(f"sources/{source}", self.corpora[source], self.source_settings, own)

    def cells(self, sources: list[str]) -> Iterator["Cell"]:
        """The cells of these sources."""
        for size in self.sizes:
            for target in self.targets:
                yield from (Cell(target, size, source) for source in sources if target != source)

    def runs(self, cell: "Cell") -> list[str]:
        """The runs of a cell, one a seed, by the names of their folders in the study's."""
        seeds = self.seeds(self.corpora[cell.target], self.sizes[cell.size])
        return [f"{cell.target}/{cell.size}/{cell.source}/seed-{seed}" for seed in seeds]

    def run_recipe(self, cell: "Cell", run: str) -> Recipe:
        own: Settings = {"seed": run.rpartition("-")[2]}
        own |= {} if cell.size == "all" else {"max_train_sentences": cell.size}
        if cell.source != NO_SOURCE:
            own["source_model"] = str(self.folder / "sources" / cell.source)
        return self.recipe(run, self.corpora[cell.target], self.sizes[cell.size], own)


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
        sources = {f"sources/{name}": study.source_recipe(name) for name in study.sources}
        failed = train_cells(sources, lambda _: None, at_once=at_once)
        known = [name for name in study.sources if f"sources/{name}" not in failed]
        figures = Figures(study)
        failed |= _train(study, [NO_SOURCE], figures, at_once)
        for target, size in figures.without_transfer():
            with collecting(failed, f"ranking of {target}, {size}"):
                figures.rankings[target, size] = rank(study, target, size, [name for name in known if name != target])
        failed |= _train(study, known, figures, at_once)
        refuse_failed(failed)
    print(f"\ntable: {study.folder / 'transfer.md'}; heat map: {study.folder / 'transfer.png'}")
    return figures.result()


def _train(study: TransferStudy, sources: list[str], figures: "Figures", at_once: int) -> Failures:
    cells = {run: cell for cell in study.cells(sources) for run in study.runs(cell)}
    recipes = {run: study.run_recipe(cell, run) for run, cell in cells.items()}
    return train_cells(recipes, lambda run: figures.add(cells[run], run), at_once=at_once)


class Figures:
    """What is known of a study's cells so far.

    Attributes:
        rankings: by target and size, what `rank` foresaw.
    """

    def __init__(self, study: TransferStudy):
        self.study = study
        self.rankings: dict[tuple[str, str], dict] = {}
        self._runs = JudgedRuns(study.folder)
        self._gains: dict[Cell, dict] = {}

    def add(self, cell: Cell, run: str) -> None:
        """Takes a run in, and writes the tables when its cell is complete."""
        none = cell._replace(source=NO_SOURCE)
        is_complete = self._runs.add(cell.target, cell, run, len(self.study.runs(cell)))
        if is_complete and cell != none and none in self._runs.f1:
            self._gains[cell] = self._runs.compare(cell.target, cell, none)
            write_tables(self.study.folder, self.result())

    def without_transfer(self) -> list[tuple[str, str]]:
        """The targets and sizes that are trained without transfer."""
        return [(cell.target, cell.size) for cell in self._runs.f1 if cell.source == NO_SOURCE]

    def result(self) -> dict:
        """All figures, by size and target, with the judging of measures where all sources of a target are there."""
        sizes: dict[str, dict] = {size: {"targets": {}} for size in self.study.sizes}
        for target, size in self.without_transfer():
            ranking = self.rankings.get((target, size), {})
            gains = {cell.source: gain for cell, gain in self._gains.items() if cell[:2] == (target, size)}
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
                "foreseen": ranking.get("foreseen"),
                "ahead": ranking.get("ahead"),
                "best": max(gains, key=lambda name, gains=gains: gains[name]["difference"], default=None),
            }
        about = {"study": self.study.path.stem, "written": time.strftime("%Y-%m-%d"), "sources": self.study.sources}
        return with_judged_measures({**about, "sizes": sizes})


def rank(study: TransferStudy, target: str, size: str, sources: list[str]) -> dict:
    """What `rank_sources` says of the sources; written to `ranking.json`, and read there while all models are the same.

    The model of the target, for the measures that need one, is that of the first seed without transfer.
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
    notes = {folders[name]: _documents(study.source_recipe(name)) for name in sources}
    documents = _documents(study.run_recipe(cell, first))
    ranking = rank_sources(documents, [*folders.values()], notes, str(study.folder / first))
    names = {folder: name for name, folder in folders.items()}
    of_sources = {
        names[source.name]: {
            "measures": {name: None if math.isnan(value) else value for name, value in source.measures.items()},
            "score": source.score,
        }
        for source in ranking.sources
    }
    result = {"models": models, "sources": of_sources, "foreseen": next(iter(of_sources)), "ahead": ranking.ahead}
    write_json(file, result)
    return result


def _documents(recipe: Recipe) -> list[Document]:
    return member_data(recipe, read_annotated(recipe)).train
