"""The settings of a run, in groups: what each means, and what depends on it."""

from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields


SPLIT_KINDS = ("standard", "random", "all")


def setting(
    default=MISSING,
    help: str = "",
    *,
    choices: Sequence[str] | None = None,
    recorded: bool = True,
    published: bool = False,
    of_trainer: bool = False,
):
    """A field of a recipe.

    Args:
        recorded: whether the result of a run depends on it, so that a run folder belongs to one value of it.
        published: whether a model card may tell it: it names no place.
        of_trainer: a field of transformers' `TrainingArguments`, whose own default stands for None.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "recorded": recorded,
        "published": published,
        "of_trainer": of_trainer,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class DocumentSettings:
    """Documents"""

    train: str = setting(help="Annotated training documents: a folder, a file, an archive or a dataset.")
    validation: str | None = setting(
        None, "Documents that choose the best checkpoint (default: those after the first max_train_documents)."
    )
    format: str | None = setting(None, "Format of all annotated documents (default: guessed from the files).")
    max_train_documents: int | None = setting(None, "Use only the first N training documents.")
    max_train_sentences: int | None = setting(
        None, "Few-shot training: use only the first N sentences.", published=True
    )
    max_validation_documents: int | None = setting(None, "Use only the first N validation documents.")
    test: str | None = setting(None, "Documents on which the model is judged, and which are used for nothing else.")
    test_fraction: float | None = setting(
        None, "Hold out this share of train and validation for judging, in place of test.", published=True
    )
    max_misaligned: float = setting(
        0.03, "Largest share of mentions that may read differently from what their annotation says.", recorded=False
    )
    entity_types: list[str] | None = setting(None, "Entity types (default: those of the training documents).")
    distill: str | None = setting(
        None, "Learn from what this ensemble finds in the notes rather than from their annotations."
    )
    unlabelled: str | None = setting(None, "More notes for distill, without annotations.")
    max_unlabelled_documents: int | None = setting(None, "Use only the first N unlabelled notes.")


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Model"""

    encoder: str = setting(help="Folder or Hub name of the language model to start from.")
    revision: str | None = setting(None, "Revision of the encoder on the Hub.")
    head: str = setting(
        "crf",
        "Output layer: a CRF, or linear, without transitions between labels.",
        choices=("crf", "linear"),
        published=True,
    )
    scheme: str = setting(
        "BIOSE", "Label scheme inside of the model; outside it is always BIO.", choices=("BIOSE", "BIO"), published=True
    )
    unit: str = setting(
        "subword",
        "What a label stands on: every subword, or the first subword of every word.",
        choices=("subword", "word"),
        published=True,
    )
    segmentation: str = setting(
        "packed",
        "What a window's core holds: as many whole sentences as fit, or one sentence.",
        choices=("packed", "sentence"),
        published=True,
    )
    context_size: int = setting(100, "Subwords of context on each side of a window's core.", published=True)
    window_length: int = setting(512, "Longest window in subwords, with special tokens.", published=True)
    dropout: float = setting(0.1, "Dropout probability before the classifier.", published=True)


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings:
    """Optimization"""

    batch_subwords: int = setting(
        512, "Labelled subwords in a batch; 512 are about the paper's 16 sentences.", published=True
    )
    one_cycle: bool = setting(True, "Use the one-cycle schedule rather than lr_scheduler_type.", published=True)
    learning_rate: float = setting(2e-5, "Peak learning rate.", published=True, of_trainer=True)
    head_learning_rate: float | None = setting(
        None, "Learning rate of classifier and CRF (default: that of the encoder).", published=True
    )
    num_train_epochs: float = setting(20.0, "Passes over the training documents.", published=True, of_trainer=True)
    max_steps: int | None = setting(None, "Updates, in place of num_train_epochs.", published=True, of_trainer=True)
    weight_decay: float = setting(0.0, "Weight decay of AdamW.", published=True, of_trainer=True)
    gradient_accumulation_steps: int | None = setting(None, "Batches of one update.", of_trainer=True)
    lr_scheduler_type: str | None = setting(None, "Schedule where one_cycle is off.", of_trainer=True)
    warmup_steps: float | None = setting(None, "Warm-up of lr_scheduler_type: steps, or a share.", of_trainer=True)
    max_grad_norm: float | None = setting(None, "Gradients are clipped at this norm.", of_trainer=True)
    optim: str | None = setting(None, "Optimizer.", published=True, of_trainer=True)
    adam_beta1: float | None = setting(None, "First moment's decay of AdamW.", of_trainer=True)
    adam_beta2: float | None = setting(None, "Second moment's decay of AdamW.", of_trainer=True)
    bf16: bool | None = setting(None, "Train in bfloat16; the CRF stays in float64.", published=True, of_trainer=True)
    fp16: bool | None = setting(None, "Train in float16; the CRF stays in float64.", published=True, of_trainer=True)
    seed: int | None = setting(None, "Seed of weights, order and dropout.", published=True, of_trainer=True)
    data_seed: int | None = setting(None, "Seed of the order alone (default: seed).", of_trainer=True)
    eval_strategy: str = setting("epoch", "When validation documents are judged: epoch, steps or no.", of_trainer=True)
    eval_steps: float | None = setting(None, "Steps between evaluations, with eval_strategy steps.", of_trainer=True)
    save_strategy: str = setting("epoch", "When a checkpoint is written: epoch, steps, best or no.", of_trainer=True)
    save_steps: float | None = setting(None, "Steps between checkpoints, with save_strategy steps.", of_trainer=True)
    early_stopping_patience: int | None = setting(None, "Stop after so many evaluations without a better strict F1.")


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Splits and ensembles"""

    splits: int | None = setting(None, "Train so many members, and make an ensemble of them.", published=True)
    split_kind: str | None = setting(
        None,
        "random (default with splits): parts of train + validation, each the validation of one member; standard: train "
        "and validation as given, other seeds; all: one model without validation, selected by its training loss.",
        choices=SPLIT_KINDS,
        published=True,
    )
    split_seed: int = setting(1, "Seed of the random parts, and of test_fraction.", published=True)
    split_file: str | None = setting(None, "A splits.json to use in place of new splits.")
    member: int | None = setting(None, "Train only this member, from 1 to splits.", recorded=False)
    members_at_once: int | None = setting(
        None, "Members trained side by side, each on a GPU of its own (default: as many as GPUs).", recorded=False
    )
    soup: bool = setting(False, "Also average the members' weights into one model.", recorded=False)
    vote: str = setting("majority", "Vote of the ensemble's members.", choices=("majority", "average"), recorded=False)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Run"""

    output_dir: str | None = setting(
        None, "The run's folder (default: runs/NAME of the recipe).", recorded=False, of_trainer=True
    )
    logging_steps: float = setting(20, "Steps between figures of the loss.", recorded=False, of_trainer=True)
    save_total_limit: int | None = setting(1, "Checkpoints kept besides the best one.", recorded=False, of_trainer=True)
    load_best_model_at_end: bool = setting(
        True, "Keep the checkpoint with the best strict F1 rather than the last.", recorded=False, of_trainer=True
    )
    metric_for_best_model: str | None = setting(
        "strict_f1", "Figure that chooses the best checkpoint.", of_trainer=True
    )
    per_device_eval_batch_size: int = setting(
        16, "Windows that the encoder reads at a time when it judges.", recorded=False, of_trainer=True
    )
    world_size: int | None = setting(
        None, "Processes that train together; the launcher decides, and the run records it.", published=True
    )


GROUPS = (DocumentSettings, ModelSettings, OptimizationSettings, SplitSettings, RunSettings)  # docstrings are headings
SETTINGS: dict[str, Field] = {item.name: item for group in GROUPS for item in fields(group)}
PUBLISHED = tuple(name for name, item in SETTINGS.items() if item.metadata["published"])
