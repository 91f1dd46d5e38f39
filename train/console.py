"""What commands show: help, tables that no pipe cuts, text that any terminal can print, and how far they are."""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from tqdm import tqdm


PIPE_WIDTH = 10_000  # columns: a pipe has no width, so nothing is cut or wrapped there
LOG_EVERY = 30  # seconds between the lines that say how far a command is, where there is no terminal
Item = TypeVar("Item")


def console(stderr: bool = False) -> Console:
    """A console on standard output, or on standard error."""
    console = Console(stderr=stderr)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


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


class Progress:
    """How far a command is, on standard error: a bar in a terminal, and elsewhere, as in a log, a line now and then.

    Args:
        what: is being done, as "Reading".
        unit: what is counted, in the plural.
        total: how many there are, if it is known.
        quiet: show nothing.
    """

    def __init__(self, what: str, unit: str, total: int | None = None, quiet: bool = False):
        self.what, self.unit, self.of = what, unit, "" if total is None else f" of {total:,}"
        self.count, self.begun = 0, time.monotonic()
        self.next_line = float("inf") if quiet else self.begun + LOG_EVERY
        self.bar = None
        if not quiet and sys.stderr.isatty():
            self.bar = tqdm(desc=what, total=total, unit=f" {unit}", leave=False)

    def update(self, n: int = 1) -> None:
        """Counts `n` more."""
        self.count += n
        if self.bar is not None:
            self.bar.update(n)
        elif (now := time.monotonic()) >= self.next_line:
            self.next_line = now + LOG_EVERY
            speed = self.count / (now - self.begun)
            print(
                f"{self.what}: {self.count:,}{self.of} {self.unit}, {speed:,.1f} a second", file=sys.stderr, flush=True
            )

    def through(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each counted when the next is asked for."""
        with self:
            for item in items:
                yield item
                self.update()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self.bar is not None:
            self.bar.close()
