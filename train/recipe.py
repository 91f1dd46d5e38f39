"""Recipes: one YAML file of settings, and `--key value` overrides, into dataclasses; every fault by file and line."""

import difflib
import json
import os
import re
import sys
from dataclasses import fields
from pathlib import Path

import yaml
from transformers import HfArgumentParser

from .errors import InputError


class _Parser(HfArgumentParser):
    def error(self, message):
        raise InputError(message)


def parse_recipe(dataclasses: list[type], argv: list[str], prog: str, description: str) -> tuple[list, dict]:
    """Reads `RECIPE [--key value …]`.

    Values are given to argparse as text, so that `2e-5` is a number and `no` a word, whatever YAML 1.1 makes of them;
    environment variables in them (`$NAME`) are filled in.

    Args:
        dataclasses: what the settings go into; the last one's may be `TrainingArguments`, which `--help` leaves out.

    Returns:
        An instance of each dataclass, and the settings as they were given, as text by key.

    Raises:
        InputError: no recipe, no YAML, an unknown key (with its line and what is near it), or a value of a wrong type.
    """
    parser = _Parser(dataclasses, allow_abbrev=False, add_help=False)
    if not argv or argv[0] in ("-h", "--help"):
        shown = HfArgumentParser(dataclasses[:-1], prog=f"{prog} RECIPE.yaml", description=description)
        shown.epilog = "Besides, every field of transformers.TrainingArguments. Keys of the recipe have the same names."
        shown.print_help()
        sys.exit(0 if argv else 2)
    path, *overrides = argv
    known = {field.name for kind in dataclasses for field in fields(kind) if field.init}
    settings, lines = {}, {}
    for key, value, line in _read(Path(path)):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise InputError(f"{path}:{line}: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        if key in settings:
            raise InputError(f"{path}:{line}: {key!r} stands here a second time, after line {lines[key]}; keep one.")
        settings[key], lines[key] = value, line
    for option in overrides:
        name = option[2:].split("=")[0].replace("-", "_").removeprefix("no_")
        if option.startswith("--") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InputError(f"unknown option {option!r}" + (f"; did you mean --{near[0]}?" if near else ""))
    arguments = [text for key, values in settings.items() for text in (f"--{key}", *values)]
    try:
        return list(parser.parse_args_into_dataclasses([*arguments, *overrides])), settings
    except ValueError as error:
        message = str(error)
        where = next((f":{line}" for key, line in lines.items() if f"--{key}" in message), "")
        raise InputError(f"{path}{where}: {message}") from None


def _read(path: Path):
    """Yields key, list of values as text, and line, of each setting that is not null."""
    try:
        tree = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise InputError(f"{path}: cannot read the recipe: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: the recipe is not UTF-8") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: the recipe is no YAML: {error}") from None
    if not isinstance(tree, yaml.MappingNode):
        raise InputError(f"{path}: expected a recipe of `key: value` lines")
    for key, value in tree.value:
        line = key.start_mark.line + 1
        if isinstance(value, yaml.ScalarNode):
            if value.style is None and value.value in ("", "null", "~"):
                continue
            values = [value.value]
        else:
            values = yaml.constructor.BaseConstructor().construct_object(value, deep=True)
            values = [json.dumps(values)] if isinstance(values, dict) else values
        yield key.value, [_fill_in(str(text), f"{path}:{line}") for text in values], line


def _fill_in(text: str, where: str) -> str:
    text = os.path.expandvars(text)
    if missing := re.search(r"\$\{?(\w+)", text):
        raise InputError(f"{where}: the environment variable {missing[1]} is not set")
    return text
