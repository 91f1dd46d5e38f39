"""Push a run's model to the Hub: card, code, weights and results in one private commit, which is checked."""

import argparse
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import snapshot_download
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from hub_cards.model import save_model_card
from hub_cards.push import PushError, Target, push_folder, pushed_files
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


def export(
    run: str | Path,
    folder: str | Path,
    repo_id: str,
    language: str | None = None,
    licence: str | None = None,
    datasets: Sequence[str] = (),
) -> None:
    """Writes what is pushed into the new folder: the files of the run's model repo, its card and its results.

    Args:
        run: a run's folder, with `model/` and `metrics.json`, or a model repo's folder.

    Raises InputError where there is no model of CLIN-X, and PushError for files that a model repo does not hold.
    """
    run, folder = Path(run), Path(folder)
    source = run / "model" if (run / "model").is_dir() else run
    try:
        config = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise InputError(f"{run}: found no model repo there, nor in its folder `model` ({error})") from None
    if not hasattr(config, "entity_types"):
        raise InputError(f"{source}: found a model of the kind {config.model_type}, expected one of CLIN-X")
    for name, path in pushed_files(source, "model").items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":  # large, and not changed
            target.symlink_to(path.absolute())
        else:
            shutil.copyfile(path, target)
    for name in ("config.json", "tokenizer_config.json"):
        content = _without_places(json.loads((folder / name).read_text(encoding="utf-8")))
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    figures, members = _figures(run), _members(run, config)
    if (run / "curves.png").exists():
        shutil.copyfile(run / "curves.png", folder / "curves.png")
    encoder = figures.pop("encoder", None)
    save_model_card(
        folder,
        repo_id=repo_id,
        labels=config.entity_types,
        example=_example(source, language),
        figures=figures,
        members=members,
        language=language,
        licence=licence,
        datasets=datasets,
        base_model=encoder if _is_on_hub(encoder) else None,
    )


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
    """Of a run, or of an ensemble's: what may be published."""
    metrics = _read(run / "metrics.json")
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
        "encoder": settings.get("encoder"),
    }


def _members(run: Path, config) -> list[dict]:
    judged = _read(run / "metrics.json").get("members", [])
    found = []
    for number, source in enumerate(getattr(config, "members", None) or []):
        scores = judged[number] if number < len(judged) else {}
        f1 = {part: scores[part]["f1"] if part in scores else None for part in ("validation", "test")}
        found.append({"source": source if isinstance(source, str) else "", **f1})
    return found


def _example(source: Path, language: str | None) -> dict:
    note = synthetic_notes(1, split="validation", language=language if language in ("es", "en") else "es")[0]
    note = cut(note, 0, [*sentence_boundaries(note), len(note.text)][:9][-1])
    return {"text": note.text.strip(), "entities": _found(source, note.text.strip())}


def _found(source: str | Path, text: str) -> list[dict]:
    model = AutoModelForTokenClassification.from_pretrained(source)
    predictor = DocumentPredictor(model, AutoTokenizer.from_pretrained(source))
    (found,) = predictor([text])
    return [
        {"word": text[entity.start : entity.end], "start": entity.start, "label": entity.label, "score": entity.score}
        for entity in entities_of(found)
    ]


def push(
    run: str, target: Target, dry_run: bool = False, verify: bool = True, message: str | None = None, **about
) -> str:
    """Exports and pushes a run's model, and checks that what anybody downloads reads as it does here.

    Returns the commit's address, or the pull request's; with `dry_run` lists what would be pushed.

    Raises InputError for a run or a target that cannot be used, and where the downloaded model reads differently.
    """
    with TemporaryDirectory() as folder:
        try:
            export(run, folder, target.repo_id, **about)
            files = pushed_files(folder, "model")
            for name, path in files.items():
                print(f"{path.stat().st_size:>15,}  {name}")
            print(f"{sum(path.stat().st_size for path in files.values()):>15,}  bytes in {len(files)} files")
            if dry_run:
                return "nothing was pushed"
            commit = push_folder(folder, target, message or f"{Path(run).name}, trained with CLIN-X")
        except PushError as error:
            raise InputError(str(error)) from None
        if verify:
            _verify(folder, target.repo_id, commit.oid)
    return commit.pr_url or commit.commit_url


def _verify(folder: str, repo_id: str, revision: str) -> None:
    text = synthetic_notes(1, split="validation")[0].text
    with TemporaryDirectory() as cache:
        there = _found(snapshot_download(repo_id, revision=revision, cache_dir=cache), text)
    here = _found(folder, text)
    same = len(here) == len(there) and all(
        (a["start"], a["word"], a["label"]) == (b["start"], b["word"], b["label"])
        and abs(a["score"] - b["score"]) < 1e-3
        for a, b in zip(here, there, strict=True)
    )
    if not same:
        raise InputError(
            f"{repo_id} at {revision} reads a note differently than the model here: do not use it, and push again"
        )
    print(f"downloaded again: it finds the same {len(here)} mentions in a synthetic note")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="clinx push", description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="DIR", help="a run's folder (runs/NAME), or a model repo's")
    parser.add_argument("repo_id", metavar="ORG/NAME", help="the repo, made if it is not there: private")
    parser.add_argument("--public", action="store_true", help="make it public: only if the training notes could be")
    parser.add_argument("--pr", action="store_true", help="open a pull request in a repo that is there")
    parser.add_argument("--branch", default="main", help="made if it is not there (default: main)")
    parser.add_argument("--tag", help="name the commit")
    parser.add_argument("--message", help="of the commit")
    parser.add_argument("--language", help="ISO code, such as es or en, for the card")
    parser.add_argument(
        "--licence", "--license", help="of the model, as the Hub spells it: apache-2.0, cc-by-4.0, other …"
    )
    parser.add_argument(
        "--dataset", action="append", default=[], help="what it learned from; ORG/NAME is linked; repeat"
    )
    parser.add_argument("--dry-run", action="store_true", help="list files and bytes, and push nothing")
    parser.add_argument("--no-verify", action="store_true", help="do not download it again to compare")
    args = parser.parse_args(argv)
    target = Target(args.repo_id, "model", not args.public, args.branch, args.pr, args.tag)
    about = {"language": args.language, "licence": args.licence, "datasets": args.dataset}
    print(push(args.run, target, args.dry_run, not args.no_verify, args.message, **about))
