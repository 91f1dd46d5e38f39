"""Recipes: all settings of a run as one typed object, which is written into the run, and read again from there."""

from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar, Self

import yaml

from .checks import REFUSED, SCHEDULE, checked, is_divided_at_random, unused_steps, with_checked_values
from .console import printable
from .recipe_reading import read_recipe
from .settings import (
    GROUPS,
    DocumentSettings,
    ModelSettings,
    OptimizationSettings,
    RegularizationSettings,
    RunSettings,
    SplitSettings,
    TransferSettings,
)
from .writing import atomic_file


RECORDED_ARGUMENTS = (  # fields of transformers' TrainingArguments on which a result depends, besides our settings
    "adam_epsilon",
    "full_determinism",
    "gradient_checkpointing",
    "lr_scheduler_kwargs",
    "neftune_noise_alpha",
    "optim_args",
    "optim_target_modules",
    "tf32",
    "torch_compile",
)


@dataclass(frozen=True, kw_only=True)
class RecipeBase:
    """What recipes have in common; each has the settings `output_dir` and `world_size` too.

    Attributes:
        training_arguments: any other fields of transformers' `TrainingArguments`.
        verb: the command that takes such recipes.
        groups: the groups of settings, as help and files show them.
        renamed: keys of older recipes, and what they are called now.
        refused: fields of `TrainingArguments` that would do harm or nothing, and why.
    """

    training_arguments: dict[str, object] = field(default_factory=dict)
    verb: ClassVar[str]
    groups: ClassVar[tuple[type, ...]]
    renamed: ClassVar[dict[str, str]] = {}
    refused: ClassVar[dict[str, str]]

    @classmethod
    def settings(cls) -> dict[str, Field]:
        """The settings, by their names."""
        return {item.name: item for group in cls.groups for item in fields(group)}

    @classmethod
    def published(cls) -> tuple[str, ...]:
        """The names of the settings that a model card may tell."""
        return tuple(name for name, item in cls.settings().items() if item.metadata["published"])

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.output_dir)

    def changed(self, **settings) -> Self:
        """The same recipe with other values."""
        return replace(self, **settings)

    def checked(self) -> Self:
        """The recipe as it will be used: `~` in paths filled in, and nothing in it that does nothing.

        Raises SettingError for the first setting that cannot be used.
        """
        return with_checked_values(self)

    def unused(self) -> tuple[str, ...]:
        """Settings that do nothing beside the others."""
        return ()

    def recorded(self) -> dict:
        """The settings on which the result of a run depends."""
        names = [name for name, item in self.settings().items() if item.metadata["recorded"]]
        names = [name for name in names if name not in self.unused()]
        ours = {name: getattr(self, name) for name in names}
        return ours | {name: self.training_arguments.get(name) for name in RECORDED_ARGUMENTS}

    def write(self, path: Path) -> None:
        """Writes it as YAML, from which `read` gives it back."""
        lines = [f"# `clinx {self.verb} {printable(str(path))}` trains this again."]
        for group in self.groups:
            given = {item.name: getattr(self, item.name) for item in fields(group)}
            given = {name: value for name, value in given.items() if value is not None}
            lines += ["", f"# {group.__doc__}", _as_yaml(given)] if given else []
        if self.training_arguments:
            lines += ["", "# Other fields of transformers' TrainingArguments", _as_yaml(self.training_arguments)]
        with atomic_file(path) as file:
            file.write("\n".join([*lines, ""]).encode("utf-8"))

    @classmethod
    def read(cls, path: str | Path, overrides: Sequence[str] = ()) -> Self:
        """The recipe in a file, with `--key value` overrides; raises InputError as `read_recipe` does."""
        return read_recipe(cls, path, overrides)


@dataclass(frozen=True, kw_only=True)
class Recipe(
    RecipeBase,
    RunSettings,
    SplitSettings,
    OptimizationSettings,
    RegularizationSettings,
    TransferSettings,
    ModelSettings,
    DocumentSettings,
):
    """All settings of a fine-tuning run; `recipes/paper.yaml` has those of Lange et al. 2022, section 4."""

    verb: ClassVar[str] = "finetune"
    groups: ClassVar[tuple[type, ...]] = GROUPS
    renamed: ClassVar[dict[str, str]] = {"split": "split_kind"}
    refused: ClassVar[dict[str, str]] = REFUSED

    @property
    def folder(self) -> Path:
        """The run's folder; that of a member lies in its ensemble's."""
        folder = Path(self.output_dir)
        return folder if self.member is None else folder / f"member-{self.member}"

    @property
    def is_ensemble(self) -> bool:
        """Whether it trains members of an ensemble, all or one."""
        return self.splits is not None or self.split_file is not None

    @property
    def sources(self) -> list[str]:
        """The fine-tuned models that it starts from, as it names them."""
        return self.source_models or ([self.source_model] if self.source_model else [])

    def checked(self) -> "Recipe":
        return checked(super().checked())

    def unused(self) -> tuple[str, ...]:
        schedule = tuple(SCHEDULE) if self.one_cycle else ("pct_start",)
        batch = ("batch_subwords",) if self.batch_sentences else ()
        splits = () if is_divided_at_random(self) else ("split_seed",)
        return (*schedule, *batch, *splits, *unused_steps(self))


def _as_yaml(settings: dict) -> str:
    """With `$$` for a dollar sign, which else would begin the name of a variable."""
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=1000).rstrip("\n").replace("$", "$$")
