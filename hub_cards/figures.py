"""What of a run's figures may be published: scores, sizes, settings by name; never a path or a text."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import HubError


OF_PRETRAINING = ("before", "new_head", "blocks", "steps", "subwords", "subwords_per_second", "share_of_peak")
OF_START_AND_MACHINE = ("unrepresentable", "device", "versions", "base_model", "sources")
OLD_NAMES = {"split_kind": "split"}  # of settings that were renamed: a run has one of the two


def published_figures(run: Path, publishable_settings: Sequence[str]) -> dict:
    """The figures of a run, or of an ensemble's run, as `save_model_card` takes them; empty for a folder without any.

    Raises HubError for `metrics.json` that cannot be read.
    """
    metrics = _read_metrics(run / "metrics.json")
    first = _read_metrics(run / "member-1" / "metrics.json") or metrics
    settings = metrics.get("settings") or first.get("settings", {})  # an older ensemble left them to its members
    scores = {part: metrics[part] for part in ("validation", "test") if metrics.get(part)} | metrics.get("ensemble", {})
    seconds = [member.get("seconds") for member in metrics.get("members", [metrics])]
    figures = {
        **scores,
        **(_of_pretraining(metrics) if "before" in metrics else {}),
        "settings": _published_settings(settings, publishable_settings),
        **{name: first[name] for name in OF_START_AND_MACHINE if name in first},
        "temperature": metrics.get("temperature"),  # of one model: members have one each
        "documents": _pooled(first.get("documents")) if "members" in metrics else first.get("documents"),
        "seconds": None if None in seconds else sum(seconds),
        "split": settings.get("split_kind", settings.get("split")),
    }
    return {name: value for name, value in figures.items() if value}


def member_scores(run: Path, sources: Sequence[str]) -> list[dict]:
    """`source`, and strict F1 on `validation` and `test` (None where there is none), of each member of an ensemble.

    Args:
        sources: where each member comes from; "local" says nothing to others and becomes "".
    """
    members = _read_metrics(run / "metrics.json").get("members", [])
    rows = []
    for number, source in enumerate(sources):
        scores = members[number] if number < len(members) else {}
        f1 = {part: scores[part]["f1"] if part in scores else None for part in ("validation", "test")}
        rows.append({"source": "" if source == "local" else source, **f1})
    return rows


def _published_settings(settings: Mapping, publishable_settings: Sequence[str]) -> dict:
    names = [name for new in publishable_settings for name in (new, OLD_NAMES.get(new, new))]
    names.append("test_fraction")  # without it, scores on held-out notes pass for results on a dataset's test notes
    return {name: settings[name] for name in names if settings.get(name) is not None}


def _of_pretraining(metrics: Mapping) -> dict:
    """What a language model learned from, in numbers: of `report` only plain counts, since other names may be paths."""
    report = metrics.get("report", {})
    counts = {name: count for name, count in report.items() if isinstance(count, (int, float)) and name.isidentifier()}
    return {name: metrics.get(name) for name in OF_PRETRAINING} | {"report": counts}


def _pooled(documents: Mapping | None) -> dict | None:
    """Counts of an ensemble's documents: each member learns from some and is selected on the others."""
    if not documents:
        return None
    return {"training and selection": documents["train"] + documents["validation"], "test": documents["test"]}


def _read_metrics(file: Path) -> dict:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise HubError(f"{file}: the figures of the run cannot be read ({error})") from None
    if not isinstance(content, dict):
        raise HubError(f"{file}: found {type(content).__name__}, expected an object with the figures of a run")
    return content
