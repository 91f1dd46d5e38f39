"""What commands show: help, tables that no pipe cuts, and text that any terminal can print."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING


if TYPE_CHECKING:  # rich is imported where something is shown, so that `--help` answers at once
    from rich.console import Console


PIPE_WIDTH = 10_000  # columns: a pipe has no width, so nothing is cut or wrapped there
EXCLUDE = {  # the option of whatever reads a corpus
    "action": "append",
    "default": [],
    "metavar": "PATTERN",
    "help": "leave out files that lie in the corpus but are no notes, by the name of a file or folder, or by a path "
    "(README*, old/*); may be repeated",
}


def console(stderr: bool = False) -> Console:
    """A console on standard output, or on standard error, which takes no text for markup: a label may look like it."""
    from rich.console import Console

    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def printable(text: str) -> str:
    """The text with what would steer a terminal or break a line as its escape: a label, an id or a path may hold it."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def show_any_text() -> None:
    """Lets the standard streams show lone surrogates, which a label or an id may hold and UTF-8 does not."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def help_with_example(description: str, example: str) -> dict:
    """What an `argparse` parser shows around its options; the example is never broken, so that it can be copied."""
    return {
        "description": description,
        "epilog": f"example:\n  {example}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }
