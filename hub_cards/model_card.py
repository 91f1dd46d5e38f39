"""The card and the results of a model repo, from the figures of its training run."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCard, ModelCardData, eval_result_entries_to_yaml

from .card_fields import CardFields, plain
from .example import MaskedWord


TEMPLATES = Path(__file__).with_name("templates")
WATTS = {  # of a GPU at full load; where one name begins with another, the longer one comes first
    "H100": 700,
    "H200": 700,
    "A100": 400,
    "L40S": 350,
    "V100": 300,
    "A10G": 300,
    "A10": 150,
    "L4": 72,
    "T4": 70,
}
WATTS_OF_CPU = 100
GPU = re.compile("NVIDIA|Tesla|GeForce|Quadro|AMD Instinct|Radeon")
GRAMS_PER_KWH = 475  # the world's mean, International Energy Agency
CRF_ON_SUBWORDS = {"head": "crf", "unit": "subword", "context_size": 100}  # as models are by default
SCORED_ON = {
    "test": "notes that took no part in training or selection",
    "validation": "the validation notes, which may have selected it",
}


def save_model_card(
    folder: str | Path,
    repo_id: str,
    card_fields: CardFields,
    *,
    labels: Sequence[str],
    example: Mapping,
    figures: Mapping,
    parts: Mapping = CRF_ON_SUBWORDS,
    members: Sequence[Mapping] = (),
    revision: str = "main",
) -> None:
    """Writes `README.md`, `results.json` and, for benchmarks that are datasets on the Hub, `.eval_results/*.yaml`.

    Args:
        card_fields: of its `datasets`, if there is one alone, the figures on test notes are taken for results on it.
        example: `text` of a synthetic note, and `entities` that the model finds in it: `word`, `entity_group`, `score`.
        figures: of the run: `validation` and `test` (strict scores), `settings`, `documents`, `unrepresentable`,
            `seconds`, `device`, `versions`, `split`, `base_model` (its name on the Hub, or several), `sources` (of
            transfer: `name` and `revision` on the Hub, if it is there, and `member` of an ensemble), `temperature` of
            the scores; any may be missing. They hold no paths.
        labels, parts: the entity types; `head`, `unit` and `context_size` of the model's configuration.
        members: of an ensemble: `source`, and `validation` and `test`, strict F1 or None.
        revision: what the card tells to load.
    """
    part = "test" if figures.get("test") else "validation"
    results = figures.get(part)
    is_held_out = bool(figures.get("settings", {}).get("test_fraction"))
    data = _card_data(
        repo_id,
        card_fields,
        figures,
        task="token-classification",
        tags=[
            "concept-extraction",
            "ner",
            *(["crf"] if parts["head"] == "crf" else []),
            *(["ensemble"] if members else []),
        ],
        measures={f"strict micro {name}": results[name] for name in ("precision", "recall", "f1")} if results else {},
        split="held out" if is_held_out else part,
    )
    _save(
        folder,
        "fine_tuned.md",
        data,
        {**figures, "members": list(members)} if members else figures,
        repo_id=repo_id,
        card_fields=card_fields,
        revision=revision,
        labels=labels,
        parts=parts,
        example=example,
        results=results,
        scored_on=SCORED_ON[part],
        members=members,
    )
    if results and part == "test" and not is_held_out and len(card_fields.datasets) == 1:
        for dataset in _on_hub(card_fields.datasets):
            _save_benchmark_result(folder, dataset, results["f1"])


def save_language_model_card(
    folder: str | Path,
    repo_id: str,
    card_fields: CardFields,
    *,
    example: Sequence[MaskedWord],
    figures: Mapping,
    revision: str = "main",
) -> None:
    """Writes `README.md` and `results.json` of a masked language model.

    Args:
        example: what it expects in place of some words of a synthetic note.
        figures: as in `save_model_card`, but that `validation` holds other measures by name: `perplexity`, `loss` …;
            and `before`, the same before training (with `new_head`, by an untrained head), `report` (counts of the
            texts), `blocks`, `steps`, `subwords` and `subwords_per_second`.
        revision: what the card tells to load.
    """
    results = {name: value for name, value in figures.get("validation", {}).items() if isinstance(value, (int, float))}
    data = _card_data(
        repo_id,
        card_fields,
        figures,
        task="fill-mask",
        tags=["masked-language-modelling"],
        measures=results,
        split="validation",
    )
    _save(
        folder,
        "language_model.md",
        data,
        figures,
        repo_id=repo_id,
        card_fields=card_fields,
        revision=revision,
        example=example,
        results=results,
    )


def _card_data(
    repo_id: str,
    card_fields: CardFields,
    figures: Mapping,
    *,
    task: str,
    tags: list[str],
    measures: Mapping[str, float],
    split: str,
) -> ModelCardData:
    """The front matter; `measures` are results on `split`, by names such as "strict micro f1"."""
    revisions = {source["name"]: source["revision"] for source in figures.get("sources", ()) if "name" in source}
    datasets_on_hub, dataset = _on_hub(card_fields.datasets), _joined(card_fields.datasets) or "unnamed"
    results = [
        EvalResult(
            task_type=task,
            dataset_type=dataset if dataset in datasets_on_hub else "custom",
            dataset_name=dataset,
            dataset_split=split,
            metric_type=_metric(measure),
            metric_name=measure,
            metric_value=round(value, 4),
        )
        for measure, value in measures.items()
    ]
    return ModelCardData(
        language=card_fields.language,
        license=card_fields.license,
        library_name="transformers",
        pipeline_tag=task,
        tags=["clin-x", "clinical", "medical", *tags],
        base_model=figures.get("base_model"),
        **({"base_model_revision": revisions} if revisions else {}),
        datasets=datasets_on_hub or None,
        metrics=[_metric(measure) for measure in measures] or None,
        model_name=_name(repo_id) if measures else None,
        eval_results=results or None,
    )


def _save(
    folder: str | Path,
    template: str,
    data: ModelCardData,
    figures: Mapping,
    *,
    repo_id: str,
    card_fields: CardFields,
    revision: str,
    **variables,
) -> None:
    """Writes the card, of the kind's template and of what all that is trained has in common, and the results."""
    seconds = figures.get("seconds")
    watts = _watts(figures.get("device") or "", figures.get("settings", {}).get("world_size") or 1)
    card = ModelCard.from_template(
        data,
        template_str="\n".join((TEMPLATES / part).read_text(encoding="utf-8") for part in (template, "trained.md")),
        **{**figures, **variables},
        plain=plain,
        name=_name(repo_id),
        repo_id=repo_id,
        revision=revision,
        trained_on=_joined(card_fields.datasets),
        language=card_fields.language,
        license=card_fields.license,
        has_curves=Path(folder, "curves.png").exists(),
        hours=None if seconds is None else seconds / 3600,
        watts=watts,
        grams=(seconds or 0) / 3600 * (watts or 0) / 1000 * GRAMS_PER_KWH,
    )
    card.save(Path(folder, "README.md"))
    content = json.dumps(figures, indent=2, ensure_ascii=False)
    Path(folder, "results.json").write_text(content + "\n", encoding="utf-8")


def _watts(device: str, n_processes: int) -> int | None:
    """Watts at full load of a computer's processor, or of as many GPUs as processes; None for an unknown GPU."""
    of_gpu = next((watts * n_processes for gpu, watts in WATTS.items() if gpu in device), None)
    return WATTS_OF_CPU if of_gpu is None and not GPU.search(device) else of_gpu


def _save_benchmark_result(folder: str | Path, dataset: str, f1: float) -> None:
    """Writes the result on a dataset's test notes as the Hub's leaderboards read it."""
    entry = EvalResultEntry(dataset_id=dataset, task_id="default", value=round(100 * f1, 2), notes="strict micro F1")
    file = Path(folder, ".eval_results", f"{dataset.replace('/', '--')}.yaml")
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump(eval_result_entries_to_yaml([entry])), encoding="utf-8")


def _on_hub(names: Sequence[str]) -> list[str]:
    return [name for name in names if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name)]


def _joined(names: Sequence[str]) -> str:
    return ", ".join(names)


def _name(repo_id: str) -> str:
    return repo_id.rpartition("/")[2]


def _metric(measure: str) -> str:
    return measure.rpartition(" ")[2]
