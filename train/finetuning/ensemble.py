"""Training on splits: the members of an ensemble one after another or side by side, and the ensemble of them."""

import json
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from rich.table import Table
from transformers import AutoTokenizer, TrainingArguments

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification, DocumentPredictor
from modeling_clinx.building import without_adapters

from ..checks import is_set
from ..console import console
from ..errors import InputError
from ..recipe import Recipe
from ..run_folder import RunFolder
from ..scoring.calibration import CURVES, pooled, precision_recall, scored_mentions
from ..scoring.evaluation import evaluate_documents, predict_documents
from ..scoring.scores import median_member
from ..settings import SETTINGS
from ..training import resolved, training_arguments
from ..writing import exclusive, write_json
from .data import AnnotatedData, inputs_of, member_data, read_annotated
from .finetune import finetune
from .side_by_side import Training, gpus, train_side_by_side
from .splits import Splits, pick
from .temperature import apply_temperature


Failures = dict[int, str]  # the reason, by the number of the member
OF_ENSEMBLE = {name: SETTINGS[name].default for name in ("member", "members_at_once", "soup", "vote")}


def run_recipe(recipe: Recipe) -> Path:
    """Trains what a recipe says, one model or an ensemble, and returns the run's folder; raises as they do."""
    if recipe.is_ensemble:
        return finetune_ensemble(recipe)
    if names := [name for name in OF_ENSEMBLE if is_set(recipe, name)]:
        raise InputError(f"{names[0]} is about an ensemble's members: set splits too, or leave it out")
    return finetune(recipe)


def student_of(recipe: Recipe) -> Recipe:
    """The recipe of one student, also where it was written for an ensemble's members."""
    has_validation = recipe.validation or recipe.max_train_documents
    kind = "all" if recipe.split_kind == "all" or not has_validation else None
    return recipe.changed(splits=None, split_kind=kind, split_file=None, **OF_ENSEMBLE)


def finetune_ensemble(recipe: Recipe, train_member: Callable[[Recipe], object] = finetune) -> Path:
    """Trains the members of an ensemble, each in a folder `member-N`, and returns the run's folder.

    The folder also gets `splits.json`, `model/` (the ensemble as one model repo), `metrics.json`, and with `soup` a
    model `soup/` of the members' mean weights. A member that fails leaves the others as they are; the same command
    goes on with what is missing. With `member` in the recipe only that one is trained, and nothing else is made.

    Args:
        train_member: what trains a member from its recipe.

    Raises InputError for data or settings that cannot be used, or members that failed.
    """
    if recipe.split_kind == "all":
        raise InputError("split_kind all trains one model on everything: leave splits out")
    args = training_arguments(recipe)
    recipe = resolved(recipe, args)
    if recipe.member is not None:
        _train_members([recipe], read_annotated(recipe), args, train_member)
        return recipe.folder
    with exclusive(recipe.folder) if args.process_index == 0 else nullcontext():
        return _finetune_ensemble(recipe, args, train_member)


def _finetune_ensemble(recipe: Recipe, args: TrainingArguments, train_member: Callable) -> Path:
    run, annotated = RunFolder(recipe.folder), read_annotated(recipe)
    members = [recipe.changed(member=number) for number in range(1, len(annotated.splits.members) + 1)]
    inputs = inputs_of(recipe, {"annotated": annotated.documents, "test": annotated.test})
    with args.main_process_first(local=False, desc="claim the run's folder"):
        is_done = run.claim(recipe, inputs)
    file = run.path / "splits.json"
    if run.is_begun and file.exists() and Splits.read(file) != annotated.splits:
        raise run.other("other splits")  # of another split file
    if args.process_index == 0:
        annotated.splits.write(file)
    metrics = run.read_metrics() if is_done else {}
    recipe = recipe.changed(soup=recipe.soup or (run.path / "soup").exists())  # it stays, with its figures
    if metrics.get("vote") == recipe.vote and ("soup" in metrics or not recipe.soup):
        print(f"{run.path} is a finished run of this recipe: its ensemble is in {run.model}")
        show(metrics)
        return run.path
    _train_members(members, annotated, args, train_member)
    if args.process_index == 0:
        combine(recipe, annotated)
    return run.path


def _train_members(
    recipes: Sequence[Recipe], annotated: AnnotatedData, args: TrainingArguments, train_member: Callable
) -> None:
    """Trains each; raises InputError with the reasons where some failed, once the others are complete.

    No member is trained before all their folders are known to be of this recipe and these documents, and nobody else's.
    """
    with args.main_process_first(local=False, desc="claim the members' folders"):
        for recipe in recipes:
            inputs = inputs_of(recipe, member_data(recipe, annotated).documents())
            with exclusive(recipe.folder) if args.process_index == 0 else nullcontext():
                RunFolder(recipe.folder).claim(recipe, inputs)
    at_once = min(recipes[0].members_at_once or len(gpus()), len(recipes))
    if at_once > 1 and args.world_size == 1:
        failed = _side_by_side(recipes, at_once)
    else:
        failed = _one_by_one(recipes, args.world_size, train_member)
    rest = ", the others are complete" if len(failed) < len(recipes) else ""
    if failed:
        raise InputError(
            f"{len(failed)} of {len(recipes)} members failed{rest}:\n  "
            + "\n  ".join(f"member {number}: {error}" for number, error in sorted(failed.items()))
            + "\nmend the cause and give the same command again: it goes on with what is missing"
        )


def _one_by_one(recipes: Sequence[Recipe], world_size: int, train_member) -> Failures:
    failed = {}
    for recipe in recipes:
        print(f"member {recipe.member}" + (f" of {len(recipes)}" if len(recipes) > 1 else ""), flush=True)
        try:
            train_member(recipe)
        except Exception as error:
            if world_size > 1 or (isinstance(error, InputError) and recipe is recipes[0]):
                raise  # other processes wait for this one; or it is a fault of the input, which all members share
            traceback.print_exc()
            failed[recipe.member] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return failed


def _side_by_side(recipes: Sequence[Recipe], at_once: int) -> Failures:
    print(f"{at_once} members at a time; their output goes to {recipes[0].output_dir}/member-N.log", flush=True)
    trainings = [
        Training(str(recipe.member), recipe.folder / "recipe.yaml", recipe.folder.with_suffix(".log"))
        for recipe in recipes
    ]
    failed = {}
    for name, fault in train_side_by_side(trainings, at_once):
        if fault:
            failed[int(name)] = fault
        print(f"member {name} {'failed' if fault else 'is done'}", flush=True)
    return failed


def combine(recipe: Recipe, annotated: AnnotatedData) -> dict:
    """Writes the ensemble of a run's members, with `soup` their mean, and the figures of all; returns the figures.

    Until all is written the run is unfinished, also where it was finished with another vote.
    """
    run, test = RunFolder(recipe.folder), annotated.test
    numbers = range(1, len(annotated.splits.members) + 1)
    members = [RunFolder(recipe.changed(member=number).folder) for number in numbers]
    tokenizer = AutoTokenizer.from_pretrained(members[0].model)
    ensemble = ClinXEnsembleForTokenClassification.from_members([member.model for member in members], vote=recipe.vote)
    (run.path / "metrics.json").unlink(missing_ok=True)
    recipe.write(run.path / "recipe.yaml")
    save_model_repo(ensemble, tokenizer, run.model)
    device, batch_size = "cuda" if torch.cuda.is_available() else "cpu", recipe.per_device_eval_batch_size

    def predictor_of(model) -> DocumentPredictor:
        return DocumentPredictor(model.to(device), tokenizer, batch_size)

    def scores(model, name: str) -> dict:
        return {"test": evaluate_documents(test, predictor_of(model), run.path / name).scores}

    if curves := _curves(members, annotated, partial(predictor_of, ensemble)):
        write_json(run.model / CURVES, curves)
    figures = [member.read_metrics() for member in members]
    shown = ("validation", "test", "seconds")
    metrics = {"settings": recipe.recorded(), "vote": recipe.vote}
    metrics["members"] = [{part: one[part] for part in shown if part in one} for one in figures]
    if test:
        metrics["ensemble"] = scores(ensemble, "test.jsonl")
    if recipe.soup:
        temperatures = [one.get("temperature", 1.0) for one in figures]
        save_model_repo(uniform_soup(ensemble.to("cpu"), temperatures), tokenizer, run.path / "soup")
        soup = ClinXForTokenClassification.from_pretrained(run.path / "soup")
        metrics["soup"] = scores(soup, "soup-test.jsonl") if test else {}
    run.write_metrics(metrics)
    show(metrics)
    print(f"ensemble: {run.model}; figures: {run.path / 'metrics.json'}; splits: {run.path / 'splits.json'}")
    return metrics


def _curves(members: Sequence[RunFolder], annotated: AnnotatedData, predictor: Callable) -> dict | None:
    """The ensemble's precision-recall curves on the documents that all members are selected on; where each has its own
    part, as with random splits, what each finds in that part. None for members of an older release."""
    files, splits = [member.model / CURVES for member in members], annotated.splits
    if splits.kind == "standard":
        validation = pick(annotated.documents, splits.members[0].validation)
        predicted = [document for document, _ in predict_documents(validation, predictor())]
        return precision_recall(scored_mentions(validation, predicted))
    if not all(file.exists() for file in files):
        return None
    return pooled([json.loads(file.read_text()) for file in files])


def uniform_soup(ensemble, temperatures: Sequence[float]) -> ClinXForTokenClassification:
    """The model with the members' mean weights (Wortsman et al. 2022), in place of the first member.

    Args:
        temperatures: by which the members' scores were divided. The mean is of the scores as they were learned, and is
            divided by the mean temperature.
    """
    for member, temperature in zip(ensemble.members, temperatures, strict=True):
        apply_temperature(member, 1 / temperature)
    soup, *others = ensemble.members
    if ensemble.config.lora_rank:
        soup = without_adapters(ensemble, list(range(len(ensemble.members))))
    states = [member.state_dict() for member in others]
    with torch.no_grad():
        for name, weight in soup.state_dict().items():
            if all(name in state for state in states):  # members with adapters have no encoder of their own
                for state in states:
                    weight += state[name]
                weight /= len(ensemble.members)
    apply_temperature(soup, fmean(temperatures))
    return soup


def show(metrics: dict) -> None:
    """Prints strict F1 of the members, their median and best, the ensemble, and the soup if there is one."""
    members = metrics["members"]
    table = Table("", title="strict F1, %", title_justify="left")
    columns = [part for part in ("validation", "test") if part in members[0]]
    for column in columns:
        table.add_column("its validation notes" if column == "validation" else column, justify="right")
    for number, member in enumerate(members, 1):
        table.add_row(f"member {number}", *(f"{100 * member[part]['f1']:.2f}" for part in columns))
    table.add_section()
    scores = {part: [member[part]["f1"] for member in members] for part in columns}
    table.add_row("median", *(f"{100 * ones[median_member(ones)]:.2f}" for ones in scores.values()))
    table.add_row("best", *(f"{100 * max(ones):.2f}" for ones in scores.values()))
    for name in ("ensemble", "soup"):
        if metrics.get(name):
            table.add_row(name, *(f"{100 * metrics[name][p]['f1']:.2f}" if p == "test" else "" for p in columns))
    console().print(table)
    if "ensemble" not in metrics:
        print("name `test` documents (or a test_fraction) to judge the ensemble: its members saw all others")
