"""What a card states that cannot be read in the folder that is pushed, and how a name stands in one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CardFields:
    """What whoever publishes a folder states about it.

    Attributes:
        language: ISO code, such as es.
        license: as the Hub spells it, such as cc-by-4.0.
        datasets: names of what a model learned from; those of the form ORG/NAME are linked.
        models: names of the models on the Hub that an app shows, ORG/NAME or ORG/NAME@REVISION.
        note: a synthetic note, in which the card shows what a model predicts.
        publishable_settings: names of those settings of a run that its card and results may list: they say how the
            model was trained, and hold no path.
    """

    language: str | None = None
    license: str | None = None
    datasets: Sequence[str] = ()
    models: Sequence[str] = ()
    note: str = ""
    publishable_settings: Sequence[str] = ()


def plain(name: str) -> str:
    """A name as Markdown shows it as it is, on one line: a label may look like markup, or hold a line end."""
    shown = (c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in name)
    return re.sub(r"[\\`*\[\]<>|]", r"\\\g<0>", "".join(shown))
