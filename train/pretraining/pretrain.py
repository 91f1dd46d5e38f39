"""Go on with a masked language model: texts and a language model in, a plain model repo out."""

import platform
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch
import transformers
from transformers import TrainingArguments, set_seed

from hub_cards.repo import save_model_repo

from ..errors import InputError
from ..fingerprint import model_commit
from ..plots import pretraining_curves
from ..run_folder import Inputs, RunFolder
from ..training import resolved, train, training_arguments
from ..writing import exclusive
from .language_model import LanguageModel, read_language_model
from .masking import MaskingCollator
from .recipe import PretrainingRecipe
from .trainer import KeepRevisions, MaskedLanguageModelTrainer, NewHeadFirst, measures


PEAKS = {  # operations a second of GPUs in bf16 or fp16, dense, as their data sheets say
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "V100": 125e12,
    "T4": 65e12,
}


def pretrain(recipe: PretrainingRecipe) -> Path:
    """Trains a masked language model on texts, and returns the run's folder.

    The folder holds `model/` (a plain model repo: the checkpoint with the lowest perplexity on held-out texts),
    `metrics.json`, `curves.png`, `recipe.yaml`, `inputs.json`, `blocks/` and, until it is done, checkpoints. A run that
    was interrupted goes on where its last complete checkpoint is; one that is done is left alone.

    Raises InputError for texts, a model or settings that cannot be used.
    """
    args = training_arguments(recipe)
    with exclusive(recipe.folder) if args.process_index == 0 else nullcontext():
        return _pretrain(resolved(recipe, args), args)


def _pretrain(recipe: PretrainingRecipe, args: TrainingArguments) -> Path:
    from .blocks import prepare_blocks

    # 1. Language model and tokenizer
    start = time.time()
    args.gradient_accumulation_steps = accumulation_steps(recipe, args)
    set_seed(args.seed)
    run = RunFolder(recipe.folder)
    with args.main_process_first(local=False, desc="read the language model"):
        is_begun = run.refuse_other_settings(recipe)  # before anything of the run that is there is written anew
        language_model = read_language_model(recipe)

    # 2. Blocks of subwords, which the main process prepares
    with args.main_process_first(local=False, desc="prepare the blocks"):
        inputs = {"model": model_commit(recipe.model, recipe.revision)} if recipe.model else {}
        check = partial(_refuse_other_texts, run, inputs) if is_begun else None
        blocks = prepare_blocks(recipe, language_model.tokenizer, recipe.folder / "blocks", check)
    check_blocks(recipe, blocks)

    # 3. Claim the run's folder
    with args.main_process_first(local=False, desc="claim the run's folder"):
        is_done = run.claim(recipe, {"texts": blocks.digest, **inputs})
    if is_done:
        run.clear_checkpoints()
        print(f"{run.path} is a finished run of this recipe: its model is in {run.model}")
        return run.path

    # 4. Measure, and train or go on
    args.eval_on_start = run.last_checkpoint() is None  # once: what it gave is in the log of every checkpoint
    trainer = trainer_for(recipe, args, blocks, language_model)
    is_resumed = train(trainer, run)

    # 5. Model repo
    if trainer.is_world_process_zero():
        model = trainer.accelerator.unwrap_model(trainer.model)
        save_model_repo(model, language_model.tokenizer, run.model)

        # 6. Figures and curves
        metrics = run_metrics(recipe, blocks, trainer) | {"new_head": language_model.has_new_head}
        pretraining_curves(trainer.state.log_history, run.path / "curves.png")
        if not is_resumed:  # figures of all of it, not of its last part alone
            metrics |= {"seconds": round(time.time() - start, 1), **speed(trainer)}
        run.write_metrics(metrics)
        run.clear_checkpoints()
        before, after = metrics["before"]["perplexity"], metrics["validation"]["perplexity"]
        print(f"perplexity on {len(blocks.validation)} held-out blocks: {before:.2f} before, {after:.2f} now")
        print(f"model repo: {run.model}; figures: {run.path / 'metrics.json'}; curves: {run.path / 'curves.png'}")
    return run.path


def _refuse_other_texts(run: RunFolder, inputs: Inputs, digest: str) -> None:
    run.refuse_other_inputs({"texts": digest, **inputs})


def accumulation_steps(recipe: PretrainingRecipe, args: TrainingArguments) -> int:
    """Batches of each process in an update; raises InputError where update_blocks cannot be so divided."""
    at_once = recipe.per_device_train_batch_size * args.world_size
    if recipe.update_blocks % at_once:
        raise InputError(
            f"update_blocks is {recipe.update_blocks}, expected a multiple of {at_once}: {args.world_size} process(es) "
            f"learn from {recipe.per_device_train_batch_size} (per_device_train_batch_size) at a time"
        )
    return recipe.update_blocks // at_once


def check_blocks(recipe: PretrainingRecipe, blocks) -> None:
    """Raises InputError where the texts are too few."""
    if len(blocks.train) < recipe.update_blocks:
        raise InputError(
            f"the texts fill {len(blocks.train)} blocks, and an update takes {recipe.update_blocks}: give more texts, "
            "or make update_blocks or block_length smaller"
        )
    if not len(blocks.validation):
        raise InputError("no text is held out to measure the perplexity on: set validation, or validation_fraction")


def trainer_for(
    recipe: PretrainingRecipe, args: TrainingArguments, blocks, language_model: LanguageModel
) -> MaskedLanguageModelTrainer:
    """The Trainer of a run, which counts the subwords that it reads."""
    args.include_num_input_tokens_seen = "non_padding"
    trainer = MaskedLanguageModelTrainer(
        model=language_model.model,
        args=args,
        train_blocks=blocks.train,
        validation_blocks=blocks.validation,
        update_blocks=recipe.update_blocks,
        data_collator=MaskingCollator(language_model.tokenizer, recipe.mlm_probability, recipe.whole_words),
        processing_class=language_model.tokenizer,
    )
    if language_model.has_new_head and not recipe.from_scratch and recipe.new_head_steps:
        trainer.add_callback(NewHeadFirst(recipe.new_head_steps))
    if recipe.revision_steps:
        folder = recipe.folder / "revisions"
        trainer.add_callback(KeepRevisions(recipe.revision_steps, folder, language_model.tokenizer))
    return trainer


def run_metrics(recipe: PretrainingRecipe, blocks, trainer: MaskedLanguageModelTrainer) -> dict:
    """What `metrics.json` tells of a run besides its duration; the model that is kept is measured once more."""
    log = trainer.state.log_history
    before = next(row for row in log if "eval_loss" in row and row["step"] == 0)
    return {
        "settings": recipe.recorded(),
        "base_model": None if recipe.from_scratch or Path(recipe.model).exists() else recipe.model,  # on the Hub
        "report": blocks.report,
        "blocks": {"train": len(blocks.train), "validation": len(blocks.validation)},
        "steps": trainer.state.global_step,
        "subwords": trainer.state.num_input_tokens_seen,
        "before": {name: before[f"eval_{name}"] for name in ("perplexity", "loss")},
        "validation": measures(*trainer.summed_loss(range(len(blocks.validation)))),
        "best_checkpoint": trainer.state.best_model_checkpoint,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu",
        "log": log,
    }


def speed(trainer: MaskedLanguageModelTrainer) -> dict[str, float]:
    """Subwords that a run which was not interrupted has read per second of training, without its measurements; and the
    share of the GPUs' peak, where it is known, of 6 operations for each subword and weight (embeddings, attention's
    scores and the head are not counted; Kaplan et al. 2020)."""
    log = trainer.state.log_history
    training = next(row["train_runtime"] for row in reversed(log) if "train_runtime" in row)
    seconds = max(training - sum(row.get("eval_runtime", 0.0) for row in log), 1e-9)
    figures = {"subwords_per_second": round(trainer.state.num_input_tokens_seen / seconds, 1)}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((peak for name, peak in PEAKS.items() if name in gpu), None)
    if peak and (trainer.args.bf16 or trainer.args.fp16):
        figures["share_of_peak"] = round(trainer.state.total_flos / seconds / (peak * trainer.args.world_size), 4)
    return figures
