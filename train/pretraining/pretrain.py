"""Go on with a masked language model: texts and a language model in, a plain model repo out."""

import platform
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
    set_seed,
)

from hub_cards.repo import save_model_repo

from ..errors import InputError
from ..fingerprint import model_commit
from ..plots import pretraining_curves
from ..run_folder import RunFolder
from ..training import resolved, train, training_arguments
from ..writing import exclusive
from .masking import MaskingCollator
from .recipe import PretrainingRecipe
from .trainer import KeepRevisions, MaskedLanguageModelTrainer, measures


ENCODERS = ("Model", "ForMaskedLM", "ForPreTraining")  # how classes are called whose weights a run can start from


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
    language_model = read_language_model(recipe)

    # 2. Blocks of subwords, which the main process prepares
    with args.main_process_first(local=False, desc="prepare the blocks"):
        blocks = prepare_blocks(recipe, language_model.tokenizer, recipe.folder / "blocks")
    check_blocks(recipe, blocks)

    # 3. Claim the run's folder
    run = RunFolder(recipe.folder)
    with args.main_process_first(local=False, desc="claim the run's folder"):
        is_done = run.claim(recipe, {"texts": blocks.digest, "model": model_commit(recipe.model, recipe.revision)})
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
            metrics |= {"seconds": round(time.time() - start, 1), "subwords_per_second": speed(trainer)}
        run.write_metrics(metrics)
        run.clear_checkpoints()
        before, after = metrics["before"]["perplexity"], metrics["validation"]["perplexity"]
        print(f"perplexity on {len(blocks.validation)} held-out blocks: {before:.2f} before, {after:.2f} now")
        print(f"model repo: {run.model}; figures: {run.path / 'metrics.json'}; curves: {run.path / 'curves.png'}")
    return run.path


class LanguageModel(NamedTuple):
    """A masked language model to go on from; whether its head is new, so that its perplexity means nothing yet."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    has_new_head: bool


def read_language_model(recipe: PretrainingRecipe) -> LanguageModel:
    """The recipe's masked language model, or encoder with a new head, in float32, and its fast tokenizer.

    Raises InputError for what is neither, and for a tokenizer or block length that does not go with it.
    """
    hub_kwargs = {"revision": recipe.revision} if recipe.revision else {}
    try:
        config = AutoConfig.from_pretrained(recipe.model, **hub_kwargs)
        check_kind(recipe.model, config)
        tokenizer = AutoTokenizer.from_pretrained(recipe.model, **hub_kwargs)
        model, report = AutoModelForMaskedLM.from_pretrained(
            recipe.model, config=config, dtype=torch.float32, output_loading_info=True, **hub_kwargs
        )
    except (OSError, ValueError) as error:
        raise InputError(f"cannot start from the model {recipe.model}: {error}") from error
    missing = sorted(report["missing_keys"])
    if lost := [name for name in missing if name.startswith(f"{model.base_model_prefix}.")]:
        raise InputError(
            f"{recipe.model} lacks {len(lost)} weights of its encoder, such as {lost[0]}: its files differ"
        )
    check_tokenizer(recipe.model, tokenizer, model)
    check_block_length(recipe, tokenizer, model)
    if missing:
        print(
            f"note: {recipe.model} has no head that predicts subwords: a new one is trained with it, and the "
            "perplexity before training means nothing",
            file=sys.stderr,
        )
    return LanguageModel(model, tokenizer, bool(missing))


def check_kind(name: str, config) -> None:
    """Raises InputError for a model that is neither a masked language model nor an encoder that could be one."""
    (architecture,) = (config.architectures or [""])[:1]
    if config.is_encoder_decoder or type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        fault = f"a model of type {config.model_type}, which has no masked language model"
    elif architecture and not architecture.endswith(ENCODERS):
        fault = f"a {architecture}"
    else:
        return
    raise InputError(f"{name}: found {fault}, expected a masked language model or an encoder such as BERT or XLM-R")


def check_tokenizer(name: str, tokenizer, model) -> None:
    """Raises InputError for a tokenizer with which no masked language model can be trained."""
    n_embeddings = model.get_input_embeddings().num_embeddings
    if not tokenizer.is_fast:
        raise InputError(
            f"{name} has no fast tokenizer, which tells where words begin: save one there (tokenizer.json)"
        )
    if tokenizer.mask_token_id is None:
        raise InputError(
            f"the tokenizer of {name} has no mask token, so that nothing can be masked: choose another model"
        )
    if len(tokenizer) > n_embeddings:
        raise InputError(
            f"the tokenizer of {name} knows {len(tokenizer)} subwords, and the model {n_embeddings}: they are not of "
            "one model"
        )


def check_block_length(recipe: PretrainingRecipe, tokenizer, model) -> None:
    """Raises InputError where the model has fewer positions than a block: it is tried, since each kind counts its own
    way."""
    try:
        with torch.inference_mode():
            model.base_model(torch.full((1, recipe.block_length), tokenizer.mask_token_id))
    except (IndexError, RuntimeError) as error:
        raise InputError(
            f"block_length is {recipe.block_length}, and {recipe.model} cannot read as many subwords (its "
            f"max_position_embeddings is {getattr(model.config, 'max_position_embeddings', 'unknown')}, of which some "
            f"models use two for themselves): make block_length smaller"
        ) from error


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
        "base_model": None if Path(recipe.model).exists() else recipe.model,  # on the Hub
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


def speed(trainer: MaskedLanguageModelTrainer) -> float:
    """Subwords that a run which was not interrupted has read per second of training, without its measurements."""
    log = trainer.state.log_history
    training = next(row["train_runtime"] for row in reversed(log) if "train_runtime" in row)
    measuring = sum(row.get("eval_runtime", 0.0) for row in log)
    return round(trainer.state.num_input_tokens_seen / max(training - measuring, 1e-9), 1)
