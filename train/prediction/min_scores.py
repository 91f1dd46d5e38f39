"""The scores that mentions need to be kept: one for all, or by label for a precision or a recall that was asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from transformers.utils import cached_file

from ..corpora.documents import Entity
from ..errors import InputError
from ..scoring.calibration import CURVES, Threshold, thresholds


@dataclass(frozen=True)
class MinScores:
    """The lowest score of mentions that are kept, for some labels and for all others."""

    others: float = 0.0
    of_label: Mapping[str, float] = field(default_factory=dict)

    def keep(self, entities: list[Entity]) -> list[Entity]:
        """The mentions whose scores are high enough."""
        return [entity for entity in entities if entity.score >= self.of_label.get(entity.label, self.others)]

    def __str__(self) -> str:
        return json.dumps([self.others, dict(sorted(self.of_label.items()))])


def target_thresholds(model: str, precision: float | None = None, recall: float | None = None) -> dict[str, Threshold]:
    """The thresholds by label, and under "" for others, that reach a target on the model's validation documents.

    Raises InputError for a model that keeps no curves of its validation documents.
    """
    try:
        path = cached_file(model, CURVES, _raise_exceptions_for_missing_entries=False)
    except OSError as error:
        raise InputError(f"cannot load the model {model}: {error}") from error
    if path is None:
        raise InputError(
            f"{model} has no {CURVES}, which says how good its scores were on validation documents: it was trained "
            "without any, or with an older release. Give --min-score instead"
        )
    with open(path, encoding="utf-8") as file:
        return thresholds(json.load(file), precision, recall)


def min_scores(of_label: Mapping[str, Threshold]) -> MinScores:
    """What thresholds by label say of single mentions."""
    return MinScores(of_label[""].score, {label: one.score for label, one in of_label.items() if label})
