"""Fine-tune a concept extractor: annotated documents and an encoder in, a complete model repo out."""

import platform
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import transformers
from transformers import (
    AutoTokenizer,
    IntervalStrategy,
    TrainingArguments,
    set_seed,
)

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXForTokenClassification, DocumentPredictor

from ..checks import is_set, longest_context
from ..errors import InputError
from ..plots import training_curves
from ..recipe import Recipe
from ..run_folder import RunFolder
from ..scoring.calibration import CURVES, precision_recall, scored_mentions
from ..scoring.evaluation import evaluate_documents
from ..settings import ModelSettings
from ..training import resolved, train, training_arguments
from ..writing import exclusive, write_json
from .callbacks import EarlyStopping, SelectByTrainingLoss
from .data import MemberData, inputs_of, member_data, read_annotated, unlabelled_notes
from .distillation import add_teacher_marginals, entity_types_of_teacher
from .dropout import output_dropout
from .sources import Source, find_sources, model_from_sources
from .temperature import apply_temperature, fit_temperature
from .trainer import ClinXTrainer
from .windows import TrainingWindows


def finetune(recipe: Recipe) -> Path:
    """Trains one model, the recipe's only one or the member that it names, and returns the run's folder.

    The folder holds `model/` (a complete model repo: the checkpoint with the best strict F1 on the validation
    documents, or with the lowest training loss where there are none), `metrics.json`, `curves.png`, `recipe.yaml`,
    `inputs.json` and, until it is done, checkpoints; with documents that judge also these, in `gold.jsonl`, and what
    the model finds in them, in `test.jsonl`. A run that was interrupted goes on where its last complete checkpoint is;
    one that is done is left alone.

    Raises InputError for data or settings that cannot be used.
    """
    args = training_arguments(recipe)
    with exclusive(recipe.folder) if args.process_index == 0 else nullcontext():
        return _finetune(resolved(recipe, args), args)


def _finetune(recipe: Recipe, args: TrainingArguments) -> Path:
    # 1. Documents
    start = time.time()
    data = documents_of(recipe)

    # 2. Claim the run's folder
    run = RunFolder(recipe.folder)
    with args.main_process_first(local=False, desc="claim the run's folder"):
        is_done = run.claim(recipe, inputs_of(recipe, data.documents()))
    if is_done:
        run.clear_checkpoints()
        print(f"{run.path} is a finished run of this recipe: its model is in {run.model}")
        return run.path

    # 3. Model and tokenizer
    args.seed += data.seed_offset
    set_seed(args.seed)
    sources = find_sources(recipe)
    model, tokenizer = new_model(recipe, sources, data.entity_types)

    # 4. Labelled windows
    windows = windows_of(recipe, data, tokenizer, model.config, args.seed)

    # 5. Train, or go on
    trainer = trainer_for(recipe, args, data, windows, model, tokenizer)
    is_resumed = train(trainer, run)

    # 6. Model repo, figures and curves
    model = trainer.whole_model()
    if trainer.is_world_process_zero():
        predictor = DocumentPredictor(model, tokenizer, args.per_device_eval_batch_size)
        metrics = run_metrics(recipe, data, windows, trainer) | starting_point(recipe, sources)
        if recipe.calibrate and data.validation:
            metrics["temperature"] = fit_temperature(predictor, data.validation)
            apply_temperature(model, metrics["temperature"])
        save_model_repo(model, tokenizer, run.model)
        metrics |= evaluate(predictor, data, run)
        unit = "sentence" if recipe.batch_sentences else "labelled subword"
        training_curves(trainer.state.log_history, run.path / "curves.png", unit)
        metrics["seconds"] = None if is_resumed else round(time.time() - start, 1)  # not of its last part alone
        run.write_metrics(metrics)
        run.clear_checkpoints()
        print(f"model repo: {run.model}; figures: {run.path / 'metrics.json'}; curves: {run.path / 'curves.png'}")
    return run.path


def documents_of(recipe: Recipe) -> MemberData:
    """The documents of the run, with the notes without annotations that a student learns from too."""
    data = member_data(recipe, read_annotated(recipe))
    if recipe.distill and not recipe.entity_types:
        data = data._replace(entity_types=entity_types_of_teacher(recipe.distill))
    judged = {entity.label for document in [*data.validation, *data.test] for entity in document.entities}
    for label in sorted(judged - set(data.entity_types)):
        print(f"note: mentions of {label} count as missed, since training has none", file=sys.stderr)
    return data._replace(unlabelled=unlabelled_notes(recipe, data)) if recipe.unlabelled else data


def new_model(recipe: Recipe, sources: list[Source], entity_types: list[str]):
    """An untrained classifier and CRF on the recipe's encoder, or its sources', and the tokenizer."""
    names = set(ModelSettings.__dataclass_fields__) - {"encoder", "revision"}
    config = {name: getattr(recipe, name) for name in sorted(names)}
    if sources:
        model, tokenizer = model_from_sources(recipe, sources, entity_types, config)
    else:
        model, tokenizer = _model_from_encoder(recipe, entity_types, config)
    if model.config.window_length < recipe.window_length:
        print(
            f"note: windows have {model.config.window_length} subwords rather than {recipe.window_length}: the encoder "
            f"has no more positions; their context is at most {longest_context(model.config.window_length)}",
            file=sys.stderr,
        )
    model.dropout = output_dropout(recipe.dropout, recipe.locked_dropout, recipe.word_dropout)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):  # as the Trainer would, but also where it is not used
        setattr(model.config, name, getattr(tokenizer, name))
    return model, tokenizer


def _model_from_encoder(recipe: Recipe, entity_types: list[str], config: dict):
    hub_kwargs = {"revision": recipe.revision} if recipe.revision else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(recipe.encoder, **hub_kwargs)
        model = ClinXForTokenClassification.from_encoder(recipe.encoder, entity_types, hub_kwargs=hub_kwargs, **config)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot start from the encoder {recipe.encoder}: {error}") from error
    return model, tokenizer


def windows_of(recipe: Recipe, data: MemberData, tokenizer, config, seed: int) -> TrainingWindows:
    """The training windows; a student's have its teacher's marginals."""
    documents = [*data.train, *data.unlabelled]
    windows = TrainingWindows(documents, tokenizer, config, seed, recipe.context_dropout)
    if not windows.features:
        raise InputError(f"{recipe.train}: the training documents hold no text that could be labelled")
    if windows.inexact:
        counts = ", ".join(f"{count} {reason}" for reason, count in windows.inexact.most_common())
        print(f"training mentions that labels cannot give back exactly: {counts}", file=sys.stderr)
    if recipe.distill:
        batch_size = recipe.per_device_eval_batch_size
        add_teacher_marginals(windows.fixed(), documents, recipe.distill, tokenizer, config, batch_size)
    sizes = windows.sizes()
    wanted = recipe.batch_subwords if is_set(recipe, "batch_subwords") else sizes.max()
    if n_larger := int((sizes > wanted).sum()):
        print(
            f"note: {n_larger} of {len(sizes)} windows hold more labelled subwords than batch_subwords {wanted}, up to "
            f"{sizes.max()}: a batch with one of them is larger than asked for",
            file=sys.stderr,
        )
    return windows


def trainer_for(
    recipe: Recipe, args: TrainingArguments, data: MemberData, windows: TrainingWindows, model, tokenizer
) -> ClinXTrainer:
    """The Trainer of a run; without validation documents it selects by training loss."""
    callbacks = []
    if recipe.early_stopping_patience is not None:
        callbacks.append(EarlyStopping(recipe.early_stopping_patience))
    if recipe.distill:
        args.ddp_find_unused_parameters = False  # the CRF's are used outside of the model's forward
    if not data.validation:
        if recipe.early_stopping_patience is not None:
            raise InputError("early stopping looks at validation documents, and there are none: leave one of them out")
        if args.save_strategy not in ("steps", "epoch"):
            raise InputError(
                f"save_strategy is {args.save_strategy.value}: one of its checkpoints is kept, so set steps or epoch"
            )
        args.eval_strategy, args.load_best_model_at_end, args.metric_for_best_model = IntervalStrategy.NO, False, None
        callbacks.append(SelectByTrainingLoss())
    return ClinXTrainer(
        model=model,
        args=args,
        train_dataset=windows,
        validation=data.validation,
        processing_class=tokenizer,
        callbacks=callbacks,
        recipe=recipe,
    )


def run_metrics(recipe: Recipe, data: MemberData, windows: TrainingWindows, trainer: ClinXTrainer) -> dict:
    """What `metrics.json` tells of a run besides scores and duration."""
    return {
        "settings": recipe.recorded(),
        "documents": {part: len(getattr(data, part)) for part in ("train", "unlabelled", "validation", "test")},
        "windows": len(windows),
        "labelled_subwords": int(windows.sizes().sum()),
        "unrepresentable": dict(windows.inexact),
        "steps": trainer.state.global_step,
        "best_checkpoint": trainer.state.best_model_checkpoint,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu",
        "log": trainer.state.log_history,
    }


def starting_point(recipe: Recipe, sources: list[Source]) -> dict:
    """The models on the Hub that the run started from, `base_model`, and all its sources, without any path."""
    on_hub = [source.name for source in sources if source.is_on_hub]
    if not on_hub and recipe.encoder and not Path(recipe.encoder).exists():
        on_hub = [recipe.encoder]
    base_model = on_hub if len(on_hub) > 1 else next(iter(on_hub), None)
    return {"base_model": base_model, "sources": [source.published() for source in sources]}


def evaluate(predictor: DocumentPredictor, data: MemberData, run: RunFolder) -> dict:
    """Strict scores on the validation and test documents, as far as there are any; keeps the curves of the former."""
    scores = {}
    for part, keep in (("validation", None), ("test", run.path / "test.jsonl")):
        if documents := getattr(data, part):
            predicted, scores[part] = evaluate_documents(documents, predictor, keep)
            if part == "validation":
                write_json(run.model / CURVES, precision_recall(scored_mentions(documents, predicted)))
            print(f"strict F1 on {len(documents)} {part} documents: {100 * scores[part]['f1']:.2f} %")
    return scores
