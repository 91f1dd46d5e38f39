"""Which encoder and architecture is the best, task by task (Lange et al. 2022, Tables 3 and 7): systems × corpora."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from ..errors import InputError
from ..plots import systems_plot
from ..recipe import Recipe
from ..scoring.p_values import LEGEND as CODES
from ..scoring.p_values import correct_family
from ..writing import atomic_file, exclusive, write_json
from .cost import steps_of_equal_time
from .grid import OF_TEST, ScoredRuns, Settings, Study, judging_documents, refuse_failed, train_cells
from .paper import of_system
from .tables import difference, percent


@dataclass(frozen=True, kw_only=True)
class CompareStudy(Study):
    """Each system is trained and scored on each corpus.

    Attributes:
        systems: by name, settings of its encoder and architecture; the others are compared with the first.
        languages: by language, its corpora, whose mean is shown.
    """

    systems: dict
    languages: dict = field(default_factory=dict, metadata={"of_lists": True})

    def check(self) -> None:
        super().check()
        for language, corpora in self.languages.items():
            if not isinstance(corpora, list):
                raise InputError(f"{self.path}: {language} of languages is no list of corpora")
            self.refuse_unknown(f"{language} of languages", corpora)
        self.refuse_settings("systems", self.systems, ("train", *OF_TEST))
        if len({folder_name(system) for system in self.systems}) < len(self.systems):
            raise InputError(f"{self.path}: two systems would have the same folder: let their names differ in letters")

    def runs(self, corpus: str, system: str) -> dict[str, Settings]:
        """Folders of a cell's runs in the study's, one a seed, and what is their own."""
        seeds = self.seeds(self.corpora[corpus], self.systems[system])
        return {f"{corpus}/{folder_name(system)}/seed-{seed}": {"seed": seed} for seed in seeds}


def folder_name(system: str) -> str:
    """The name of a system as that of a folder."""
    return "".join(character if character.isalnum() else "-" for character in system)


def study_compare(study: CompareStudy, at_once: int = 1, equal_time: bool = False) -> dict:
    """Trains what is missing, and compares every system with the first on the same documents.

    The folder gets a run for each corpus, system and seed, and `compare.json`, `.md` and `.png`, written anew after
    each cell. Raises InputError for cells that failed, once the others are done.

    Args:
        equal_time: systems train for as long as the first, rather than for as many updates: `CORPUS/costs.json` has
            what an update of each costs, as measured before its first training.
    """
    scored, result = ScoredRuns(study.folder), {}
    cells = [(corpus, system) for corpus in study.corpora for system in study.systems]
    runs = {run: (cell, own) for cell in cells for run, own in study.runs(*cell).items()}

    def add(run: str) -> None:
        (corpus, system), _ = runs[run]
        if scored.add(corpus, (corpus, system), run, study.runs(corpus, system)):
            result.update(_figures(study, scored, result.get("corpora", {})))
            _write(study.folder, result)

    with exclusive(study.folder):
        recipes = {
            run: study.recipe(run, study.corpora[corpus], study.systems[system], own)
            for run, ((corpus, system), own) in runs.items()
        }
        for corpus in study.corpora:
            judging_documents(next(recipes[run] for run, ((of, _), _) in runs.items() if of == corpus))
        if equal_time:
            steps = {corpus: _steps_of_equal_time(study, corpus, recipes) for corpus in study.corpora}
            for run, ((corpus, system), _) in runs.items():
                recipes[run] = recipes[run].changed(**steps[corpus][system])
        study.keep(recipes)
        refuse_failed(train_cells(recipes, add, at_once=at_once), recipes)
    print(f"\ntable: {study.folder / 'compare.md'}; plot: {study.folder / 'compare.png'}")
    return result


def _steps_of_equal_time(study: CompareStudy, corpus: str, recipes: Mapping[str, Recipe]) -> dict[str, dict]:
    """By system, the settings of its number of updates on a corpus."""
    first_runs = {system: recipes[next(iter(study.runs(corpus, system)))] for system in study.systems}
    return steps_of_equal_time(first_runs, next(iter(study.systems)), study.folder / corpus / "costs.json")


def _figures(study: CompareStudy, scored: ScoredRuns, before: Mapping[str, dict]) -> dict:
    """Figures of the complete cells; comparisons that were made `before` are kept."""
    first = next(iter(study.systems))
    corpora = {}
    for corpus in study.corpora:
        systems = {}
        for system in study.systems:
            if (corpus, system) not in scored.f1:
                continue
            systems[system] = {"f1": scored.f1[corpus, system], "paper": of_system(system, corpus)}
            known = before.get(corpus, {}).get("systems", {}).get(system, {})
            if system != first and (corpus, first) in scored.f1:
                against = known.get("against_first") or scored.compare(corpus, (corpus, system), (corpus, first))
                systems[system]["against_first"] = against
        if systems:
            corpora[corpus] = {"documents": len(scored.gold[corpus]), "systems": systems}
    correct_family(
        [of["against_first"] for c in corpora.values() for of in c["systems"].values() if "against_first" in of]
    )
    means = {
        language: {
            system: mean(mean(corpora[corpus]["systems"][system]["f1"]) for corpus in names)
            for system in study.systems
            if all(system in corpora.get(corpus, {}).get("systems", {}) for corpus in names)
        }
        for language, names in study.languages.items()
    }
    about = {"study": study.path.stem, "written": time.strftime("%Y-%m-%d"), "systems": [*study.systems]}
    return {**about, "corpora": corpora, "means": means}


def _write(folder: Path, result: dict) -> None:
    write_json(folder / "compare.json", result)
    with atomic_file(folder / "compare.md") as file:
        file.write(as_markdown(result).encode())
    corpora = {name: {system: of["f1"] for system, of in c["systems"].items()} for name, c in result["corpora"].items()}
    systems_plot(corpora, folder / "compare.png")


LEGEND = """
Strict micro F1 in %, the mean over seeds; beside it, how far a system is above {first}, in points: in brackets the
95 % interval of a bootstrap over documents and seeds; p is of the randomization test over documents, which knows
nothing of other seeds, and Holm the same p after Holm's correction over the table, with its code as in R: `{codes}`.
In parentheses the paper's own figure, where it has the system and the task.
"""


def as_markdown(result: dict) -> str:
    """The table, with means by language."""
    corpora, means = result["corpora"], {name: of for name, of in result["means"].items() if of}
    heads = ["system", *corpora, *(f"mean of {language}" for language in means)]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for system in result["systems"]:
        cells = [_cell(of_corpus["systems"].get(system)) for of_corpus in corpora.values()]
        cells += [percent(of_language.get(system)) for of_language in means.values()]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join([*lines, LEGEND.format(first=result["systems"][0], codes=CODES)])


def _cell(of_system: dict | None) -> str:
    if of_system is None:
        return ""
    text = percent(mean(of_system["f1"]))
    text += f" ({of_system['paper']:.2f})" if of_system["paper"] is not None else ""
    return f"{text} {difference(of_system.get('against_first'))}".strip()
