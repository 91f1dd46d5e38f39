"""What a recipe may not say, found before anything is read or trained."""

import re
import sys
from collections.abc import Iterator, Sequence
from os.path import expanduser
from pathlib import Path

from .errors import InputError
from .settings import SETTINGS


SPECIAL_TOKENS = 2  # of a window of an ordinary encoder
PUSHES = "a run pushes nothing by itself: `clinx push` publishes one, privately and without local paths; leave it out"
SET_SUBWORDS = "a batch is counted in labelled subwords or in sentences: set batch_subwords instead, or batch_sentences"
WHOLE_WINDOWS = "batches hold whole windows and are counted in labelled subwords or sentences: leave it out"
ALWAYS = "a run always trains, and eval_strategy says when validation documents are judged: leave it out"
IN_FLOAT32 = "documents are judged in float32, in which the model is saved: leave it out"
OF_LOOP = "documents and batches are read without the part of the Trainer that takes it: leave it out"
OF_LOOP_ALONE = (
    *("prediction_loss_only", "label_names", "batch_eval_metrics", "include_for_metrics", "eval_do_concat_batches"),
    *("eval_accumulation_steps", "eval_use_gather_object", "remove_unused_columns", "dataloader_prefetch_factor"),
    *("dataloader_persistent_workers", "dataloader_in_order", "dataloader_multiprocessing_context"),
)
REFUSED = {  # fields of transformers' TrainingArguments that would do harm, or nothing
    "per_device_train_batch_size": SET_SUBWORDS,
    "auto_find_batch_size": SET_SUBWORDS,
    "dataloader_drop_last": WHOLE_WINDOWS,
    "train_sampling_strategy": WHOLE_WINDOWS,
    "length_column_name": WHOLE_WINDOWS,
    "label_smoothing_factor": "it would bypass the CRF: leave it out",
    "greater_is_better": "strict F1, precision and recall are the better the greater they are: leave it out",
    "save_only_model": "an interrupted run could not go on from checkpoints of the model alone: leave it out",
    "resume_from_checkpoint": "the same command goes on where it was interrupted, by itself: leave it out",
    **dict.fromkeys(("do_train", "do_eval", "do_predict"), ALWAYS),
    **dict.fromkeys(("bf16_full_eval", "fp16_full_eval"), IN_FLOAT32),
    **dict.fromkeys(OF_LOOP_ALONE, OF_LOOP),
    **dict.fromkeys(("push_to_hub", "hub_model_id", "hub_token", "hub_private_repo", "hub_strategy"), PUSHES),
    **dict.fromkeys(("hub_always_push", "hub_revision"), PUSHES),
}
AUTO = "auto"  # as source_model: that of source_models which `clinx rank-sources` puts first
STEPS_OF_OLDER_RUNS = 500  # transformers' own, which they recorded as save_steps also where it was not used
SCHEDULE = {"lr_scheduler_type": "linear", "warmup_steps": 0}  # of transformers, where a recipe sets none


class SettingError(InputError):
    """A value of a recipe that cannot be used; `setting` is the name of the setting."""

    def __init__(self, message: str, setting: str | None = None):
        super().__init__(message)
        self.setting = setting


def with_checked_values(recipe):
    """The recipe, with `~` in paths filled in; raises SettingError for a value that is empty or out of range."""
    for name, item in recipe.settings().items():
        value, numbers = getattr(recipe, name), item.metadata["numbers"]
        if value == "" or value == []:
            advice = ", or leave it out" if item.default is None else ""
            raise SettingError(f"{name} is empty: give it a value{advice}", name)
        for number in value if isinstance(value, list) else [value]:
            if number is not None and numbers is not None and number not in numbers:
                raise SettingError(f"{name} is {number}, expected {numbers}", name)
    paths = {name: getattr(recipe, name) for name, item in recipe.settings().items() if item.metadata["is_path"]}
    return recipe.changed(**{name: _expanded(path) for name, path in paths.items() if path})


def _expanded(path: str | list[str]) -> str | list[str]:
    return expanduser(path) if isinstance(path, str) else [expanduser(one) for one in path]


def checked(recipe):
    """A recipe of fine-tuning as it will be used; says on standard error what is left out or made smaller.

    Raises SettingError for the first setting that does not go with the others.
    """
    for faults in (_documents, _model, _transfer, _batches, _schedule, _selection):
        for setting, fault in faults(recipe):
            raise SettingError(fault, setting)
    return _without_schedule(_with_context_that_fits(recipe))


def _documents(recipe) -> Iterator[tuple[str, str]]:
    for name, others in (("validation", ("train",)), ("test", ("train", "validation"))):
        path = getattr(recipe, name)
        for other in others:
            if path and getattr(recipe, other) and Path(path).resolve() == Path(getattr(recipe, other)).resolve():
                yield name, f"{name} is {path}, which is {other} too: what is learned from or selected on cannot judge"
    if recipe.test and recipe.test_fraction:
        yield "test_fraction", "test_fraction and test both name what judges: leave one of them out"
    if recipe.max_test_documents and not (recipe.test or recipe.test_fraction):
        yield "max_test_documents", "max_test_documents is of test, which is not set: name it, or leave this out"
    if recipe.unlabelled and not recipe.distill:
        yield "unlabelled", "unlabelled notes need an ensemble that reads them: name it with distill"
    if recipe.max_unlabelled_documents and not recipe.unlabelled:
        yield "max_unlabelled_documents", "max_unlabelled_documents is of unlabelled, which is not set: leave it out"
    if recipe.entity_types:
        try:
            check_entity_types(recipe.entity_types, "entity_types")
        except InputError as error:
            yield "entity_types", str(error)
    if recipe.splits == 1 and recipe.split_kind in (None, "random") and not recipe.split_file:
        yield "splits", "splits is 1, and one part is nothing to select on: set splits to 2 or more, or leave it out"
    if is_set(recipe, "split_seed") and not is_divided_at_random(recipe):
        yield "split_seed", "split_seed is of random splits and test_fraction: set one of these, or leave it out"


def is_divided_at_random(recipe) -> bool:
    """Whether chance divides the documents, as `split_seed` says: into splits, or into those that judge and others."""
    kind = recipe.split_kind or ("random" if recipe.splits else "standard")
    return bool(recipe.test_fraction or (kind == "random" and not recipe.split_file))


def _model(recipe) -> Iterator[tuple[str, str]]:
    if not recipe.encoder and not recipe.sources:
        help = SETTINGS["encoder"].metadata["help"]
        yield "encoder", f"the setting --encoder is missing, and there is no source_model: {help}"
    if recipe.revision and not recipe.encoder:
        advice = f"source_model: NAME@{recipe.revision}"
        yield "revision", f"revision is that of an encoder, and none is named: for that of a source, set {advice}"
    if recipe.revision and Path(recipe.encoder).exists():
        yield (
            "revision",
            f"revision is {recipe.revision}, but the encoder {recipe.encoder} is a folder, and only a repo on the Hub "
            "has revisions: leave revision out",
        )
    longest = longest_context(recipe.window_length)
    if recipe.context_size > longest and recipe.context_size != SETTINGS["context_size"].default:
        yield (
            "context_size",
            f"context_size is {recipe.context_size}, but a window of {recipe.window_length} subwords has room for at "
            f"most {longest} on each side: make context_size smaller or window_length larger",
        )


def _transfer(recipe) -> Iterator[tuple[str, str]]:
    names, weights = recipe.source_models or [], recipe.source_weights
    if recipe.source_model == AUTO:
        if len(names) < 2:
            yield "source_model", f"source_model is {AUTO}: name the models to choose from as source_models"
        if weights:
            yield "source_weights", f"source_model is {AUTO}, which starts from one of source_models: leave weights out"
    elif recipe.source_model and names:
        yield "source_models", "source_model and source_models both say where to start: leave one of them out"
    if twice := [name for name in names if names.count(name) > 1]:
        yield "source_models", f"source_models names {twice[0]} twice: keep one, or give it a larger source_weights"
    if weights and len(weights) != len(names):
        yield (
            "source_weights",
            f"source_weights has {len(weights)} numbers for {len(names)} source_models",
        )
    if weights and not sum(weights):
        yield "source_weights", "source_weights are all 0: give some of source_models a weight above 0"
    if recipe.transfer_head == "shared" and not recipe.source_model:
        yield (
            "transfer_head",
            "transfer_head is shared, and there is no source_model whose labels could be: name one, or leave it out",
        )


def _schedule(recipe) -> Iterator[tuple[str, str]]:
    given = {name: getattr(recipe, name) for name in SCHEDULE}
    unused = [name for name, value in given.items() if value not in (None, SCHEDULE[name])]
    unused += [name for name in ("lr_scheduler_kwargs",) if name in recipe.training_arguments]
    if recipe.one_cycle:
        for name in unused:
            yield name, f"{name} does nothing while one_cycle is on: leave it out, or set one_cycle: false"
    elif is_set(recipe, "pct_start"):
        yield "pct_start", "pct_start is of the one-cycle schedule, and one_cycle is false: leave one of them out"
    yield from faults_of_steps(recipe)


def unused_steps(recipe) -> tuple[str, ...]:
    """Of `eval_steps` and `save_steps` those that do nothing, since their strategy is another than steps."""
    return tuple(f"{name}_steps" for name in ("eval", "save") if getattr(recipe, f"{name}_strategy") != "steps")


def faults_of_steps(recipe) -> Iterator[tuple[str, str]]:
    """Steps that a recipe sets and that do nothing."""
    for name in unused_steps(recipe):
        if getattr(recipe, name) not in (None, recipe.settings()[name].default, STEPS_OF_OLDER_RUNS):
            strategy = name.replace("steps", "strategy")
            fault = f"{name} does nothing while {strategy} is {getattr(recipe, strategy)}"
            yield name, f"{fault}: leave it out, or set {strategy}: steps"


def _batches(recipe) -> Iterator[tuple[str, str]]:
    if recipe.batch_sentences and is_set(recipe, "batch_subwords"):
        yield "batch_sentences", "batch_sentences and batch_subwords both say how large a batch is: leave one out"
    if recipe.batch_sentences and recipe.segmentation != "sentence":
        yield (
            "batch_sentences",
            "batch_sentences needs windows of one sentence: set segmentation: sentence, or batch_subwords",
        )
    if recipe.context_dropout and recipe.distill:
        yield (
            "context_dropout",
            "context_dropout makes other windows in every epoch, and distill needs those that the ensemble has read: "
            "leave one of them out",
        )


def is_set(recipe, name: str) -> bool:
    """Whether a setting of the recipe is another than its default."""
    return getattr(recipe, name) not in (None, SETTINGS[name].default)


def _selection(recipe) -> Iterator[tuple[str, str]]:
    if recipe.early_stopping_patience and recipe.split_kind != "all":
        if recipe.eval_strategy == "no":
            yield (
                "early_stopping_patience",
                "early_stopping_patience counts evaluations, and eval_strategy is no: leave it out, or set "
                "eval_strategy to epoch or steps",
            )
        if not recipe.load_best_model_at_end:
            yield (
                "early_stopping_patience",
                "early_stopping_patience ends a run some evaluations after its best checkpoint, and "
                "load_best_model_at_end: false would keep the last: leave one of them out",
            )
    if recipe.eval_strategy == "no" and recipe.load_best_model_at_end and recipe.split_kind != "all":
        yield (
            "eval_strategy",
            "eval_strategy is no, so that no checkpoint is the best one: set load_best_model_at_end: false to keep the "
            "last, or eval_strategy to epoch or steps",
        )


def longest_context(window_length: int) -> int:
    """The most subwords of context on each side of a core: a quarter of what the window holds of its document."""
    return (window_length - SPECIAL_TOKENS) // 4


def _with_context_that_fits(recipe):
    """The recipe; the default context is made smaller where a window has no room for it."""
    longest = longest_context(recipe.window_length)
    if recipe.context_size <= longest:
        return recipe
    print(
        f"note: context_size is {longest} rather than {recipe.context_size}: more does not fit in a window of "
        f"{recipe.window_length} subwords",
        file=sys.stderr,
    )
    return recipe.changed(context_size=longest)


def _without_schedule(recipe):
    """The recipe, without transformers' own schedule where the one-cycle schedule stands for it."""
    given = [name for name in SCHEDULE if getattr(recipe, name) is not None]
    if not recipe.one_cycle or not given:
        return recipe
    for name in given:
        print(f"note: {name} does nothing while one_cycle is on; one_cycle: false turns it off", file=sys.stderr)
    return recipe.changed(**dict.fromkeys(given))


def check_entity_types(names: Sequence[str], where: str) -> None:
    """Raises InputError for names that no entity type can have; says which differ only by case.

    Args:
        where: the setting, file or folder in which the names stand.
    """
    for i, name in enumerate(names):
        if not name.strip():
            raise InputError(f"{where}: the name of an entity type is empty: give every type a name")
        if name == "O":
            raise InputError(f"{where}: 'O' means that there is no entity, so no entity type can be called that")
        if name.startswith(("B-", "I-")):
            raise InputError(
                f"{where}: {name!r} is a tag rather than an entity type: name the type, {name[2:]}, without B- or I-"
            )
        if name in names[:i]:
            raise InputError(f"{where}: the entity type {name!r} is named twice: keep one")
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.casefold(), []).append(name)
    for group in alike.values():
        if len(group) > 1:
            print(f"note: {where}: the entity types {', '.join(group)} differ only by case", file=sys.stderr)


def refuse_no_model(model: str) -> None:
    """Raises InputError for a path where no model is; what may be a name on the Hub is left to the Hub."""
    path = Path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            inside = path / "model"
            hint = f"; did you mean {inside}?" if (inside / "config.json").is_file() else ""
            raise InputError(f"{model}: found no config.json in this folder, expected a model's{hint}")
    elif path.exists():
        raise InputError(f"{model}: found a file, expected the folder or the Hub name of a model")
    elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model) or model.startswith((".", "/")):
        raise InputError(f"{model}: found no such folder, expected the folder or the Hub name of a model")
