"""The card and the results of a model repo, from the figures of its training run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCard, ModelCardData, eval_result_entries_to_yaml


TEMPLATE = Path(__file__).with_name("templates") / "model_card.md"
METRICS = ("precision", "recall", "f1")
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
    language: str | None = None,
    licence: str | None = None,
    datasets: Sequence[str] = (),
    base_model: str | None = None,
) -> None:
    """Writes `README.md`, `results.json` and, for benchmarks that are datasets on the Hub, `.eval_results/*.yaml`.

    Args:
        labels: the entity types.
        example: `text` of a synthetic note, and `entities` that the model finds in it: `word`, `label`, `score`.
        figures: of the run: `validation` and `test` (strict scores), `settings`, `documents`, `unrepresentable`,
            `seconds`, `device`, `versions`, `split`; any may be missing. They hold no paths.
        members: of an ensemble: `source`, and `validation` and `test`, strict F1 or None.
        datasets: names of datasets; those on the Hub are linked.
        base_model: the encoder's name on the Hub.
    """
    folder, judge = Path(folder), "test" if figures.get("test") else "validation"
    results = figures.get(judge)
    on_hub = [name for name in datasets if name.count("/") == 1]
    data = ModelCardData(
        language=language,
        license=licence,
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["clin-x", "clinical", "medical", "concept-extraction", "ner", "crf", *(["ensemble"] if members else [])],
        base_model=base_model,
        datasets=on_hub or None,
        metrics=["precision", "recall", "f1"],
        model_name=repo_id.rpartition("/")[2],
        eval_results=_eval_results(results, datasets, judge) if results else None,
    )
    watts = next((watts for name, watts in WATTS.items() if name in (figures.get("device") or "")), 100)
    seconds = figures.get("seconds")
    judged = {"test": "notes that took no part in training or selection", "validation": "the notes that selected it"}
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        name=repo_id.rpartition("/")[2],
        repo_id=repo_id,
        labels=labels,
        example=example,
        results=results,
        judged=judged[judge],
        members=members,
        data=", ".join(datasets),
        language=language,
        licence=licence,
        encoder=base_model or "not on the Hub",
        has_curves=(folder / "curves.png").exists(),
        documents=figures.get("documents"),
        split=figures.get("split"),
        unrepresentable=figures.get("unrepresentable"),
        settings=figures.get("settings"),
        versions=figures.get("versions"),
        hardware=figures.get("device"),
        hours=None if seconds is None else seconds / 3600,
        watts=watts,
        grams=(seconds or 0) / 3600 * watts / 1000 * GRAMS_PER_KWH,
    )
    card.save(folder / "README.md")
    content = json.dumps({**figures, "members": list(members)} if members else figures, indent=2, ensure_ascii=False)
    (folder / "results.json").write_text(content + "\n", encoding="utf-8")
    if results and judge == "test" and not figures.get("settings", {}).get("test_fraction"):  # as the benchmark has it
        for name in on_hub:
            entry = EvalResultEntry(
                dataset_id=name, task_id="default", value=round(100 * results["f1"], 2), notes="strict micro F1"
            )
            (folder / ".eval_results").mkdir(exist_ok=True)
            target = folder / ".eval_results" / f"{name.replace('/', '--')}.yaml"
            target.write_text(yaml.safe_dump(eval_result_entries_to_yaml([entry])), encoding="utf-8")


def _eval_results(results: Mapping, datasets: Sequence[str], split: str) -> list[EvalResult]:
    name = datasets[0] if datasets else "unnamed"
    return [
        EvalResult(
            task_type="token-classification",
            dataset_type=name if name.count("/") == 1 else "custom",
            dataset_name=name,
            dataset_split=split,
            metric_type=metric,
            metric_name=f"strict micro {metric}",
            metric_value=round(results[metric], 4),
        )
        for metric in METRICS
    ]
