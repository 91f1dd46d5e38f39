"""Reads recipes: a YAML file of settings and `--key value` overrides; every fault by file and line."""

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import NamedTuple, get_args, get_origin, get_type_hints

import yaml

from .checks import SettingError
from .console import help_with_example
from .errors import InputError


BUILT_IN = Path(__file__).with_name("recipes")
ABOUT_RECIPES = (
    "RECIPE is a YAML file, or the name of a built-in recipe (`clinx recipes`). Its keys are the settings below,\n"
    "and the fields of transformers.TrainingArguments that do something here; --key value overrides them.\n"
    "In the file $NAME and ${NAME} are environment variables, and $$ is a dollar sign."
)
METAVARS = {str: "TEXT", int: "N", float: "X"}


class Given(NamedTuple):
    """What a recipe says of a setting."""

    options: list[str]  # as the command line has them
    line: int


def read_recipe(kind: type, path: str | Path, overrides: Sequence[str] = ()):
    """The recipe in a YAML file, or a built-in one's by its name, with `--key value` overrides.

    Values are read as text, so that `2e-5` is a number and `no` a word, whatever YAML 1.1 makes of them; environment
    variables in them (`$NAME`) are filled in.

    Args:
        kind: the class of the recipe.

    Raises InputError where the file is missing or not YAML, for an unknown key (with its line and what is near it) and
    for a value that is of a wrong type, out of range or does not go with the others.
    """
    path = recipe_file(path)
    given: dict[str, Given] = {}
    for key, value, line in settings_in(path):
        name = _known_name(kind, key, f"{path}:{line}: ")
        if name in given:
            raise InputError(
                f"{path}:{line}: {key!r} stands here a second time, after line {given[name].line}; keep one."
            )
        if value is None:
            _refuse_null(kind, name, f"{path}:{line}")
            continue
        given[name] = Given(_as_options(kind, name, value, f"{path}:{line}"), line)
    overrides = list(_renamed_options(kind, overrides))
    for name in _steps_that_give_way(overrides):
        given.pop(name, None)  # it went with the strategy of the file
    arguments = [text for options, _ in given.values() for text in options]
    try:
        recipe = kind(**_parse(kind, [*arguments, *overrides])).checked()
    except SettingError as error:
        if any(option.partition("=")[0] == f"--{error.setting}" for option in overrides):
            raise  # it stands on the command line
        line = f":{given[error.setting].line}" if error.setting in given else ""
        raise InputError(f"{path}{line}: {error}") from None
    return recipe if recipe.output_dir else recipe.changed(output_dir=f"runs/{path.stem}")


def recipe_file(path: str | Path) -> Path:
    """The file of a recipe: a path, or the name of a built-in recipe."""
    built_in = BUILT_IN / f"{path}.yaml"
    is_name = re.fullmatch(r"[\w-]+", str(path)) and not Path(path).exists()
    return built_in if is_name and built_in.exists() else Path(path)


def recipe_from_command_line(kind: type, argv: Sequence[str], prog: str, description: str, example: str):
    """The recipe that `RECIPE [--key value …]` names; shows the help and leaves where that is asked for, or no recipe.

    Raises InputError as `read_recipe` does.
    """
    if argv and argv[0] not in ("-h", "--help"):
        return read_recipe(kind, argv[0], argv[1:])
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} RECIPE [--key value …]",
        add_help=False,
        **help_with_example(f"{description}\n\n{ABOUT_RECIPES}", example),
    )
    _with_settings(parser, kind).print_help()
    sys.exit(0 if argv else 2)


class _SettingsParser(argparse.ArgumentParser):
    def error(self, message):
        setting = re.match(r"argument --(\w+)", message)
        raise SettingError(message, setting and setting[1])


def _with_settings(parser: argparse.ArgumentParser, kind: type) -> argparse.ArgumentParser:
    types = get_type_hints(kind)
    for group in kind.groups:
        section = parser.add_argument_group(group.__doc__)
        for item in fields(group):
            of_setting = types[item.name]
            if NoneType in get_args(of_setting):
                of_setting = next(part for part in get_args(of_setting) if part is not NoneType)
            options = {"help": _help(item), "choices": item.metadata["choices"], "default": argparse.SUPPRESS}
            if of_setting is bool:
                options |= {"nargs": "?", "const": True, "type": _boolean, "metavar": "true|false"}
            elif get_origin(of_setting) is list:
                (of_item,) = get_args(of_setting)
                options |= {"nargs": "+", "type": _item if of_item is str else of_item, "metavar": METAVARS[of_item]}
            else:
                options |= {"type": of_setting, "metavar": None if options["choices"] else METAVARS[of_setting]}
            section.add_argument(f"--{item.name}", **options)
    return parser


def _help(item) -> str:
    """A setting's help, with its default where it has one."""
    text = item.metadata["help"].replace("%", "%%")
    is_optional = item.default in (None, MISSING)
    return text if is_optional else f"{text.removesuffix('.')} (default: {item.default})."


def _item(text: str) -> str:
    """An item of a list, as it stood before `_as_options`."""
    return re.sub("^ (?= *-)", "", text)


def _boolean(text: str) -> bool:
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected true or false")
    return values[text.lower()]


def _parse(kind: type, arguments: Sequence[str]) -> dict:
    """Typed settings, with those of transformers' own in `training_arguments`."""
    parser = _with_settings(_SettingsParser(allow_abbrev=False, add_help=False), kind)
    namespace, others = parser.parse_known_args(arguments)
    settings = vars(namespace)
    for name, item in kind.settings().items():
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


def _known_name(kind: type, key: str, where: str = "", prefix: str = "") -> str:
    """The name of a setting, given a key of a recipe, or an option with the prefix `--`.

    Raises InputError, with what is near it, for an unknown one.
    """
    name = key.removeprefix(prefix).replace("-", "_")
    if name in kind.renamed:
        print(f"note: the setting {name} is now called {kind.renamed[name]}", file=sys.stderr)
        return kind.renamed[name]
    if name in kind.refused:
        raise InputError(f"{where}{name}: {kind.refused[name]}")
    if name in kind.settings():
        return name
    from transformers import TrainingArguments  # not above: it takes seconds, and few recipes need it

    known = {*kind.settings(), *(item.name for item in fields(TrainingArguments) if item.init)}
    if name in known:
        return name
    near = difflib.get_close_matches(name, known - {*kind.refused}, n=1)
    advice = f"; did you mean {prefix}{near[0]}?" if near else ""
    raise InputError(f"{where}unknown {'option' if prefix else 'key'} {key!r}{advice}")


def _renamed_options(kind: type, options: Sequence[str]) -> Iterator[str]:
    """Options of the command line, each with the name of its setting; `--no_x` turns x off."""
    for option in options:
        if not option.startswith("--"):
            yield option
            continue
        key, equals, value = option.partition("=")
        positive = f"--{key[5:]}" if key.startswith(("--no_", "--no-")) else key
        name = _known_name(kind, positive, prefix="--")
        yield f"--{name}{equals}{value}" if positive == key else f"--{name}=false"


def _steps_that_give_way(overrides: Sequence[str]) -> list[str]:
    """Of `eval_steps` and `save_steps` those of which the command line sets another strategy than steps."""
    return [f"{name}_steps" for name in re.findall(r"--(eval|save)_strategy[ =](?!steps\b)", " ".join(overrides))]


def settings_in(path: Path) -> Iterator[tuple[str, str | list | dict | None, int]]:
    """Yields key, value and line of each setting; null is None, and all that is in another value is text."""
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
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{path}:{key.start_mark.line + 1}: expected the name of a setting before a colon")
        is_text = isinstance(value, yaml.ScalarNode)
        if is_text and value.style is None and value.value in ("", "null", "~"):
            yield key.value, None, key.start_mark.line + 1
        else:
            _refuse_circles_and_repeated(value, path)
            value = value.value if is_text else yaml.constructor.BaseConstructor().construct_object(value, deep=True)
            yield key.value, value, key.start_mark.line + 1


def _refuse_circles_and_repeated(node: yaml.Node, path: Path, above: tuple[yaml.Node, ...] = ()) -> None:
    """Raises InputError for an alias inside of what it stands for, and for a key that stands twice in a mapping, of
    which YAML would keep the last."""
    if isinstance(node, yaml.ScalarNode):
        return
    if any(node is one for one in above):
        raise InputError(f"{path}:{node.start_mark.line + 1}: an alias (*NAME) stands inside of its own anchor (&NAME)")
    keys = [key for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
    names = [key.value for key in keys]
    for number, key in enumerate(keys):
        if key.value in names[:number]:
            raise InputError(f"{path}:{key.start_mark.line + 1}: {key.value!r} stands here a second time; keep one")
    for child in node.value:
        for part in child if isinstance(child, tuple) else [child]:
            _refuse_circles_and_repeated(part, path, (*above, node))


def _refuse_null(kind: type, name: str, where: str) -> None:
    """Raises InputError for null where it would not turn the setting off, but leave its default."""
    default = kind.settings()[name].default if name in kind.settings() else None
    if default not in (None, MISSING):
        raise InputError(f"{where}: {name} is null, but unset it is {default}: give it a value, or leave it out")


def _as_options(kind: type, name: str, value: str | list | dict, where: str) -> list[str]:
    """A setting of a recipe as options of the command line; raises InputError for a list where one value belongs."""
    kinds = {list: "list", dict: "mapping"}
    shape = kinds.get(type(value), "")
    takes = [word for word in kinds.values() if word in _type_of(kind, name).replace("dict", "mapping")]
    if shape and shape not in takes:
        raise InputError(
            f"{where}: {name} is a {shape}, expected {' or '.join(f'a {t}' for t in takes) or 'one value'}"
        )
    if shape != "list":
        return [f"--{name}={_fill_in(json.dumps(value) if shape else value, where)}"]
    if not all(isinstance(item, str) for item in value):
        raise InputError(f"{where}: {name} has a list in a list, expected a list of values")
    items = [_fill_in(item, where) for item in value]
    return [f"--{name}", *(re.sub("^(?= *-)", " ", item) for item in items)]  # which else would be an option


def _type_of(kind: type, name: str) -> str:
    """The type of a setting, or of a field of `TrainingArguments`, in words."""
    if name in kind.settings():
        return str(kind.settings()[name].type)
    from transformers import TrainingArguments  # not above: seconds

    return str(get_type_hints(TrainingArguments)[name])


def _fill_in(text: str, where: str) -> str:
    parts = [os.path.expandvars(part) for part in text.split("$$")]
    if missing := next(filter(None, (re.search(r"\$\{?(\w+)", part) for part in parts)), None):
        raise InputError(f"{where}: the environment variable {missing[1]} is not set; write $$ for a dollar sign")
    return "$".join(parts)
