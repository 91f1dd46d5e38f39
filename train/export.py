"""What is pushed of a run, a language model, a dataset, a metric or an app: a folder of its own, with a card."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import evaluate
import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForTokenClassification, AutoTokenizer

from hub_cards.model import save_language_model_card, save_model_card
from hub_cards.push import pushed_files
from hub_cards.space import save_metric_card, save_space_card
from modeling_clinx import DocumentPredictor

from .errors import InputError
from .splits import cut, sentence_boundaries
from .synthetic import synthetic_notes


TOLD = (  # settings that say how it was trained, and name no place
    *("head", "scheme", "unit", "segmentation", "context_size", "window_length", "dropout", "batch_subwords"),
    *("one_cycle", "learning_rate", "head_learning_rate", "num_train_epochs", "max_steps", "weight_decay", "seed"),
    *("optim", "bf16", "fp16", "world_size", "splits", "split", "split_seed", "test_fraction", "max_train_sentences"),
)
Found = list[tuple[object, float]]  # what somebody finds in a folder, with scores
Read = Callable[[str | Path], Found]
STRANGER = """
import sys
for name in ("modeling_clinx", "clinx", "hub_cards"):
    sys.modules[name] = None
import json
from transformers import pipeline
ner = pipeline("ner", model=sys.argv[1], trust_remote_code=True)
print(json.dumps(ner(sys.stdin.read())))
"""


def export(
    run: str | Path,
    folder: str | Path,
    repo_id: str,
    revision: str = "main",
    *,
    members: Sequence[str] = (),
    models: Sequence[str] = (),
    **about,
) -> tuple[str, Found, Read]:
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
        The type of the repo, what is found in it here, and what finds that in another such folder.

    Raises InputError where there is nothing that can be pushed, and PushError for files that no such repo holds.
    """
    run, folder = Path(run), Path(folder)
    if not run.is_dir():
        raise InputError(f"{run}: found no such folder")
    repo_type = "space" if (run / "app.py").is_file() else "dataset" if list(run.glob("data/*.parquet")) else "model"
    if repo_type == "model":
        return "model", *_export_model(run, folder, repo_id=repo_id, revision=revision, members=members, **about)
    _copy(run, folder, repo_type)
    if repo_type == "space":
        _write_space_card(run, folder, repo_id, models=models, **about)
    names = list(pushed_files(folder, repo_type))
    return repo_type, _contents(folder, names), lambda there: _contents(there, names)


def _export_model(run: Path, folder: Path, *, members: Sequence[str], **about) -> tuple[Found, Read]:
    if run.resolve().name == "model" and (run.parent / "metrics.json").exists():
        run = run.parent
    source = run / "model" if (run / "model").is_dir() else run
    try:
        config = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise InputError(f"{run}: found no model repo there, nor a dataset or an app ({error})") from None
    is_language_model = any(name.endswith("ForMaskedLM") for name in config.architectures or ())
    if not is_language_model and not hasattr(config, "entity_types"):
        raise InputError(f"{source}: found a model of the kind {config.model_type}, expected one of CLIN-X")
    _copy(source, folder, "model")
    for path in folder.glob("*config.json"):
        content = _without_places(json.loads(path.read_text(encoding="utf-8")))
        if members and "members" in content:
            content["members"] = list(members)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if (run / "curves.png").exists() and run != source:
        shutil.copyfile(run / "curves.png", folder / "curves.png")
    note = _note(about.get("language"))
    if is_language_model:
        example = _masked_words(source, note)
        here, read = _pairs(example), lambda there: _pairs(_masked_words(there, note))
    else:
        found = _entities(source, note)
        here, read = _scored(found), lambda there: _scored(read_as_a_stranger(there, note))
    if (source / "README.md").exists():
        print(f"{source / 'README.md'} is kept as the card")
        return here, read
    about["figures"] = _figures(run)
    if is_language_model:
        save_language_model_card(folder, example=example, **about)
    else:
        scores = _member_scores(run, members or getattr(config, "members", ()))
        example = {"text": note, "entities": found}
        save_model_card(folder, labels=config.entity_types, example=example, members=scores, **about)
    return here, read


def _copy(source: Path, folder: Path, repo_type: str) -> None:
    for name, path in pushed_files(source, repo_type).items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".safetensors", ".parquet"):  # large, and not changed
            target.symlink_to(path.absolute())
        else:
            shutil.copyfile(path, target)


def _without_places(content):
    """Without the local paths that transformers writes down: `_name_or_path`, `tokenizer_file` …"""
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if not key.endswith(("name_or_path", "_file"))}
        return {key: _without_places(value) for key, value in kept.items()}
    return [_without_places(item) for item in content] if isinstance(content, list) else content


def _read(file: Path) -> dict:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: found no readable figures of a run ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: found {type(content).__name__}, expected the figures of a run")
    return content


def _figures(run: Path) -> dict:
    """Of a run, or of an ensemble's: what may be published."""
    metrics = _read(run / "metrics.json")
    first = _read(run / "member-1" / "metrics.json") or metrics
    settings = first.get("settings", {})
    kept = {name: metrics[name] for name in ("validation", "test") if metrics.get(name)} | metrics.get("ensemble", {})
    seconds = [one.get("seconds") for one in metrics.get("members", [metrics])]
    figures = {
        **kept,
        "settings": {name: settings[name] for name in TOLD if settings.get(name) is not None},
        **{name: first[name] for name in ("unrepresentable", "device", "versions", "base_model") if name in first},
        "documents": _pooled(first.get("documents")) if "members" in metrics else first.get("documents"),
        "seconds": None if None in seconds else sum(seconds),
        "split": settings.get("split"),
    }
    return {name: value for name, value in figures.items() if value}


def _member_scores(run: Path, sources: Sequence[str]) -> list[dict]:
    judged, found = _read(run / "metrics.json").get("members", []), []
    for number, source in enumerate(sources):
        scores = judged[number] if number < len(judged) else {}
        f1 = {part: scores[part]["f1"] if part in scores else None for part in ("validation", "test")}
        found.append({"source": "" if source == "local" else source, **f1})
    return found


def _pooled(documents: dict | None) -> dict | None:
    """Of an ensemble, whose members each learn from some and are selected on the others."""
    if not documents:
        return None
    return {"training and selection": documents["train"] + documents["validation"], "test": documents["test"]}


def _note(language: str | None) -> str:
    """The first sentences of a synthetic note."""
    note = synthetic_notes(1, split="validation", language=language if language in ("es", "en") else "es")[0]
    return cut(note, 0, [*sentence_boundaries(note), len(note.text)][:9][-1]).text.strip()


def _entities(source: str | Path, text: str) -> list[dict]:
    model = AutoModelForTokenClassification.from_pretrained(source)
    predictor = DocumentPredictor(model, AutoTokenizer.from_pretrained(source))
    (prediction,) = predictor([text])
    return [
        {"entity_group": span.label, "score": span.score, "word": text[span.start : span.end], "start": span.start}
        for span in prediction.rows()
    ]


def _masked_words(source: str | Path, text: str, n_words: int = 4) -> list[dict]:
    """What a masked language model expects in place of some of the text's words."""
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForMaskedLM.from_pretrained(source, dtype=torch.float32)
    words = list(re.finditer(r"[^\W\d_]{4,}", text)) if tokenizer.mask_token else []
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


def _pairs(words: list[dict]) -> list:
    return [pair for word in words for pair in word["best"]]


def _scored(entities: list[dict]) -> list:
    return [((entity["start"], entity["word"], entity["entity_group"]), entity["score"]) for entity in entities]


def read_as_a_stranger(model: str | Path, text: str) -> list[dict]:
    """What `pipeline("ner")` finds, in a fresh process with a fresh cache that cannot import this project."""
    with TemporaryDirectory() as home:
        environment = {**os.environ, "HF_HOME": home, "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [sys.executable, "-c", STRANGER, str(Path(model).resolve())],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=environment,
            cwd=home,
        )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"{model} cannot be read where this project is not installed: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def _contents(folder: str | Path, names: Sequence[str]) -> list:
    return [((name, sha256(Path(folder, name).read_bytes()).digest()), 1.0) for name in names]


def _write_space_card(run: Path, folder: Path, repo_id: str, *, models, language=None, licence=None, datasets=()):
    script = run / f"{run.resolve().name}.py"
    is_metric = script.is_file() and "evaluate.Metric" in script.read_text(encoding="utf-8")
    if is_metric and repo_id.rpartition("/")[2] != script.stem:
        raise InputError(f"{repo_id}: expected a repo named {script.stem}, as `evaluate` looks for the metric")
    if (folder / "README.md").exists():
        print(f"{run / 'README.md'} is kept as the card")
        return
    try:
        common = {"repo_id": repo_id, "licence": licence, "sdk_version": importlib.metadata.version("gradio")}
    except importlib.metadata.PackageNotFoundError:
        raise InputError(f"{run}: found no gradio here, whose version the Space names; pip install gradio") from None
    if is_metric:
        about = evaluate.load(str(run)).info
        usage = about.inputs_description.partition("Examples:")[0].strip()
        texts = {"description": about.description.strip(), "inputs_description": usage, "citation": about.citation}
        save_metric_card(folder, **common, **texts)
    else:
        save_space_card(folder, **common, models=models, language=language, datasets=datasets)
