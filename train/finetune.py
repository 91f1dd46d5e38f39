"""Fine-tune a concept extractor: annotated documents and an encoder in, a complete model repo out."""

import json
import platform
import shutil
import sys
import time
from collections import Counter
from copy import copy
from dataclasses import asdict, fields, replace
from itertools import islice
from pathlib import Path

import torch
import transformers
from tqdm import tqdm
from transformers import (
    AutoTokenizer,
    EarlyStoppingCallback,
    IntervalStrategy,
    TrainerState,
    set_seed,
)

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXForTokenClassification
from modeling_clinx.prediction_clinx import DocumentPredictor

from .arguments import ARGUMENTS, DataArguments, FinetuneTrainingArguments, SplitArguments, settings_of
from .corpora import read_corpus
from .corpora.jsonl import write_jsonl
from .distill import entity_types_of_teacher, taught
from .documents import Document, atomic_file
from .errors import InputError
from .features import window_features
from .plots import training_curves
from .recipe import parse_recipe
from .score import score
from .splits import BLOCK_SENTENCES, Splits, first_sentences, hold_out, make_splits, pick, sentence_blocks
from .trainer import ClinXTrainer, LowestTrainingLoss, StopOnPoisonedLoss, predicted


FEWEST_DOCUMENTS = 5  # with fewer there is nothing to divide: blocks of sentences stand for them


def read_documents(data: DataArguments, splitting: SplitArguments) -> tuple[Splits, list[Document], list[Document]]:
    """The splits, the documents that they divide, and the documents that judge.

    Without `split` and `splits` there is one member, with the given train and validation documents.
    """
    train, validation, test = (
        list(read_corpus(path, data.format)) if path else [] for path in (data.train, data.validation, data.test)
    )
    for name in ("max_train_documents", "max_validation_documents", "max_unlabelled_documents"):
        if (number := getattr(data, name)) is not None and number < 1:
            raise InputError(f"{name} is {number}, expected at least 1")
    kind = splitting.split or ("random" if splitting.splits is not None else "standard")
    if {document.id for document in train} & {document.id for document in validation}:
        validation = [replace(document, id=f"validation/{document.id}") for document in validation]
    if (kind == "random" or data.test_fraction) and len(train) + len(validation) < FEWEST_DOCUMENTS:
        train, validation = sentence_blocks(train), sentence_blocks(validation)
        what = f"{len(train) + len(validation)} blocks of {BLOCK_SENTENCES} sentences"
        print(f"note: there are too few documents to divide: {what} stand for them", file=sys.stderr)
    if data.test_fraction:
        if test:
            raise InputError("test and test_fraction both name what judges: leave one of them out")
        rest, test = hold_out([*train, *validation], data.test_fraction, splitting.split_seed)
        kept = {document.id for document in rest}
        train, validation = ([d for d in documents if d.id in kept] for documents in (train, validation))
    if not data.validation and data.max_train_documents and kind == "standard":
        validation = train[data.max_train_documents :]
    train, validation = train[: data.max_train_documents], validation[: data.max_validation_documents]
    if data.max_train_sentences is not None:
        whole = len(train) if kind == "standard" else len(train) + len(validation)  # what is pooled, is few as a whole
        few = first_sentences([*train, *validation][:whole], data.max_train_sentences)
        train, validation = few, validation if kind == "standard" else []
    pool, texts = [*train, *validation], {document.text.strip(): document.id for document in test}
    if learned := [document.id for document in pool if document.text.strip() in texts]:
        raise InputError(f"{len(learned)} notes both judge and are learned from or selected on, as {learned[0]}")
    if splitting.split_file:
        return Splits.read(splitting.split_file), pool, test
    if kind == "standard" and not validation:
        raise InputError(f"no validation documents: name them, or leave some of {data.train} to max_train_documents")
    n_members = 1 if kind == "all" or splitting.splits is None else splitting.splits
    return make_splits(kind, train, validation, n_members, splitting.split_seed), pool, test


def entity_types_of(documents: list[Document], path: str) -> list[str]:
    """The labels that occur, sorted; InputError when there are none."""
    if types := sorted({entity.label for document in documents for entity in document.entities}):
        return types
    raise InputError(f"{path}: found no entities in {len(documents)} documents, so there is nothing to learn")


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole: the Trainer writes `trainer_state.json` last, and deletes in any order."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1])):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text())
        except (OSError, ValueError):
            continue
        parts = ("model*.safetensors", "optimizer.*", "scheduler.pt", "rng_state*.pth")
        if all(any(checkpoint.glob(part)) for part in parts):
            return checkpoint
    return None


def claim_run_folder(folder: Path, settings: dict) -> bool:
    """Writes the settings into the run's folder; True if it holds a finished run of the same.

    Raises:
        InputError: the folder, or a member's in it, holds checkpoints or a model of other settings; names the first
            that differs.
    """
    file, is_done = folder / "recipe.json", (folder / "metrics.json").exists()
    runs = (folder, *folder.glob("member-*"))
    if file.exists() and any((run / "metrics.json").exists() or last_complete_checkpoint(run) for run in runs):
        before = json.loads(file.read_text())
        for key in sorted({*before} & {*settings}):  # an older release may have recorded fewer
            if before[key] != settings[key]:
                raise InputError(
                    f"{folder} holds a run with {key} {before[key]!r}, not {settings[key]!r}: "
                    "choose another --output_dir, or remove that folder"
                )
        return is_done
    folder.mkdir(parents=True, exist_ok=True)
    write_json(file, settings)
    return False


def write_json(path: Path, content: dict) -> None:
    with atomic_file(path) as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n")


def finetune(data, model_args, optimization, splitting, args, member: int = 1) -> Path:
    """Trains one model and returns the run's folder, `args.output_dir`.

    The folder holds `model/` (a complete model repo: the checkpoint with the best strict F1 on the validation
    documents, or with the lowest training loss where there are none), `metrics.json`, `curves.png`, `recipe.json` and
    checkpoints; with documents that judge also these, in `gold.jsonl`, and what the model finds in them, in
    `test.jsonl`. A run that was interrupted goes on where its last complete checkpoint is; one that is done is left
    alone.

    Args:
        member: which member of the splits, from 1.

    Raises:
        InputError: data or settings that cannot be used.
    """
    start = time.time()
    folder = Path(args.output_dir)
    if args.label_smoothing_factor:
        raise InputError("label_smoothing_factor would bypass the CRF: leave it out")
    settings = {**settings_of(data, model_args, optimization, splitting, args), "member": member}
    with args.main_process_first(local=False, desc="claim the run's folder"):
        is_done = claim_run_folder(folder, settings)
    if is_done:
        _remove_checkpoints(folder)
        print(f"{folder} is a finished run of this recipe: its model is in {folder / 'model'}")
        return folder

    # Data
    splits, documents, test = read_documents(data, splitting)
    if not 1 <= member <= len(splits.members):
        raise InputError(f"member is {member}, expected 1 to {len(splits.members)}")
    mine = splits.members[member - 1]
    train, validation = pick(documents, mine.train), pick(documents, mine.validation)
    entity_types = data.entity_types or entity_types_of(documents if len(splits.members) > 1 else train, data.train)
    if data.distill and not data.entity_types:
        entity_types = entity_types_of_teacher(data.distill)
    for label in sorted({e.label for d in [*validation, *test] for e in d.entities} - set(entity_types)):
        print(f"note: mentions of {label} count as missed, since training has none", file=sys.stderr)

    # Model and tokenizer
    args = copy(args)
    args.seed += mine.seed_offset
    set_seed(args.seed)
    hub_kwargs = {"revision": model_args.revision} if model_args.revision else {}
    config = {k: v for k, v in asdict(model_args).items() if k not in ("encoder", "revision")}
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_args.encoder, **hub_kwargs)
        model = ClinXForTokenClassification.from_encoder(
            model_args.encoder, entity_types, hub_kwargs=hub_kwargs, **config
        )
    except (OSError, ValueError) as error:
        raise InputError(f"cannot start from the encoder {model_args.encoder}: {error}") from error
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):  # as the Trainer would, but also where it is not used
        setattr(model.config, name, getattr(tokenizer, name))
    if data.unlabelled:
        if not data.distill:
            raise InputError("unlabelled notes need an ensemble that reads them: name it with distill")
        known = {document.text.strip() for document in [*train, *validation, *test]}
        judged = {document.text.strip() for document in [*validation, *test] if len(document.text) > 40}
        others = (  # what judges is not even read, nor a note of which it is a part
            other
            for other in read_corpus(data.unlabelled, annotated=False)
            if other.text.strip() not in known and not any(text in other.text for text in judged)
        )
        train += islice(others, data.max_unlabelled_documents)
    features, problems = window_features(train, tokenizer, model.config)
    if not features:
        raise InputError(f"{data.train}: the training documents hold no text that could be labelled")
    if problems:
        counts = ", ".join(f"{count} {reason}" for reason, count in problems.most_common())
        print(f"training mentions that labels cannot give back exactly: {counts}", file=sys.stderr)
    if data.distill:
        taught(features, train, data.distill, tokenizer, model.config, args.per_device_eval_batch_size)
        args.ddp_find_unused_parameters = False  # the CRF's are used outside of the model's forward

    # Training
    callbacks = [StopOnPoisonedLoss()]
    if optimization.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(optimization.early_stopping_patience))
    if not validation:
        if optimization.early_stopping_patience is not None:
            raise InputError("early stopping looks at validation documents, and there are none: leave one of them out")
        if args.save_strategy not in ("steps", "epoch"):
            raise InputError(
                f"save_strategy is {args.save_strategy.value}: one of its checkpoints is kept, so set steps or epoch"
            )
        args.eval_strategy, args.load_best_model_at_end, args.metric_for_best_model = IntervalStrategy.NO, False, None
        callbacks.append(LowestTrainingLoss())
    trainer = ClinXTrainer(
        model=model,
        args=args,
        train_dataset=features,
        validation=validation,
        processing_class=tokenizer,
        callbacks=callbacks,
        batch_subwords=optimization.batch_subwords,
        one_cycle=optimization.one_cycle,
        head_learning_rate=optimization.head_learning_rate,
    )
    checkpoint = last_complete_checkpoint(folder)
    if checkpoint:
        print(f"going on from {checkpoint}", file=sys.stderr)
    is_trained = checkpoint and _was_last(checkpoint)  # interrupted since: the Trainer would take a step too many
    if is_trained:
        trainer.state = TrainerState.load_from_json(checkpoint / "trainer_state.json")
        if not args.load_best_model_at_end and validation:
            trainer.state.best_model_checkpoint = str(checkpoint)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    # Model repo, figures and curves
    if trainer.is_world_process_zero():
        if is_trained or not validation:
            trainer._load_best_model()
        model = trainer.accelerator.unwrap_model(trainer.model)
        save_model_repo(model, tokenizer, folder / "model")
        metrics = {
            "settings": settings,
            "base_model": None if Path(model_args.encoder).exists() else model_args.encoder,  # on the Hub
            "documents": {"train": len(train), "validation": len(validation), "test": len(test)},
            "windows": len(features),
            "labelled_subwords": int(sum((feature["labels"] >= 0).sum() for feature in features)),
            "unrepresentable": dict(Counter(problems)),
            "steps": trainer.state.global_step,
            "best_checkpoint": trainer.state.best_model_checkpoint,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu",
            "log": trainer.state.log_history,
        }
        predictor = DocumentPredictor(model, tokenizer, args.per_device_eval_batch_size)
        if validation:
            metrics["validation"] = judge(predictor, validation)
            print(f"strict F1 on {len(validation)} validation documents: {100 * metrics['validation']['f1']:.2f} %")
        if test:
            metrics["test"] = judge(predictor, test, folder / "test.jsonl")
            print(f"strict F1 on {len(test)} test documents: {100 * metrics['test']['f1']:.2f} %")
        training_curves(trainer.state.log_history, folder / "curves.png")
        metrics["seconds"] = None if checkpoint else round(time.time() - start, 1)  # not of its last part alone
        write_json(folder / "metrics.json", metrics)
        _remove_checkpoints(folder)
        print(f"model repo: {folder / 'model'}; figures: {folder / 'metrics.json'}; curves: {folder / 'curves.png'}")
    return folder


def _remove_checkpoints(folder: Path) -> None:
    for leftover in folder.glob("checkpoint-*"):
        shutil.rmtree(leftover)


def _was_last(checkpoint: Path) -> bool:
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    control = state.get("stateful_callbacks", {}).get("TrainerControl", {}).get("args", {})
    return state["global_step"] >= state["max_steps"] or control.get("should_training_stop", False)


def judge(predictor: DocumentPredictor, documents: list[Document], keep: Path | None = None) -> dict:
    """Strict scores of what is found in annotated documents; `keep` is a JSON Lines file for that, beside `gold.jsonl`,
    so that `clinx score` can compare runs."""
    texts = (document.text for document in documents)
    found = predicted(documents, tqdm(predictor(texts), "Evaluation", len(documents), leave=False, disable=None))
    if keep:
        write_jsonl(found, keep)
        write_jsonl(documents, keep.with_name("gold.jsonl"))
    return score(documents, found)


def main(argv: list[str]) -> None:
    (data, model_args, optimization, splitting, args), given = parse_recipe(ARGUMENTS, argv, "clinx finetune", __doc__)
    if "per_device_train_batch_size" in given or any("per_device_train_batch" in option for option in argv):
        raise InputError("a batch is counted in labelled subwords: set batch_subwords, not per_device_train_batch_size")
    if args.output_dir == fields(FinetuneTrainingArguments)[0].default:
        args.output_dir = f"runs/{Path(argv[0]).stem}"
    if data.distill:  # one student, also of a recipe for members
        kind = "all" if splitting.split == "all" or not data.validation else None
        splitting = replace(splitting, splits=None, split=kind, split_file=None)
    if splitting.splits is not None or splitting.split_file:
        from .members import finetune_members

        finetune_members(data, model_args, optimization, splitting, args, argv)
    elif splitting.member is not None or splitting.soup:
        raise InputError("member and soup are about an ensemble: set splits too")
    else:
        finetune(data, model_args, optimization, splitting, args)
