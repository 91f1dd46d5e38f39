"""The card of a dataset of annotated notes, as `clinx corpus convert` writes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import DatasetCard, DatasetCardData

from .card_fields import plain


TEMPLATE = Path(__file__).with_name("templates") / "dataset_card.md"
HUB_LICENSES = {"CC BY 4.0": "cc-by-4.0"}  # as the Hub spells them
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


class Provenance(NamedTuple):
    """Where a dataset comes from; what is not known is None."""

    language: str | None = None  # ISO code
    license: str | None = None  # as its owners call it
    homepage: str | None = None
    citation: str | None = None


UNKNOWN = Provenance()


def save_dataset_card(
    folder: str | Path,
    *,
    name: str,
    splits: Mapping[str, Mapping[str, int]],
    labels: Mapping[str, int],
    problems: Mapping[str, int],
    example: Mapping,
    provenance: Provenance = UNKNOWN,
    repo_id: str | None = None,
) -> None:
    """Writes `folder/README.md`.

    Args:
        splits: `documents`, `characters` and `entities` of each split, whose data are in `data/SPLIT-*`.
        labels: mentions of each label.
        problems: mentions that could not be kept exactly, by kind.
        example: a row to show, of a synthetic note.
    """
    license = provenance.license
    n_documents = sum(count["documents"] for count in splits.values())
    data = DatasetCardData(
        pretty_name=name,
        language=provenance.language,
        license=HUB_LICENSES.get(license, "other") if license else None,
        license_name=None if license is None or license in HUB_LICENSES else "see-card",
        task_categories=["token-classification"],
        task_ids=["named-entity-recognition"],
        size_categories=[next((size for limit, size in SIZES if n_documents < limit), "1M<n<10M")],
        tags=["clinical", "medical", "concept-extraction", "clin-x"],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in splits],
            }
        ],
    )
    card = DatasetCard.from_template(
        data,
        template_path=str(TEMPLATE),
        name=name,
        splits=splits,
        first=next(iter(splits)),
        labels=labels,
        problems=problems,
        example=json.dumps(example, ensure_ascii=False),
        repo_id=repo_id,
        plain=plain,
        **provenance._asdict(),
    )
    card.save(Path(folder, "README.md"))
