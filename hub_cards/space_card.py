"""The cards of Spaces: an app that shows models, or a metric, which `evaluate` loads from a Space."""

import re
from pathlib import Path

from huggingface_hub import SpaceCard, SpaceCardData

from .card_fields import CardFields


TEMPLATES = Path(__file__).with_name("templates")


def save_space_card(folder: str | Path, repo_id: str, card_fields: CardFields, gradio_version: str) -> None:
    """Writes `README.md` of a Gradio app, `app.py`, with the front matter that the Hub builds it from."""
    language = card_fields.language
    metadata = {
        "license": card_fields.license,
        "sdk_version": gradio_version,
        "models": list(card_fields.models) or None,
        "datasets": [name for name in card_fields.datasets if name.count("/") == 1] or None,
        "tags": ["clin-x", "clinical", "ner", *([language] if language else [])],
        "short_description": "Clinical concepts in a note, with offsets and scores",
    }
    _save(folder, "space_card.md", repo_id, "🩺", metadata, models=card_fields.models)


def save_metric_card(
    folder: str | Path,
    repo_id: str,
    card_fields: CardFields,
    gradio_version: str,
    *,
    description: str,
    inputs_description: str,
    citation: str,
) -> None:
    """Writes `README.md` of the Space of a metric, from the descriptions that its `evaluate.MetricInfo` holds."""
    metadata = {
        "license": card_fields.license,
        "sdk_version": gradio_version,
        "tags": ["evaluate", "metric"],
        "description": " ".join(description.split()),
    }
    _save(
        folder,
        "metric_card.md",
        repo_id,
        "🎯",
        metadata,
        description=description,
        inputs_description=inputs_description,
        citation=citation,
    )


def _save(folder: str | Path, template: str, repo_id: str, emoji: str, metadata: dict, **variables) -> None:
    """Fills in the template: `metadata` is the card's front matter, `variables` are its text's."""
    name = repo_id.rpartition("/")[2]
    data = SpaceCardData(
        title=re.sub("[-_]+", " ", name),
        emoji=emoji,
        colorFrom="blue",
        colorTo="green",
        sdk="gradio",
        app_file="app.py",
        **metadata,
    )
    template_path = str(TEMPLATES / template)
    card = SpaceCard.from_template(data, template_path=template_path, repo_id=repo_id, name=name, **variables)
    card.save(Path(folder, "README.md"))
