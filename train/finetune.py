"""Fine-tune a concept extractor: annotated documents and an encoder in, a complete model repo out."""

import json
import platform
import shutil
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
import transformers
from transformers import AutoTokenizer, EarlyStoppingCallback, TrainingArguments, set_seed

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXForTokenClassification
from modeling_clinx.prediction_clinx import DocumentPredictor

from .corpora import read_corpus
from .documents import Document
from .errors import InputError
from .features import window_features
from .plots import training_curves
from .recipe import parse_recipe
from .score import score
from .trainer import ClinXTrainer, StopOnPoisonedLoss, predicted


@dataclass
class DataArguments:
    train: str = field(metadata={"help": "Annotated training documents: a folder or file."})
    validation: str | None = field(
        default=None,
        metadata={"help": "Documents that choose the best checkpoint; by default those after max_train_documents."},
    )
    format: str | None = field(default=None, metadata={"help": "Format of both, brat or jsonl; guessed by default."})
    max_train_documents: int | None = field(default=None, metadata={"help": "Only the first N, by id."})
    max_validation_documents: int | None = field(default=None, metadata={"help": "Only the first N, by id."})
    entity_types: list[str] | None = field(default=None, metadata={"help": "By default those of the training data."})


@dataclass
class ModelArguments:
    encoder: str = field(metadata={"help": "Folder or Hub name of the language model to start from."})
    revision: str | None = field(default=None, metadata={"help": "Its revision on the Hub."})
    head: str = field(default="crf", metadata={"help": "crf, or linear: no transitions.", "choices": ["crf", "linear"]})
    scheme: str = field(default="BIOSE", metadata={"help": "Labels in the model.", "choices": ["BIOSE", "BIO"]})
    unit: str = field(default="subword", metadata={"help": "What is labelled.", "choices": ["subword", "word"]})
    segmentation: str = field(
        default="packed",
        metadata={"help": "Whole sentences packed, or one sentence a window.", "choices": ["packed", "sentence"]},
    )
    context_size: int = field(default=100, metadata={"help": "Subwords of context on each side of a window's core."})
    window_length: int = field(default=512, metadata={"help": "Subwords of a window at most."})
    dropout: float = field(default=0.1, metadata={"help": "Dropout before the classifier."})


@dataclass
class OptimizationArguments:
    batch_subwords: int = field(
        default=512, metadata={"help": "Labelled subwords in a batch; 512 are about the paper's 16 sentences."}
    )
    one_cycle: bool = field(default=True, metadata={"help": "One-cycle schedule rather than lr_scheduler_type."})
    head_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of classifier and CRF; by default the encoder's."}
    )
    early_stopping_patience: int | None = field(
        default=None, metadata={"help": "Stop after so many evaluations without a better strict F1."}
    )


@dataclass
class FinetuneTrainingArguments(TrainingArguments):
    """The settings of Lange et al. 2022, section 4: AdamW, 2e-5, 20 epochs, no weight decay."""

    output_dir: str = "runs/finetune"
    learning_rate: float = 2e-5
    num_train_epochs: float = 20
    weight_decay: float = 0.0
    eval_strategy: str = "epoch"
    save_strategy: str = "epoch"
    logging_steps: float = 20
    save_total_limit: int | None = 1
    load_best_model_at_end: bool = True
    metric_for_best_model: str | None = "strict_f1"
    per_device_eval_batch_size: int = 16
    logging_nan_inf_filter: bool = False
    report_to: str | None = "none"
    accelerator_config: str | None = '{"even_batches": false}'


RECORDED = ("learning_rate", "num_train_epochs", "max_steps", "weight_decay", "gradient_accumulation_steps", "seed")
ARGUMENTS = [DataArguments, ModelArguments, OptimizationArguments, FinetuneTrainingArguments]


def read_documents(data: DataArguments) -> tuple[list[Document], list[Document]]:
    """Training and validation documents, in the order of their ids."""
    train = sorted(read_corpus(data.train, data.format), key=lambda document: document.id)
    if data.validation:
        validation = sorted(read_corpus(data.validation, data.format), key=lambda document: document.id)
    else:
        validation = train[data.max_train_documents :] if data.max_train_documents else []
    train, validation = train[: data.max_train_documents], validation[: data.max_validation_documents]
    if not validation:
        raise InputError(f"no validation documents: name them, or leave some of {data.train} to max_train_documents")
    return train, validation


def entity_types_of(documents: list[Document], path: str) -> list[str]:
    """The labels that occur, sorted; InputError when there are none."""
    if types := sorted({entity.label for document in documents for entity in document.entities}):
        return types
    raise InputError(f"{path}: found no entities in {len(documents)} documents, so there is nothing to learn")


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end: the Trainer writes `trainer_state.json` last."""
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1])):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text())
            return checkpoint
        except (OSError, ValueError):
            continue
    return None


def claim_run_folder(folder: Path, settings: dict) -> bool:
    """Writes the settings into the run's folder; True if it holds a finished run of the same.

    Raises:
        InputError: the folder holds checkpoints or a model of other settings; names the first that differs.
    """
    file, is_done = folder / "recipe.json", (folder / "metrics.json").exists()
    if file.exists() and (is_done or last_complete_checkpoint(folder)):
        before = json.loads(file.read_text())
        for key in sorted({*before, *settings}):
            if before.get(key) != settings.get(key):
                raise InputError(
                    f"{folder} holds a run with {key} {before.get(key)!r}, not {settings.get(key)!r}: "
                    "choose another --output_dir, or remove that folder"
                )
        return is_done
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    return False


def finetune(data, model_args, optimization, args) -> Path:
    """Trains one model on `data.train` and returns the run's folder.

    The folder holds `model/` (a complete model repo: the checkpoint with the best strict F1 on the validation
    documents), `metrics.json`, `curves.png`, `recipe.json` and checkpoints. A run that was interrupted goes on where
    its last complete checkpoint is; one that is done is left alone.

    Raises:
        InputError: data or settings that cannot be used.
    """
    start = time.time()
    folder = Path(args.output_dir)
    if args.label_smoothing_factor:
        raise InputError("label_smoothing_factor would bypass the CRF: leave it out")
    settings = {k: v for part in (data, model_args, optimization) for k, v in asdict(part).items()}
    settings |= {name: getattr(args, name) for name in RECORDED}
    with args.main_process_first(local=False, desc="claim the run's folder"):
        is_done = claim_run_folder(folder, settings)
    if is_done:
        print(f"{folder} is a finished run of this recipe: its model is in {folder / 'model'}")
        return folder

    # Data
    train, validation = read_documents(data)
    entity_types = data.entity_types or entity_types_of(train, data.train)
    for label in sorted({e.label for d in validation for e in d.entities} - set(entity_types)):
        print(f"note: validation mentions of {label} count as missed, since training has none", file=sys.stderr)

    # Model and tokenizer
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
    features, problems = window_features(train, tokenizer, model.config)
    if not features:
        raise InputError(f"{data.train}: the training documents hold no text that could be labelled")
    if problems:
        counts = ", ".join(f"{count} {reason}" for reason, count in problems.most_common())
        print(f"training mentions that labels cannot give back exactly: {counts}", file=sys.stderr)

    # Training
    callbacks = [StopOnPoisonedLoss()]
    if optimization.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(optimization.early_stopping_patience))
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
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    # Model repo, figures and curves
    if trainer.is_world_process_zero():
        save_model_repo(trainer.accelerator.unwrap_model(trainer.model), tokenizer, folder / "model")
        predictor = DocumentPredictor(trainer.model, tokenizer, args.per_device_eval_batch_size)
        texts = (document.text for document in validation)
        metrics = {
            "validation": score(validation, predicted(validation, predictor(texts))),
            "settings": settings,
            "documents": {"train": len(train), "validation": len(validation)},
            "windows": len(features),
            "labelled_subwords": int(sum((feature["labels"] >= 0).sum() for feature in features)),
            "unrepresentable": dict(Counter(problems)),
            "steps": trainer.state.global_step,
            "best_checkpoint": trainer.state.best_model_checkpoint,
            "seconds": round(time.time() - start, 1),
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu",
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "log": trainer.state.log_history,
        }
        training_curves(trainer.state.log_history, folder / "curves.png")
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
        for leftover in folder.glob("checkpoint-*"):
            shutil.rmtree(leftover)
        print(f"strict F1 on {len(validation)} validation documents: {100 * metrics['validation']['f1']:.2f} %")
        print(f"model repo: {folder / 'model'}; figures: {folder / 'metrics.json'}; curves: {folder / 'curves.png'}")
    return folder


def main(argv: list[str]) -> None:
    (data, model_args, optimization, args), given = parse_recipe(ARGUMENTS, argv, "clinx finetune", __doc__)
    if "per_device_train_batch_size" in given or any("per_device_train_batch" in option for option in argv):
        raise InputError("a batch is counted in labelled subwords: set batch_subwords, not per_device_train_batch_size")
    if args.output_dir == fields(FinetuneTrainingArguments)[0].default:
        args.output_dir = f"runs/{Path(argv[0]).stem}"
    finetune(data, model_args, optimization, args)
