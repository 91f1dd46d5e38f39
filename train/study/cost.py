"""What an update costs, so that ways of training can be compared at equal time."""

import gc
import json
import statistics
import time
from collections.abc import Mapping
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import torch
from transformers import EarlyStoppingCallback, IntervalStrategy, PrinterCallback, TrainerCallback
from transformers.trainer_utils import SaveStrategy

from ..errors import InputError
from ..finetuning.finetune import documents_of, new_model, trainer_for, windows_of
from ..finetuning.sources import find_sources
from ..recipe import Recipe
from ..training import ShowProgress, resolved, training_arguments
from ..writing import write_json


UPDATES = 6  # that are timed, after one that is not
ROUNDS = 2  # in which the recipes take turns; the quicker one counts, since other work only ever slows down
OF_STEPS = ("max_steps", "eval_steps", "save_steps", "warmup_steps")  # in updates, where they are 1 or more


def steps_of_equal_time(recipes: Mapping[str, Recipe], reference: str, file: Path) -> dict[str, dict[str, int]]:
    """For each recipe the settings of its number of updates, which take the time of the reference's.

    Args:
        file: where is kept how much time an update of each takes, in updates of the reference, and of which settings
            of both, so that it is measured once for the same.

    A recipe that cannot be trained keeps its updates, and fails when it is trained. Raises InputError for a reference
    that cannot, or counts epochs, and under several processes, which would measure each its own.
    """
    of_reference = recipes[reference]
    if (of_reference.max_steps or 0) < 1:
        raise InputError("equal time needs a number of updates to begin with: set max_steps in place of epochs")
    if training_arguments(of_reference).world_size > 1:
        raise InputError("equal time is measured by one process: start the study without a launcher of several")
    known = json.loads(file.read_text()) if file.exists() else {}
    of_both = {name: _digest(of_reference, recipe) for name, recipe in recipes.items()}
    known = {name: of for name, of in known.items() if isinstance(of, dict)}  # once they were numbers alone
    costs = {name: known[name]["cost"] for name in recipes if known.get(name, {}).get("settings") == of_both[name]}
    if missing := [name for name in recipes if name not in costs and name != reference]:
        seconds = _seconds({name: recipes[name] for name in (reference, *missing)}, reference)
        costs |= {name: of / seconds[reference] for name, of in seconds.items() if name != reference}
        measured = {name: {"cost": cost, "settings": of_both[name]} for name, cost in costs.items()}
        write_json(file, known | measured)
    costs[reference] = 1.0
    result = {name: _share_of_steps(of_reference, 1 / costs[name]) if name in costs else {} for name in recipes}
    for name, steps in result.items():
        if steps:
            print(f"{name}: {costs[name]:.2f} of {reference}'s time an update, {steps['max_steps']} updates")
    return result


def _seconds(recipes: Mapping[str, Recipe], reference: str) -> dict[str, float]:
    """Seconds of an update of each recipe that can be trained; raises InputError where the reference cannot."""
    seconds: dict[str, list[float]] = {}
    for name, recipe in [*recipes.items()] * ROUNDS:
        try:
            seconds.setdefault(name, []).append(_update_seconds(recipe))
        except InputError:
            if name == reference:
                raise
    return {name: min(of) for name, of in seconds.items() if of}


def _digest(*recipes: Recipe) -> str:
    """Of all settings that count, but for how long and with which luck is trained."""
    settings = [{key: v for key, v in of.recorded().items() if key not in (*OF_STEPS, "seed")} for of in recipes]
    return sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _share_of_steps(recipe: Recipe, share: float) -> dict[str, int]:
    """A share of the recipe's updates, in as many parts: the last evaluation stays that at the end."""
    part = recipe.eval_steps or recipe.max_steps
    if part >= 1:  # otherwise a share of all
        share = max(1, round(part * share)) / part
    steps = {key: getattr(recipe, key) for key in OF_STEPS}
    return {key: max(1, round(value * share)) for key, value in steps.items() if value and value >= 1}


class _Clock(TrainerCallback):
    """The times at which updates end."""

    def __init__(self):
        self.times: list[float] = []

    def on_step_end(self, args, state, control, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def _update_seconds(recipe: Recipe) -> float:
    """Seconds of an update of a model of the recipe, or of its first member: the median over its first ones."""
    args = training_arguments(recipe)
    recipe = resolved(recipe.changed(member=1) if recipe.is_ensemble else recipe, args)
    data = documents_of(recipe)
    model, tokenizer = new_model(recipe, find_sources(recipe), data.entity_types)
    windows = windows_of(recipe, data, tokenizer, model.config, seed=0)
    trainer, clock = trainer_for(recipe, args, data, windows, model, tokenizer), _Clock()
    args.max_steps, args.load_best_model_at_end = UPDATES + 1, False
    args.eval_strategy, args.save_strategy, args.logging_strategy = (
        IntervalStrategy.NO,
        SaveStrategy.NO,
        IntervalStrategy.NO,
    )
    for callback in (ShowProgress, PrinterCallback, EarlyStoppingCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(clock)
    trainer.train()
    del trainer, model
    gc.collect()
    return statistics.median(after - before for before, after in pairwise(clock.times))
