"""The cards of Spaces: an app that shows models, or a metric, which `evaluate` loads from a Space."""

import re
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceCardData


TEMPLATES = Path(__file__).with_name("templates")


def save_space_card(
    folder: str | Path,
    *,
    repo_id: str,
    sdk_version: str,
    models: Sequence[str] = (),
    language: str | None = None,
    licence: str | None = None,
    datasets: Sequence[str] = (),
) -> None:
    """Writes `README.md` of a Gradio app, `app.py`, with the front matter that the Hub builds it from.

    Args:
        sdk_version: of Gradio.
        models: names of the models on the Hub that it shows.
    """
    about = {
        "models": list(models) or None,
        "datasets": [name for name in datasets if name.count("/") == 1] or None,
        "tags": ["clin-x", "clinical", "ner", *([language] if language else [])],
        "short_description": "Clinical concepts in a note, with offsets and scores",
    }
    _save(folder, "space_card.md", repo_id, "🩺", sdk_version, licence, about, models=models)


def save_metric_card(
    folder: str | Path,
    *,
    repo_id: str,
    sdk_version: str,
    description: str,
    inputs_description: str,
    citation: str,
    licence: str | None = None,
) -> None:
    """Writes `README.md` of the Space of a metric, from the descriptions that its `evaluate.MetricInfo` holds."""
    said = {"description": description, "inputs_description": inputs_description, "citation": citation}
    about = {"tags": ["evaluate", "metric"], "description": " ".join(description.split())}
    _save(folder, "metric_card.md", repo_id, "🎯", sdk_version, licence, about, **said)


def _save(folder, template: str, repo_id: str, emoji: str, sdk_version: str, licence, about: dict, **said) -> None:
    name = repo_id.rpartition("/")[2]
    data = SpaceCardData(
        title=re.sub("[-_]+", " ", name),
        emoji=emoji,
        colorFrom="blue",
        colorTo="green",
        sdk="gradio",
        sdk_version=sdk_version,
        app_file="app.py",
        license=licence,
        **about,
    )
    card = SpaceCard.from_template(data, template_path=str(TEMPLATES / template), repo_id=repo_id, name=name, **said)
    card.save(Path(folder, "README.md"))
