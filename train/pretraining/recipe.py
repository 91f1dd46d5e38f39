"""The settings of a pretraining run, and the recipe that they make."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ..checks import REFUSED, SettingError, faults_of_steps
from ..recipe import RecipeBase
from ..setting_fields import COUNT, NOT_NEGATIVE, POSITIVE, PROBABILITY, SEED, Numbers, setting


FOLLOWS = "it follows from update_blocks, per_device_train_batch_size and the number of processes: leave it out"
WHOLE_UPDATES = "every update holds update_blocks blocks, in a new order in each epoch: leave it out"
MEAN = "the loss is the mean over the masked subwords of an update: leave it out"
BY_PERPLEXITY = "the checkpoint with the lowest perplexity is the best one: leave it out"


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """Text"""

    train: list[str] = setting(
        help="Texts to learn from: files (plain text, JSON Lines, Parquet, also as .gz or .xz), folders, archives, or "
        "datasets on the Hub.",
        is_path=True,
    )
    validation: list[str] | None = setting(
        None, "Texts that are held out (default: validation_fraction).", is_path=True
    )
    validation_fraction: float = setting(
        0.01, "Share of the documents to hold out where validation names none.", numbers=Numbers(above=0, below=1)
    )
    max_validation_documents: int = setting(1000, "Hold out no more documents than these.", numbers=COUNT)
    max_train_documents: int | None = setting(None, "Use only the first N documents.", numbers=COUNT)
    text_column: str = setting("text", "The field, or column, that holds the text.")
    min_characters: int = setting(1, "Leave out shorter documents.", published=True, numbers=COUNT)
    near_duplicates: float = setting(
        0.8,
        "Leave out documents whose words are those of an earlier one to this share (Jaccard); with 1, exact copies "
        "alone.",
        published=True,
        numbers=Numbers(above=0, below=1, unset=1),
    )
    exclude: list[str] | None = setting(
        None, "Corpora whose notes must not be learned from: documents that contain one are left out.", is_path=True
    )


@dataclass(frozen=True, kw_only=True)
class LanguageModelSettings:
    """Language model"""

    model: str | None = setting(
        None,
        "Folder or Hub name of the masked language model to go on from; of from_scratch, only its tokenizer is used.",
        is_path=True,
    )
    revision: str | None = setting(None, "Revision of the model on the Hub.")
    train_tokenizer: int | None = setting(
        None,
        "Learn a vocabulary of at most N pieces from the texts; the model's rows for a piece begin as the mean of "
        "those of its old pieces.",
        published=True,
        numbers=Numbers(minimum=100),
    )
    from_scratch: str | None = setting(
        None,
        "Begin with random weights, in XLM-R's architecture of this size; tiny in ModernBERT's.",
        choices=("tiny", "mini", "base", "large"),
        published=True,
    )
    block_length: int = setting(
        512, "Subwords of a training example, with special tokens.", published=True, numbers=Numbers(minimum=8)
    )
    cross_documents: bool = setting(
        False, "Fill blocks with the next document where one ends, as the paper did.", published=True
    )
    mlm_probability: float = setting(
        0.15, "Share of the subwords that are to be predicted.", published=True, numbers=Numbers(above=0, below=1)
    )
    whole_words: bool = setting(False, "Mask whole words rather than subwords.", published=True)


@dataclass(frozen=True, kw_only=True)
class PretrainingOptimizationSettings:
    """Optimization"""

    update_blocks: int = setting(
        32, "Blocks of an update, over all processes and steps of accumulation.", published=True, numbers=COUNT
    )
    per_device_train_batch_size: int = setting(
        4, "Blocks that a device learns from at a time.", recorded=False, of_trainer=True, numbers=COUNT
    )
    learning_rate: float = setting(5e-5, "Peak learning rate.", published=True, of_trainer=True, numbers=POSITIVE)
    num_train_epochs: float = setting(
        3.0, "Passes over the training documents.", published=True, of_trainer=True, numbers=POSITIVE
    )
    max_steps: int | None = setting(
        None,
        "Updates, in place of num_train_epochs.",
        published=True,
        of_trainer=True,
        numbers=Numbers(minimum=1, unset=-1),
    )
    lr_scheduler_type: str = setting("linear", "Schedule of the learning rate.", published=True, of_trainer=True)
    warmup_steps: float = setting(
        0, "Warm-up: steps, or a share of all.", published=True, of_trainer=True, numbers=NOT_NEGATIVE
    )
    new_head_steps: float = setting(
        0,
        "Steps, or a share of all, in which a new head learns alone: of a model that had none.",
        published=True,
        numbers=NOT_NEGATIVE,
    )
    weight_decay: float = setting(0.0, "Weight decay of AdamW.", published=True, of_trainer=True, numbers=NOT_NEGATIVE)
    max_grad_norm: float = setting(
        1.0, "Gradients are clipped at this norm.", published=True, of_trainer=True, numbers=NOT_NEGATIVE
    )
    optim: str | None = setting(None, "Optimizer.", published=True, of_trainer=True)
    adam_beta1: float | None = setting(
        None, "First moment's decay of AdamW.", published=True, of_trainer=True, numbers=PROBABILITY
    )
    adam_beta2: float | None = setting(
        None, "Second moment's decay of AdamW.", published=True, of_trainer=True, numbers=PROBABILITY
    )
    bf16: bool | None = setting(None, "Train in bfloat16.", published=True, of_trainer=True)
    fp16: bool | None = setting(None, "Train in float16.", published=True, of_trainer=True)
    seed: int | None = setting(None, "Seed of masks, order and dropout.", published=True, of_trainer=True, numbers=SEED)


@dataclass(frozen=True, kw_only=True)
class PretrainingRunSettings:
    """Run"""

    output_dir: str | None = setting(
        None, "The run's folder (default: runs/NAME of the recipe).", recorded=False, of_trainer=True, is_path=True
    )
    eval_strategy: str = setting(
        "steps", "When the perplexity of held-out documents is measured.", choices=("steps", "epoch"), of_trainer=True
    )
    eval_steps: float | None = setting(
        0.05, "Steps between measurements, or a share of all.", of_trainer=True, numbers=POSITIVE
    )
    save_strategy: str = setting("steps", "When a checkpoint is written.", choices=("steps", "epoch"), of_trainer=True)
    save_steps: float | None = setting(
        0.05, "Steps between checkpoints, or a share of all.", of_trainer=True, numbers=POSITIVE
    )
    logging_steps: float = setting(
        20, "Steps between figures of the loss.", recorded=False, of_trainer=True, numbers=POSITIVE
    )
    save_total_limit: int | None = setting(
        1, "Checkpoints kept besides the best one.", recorded=False, of_trainer=True, numbers=COUNT
    )
    revision_steps: float | None = setting(
        None,
        "Steps, or a share of all, after which the model is kept in revisions/step-N: `clinx push --revisions`.",
        recorded=False,
        numbers=POSITIVE,
    )
    load_best_model_at_end: bool = setting(
        True, "Keep the checkpoint with the lowest perplexity rather than the last.", recorded=False, of_trainer=True
    )
    per_device_eval_batch_size: int = setting(
        16, "Blocks that a device reads at a time when it measures.", recorded=False, of_trainer=True, numbers=COUNT
    )
    world_size: int | None = setting(
        None,
        "Processes that train together; the launcher decides, and the run records it.",
        published=True,
        numbers=COUNT,
    )


@dataclass(frozen=True, kw_only=True)
class PretrainingRecipe(
    RecipeBase, PretrainingRunSettings, PretrainingOptimizationSettings, LanguageModelSettings, TextSettings
):
    """All settings of a pretraining run (Lange et al. 2022, section 3.1, are the defaults, but for cross_documents)."""

    verb: ClassVar[str] = "pretrain"
    groups: ClassVar[tuple[type, ...]] = (
        TextSettings,
        LanguageModelSettings,
        PretrainingOptimizationSettings,
        PretrainingRunSettings,
    )
    refused: ClassVar[dict[str, str]] = {
        **{name: reason for name, reason in REFUSED.items() if name != "per_device_train_batch_size"},
        **dict.fromkeys(("gradient_accumulation_steps", "auto_find_batch_size"), FOLLOWS),
        **dict.fromkeys(("dataloader_drop_last", "train_sampling_strategy", "length_column_name"), WHOLE_UPDATES),
        **dict.fromkeys(("label_smoothing_factor", "average_tokens_across_devices"), MEAN),
        **dict.fromkeys(("metric_for_best_model", "greater_is_better"), BY_PERPLEXITY),
        "eval_on_start": "the perplexity before training is always measured: leave it out",
        "remove_unused_columns": "the blocks hold what is needed: leave it out",
    }

    def checked(self) -> "PretrainingRecipe":
        recipe = super().checked()
        for name, fault in _faults(recipe):
            raise SettingError(fault, name)
        return recipe


def _faults(recipe: PretrainingRecipe) -> Iterator[tuple[str, str]]:
    """Settings that do not go with the others, and why."""
    if recipe.update_blocks % recipe.per_device_train_batch_size:
        yield (
            "update_blocks",
            f"update_blocks is {recipe.update_blocks}, expected a multiple of per_device_train_batch_size "
            f"{recipe.per_device_train_batch_size}",
        )
    if not recipe.model and not (recipe.from_scratch and recipe.train_tokenizer):
        yield (
            "model",
            "model is missing: name the masked language model to go on from, or set from_scratch and train_tokenizer "
            "for one of your own",
        )
    if recipe.revision and recipe.model and Path(recipe.model).exists():
        yield (
            "revision",
            f"revision is {recipe.revision}, but the model {recipe.model} is a folder, and only a repo on the Hub has "
            "revisions: leave revision out",
        )
    yield from faults_of_steps(recipe)
    if recipe.load_best_model_at_end and (recipe.eval_strategy, recipe.eval_steps) != (
        recipe.save_strategy,
        recipe.save_steps,
    ):
        yield (
            "load_best_model_at_end",
            "load_best_model_at_end needs a checkpoint at every measurement: set save_strategy and save_steps as "
            "eval_strategy and eval_steps",
        )
