"""The settings of a fine-tuning: the keys of a recipe, and which of them a run's result depends on."""

from dataclasses import asdict, dataclass, field

from transformers import TrainingArguments

from .splits import KINDS


@dataclass
class DataArguments:
    train: str = field(metadata={"help": "Annotated training documents: a folder or file."})
    validation: str | None = field(
        default=None,
        metadata={"help": "Documents that choose the best checkpoint; by default those after max_train_documents."},
    )
    format: str | None = field(
        default=None, metadata={"help": "Format of all, see clinx corpus stats --help; guessed."}
    )
    max_train_documents: int | None = field(default=None, metadata={"help": "Only the first N."})
    max_train_sentences: int | None = field(default=None, metadata={"help": "Few-shot: only the first N sentences."})
    max_validation_documents: int | None = field(default=None, metadata={"help": "Only the first N."})
    test: str | None = field(default=None, metadata={"help": "Documents that judge, and are used for nothing else."})
    test_fraction: float | None = field(
        default=None, metadata={"help": "Hold out this share of train and validation for judging, in place of test."}
    )
    distill: str | None = field(
        default=None, metadata={"help": "Learn from what this ensemble finds in the notes, not from their annotations."}
    )
    unlabelled: str | None = field(default=None, metadata={"help": "More notes for distill, without annotations."})
    max_unlabelled_documents: int | None = field(default=None, metadata={"help": "Only the first N."})
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
class SplitArguments:
    splits: int | None = field(default=None, metadata={"help": "Train so many members, and make an ensemble of them."})
    split: str | None = field(
        default=None,
        metadata={
            "help": "random (default with splits): parts of train + validation, each the validation of one member; "
            "standard: train and validation as given, other seeds; all: one model without validation, selected by its "
            "training loss.",
            "choices": KINDS,
        },
    )
    split_seed: int = field(default=1, metadata={"help": "Of the random parts, and of test_fraction."})
    split_file: str | None = field(default=None, metadata={"help": "A splits.json to use in place of new splits."})
    member: int | None = field(default=None, metadata={"help": "Train only this member, 1 to splits."})
    members_at_once: int | None = field(
        default=None, metadata={"help": "Members trained side by side, each on a GPU of its own; default: all GPUs."}
    )
    soup: bool = field(default=False, metadata={"help": "Also average the members' weights into one model."})
    vote: str = field(default="majority", metadata={"help": "Of the ensemble.", "choices": ["majority", "average"]})


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


RECORDED = (
    *("learning_rate", "num_train_epochs", "max_steps", "weight_decay", "gradient_accumulation_steps", "seed"),
    *("data_seed", "lr_scheduler_type", "warmup_steps", "max_grad_norm", "optim", "adam_beta1", "adam_beta2", "bf16"),
    *("fp16", "eval_strategy", "eval_steps", "save_strategy", "save_steps", "world_size"),
)
ARGUMENTS = [DataArguments, ModelArguments, OptimizationArguments, SplitArguments, FinetuneTrainingArguments]
UNRECORDED = ("member", "members_at_once", "soup", "vote")


def settings_of(data, model_args, optimization, splitting, args) -> dict:
    """What a run's result depends on."""
    settings = {k: v for part in (data, model_args, optimization, splitting) for k, v in asdict(part).items()}
    settings = {name: value for name, value in settings.items() if name not in UNRECORDED}
    values = {name: getattr(args, name) for name in RECORDED}
    return settings | {name: getattr(value, "value", value) for name, value in values.items()}  # of an enumeration
