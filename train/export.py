"""What is pushed of a run, a language model, a metric or an app: files in a folder of their own, with a card."""

import importlib.metadata
import json
import re
import shutil
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import evaluate
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForTokenClassification, AutoTokenizer

from hub_cards.model import save_language_model_card, save_model_card
from hub_cards.push import pushed_files
from hub_cards.space import save_metric_card, save_space_card
from modeling_clinx.prediction_clinx import DocumentPredictor

from .errors import InputError
from .splits import cut, sentence_boundaries
from .synthetic import synthetic_notes
from .trainer import entities_of


TOLD = (  # settings that say how it was trained, and name no place
    *("head", "scheme", "unit", "segmentation", "context_size", "window_length", "dropout", "batch_subwords"),
    *("one_cycle", "learning_rate", "head_learning_rate", "num_train_epochs", "max_steps", "weight_decay", "seed"),
    *("optim", "bf16", "fp16", "world_size", "splits", "split", "split_seed", "test_fraction", "max_train_sentences"),
)
Read = Callable[[str | Path], list[tuple[object, float]]]  # what somebody finds in an exported folder, with scores


def export(
    run: str | Path,
    folder: str | Path,
    repo_id: str,
    revision: str = "main",
    *,
    members: Sequence[str] = (),
    models: Sequence[str] = (),
    **about,
) -> tuple[str, Read]:
    """Writes what is pushed into the new folder: files of known kinds, the card, and a model's results.

    Args:
        run: a run's folder, with `model/` and `metrics.json`; the folder of a model repo, of a masked language model or
            of a converted corpus; or one with an `app.py` for a Space, a metric's if it also has a script of the
            folder's name.
        revision: the branch or tag that it is pushed as, which the card tells to load.
        members: of an ensemble, where each was pushed to, `name@commit`.
        models: those that an app shows.
        about: `language`, `licence` and `datasets`, for the card.

    Returns:
        The type of the repo, and what reads such a folder, so that two of them can be compared.

    Raises InputError where there is nothing that can be pushed, and PushError for files that no such repo holds.
    """
    run, folder = Path(run), Path(folder)
    if (run / "app.py").is_file():
        _export_space(run, folder, repo_id, models=models, **about)
        return "space", lambda there: _contents(there, folder, "space")
    if list(run.glob("data/*.parquet")):
        _copy(run, folder, "dataset")
        return "dataset", lambda there: _contents(there, folder, "dataset")
    source = run / "model" if (run / "model").is_dir() else run
    try:
        config = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise InputError(f"{run}: found no model repo there, nor a dataset or an app ({error})") from None
    is_language_model = any(name.endswith("ForMaskedLM") for name in config.architectures or ())
    if not is_language_model and not hasattr(config, "entity_types"):
        raise InputError(f"{source}: found a model of the kind {config.model_type}, expected one of CLIN-X")
    _copy(source, folder, "model")
    for name in ("config.json", "tokenizer_config.json"):
        content = _without_places(json.loads((folder / name).read_text(encoding="utf-8")))
        if members and "members" in content:
            content["members"] = list(members)
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if (run / "curves.png").exists() and run != source:
        shutil.copyfile(run / "curves.png", folder / "curves.png")
    shutil.rmtree(folder / ".eval_results", ignore_errors=True)  # of an earlier push: written anew
    note = _note(about.get("language"))
    about |= {"repo_id": repo_id, "revision": revision, "figures": _figures(run)}
    if is_language_model:
        save_language_model_card(folder, example=_masked_words(source, note), **about)
        return "model", lambda there: [pair for word in _masked_words(there, note) for pair in word["best"]]
    members = members or [name if isinstance(name, str) else "" for name in getattr(config, "members", None) or ()]
    example = {"text": note, "entities": _entities(source, note)}
    scores = _member_scores(run, members)
    save_model_card(folder, labels=config.entity_types, example=example, members=scores, **about)
    return "model", lambda there: [((e["start"], e["word"], e["label"]), e["score"]) for e in _entities(there, note)]


def _copy(source: Path, folder: Path, repo_type: str) -> None:
    for name, path in pushed_files(source, repo_type).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".safetensors", ".parquet"):  # large, and not changed
            target.symlink_to(path.absolute())
        else:
            shutil.copyfile(path, target)


def _without_places(content):
    """Without the local paths that transformers writes down."""
    if isinstance(content, dict):
        places = ("_name_or_path", "name_or_path")
        kept = {key: value for key, value in content.items() if key not in places or _is_on_hub(value)}
        return {key: _without_places(value) for key, value in kept.items()}
    return [_without_places(item) for item in content] if isinstance(content, list) else content


def _is_on_hub(name: object) -> bool:
    return isinstance(name, str) and bool(re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)) and not Path(name).exists()


def _read(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: found no readable figures of a run ({error})") from None


def _figures(run: Path) -> dict:
    """Of a run, or of an ensemble's, what may be published; of a model repo what it says itself."""
    metrics = _read(run / "metrics.json")
    if not metrics:
        return {name: value for name, value in _read(run / "results.json").items() if name != "members"}
    first = _read(run / "member-1" / "metrics.json") or metrics
    settings = first.get("settings", {})
    kept = {name: metrics[name] for name in ("validation", "test") if metrics.get(name)} | metrics.get("ensemble", {})
    seconds = [one.get("seconds") for one in metrics.get("members", [metrics])]
    return {
        **kept,
        "settings": {name: settings[name] for name in TOLD if settings.get(name) is not None},
        **{name: first[name] for name in ("documents", "unrepresentable", "device", "versions") if name in first},
        "seconds": None if None in seconds else sum(seconds),
        "split": settings.get("split"),
        "base_model": settings.get("encoder") if _is_on_hub(settings.get("encoder")) else None,
    }


def _member_scores(run: Path, sources: Sequence[str]) -> list[dict]:
    judged = _read(run / "metrics.json").get("members") or _read(run / "results.json").get("members") or []
    found = []
    for number, source in enumerate(sources):
        scores = [judged[number].get(part) if number < len(judged) else None for part in ("validation", "test")]
        validation, test = (score["f1"] if isinstance(score, dict) else score for score in scores)
        found.append({"source": source, "validation": validation, "test": test})
    return found


def _note(language: str | None) -> str:
    """The first sentences of a synthetic note."""
    note = synthetic_notes(1, split="validation", language=language if language in ("es", "en") else "es")[0]
    return cut(note, 0, [*sentence_boundaries(note), len(note.text)][:9][-1]).text.strip()


def _entities(source: str | Path, text: str) -> list[dict]:
    model = AutoModelForTokenClassification.from_pretrained(source)
    predictor = DocumentPredictor(model, AutoTokenizer.from_pretrained(source))
    (found,) = predictor([text])
    return [
        {"word": text[entity.start : entity.end], "start": entity.start, "label": entity.label, "score": entity.score}
        for entity in entities_of(found)
    ]


def _masked_words(source: str | Path, text: str, n_words: int = 4) -> list[dict]:
    """What a masked language model expects in place of some of the text's words."""
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForMaskedLM.from_pretrained(source, dtype=torch.float32)
    words = list(re.finditer(r"[^\W\d_]{4,}", text))
    found = []
    for word in words[len(words) // n_words - 1 :: len(words) // n_words][:n_words]:
        masked = text[: word.start()] + tokenizer.mask_token + text[word.end() :]
        inputs = tokenizer(masked, return_tensors="pt", truncation=True)
        with torch.inference_mode():
            logits = model(**inputs).logits[inputs["input_ids"] == tokenizer.mask_token_id][0]
        best = logits.softmax(-1).topk(3)
        line = masked[masked.rfind("\n", 0, word.start()) + 1 :].partition("\n")[0]
        pairs = zip(tokenizer.batch_decode(best.indices[:, None]), best.values.tolist(), strict=True)
        found.append({"text": line, "word": word[0], "best": [(token.strip(), score) for token, score in pairs]})
    return found


def _contents(there: str | Path, here: Path, repo_type: str) -> list:
    names = pushed_files(here, repo_type)
    return [((name, sha256(Path(there, name).read_bytes()).digest()), 1.0) for name in names]


def _export_space(run: Path, folder: Path, repo_id: str, *, models, language=None, licence=None, datasets=()) -> None:
    _copy(run, folder, "space")
    script = run / f"{run.resolve().name}.py"
    try:
        common = {"repo_id": repo_id, "licence": licence, "sdk_version": importlib.metadata.version("gradio")}
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"{run}: found no gradio here, whose version the Space names; pip install gradio") from None
    if script.is_file() and script.stem != "app":
        if repo_id.rpartition("/")[2] != script.stem:
            raise InputError(f"{repo_id}: expected a repo named {script.stem}, as `evaluate` looks for the metric")
        about = evaluate.load(str(run)).info
        usage = about.inputs_description.partition("Examples:")[0].strip()
        texts = {"description": about.description.strip(), "inputs_description": usage, "citation": about.citation}
        save_metric_card(folder, **common, **texts)
    elif not (folder / "README.md").exists():
        save_space_card(folder, **common, models=models, language=language, datasets=datasets)
