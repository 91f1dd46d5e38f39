"""What a setting is: a field of a recipe, with its help and the values that it may have."""

import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The numbers that a setting may have: finite, and within its bounds.

    Attributes:
        unset: the number that says that the setting is not used, whatever the bounds.
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    unset: float | None = None

    def __contains__(self, number: float) -> bool:
        return number == self.unset or (
            math.isfinite(number)
            and (self.minimum is None or number >= self.minimum)
            and (self.maximum is None or number <= self.maximum)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        bounds = {"at least": self.minimum, "more than": self.above, "at most": self.maximum, "less than": self.below}
        return " and ".join(f"{words} {bound}" for words, bound in bounds.items() if bound is not None)


COUNT, POSITIVE, NOT_NEGATIVE = Numbers(minimum=1), Numbers(above=0), Numbers(minimum=0)
PROBABILITY = Numbers(minimum=0, below=1)
SEED = Numbers(minimum=0, below=2**32)  # as numpy takes them


def setting(
    default=MISSING,
    help: str = "",
    *,
    choices: Sequence[str] | None = None,
    recorded: bool = True,
    published: bool = False,
    of_trainer: bool = False,
    numbers: Numbers | None = None,
    is_path: bool = False,
):
    """A field of a recipe.

    Args:
        recorded: whether the result of a run depends on it, so that a run folder belongs to one value of it.
        published: whether a model card may tell it: it names no place.
        of_trainer: a field of transformers' `TrainingArguments`, whose own default stands for None.
        numbers: those that it may have.
        is_path: whether it may be a path, in which `~` is the home folder.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "recorded": recorded,
        "published": published,
        "of_trainer": of_trainer,
        "numbers": numbers,
        "is_path": is_path,
    }
    return field(default=default, metadata=metadata)
