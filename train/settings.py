"""The settings of a run, in groups: what each means, and what depends on it."""

from dataclasses import Field, dataclass, fields

from .setting_fields import COUNT, NOT_NEGATIVE, POSITIVE, PROBABILITY, SEED, Numbers, setting


SPLIT_KINDS = ("standard", "random", "all")
METRICS = ("strict_f1", "precision", "recall")


@dataclass(frozen=True, kw_only=True)
class DocumentSettings:
    """Documents"""

    train: str = setting(help="Annotated training documents: a folder, a file, an archive or a dataset.", is_path=True)
    validation: str | None = setting(
        None,
        "Documents that choose the best checkpoint (default: those after the first max_train_documents).",
        is_path=True,
    )
    format: str | None = setting(None, "Format of all annotated documents (default: guessed from the files).")
    exclude: list[str] | None = setting(
        None, "Patterns of files in all folders of documents that are no notes: README*, old/*."
    )
    max_train_documents: int | None = setting(None, "Use only the first N training documents.", numbers=COUNT)
    max_train_sentences: int | None = setting(
        None, "Few-shot training: use only the first N sentences.", published=True, numbers=COUNT
    )
    max_validation_documents: int | None = setting(None, "Use only the first N validation documents.", numbers=COUNT)
    test: str | None = setting(
        None, "Documents on which the model is judged, and which are used for nothing else.", is_path=True
    )
    max_test_documents: int | None = setting(
        None,
        "Use only the first N test documents, or of a corpus that has none the first N blocks of 20 sentences.",
        numbers=COUNT,
    )
    test_fraction: float | None = setting(
        None,
        "Hold out this share of train and validation for judging, in place of test.",
        published=True,
        numbers=Numbers(above=0, below=1),
    )
    held_out: list[str] | None = setting(
        None,
        "Documents of which nothing is learned: training documents that share 50 words in a row are left out.",
        is_path=True,
    )
    max_misaligned: float = setting(
        0.03,
        "Largest share of mentions that may read differently from what their annotation says.",
        recorded=False,
        numbers=NOT_NEGATIVE,
    )
    entity_types: list[str] | None = setting(None, "Entity types (default: those of the training documents).")
    distill: str | None = setting(
        None, "Learn from what this ensemble finds in the notes rather than from their annotations.", is_path=True
    )
    unlabelled: str | None = setting(None, "More notes for distill, without annotations.", is_path=True)
    max_unlabelled_documents: int | None = setting(None, "Use only the first N unlabelled notes.", numbers=COUNT)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """Model"""

    encoder: str | None = setting(
        None, "Folder or Hub name of the language model to start from (default: that of source_model).", is_path=True
    )
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
    context_size: int = setting(
        100, "Subwords of context on each side of a window's core.", published=True, numbers=NOT_NEGATIVE
    )
    window_length: int = setting(
        512, "Longest window in subwords, with special tokens.", published=True, numbers=Numbers(minimum=8)
    )
    dropout: float = setting(0.1, "Dropout probability before the classifier.", published=True, numbers=PROBABILITY)
    lora_rank: int | None = setting(
        None,
        "Train adapters of this rank (LoRA) in the encoder's linear layers; the encoder itself stays as it is, and is "
        "shared by an ensemble's members (default: train the encoder).",
        published=True,
        numbers=COUNT,
    )


@dataclass(frozen=True, kw_only=True)
class RegularizationSettings:
    """Regularization, besides dropout"""

    context_dropout: float = setting(
        0.0,
        "Probability that in an epoch the sentences of a window are read without any context, each by itself.",
        published=True,
        numbers=PROBABILITY,
    )
    locked_dropout: float = setting(
        0.0,
        "Probability that a feature of the encoder's output is zero at all positions of a window.",
        published=True,
        numbers=PROBABILITY,
    )
    word_dropout: float = setting(
        0.0, "Probability that the encoder's output is zero at a position.", published=True, numbers=PROBABILITY
    )
    layerwise_lr_decay: float = setting(
        0.9,
        "Share of its next layer's learning rate that a layer of the encoder has; of the first one, the embeddings.",
        published=True,
        numbers=Numbers(above=0, maximum=1),
    )


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """Transfer"""

    source_model: str | None = setting(
        None,
        "Start from the encoder of this fine-tuned model: a folder, a Hub name, or NAME@REVISION; of an ensemble, from "
        "its median member by validation score; auto: from the one of source_models that rank-sources puts first.",
        is_path=True,
    )
    source_models: list[str] | None = setting(
        None, "Start from the mean of these models' encoders, which descend from the same pretrained one.", is_path=True
    )
    source_weights: list[float] | None = setting(
        None, "Weights of source_models in their mean (default: equal).", published=True, numbers=NOT_NEGATIVE
    )
    transfer_head: str = setting(
        "new",
        "Classifier and CRF: new, or with what source_model has learned of the labels that both share.",
        choices=("new", "shared"),
        published=True,
    )


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings:
    """Optimization"""

    batch_subwords: int = setting(
        256,
        "Labelled subwords in a batch, which holds at least one window; 256 are about 10 sentences of clinical notes "
        "(the paper's batches are 16).",
        published=True,
        numbers=COUNT,
    )
    batch_sentences: int | None = setting(
        None,
        "Sentences in a batch, in place of batch_subwords, with segmentation sentence; the loss is then the mean over "
        "sentences, short or long.",
        published=True,
        numbers=COUNT,
    )
    one_cycle: bool = setting(True, "Use the one-cycle schedule rather than lr_scheduler_type.", published=True)
    pct_start: float = setting(
        0.3,
        "Share of the updates in which the one-cycle schedule rises to its peak; with 0 it begins there.",
        published=True,
        numbers=PROBABILITY,
    )
    learning_rate: float = setting(2e-5, "Peak learning rate.", published=True, of_trainer=True, numbers=POSITIVE)
    head_learning_rate: float | None = setting(
        None, "Learning rate of classifier and CRF (default: that of the encoder).", published=True, numbers=POSITIVE
    )
    num_train_epochs: float = setting(
        20.0, "Passes over the training documents.", published=True, of_trainer=True, numbers=POSITIVE
    )
    max_steps: int | None = setting(
        None,
        "Updates, in place of num_train_epochs.",
        published=True,
        of_trainer=True,
        numbers=Numbers(minimum=1, unset=-1),
    )
    weight_decay: float = setting(0.0, "Weight decay of AdamW.", published=True, of_trainer=True, numbers=NOT_NEGATIVE)
    gradient_accumulation_steps: int | None = setting(None, "Batches of one update.", of_trainer=True, numbers=COUNT)
    lr_scheduler_type: str | None = setting(None, "Schedule, with one_cycle false.", of_trainer=True)
    warmup_steps: float | None = setting(
        None,
        "Warm-up of lr_scheduler_type: steps, or a share of all; with one_cycle false.",
        of_trainer=True,
        numbers=NOT_NEGATIVE,
    )
    max_grad_norm: float | None = setting(
        None, "Gradients are clipped at this norm.", of_trainer=True, numbers=NOT_NEGATIVE
    )
    optim: str | None = setting(None, "Optimizer.", published=True, of_trainer=True)
    adam_beta1: float | None = setting(None, "First moment's decay of AdamW.", of_trainer=True, numbers=PROBABILITY)
    adam_beta2: float | None = setting(None, "Second moment's decay of AdamW.", of_trainer=True, numbers=PROBABILITY)
    bf16: bool | None = setting(None, "Train in bfloat16; the CRF stays in float64.", published=True, of_trainer=True)
    fp16: bool | None = setting(None, "Train in float16; the CRF stays in float64.", published=True, of_trainer=True)
    seed: int | None = setting(
        None, "Seed of weights, order and dropout.", published=True, of_trainer=True, numbers=SEED
    )
    data_seed: int | None = setting(None, "Seed of the order alone (default: seed).", of_trainer=True, numbers=SEED)
    eval_strategy: str = setting(
        "epoch", "When validation documents are judged.", of_trainer=True, choices=("no", "steps", "epoch")
    )
    eval_steps: float | None = setting(
        None, "Steps between evaluations, with eval_strategy steps.", of_trainer=True, numbers=POSITIVE
    )
    save_strategy: str = setting(
        "epoch", "When a checkpoint is written.", of_trainer=True, choices=("no", "steps", "epoch", "best")
    )
    save_steps: float | None = setting(
        None, "Steps between checkpoints, with save_strategy steps.", of_trainer=True, numbers=POSITIVE
    )
    early_stopping_patience: int | None = setting(
        None, "Stop after so many evaluations without a better strict F1.", numbers=COUNT
    )
    calibrate: bool = setting(
        False,
        "Once trained, divide all scores of a model by the temperature at which the validation documents are the most "
        "likely; what it finds stays the same. Mostly its posteriors are better probabilities without.",
        published=True,
    )


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Splits and ensembles"""

    splits: int | None = setting(
        None, "Train so many members, and make an ensemble of them.", published=True, numbers=COUNT
    )
    split_kind: str | None = setting(
        None,
        "random (default with splits): parts of train + validation, each the validation of one member; standard: train "
        "and validation as given, other seeds; all: one model without validation, selected by its training loss.",
        choices=SPLIT_KINDS,
        published=True,
    )
    split_seed: int = setting(1, "Seed of the random parts, and of test_fraction.", published=True, numbers=SEED)
    split_file: str | None = setting(None, "A splits.json to use in place of new splits.", is_path=True)
    member: int | None = setting(None, "Train only this member, from 1 to splits.", recorded=False, numbers=COUNT)
    members_at_once: int | None = setting(
        None,
        "Members trained side by side, each on a GPU of its own (default: as many as GPUs).",
        recorded=False,
        numbers=COUNT,
    )
    soup: bool = setting(False, "Also average the members' weights into one model.", recorded=False)
    vote: str = setting("majority", "Vote of the ensemble's members.", choices=("majority", "average"), recorded=False)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Run"""

    output_dir: str | None = setting(
        None, "The run's folder (default: runs/NAME of the recipe).", recorded=False, of_trainer=True, is_path=True
    )
    logging_steps: float = setting(
        20, "Steps between figures of the loss.", recorded=False, of_trainer=True, numbers=POSITIVE
    )
    save_total_limit: int | None = setting(
        1, "Checkpoints kept besides the best one.", recorded=False, of_trainer=True, numbers=COUNT
    )
    load_best_model_at_end: bool = setting(
        True, "Keep the checkpoint with the best strict F1 rather than the last.", of_trainer=True
    )
    metric_for_best_model: str | None = setting(
        "strict_f1",
        "Figure that chooses the best checkpoint.",
        of_trainer=True,
        choices=(*METRICS, *(f"eval_{name}" for name in METRICS)),
    )
    per_device_eval_batch_size: int = setting(
        16, "Windows that the encoder reads at a time when it judges.", recorded=False, of_trainer=True, numbers=COUNT
    )
    world_size: int | None = setting(
        None,
        "Processes that train together; the launcher decides, and the run records it.",
        published=True,
        numbers=COUNT,
    )


GROUPS = (  # their docstrings are headings
    DocumentSettings,
    ModelSettings,
    TransferSettings,
    RegularizationSettings,
    OptimizationSettings,
    SplitSettings,
    RunSettings,
)
SETTINGS: dict[str, Field] = {item.name: item for group in GROUPS for item in fields(group)}
