"""Which and how many sources help: a classifier of gains that learned from earlier transfers.

After Lange et al. (EMNLP 2021, To Share or not to Share), who train a support vector machine on scaled measures.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.svm import SVC

from ..errors import InputError
from .similarity import LARGER_IS_CLOSER


BORDER = 0.005  # of the F1 from 0 to 1: gains nearer to nothing are neutral
HURTS, NEUTRAL, HELPS = "hurts", "neutral", "helps"


def class_of(gain: float) -> str:
    """What a transfer did: helped, hurt, or neither, within half a point of F1."""
    return HELPS if gain > BORDER else HURTS if gain < -BORDER else NEUTRAL


def read_transfers(path: str | Path) -> list[dict]:
    """Earlier transfers, as `clinx study transfer` writes them; raises InputError for a file of another kind."""
    try:
        transfers = json.loads(Path(path).read_text(encoding="utf-8"))["transfers"]
        for transfer in transfers:
            _ = transfer["target"], transfer["size"], transfer["measures"].items()
            transfer["gain"] = float(transfer["gain"])
    except OSError as error:
        raise InputError(f"{path}: cannot read the transfers: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: expected transfers.json, as `clinx study transfer` writes it") from None
    if len({class_of(transfer["gain"]) for transfer in transfers}) < 2:
        raise InputError(f"{path}: all {len(transfers)} transfers are of one class: there is nothing to tell apart")
    return transfers


def foresee_classes(transfers: Sequence[dict], measures: Mapping[str, Sequence[float]]) -> list[str]:
    """Whether each of m sources will hurt, be neutral or help.

    A support vector machine (RBF kernel, classes of equal weight) on what `transfers` and `measures` both measured. A
    measure is scaled to 0–1 over the sources of a target, larger is closer, since its height says more of the target
    than of the source; what is missing, or the same for all, is 0.5.

    Args:
        transfers: earlier ones, `{"target", "size", "gain", "measures"}` with the gain in F1 from 0 to 1.
        measures: by name, m values each, NaN where a source has none.

    Raises InputError where transfers have no measure in common with these, or one class of gain only.
    """
    names = [name for name in LARGER_IS_CLOSER if name in measures and any(name in of["measures"] for of in transfers)]
    if not names:
        raise InputError("the transfers have no measure in common with these sources")
    groups = _by_case(transfers)
    classes = [class_of(transfer["gain"]) for group in groups for transfer in group]
    if len({*classes}) < 2:
        raise InputError(f"of {len(classes)} transfers none differ in class: there is nothing to tell apart")
    features = np.vstack([_scaled_of(group, names) for group in groups])
    machine = SVC(class_weight="balanced").fit(features, classes)
    return machine.predict(_scaled({name: measures[name] for name in names})).tolist()


def evaluate_sets(transfers: Sequence[dict]) -> dict | None:
    """How well sets of sources are foreseen: each target by what was learned from the others; None where it cannot be.

    "right" of "transfers" classes are foreseen, "commonest" would be right by always naming the commonest class;
    "gain_of_helpful" is the mean gain (F1) of the sources that are said to help, None where there are none, and
    "gain_of_all" that of any source.
    """
    foreseen, gains = [], []
    for group in _by_case(transfers):
        others = [transfer for transfer in transfers if transfer["target"] != group[0]["target"]]
        measures = {name: [of["measures"].get(name) for of in group] for name in group[0]["measures"]}
        try:
            foreseen += foresee_classes(others, measures)
        except InputError:
            return None
        gains += [transfer["gain"] for transfer in group]
    classes = [class_of(gain) for gain in gains]
    helpful = [gain for gain, name in zip(gains, foreseen, strict=True) if name == HELPS]
    return {
        "transfers": len(gains),
        "right": sum(a == b for a, b in zip(classes, foreseen, strict=True)),
        "commonest": max(classes.count(name) for name in (HURTS, NEUTRAL, HELPS)),
        "helpful": len(helpful),
        "gain_of_helpful": float(np.mean(helpful)) if helpful else None,
        "gain_of_all": float(np.mean(gains)),
    }


def _by_case(transfers: Sequence[dict]) -> list[list[dict]]:
    """The transfers of each target and size."""
    cases: dict[tuple, list[dict]] = {}
    for transfer in transfers:
        cases.setdefault((transfer["target"], str(transfer["size"])), []).append(transfer)
    return [*cases.values()]


def _scaled_of(transfers: Sequence[dict], names: Sequence[str]) -> np.ndarray:
    return _scaled({name: [transfer["measures"].get(name) for transfer in transfers] for name in names})


def _scaled(measures: Mapping[str, Sequence[float | None]]) -> np.ndarray:
    """(m, measures) float64 from 0 to 1."""
    columns = []
    for name, values in measures.items():
        column = np.array([math.nan if value is None else value for value in values], float)
        column = column if LARGER_IS_CLOSER[name] else -column
        known = column[~np.isnan(column)]
        low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
        column = (column - low) / (high - low) if high > low else np.full(len(column), 0.5)
        columns.append(np.where(np.isnan(column), 0.5, column))
    return np.column_stack(columns)
