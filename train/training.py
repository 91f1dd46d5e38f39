"""What every training has in common: its arguments, a Trainer that never writes broken weights, and how it goes on."""

import json
import math
import sys
from pathlib import Path
from typing import TypeVar

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import ProgressCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from .console import Progress
from .errors import InputError
from .recipe import RecipeBase
from .run_folder import RunFolder
from .writing import write_json


SHOWN = {  # beside the progress of a training
    "loss": "loss {:.3g}",
    "eval_strict_f1": "strict F1 {:.2%}",
    "eval_perplexity": "perplexity {:.4g}",
}
AnyRecipe = TypeVar("AnyRecipe", bound=RecipeBase)


def training_arguments(recipe: RecipeBase) -> TrainingArguments:
    """The recipe's settings as the Trainer takes them; raises InputError for values that it refuses."""
    settings = {name: getattr(recipe, name) for name in _of_trainer(recipe)}
    settings = {name: value for name, value in settings.items() if value is not None}
    settings |= {"output_dir": str(recipe.folder), "report_to": "none", "logging_nan_inf_filter": False}
    settings["disable_tqdm"] = False  # whose default depends on how much transformers may say
    try:
        return TrainingArguments(**{**settings, **recipe.training_arguments})
    except (TypeError, ValueError) as error:
        raise InputError(f"transformers refuses these settings: {error}") from error


def resolved(recipe: AnyRecipe, args: TrainingArguments) -> AnyRecipe:
    """The recipe with the values that transformers and the launcher fill in, as far as they are used."""
    values = {name: getattr(args, name) for name in _of_trainer(recipe) if name != "output_dir"}
    values = {name: getattr(value, "value", value) for name, value in values.items()}  # of an enumeration
    values |= {name: recipe.settings()[name].default for name in recipe.unused()}
    if recipe.world_size not in (None, args.world_size):
        raise InputError(
            f"world_size is {recipe.world_size}, but {args.world_size} process(es) were started: start as many, or "
            "leave world_size out"
        )
    return recipe.changed(**values, world_size=args.world_size)


def _of_trainer(recipe: RecipeBase) -> list[str]:
    return [name for name, item in recipe.settings().items() if item.metadata["of_trainer"]]


class SoundTrainer(Trainer):
    """A Trainer that writes no weights that are not finite, uses one GPU a process, and pushes privately.

    Arguments are those of the Trainer, of which `model` and `args` are needed. Repos that it makes are private without
    `hub_private_repo=False`. Raises InputError for a way of FSDP that it does not know.
    """

    knows_fsdp = False  # whether the model's weights may be divided among processes

    def __init__(self, **kwargs):
        self.model_class = type(kwargs["model"])  # FSDP makes another one of it
        _use_one_gpu(kwargs["args"])
        if kwargs["args"].hub_private_repo is None:
            kwargs["args"].hub_private_repo = True
        super().__init__(**kwargs)
        if self.is_fsdp_enabled:
            self._check_fsdp(self.accelerator.state.fsdp_plugin)
        if self.pop_callback(ProgressCallback):  # which prints every figure on a line of its own
            self.add_callback(ShowProgress())
        self.add_callback(StopOnNonFiniteLoss())

    def _check_fsdp(self, plugin) -> None:
        if not self.knows_fsdp:
            raise InputError("FSDP is for fine-tuning, not for pretraining or a student: launch this without it")
        if plugin.fsdp_version != 2 or "FULL" not in str(plugin.state_dict_type):
            raise InputError(
                "FSDP needs fsdp_version: 2 and fsdp_state_dict_type: FULL_STATE_DICT, as in docs/fsdp.yaml"
            )

    def whole_model(self):
        """The model with all of its weights; a copy under FSDP, for which every process has to ask at the same time."""
        model = self.accelerator.unwrap_model(self.model)
        if not self.is_fsdp_enabled:
            return model
        weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
        whole = self.model_class(model.config)
        whole.load_state_dict(weights)
        return whole.to(self.args.device).eval()

    def refuse_broken_weights(self) -> None:
        """Raises InputError where a weight is not finite: no run could go on from it."""
        for name, weight in self.model.named_parameters():
            if not torch.isfinite(weight).all():
                raise InputError(f"{name} is not finite at step {self.state.global_step}: lower the learning rate")

    def _save_checkpoint(self, model, trial):
        self.refuse_broken_weights()
        super()._save_checkpoint(model, trial)


def _use_one_gpu(args: TrainingArguments) -> None:
    """One process uses one GPU: torch's DataParallel would divide the few windows of a batch among all."""
    if args.n_gpu > 1:
        print(
            f"note: {args.n_gpu} GPUs are here and one is used: `accelerate launch -m clinx …` trains on all",
            file=sys.stderr,
        )
        args._n_gpu = 1


class ShowProgress(TrainerCallback):
    """One bar a training, or a line now and then where there is no terminal, with its loss and last evaluation."""

    def __init__(self):
        self.progress, self.figures = None, {}

    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.progress = Progress("Training", "updates", state.max_steps, done=state.global_step, stays=True)

    def on_step_end(self, args, state, control, **kwargs):
        if self.progress is not None:
            self.progress.update(state.global_step - self.progress.count)

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.figures |= {name: SHOWN[name].format(value) for name, value in (logs or {}).items() if name in SHOWN}
        if self.progress is not None:
            self.progress.show(", ".join(self.figures.values()))

    def on_train_end(self, args, state, control, **kwargs):
        if self.progress is not None:
            self.progress.__exit__()


class StopOnNonFiniteLoss(TrainerCallback):
    """Ends the training with an error when the loss is not finite, before a checkpoint of it is written."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise InputError(f"the loss is not a number at step {state.global_step}: lower the learning rate")


class BeginEpoch(TrainerCallback):
    """Tells the batches which epoch begins, also where a run goes on inside of one.

    Under several processes accelerate's wrappers do not pass that on.
    """

    def __init__(self, sampler):
        self.sampler = sampler

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.sampler.set_epoch(int(state.epoch or 0))


def train(trainer: SoundTrainer, run: RunFolder) -> bool:
    """Trains from the start, or from the run's last complete checkpoint; leaves the best weights in the model.

    Returns whether it went on from a checkpoint.
    """
    checkpoint = run.last_checkpoint()
    if checkpoint:
        print(f"going on from {checkpoint}", file=sys.stderr)
        with trainer.args.main_process_first(local=False, desc="look for the best checkpoint"):
            _find_best(checkpoint)
    is_trained = checkpoint and _was_last(checkpoint)  # interrupted since: the Trainer would take a step too many
    if is_trained:
        trainer.state = TrainerState.load_from_json(checkpoint / "trainer_state.json")
        is_last_kept = not trainer.args.load_best_model_at_end and trainer.eval_dataset
        if is_last_kept or not trainer.state.best_model_checkpoint:
            trainer.state.best_model_checkpoint = str(checkpoint)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.refuse_broken_weights()
    if (trainer.is_fsdp_enabled or trainer.is_world_process_zero()) and (is_trained or not trainer.eval_dataset):
        trainer._load_best_model()
    return bool(checkpoint)


def _find_best(checkpoint: Path) -> None:
    """Lets a checkpoint name the best one where it lies now: beside it, in a folder that may have been moved.

    Raises InputError where it is gone.
    """
    file = checkpoint / "trainer_state.json"
    state = json.loads(file.read_text(encoding="utf-8"))
    if best := state.get("best_model_checkpoint"):
        here = checkpoint.with_name(Path(best).name)
        if not here.is_dir():
            raise InputError(f"{here}: found no such checkpoint, the best of this run: train it in another folder")
        if best != str(here):
            write_json(file, state | {"best_model_checkpoint": str(here)})


def _was_last(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    control = state.get("stateful_callbacks", {}).get("TrainerControl", {}).get("args", {})
    return state["global_step"] >= state["max_steps"] or control.get("should_training_stop", False)
