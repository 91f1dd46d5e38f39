"""The card and the results of a model repo, from the figures of its training run."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCard, ModelCardData, eval_result_entries_to_yaml


TEMPLATES = Path(__file__).with_name("templates")
WATTS = {"H100": 700, "H200": 700, "A100": 400, "V100": 300, "L4": 72, "T4": 70}  # of a card at full load; a CPU: 100
GRAMS_PER_KWH = 475  # the world's mean, International Energy Agency


def save_model_card(
    folder: str | Path,
    *,
    repo_id: str,
    labels: Sequence[str],
    example: Mapping,
    figures: Mapping,
    members: Sequence[Mapping] = (),
    datasets: Sequence[str] = (),
    **about,
) -> None:
    """Writes `README.md`, `results.json` and, for benchmarks that are datasets on the Hub, `.eval_results/*.yaml`.

    Args:
        labels: the entity types.
        example: `text` of a synthetic note, and `entities` that the model finds in it: `word`, `entity_group`, `score`.
        figures: of the run: `validation` and `test` (strict scores), `settings`, `documents`, `unrepresentable`,
            `seconds`, `device`, `versions`, `split`, `base_model` (its name on the Hub); any may be missing. They
            hold no paths.
        members: of an ensemble: `source`, and `validation` and `test`, strict F1 or None.
        datasets: names of datasets; those on the Hub are linked. Of one alone, the figures on test notes are taken for
            results on it.
        about: `revision` to load, `language`, `licence`.
    """
    judge = "test" if figures.get("test") else "validation"
    results = figures.get(judge)
    judged = {"test": "notes that took no part in training or selection", "validation": "the notes that selected it"}
    _save(
        folder,
        "fine_tuned.md",
        {**figures, "members": list(members)} if members else figures,
        repo_id,
        datasets,
        task="token-classification",
        tags=["concept-extraction", "ner", "crf", *(["ensemble"] if members else [])],
        measures={f"strict micro {name}": results[name] for name in ("precision", "recall", "f1")} if results else {},
        split="held out" if figures.get("settings", {}).get("test_fraction") else judge,
        said={"labels": labels, "example": example, "results": results, "judged": judged[judge], "members": members},
        **about,
    )
    is_held_out = figures.get("settings", {}).get("test_fraction")
    if results and judge == "test" and not is_held_out and len(datasets) == 1 and _on_hub(datasets):
        (name,) = datasets
        entry = EvalResultEntry(
            dataset_id=name, task_id="default", value=round(100 * results["f1"], 2), notes="strict micro F1"
        )
        target = Path(folder, ".eval_results", f"{name.replace('/', '--')}.yaml")
        target.parent.mkdir(exist_ok=True)
        target.write_text(yaml.safe_dump(eval_result_entries_to_yaml([entry])), encoding="utf-8")


def save_language_model_card(
    folder: str | Path,
    *,
    repo_id: str,
    example: Sequence[Mapping],
    figures: Mapping,
    datasets: Sequence[str] = (),
    **about,
) -> None:
    """Writes `README.md` and `results.json` of a masked language model.

    Args:
        example: `text` of a synthetic note with a word masked, that `word`, and the `best` words with probabilities.
        figures: as in `save_model_card`, but that `validation` holds other measures by name: `perplexity`, `loss` …
        about: `revision` to load, `language`, `licence`.
    """
    results = {name: value for name, value in figures.get("validation", {}).items() if isinstance(value, (int, float))}
    said = {"example": example, "results": results}
    _save(
        folder,
        "language_model.md",
        figures,
        repo_id,
        datasets,
        task="fill-mask",
        tags=["masked-language-modelling"],
        measures=results,
        split="validation",
        said=said,
        **about,
    )


def _save(
    folder,
    template: str,
    figures: Mapping,
    repo_id: str,
    datasets: Sequence[str],
    *,
    task: str,
    tags: list[str],
    measures: Mapping[str, float],
    split: str,
    said: Mapping,
    revision: str = "main",
    language: str | None = None,
    licence: str | None = None,
) -> None:
    """Writes the card, of the kind's template and of what all that is trained has in common, and the results."""
    name, dataset = repo_id.rpartition("/")[2], ", ".join(datasets) or "unnamed"
    data = ModelCardData(
        language=language,
        license=licence,
        library_name="transformers",
        pipeline_tag=task,
        tags=["clin-x", "clinical", "medical", *tags],
        base_model=figures.get("base_model"),
        datasets=_on_hub(datasets) or None,
        metrics=[measure.rpartition(" ")[2] for measure in measures] or None,
        model_name=name if measures else None,
        eval_results=[
            EvalResult(
                task_type=task,
                dataset_type=dataset if dataset in _on_hub(datasets) else "custom",
                dataset_name=dataset,
                dataset_split=split,
                metric_type=measure.rpartition(" ")[2],
                metric_name=measure,
                metric_value=round(value, 4),
            )
            for measure, value in measures.items()
        ]
        or None,
    )
    watts = next((watts for card, watts in WATTS.items() if card in (figures.get("device") or "")), 100)
    seconds = figures.get("seconds")
    card = ModelCard.from_template(
        data,
        template_str="\n".join((TEMPLATES / part).read_text(encoding="utf-8") for part in (template, "trained.md")),
        **{**figures, **said},
        name=name,
        repo_id=repo_id,
        revision=revision,
        data=dataset if datasets else None,
        language=language,
        licence=licence,
        has_curves=Path(folder, "curves.png").exists(),
        hours=None if seconds is None else seconds / 3600,
        watts=watts,
        grams=(seconds or 0) / 3600 * watts / 1000 * GRAMS_PER_KWH,
    )
    card.save(Path(folder, "README.md"))
    content = json.dumps(figures, indent=2, ensure_ascii=False)
    Path(folder, "results.json").write_text(content + "\n", encoding="utf-8")


def _on_hub(names: Sequence[str]) -> list[str]:
    return [name for name in names if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name)]
