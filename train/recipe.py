"""Recipes: a YAML file of settings and `--key value` overrides into one typed object; every fault by file and line."""

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import NamedTuple, get_args, get_type_hints

import yaml

from .checks import REFUSED, SCHEDULE, SettingError, checked
from .console import help_with_example
from .errors import InputError
from .settings import (
    GROUPS,
    SETTINGS,
    DocumentSettings,
    ModelSettings,
    OptimizationSettings,
    RunSettings,
    SplitSettings,
)
from .writing import atomic_file


BUILT_IN = Path(__file__).with_name("recipes")
RENAMED = {"split": "split_kind"}  # keys of older recipes
ABOUT_RECIPES = (
    "RECIPE is a YAML file, or the name of a built-in recipe (`clinx recipes`). Its keys are the settings below,\n"
    "and besides these every field of transformers.TrainingArguments; --key value overrides them."
)
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
METAVARS = {str: "TEXT", int: "N", float: "X"}


@dataclass(frozen=True, kw_only=True)
class Recipe(RunSettings, SplitSettings, OptimizationSettings, ModelSettings, DocumentSettings):
    """All settings of a run (Lange et al. 2022, section 4, are the defaults).

    Attributes:
        training_arguments: any other fields of transformers' `TrainingArguments`.
    """

    training_arguments: dict[str, object] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The run's folder; that of a member lies in its ensemble's."""
        folder = Path(self.output_dir)
        return folder if self.member is None else folder / f"member-{self.member}"

    @property
    def is_ensemble(self) -> bool:
        """Whether it trains members of an ensemble, all or one."""
        return self.splits is not None or self.split_file is not None

    def changed(self, **settings) -> "Recipe":
        """The same recipe with other values."""
        return replace(self, **settings)

    def recorded(self) -> dict:
        """The settings on which the result of a run depends."""
        unused = SCHEDULE if self.one_cycle else ()
        names = [name for name, item in SETTINGS.items() if item.metadata["recorded"] and name not in unused]
        ours = {name: getattr(self, name) for name in names}
        return ours | {name: self.training_arguments.get(name) for name in RECORDED_ARGUMENTS}

    def write(self, path: Path) -> None:
        """Writes it as YAML, from which `Recipe.read` gives it back."""
        lines = [f"# `clinx finetune {path}` trains this again."]
        for group in GROUPS:
            given = {item.name: getattr(self, item.name) for item in fields(group)}
            given = {name: value for name, value in given.items() if value is not None}
            lines += ["", f"# {group.__doc__}", _as_yaml(given)] if given else []
        if self.training_arguments:
            lines += ["", "# Other fields of transformers' TrainingArguments", _as_yaml(self.training_arguments)]
        with atomic_file(path) as file:
            file.write("\n".join([*lines, ""]).encode("utf-8"))

    @classmethod
    def read(cls, path: str | Path, overrides: Sequence[str] = ()) -> "Recipe":
        """The recipe in a YAML file, or a built-in one's by its name, with `--key value` overrides.

        Values are read as text, so that `2e-5` is a number and `no` a word, whatever YAML 1.1 makes of them;
        environment variables in them (`$NAME`) are filled in.

        Raises InputError where the file is missing or not YAML, for an unknown key (with its line and what is near it)
        and for a value that is of a wrong type, out of range or does not go with the others.
        """
        path = recipe_file(path)
        given: dict[str, Given] = {}
        for key, value, line in _settings_in(path):
            name = _known_name(key, f"{path}:{line}: ")
            if name in given:
                raise InputError(
                    f"{path}:{line}: {key!r} stands here a second time, after line {given[name].line}; keep one."
                )
            given[name] = Given(_as_options(name, value, f"{path}:{line}"), line)
        arguments = [text for options, _ in given.values() for text in options]
        overrides = list(_renamed_options(overrides))
        try:
            recipe = checked(cls(**_parse([*arguments, *overrides])))
        except SettingError as error:
            if any(option.partition("=")[0] == f"--{error.setting}" for option in overrides):
                raise  # it stands on the command line
            line = f":{given[error.setting].line}" if error.setting in given else ""
            raise InputError(f"{path}{line}: {error}") from None
        return recipe if recipe.output_dir else recipe.changed(output_dir=f"runs/{path.stem}")


class Given(NamedTuple):
    """What a recipe says of a setting."""

    options: list[str]  # as the command line has them
    line: int


def recipe_file(path: str | Path) -> Path:
    """The file of a recipe: a path, or the name of a built-in recipe."""
    built_in = BUILT_IN / f"{path}.yaml"
    is_name = re.fullmatch(r"[\w-]+", str(path)) and not Path(path).exists()
    return built_in if is_name and built_in.exists() else Path(path)


def recipe_from_command_line(argv: Sequence[str], prog: str, description: str, example: str) -> Recipe:
    """The recipe that `RECIPE [--key value …]` names; shows the help and leaves where that is asked for, or no recipe.

    Raises InputError as `Recipe.read` does.
    """
    if argv and argv[0] not in ("-h", "--help"):
        return Recipe.read(argv[0], argv[1:])
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} RECIPE [--key value …]",
        add_help=False,
        **help_with_example(f"{description}\n\n{ABOUT_RECIPES}", example),
    )
    _with_settings(parser).print_help()
    sys.exit(0 if argv else 2)


class _SettingsParser(argparse.ArgumentParser):
    def error(self, message):
        setting = re.match(r"argument --(\w+)", message)
        raise SettingError(message, setting and setting[1])


def _with_settings(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    types = get_type_hints(Recipe)
    for group in GROUPS:
        section = parser.add_argument_group(group.__doc__)
        for item in fields(group):
            kind = types[item.name]
            kind = next((part for part in get_args(kind) if part is not NoneType), kind)  # of an optional one
            options = {"help": _help(item), "choices": item.metadata["choices"], "default": argparse.SUPPRESS}
            if kind is bool:
                options |= {"nargs": "?", "const": True, "type": _boolean, "metavar": "true|false"}
            elif kind == list[str]:
                options |= {"nargs": "+", "metavar": "TEXT"}
            else:
                options |= {"type": kind, "metavar": None if options["choices"] else METAVARS[kind]}
            section.add_argument(f"--{item.name}", **options)
    return parser


def _help(item) -> str:
    """A setting's help, with its default where it has one."""
    text = item.metadata["help"].replace("%", "%%")
    is_optional = item.default in (None, MISSING)
    return text if is_optional else f"{text.removesuffix('.')} (default: {item.default})."


def _boolean(text: str) -> bool:
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected true or false")
    return values[text.lower()]


def _parse(arguments: Sequence[str]) -> dict:
    """Typed settings, with those of transformers' own in `training_arguments`."""
    parser = _with_settings(_SettingsParser(allow_abbrev=False, add_help=False))
    namespace, others = parser.parse_known_args(arguments)
    settings = vars(namespace)
    for name, item in SETTINGS.items():
        if item.default is MISSING and name not in settings:
            raise SettingError(f"the setting --{name} is missing: {item.metadata['help']}", name)
    if others:
        settings["training_arguments"] = _parse_training_arguments(others)
    return settings


def _parse_training_arguments(arguments: Sequence[str]) -> dict:
    from transformers import HfArgumentParser, TrainingArguments  # not above: seconds

    class Parser(HfArgumentParser, _SettingsParser):
        pass

    types = get_type_hints(TrainingArguments)  # before the parser changes them
    one_or_more = {name for name, kind in types.items() if {str, list[str]} <= {*get_args(kind)}}
    parser = Parser(TrainingArguments, allow_abbrev=False, add_help=False)
    for action in parser._actions:
        action.default = argparse.SUPPRESS
        action.nargs = "+" if action.dest in one_or_more else action.nargs
    values = vars(parser.parse_args(list(arguments)))
    values |= {name: values[name][0] for name in one_or_more & {*values} if len(values[name]) == 1}
    _check_reports(values.get("report_to"))
    return {name: getattr(value, "value", value) for name, value in values.items()}  # of an enumeration


def _check_reports(report_to: str | list[str] | None) -> None:
    """Raises SettingError where a tool is not installed, or not one that transformers reports to."""
    from transformers.integrations import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

    if report_to in (None, "all", "none"):
        return
    for tool in [report_to] if isinstance(report_to, str) else report_to:
        if tool not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(INTEGRATION_TO_CALLBACK)
            raise SettingError(f"report_to names {tool}, expected none, all or some of {known}", "report_to")
        if tool not in get_available_reporting_integrations():
            raise SettingError(
                f"report_to names {tool}, which is not installed: install it, or leave report_to out", "report_to"
            )


def _known_name(key: str, where: str = "", prefix: str = "") -> str:
    """The name of a setting, given a key of a recipe, or an option with the prefix `--`.

    Raises InputError, with what is near it, for an unknown one.
    """
    name = key.removeprefix(prefix).replace("-", "_")
    if name in RENAMED:
        print(f"note: the setting {name} is now called {RENAMED[name]}", file=sys.stderr)
        return RENAMED[name]
    if name in REFUSED:
        raise InputError(f"{where}{name}: {REFUSED[name]}")
    if name in SETTINGS:
        return name
    from transformers import TrainingArguments  # not above: it takes seconds, and few recipes need it

    known = {*SETTINGS, *(item.name for item in fields(TrainingArguments) if item.init)}
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    advice = f"; did you mean {prefix}{near[0]}?" if near else ""
    raise InputError(f"{where}unknown {'option' if prefix else 'key'} {key!r}{advice}")


def _renamed_options(options: Sequence[str]) -> Iterator[str]:
    """Options of the command line, each with the name of its setting; `--no_x` turns x off."""
    for option in options:
        if not option.startswith("--"):
            yield option
            continue
        key, equals, value = option.partition("=")
        positive = f"--{key[5:]}" if key.startswith(("--no_", "--no-")) else key
        name = _known_name(positive, prefix="--")
        yield f"--{name}{equals}{value}" if positive == key else f"--{name}=false"


def _settings_in(path: Path) -> Iterator[tuple[str, str | list | dict, int]]:
    """Yields key, value and line of each setting that is not null; all that is in a value is text."""
    try:
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: the recipe is not UTF-8") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: the recipe is not YAML: {error}") from None
    if not isinstance(tree, yaml.MappingNode):
        raise InputError(f"{path}: expected a recipe of `key: value` lines")
    for key, value in tree.value:
        is_text = isinstance(value, yaml.ScalarNode)
        if not (is_text and value.style is None and value.value in ("", "null", "~")):
            value = value.value if is_text else yaml.constructor.BaseConstructor().construct_object(value, deep=True)
            yield key.value, value, key.start_mark.line + 1


def _as_options(name: str, value: str | list | dict, where: str) -> list[str]:
    """A setting of a recipe as options of the command line; raises InputError for a list where one value belongs."""
    kinds = {list: "list", dict: "mapping"}
    shape = kinds.get(type(value), "")
    takes = [kind for kind in kinds.values() if kind in _type_of(name).replace("dict", "mapping")]
    if shape and shape not in takes:
        raise InputError(
            f"{where}: {name} is a {shape}, expected {' or '.join(f'a {t}' for t in takes) or 'one value'}"
        )
    if shape != "list":
        return [f"--{name}={_fill_in(json.dumps(value) if shape else value, where)}"]
    if not all(isinstance(item, str) for item in value):
        raise InputError(f"{where}: {name} has a list in a list, expected a list of values")
    return [f"--{name}", *(_fill_in(item, where) for item in value)]


def _type_of(name: str) -> str:
    """The type of a setting, or of a field of `TrainingArguments`, in words."""
    if name in SETTINGS:
        return str(SETTINGS[name].type)
    from transformers import TrainingArguments  # not above: seconds

    return str(get_type_hints(TrainingArguments)[name])


def _fill_in(text: str, where: str) -> str:
    text = os.path.expandvars(text)
    if missing := re.search(r"\$\{?(\w+)", text):
        raise InputError(f"{where}: the environment variable {missing[1]} is not set")
    return text


def _as_yaml(settings: dict) -> str:
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=1000).rstrip("\n")
