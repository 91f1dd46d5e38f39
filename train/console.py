"""What commands show: help, tables that no pipe cuts, text that any terminal can print, and how far they are."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar


if TYPE_CHECKING:  # rich is imported where something is shown, so that `--help` answers at once
    from rich.console import Console


PIPE_WIDTH = 10_000  # columns: a pipe has no width, so nothing is cut or wrapped there
SHORT = 2  # seconds that nobody minds to wait without a bar
LOG_EVERY = 30  # seconds between the lines that say how far a command is, where there is no terminal
Item = TypeVar("Item")
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


def quiet_loading() -> None:
    """Hides what transformers shows of every model that it loads: bars, and weights that are of no use, as a head's.

    Weights that are missing, or do not fit, are still shown.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.get_logger("transformers.modeling_utils").addFilter(_is_no_list_of_unused_weights)


def _is_no_list_of_unused_weights(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    is_unused = "were not used when initializing" in text or "UNEXPECTED" in text  # of transformers 4 and 5
    return not is_unused or any(fault in text for fault in ("MISSING", "MISMATCH", "CONVERSION"))


def help_with_example(description: str, example: str) -> dict:
    """What an `argparse` parser shows around its options; the example is never broken, so that it can be copied."""
    return {
        "description": description,
        "epilog": f"example:\n  {example}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


class Progress:
    """How far a command is, on standard error: a bar in a terminal, and elsewhere, as in a log, a line now and then.

    Args:
        what: is being done, as "Reading".
        unit: what is counted, in the plural.
        total: how many there are, if it is known.
        quiet: show nothing.
        done: how many are done already.
        stays: the bar stays when all are done.
    """

    def __init__(
        self, what: str, unit: str, total: int | None = None, quiet: bool = False, done: int = 0, stays: bool = False
    ):
        self.what, self.unit, self.of = what, unit, "" if total is None else f" of {total:,}"
        self.done, self.count, self.begun, self.figures = done, done, time.monotonic(), ""
        self.next_line = float("inf") if quiet else self.begun + LOG_EVERY
        self.bar = None
        if not quiet and sys.stderr.isatty():
            from tqdm import tqdm  # not above: `--help` answers at once

            self.bar = tqdm(desc=what, total=total, initial=done, unit=f" {unit}", leave=stays, delay=SHORT)

    def show(self, figures: str) -> None:
        """Shows figures behind the count, from now on."""
        self.figures = f"; {figures}"
        if self.bar is not None:
            self.bar.set_postfix_str(figures)

    def update(self, n: int = 1) -> None:
        """Counts `n` more."""
        self.count += n
        if self.bar is not None:
            self.bar.update(n)
        elif (now := time.monotonic()) >= self.next_line:
            self.next_line = now + LOG_EVERY
            speed = (self.count - self.done) / (now - self.begun)
            line = f"{self.what}: {self.count:,}{self.of} {self.unit}, {speed:,.1f} a second{self.figures}"
            print(line, file=sys.stderr, flush=True)

    def through(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each counted when the next is asked for."""
        with self:
            for item in items:
                yield item
                self.update()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_) -> None:
        if self.bar is not None:
            self.bar.close()
