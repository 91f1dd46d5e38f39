"""The folder that is pushed of a run, a language model, a dataset, a metric or an app: its files, and a card."""

import importlib.metadata
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import evaluate
from transformers import AutoConfig

from .card_fields import CardFields
from .errors import HubError
from .example import fill_masks, find_entities
from .figures import member_scores, published_figures
from .model_card import save_language_model_card, save_model_card
from .repo_files import files_to_push
from .space_card import save_metric_card, save_space_card
from .verify import Item, entity_items, file_items, find_entities_in_fresh_process, masked_word_items


TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model")
LARGE_FILES = (".safetensors", ".parquet")  # they are linked rather than copied, and not changed
REQUIREMENTS = "transformers>=4.57\n"  # of the handler: what such a server brings itself may be older


@dataclass(frozen=True)
class Export:
    """A folder that was exported.

    Attributes:
        repo_type: model, dataset or space.
        expected: what is read in the folder here.
        read: reads the same in any copy of the folder.
    """

    repo_type: str
    expected: list[Item]
    read: Callable[[str | Path], list[Item]]


def export(
    source: str | Path,
    folder: str | Path,
    repo_id: str,
    card_fields: CardFields,
    *,
    revision: str = "main",
    members: Sequence[str] = (),
    report: Callable[[str], None] = print,
) -> Export:
    """Writes what is pushed into the new folder: files of known kinds, the card, and a model's results.

    Args:
        source: a run's folder, with `model/` and `metrics.json`; the folder of a model repo, of a masked language model
            or of a converted corpus; or one with an `app.py` for a Space, a metric's if it also has a script of the
            folder's name.
        revision: the branch or tag that it is pushed as, which the card tells to load.
        members: of an ensemble, where each was pushed to, `name@commit`.
        report: takes a line about a card that is kept.

    Raises HubError where there is nothing that can be pushed, or files that no such repo holds.
    """
    source, folder = Path(source), Path(folder)
    if not source.is_dir():
        raise HubError(f"{source}: there is no such folder")
    if (source / "app.py").is_file():
        repo_type = "space"
        _copy(source, folder, repo_type)
        _write_space_card(source, folder, repo_id, card_fields, report)
    elif any(source.glob("data/*.parquet")):
        repo_type = "dataset"
        if given := [name for name in ("language", "license", "datasets", "models") if getattr(card_fields, name)]:
            option = f"--{given[0].removesuffix('s')}"
            raise HubError(f"{source}: the card of a dataset is its README.md: write it there, and leave out {option}")
        _copy(source, folder, repo_type)
    elif card_fields.models:
        raise HubError(f"{source}: --model names what a Space shows, and there is no app.py: leave out --model")
    else:
        return _export_model(source, folder, repo_id, card_fields, revision, members, report)
    names = list(files_to_push(folder, repo_type))
    return Export(repo_type, file_items(folder, names), partial(file_items, names=names))


def _export_model(
    source: Path,
    folder: Path,
    repo_id: str,
    card_fields: CardFields,
    revision: str,
    members: Sequence[str],
    report: Callable[[str], None],
) -> Export:
    around = source.resolve().parent
    is_of_run = any((around / name).exists() for name in ("metrics.json", "recipe.yaml"))
    run = around if source.resolve().name == "model" and is_of_run else source
    model = run / "model" if (run / "model").is_dir() else run
    if (run / "recipe.yaml").exists() and not (run / "metrics.json").exists():
        raise HubError(f"{run}: this run is not finished; give the command that began it again, and then push")
    config = _read_config(model, run)
    if not any(any(model.glob(pattern)) for pattern in TOKENIZERS):
        raise HubError(f"{model}: found no tokenizer beside the weights; save it there with `save_pretrained`")
    _copy(model, folder, "model")
    _rewrite_configs(folder, members)
    if (run / "curves.png").exists() and run != model:
        shutil.copyfile(run / "curves.png", folder / "curves.png")
    note, figures = card_fields.note, published_figures(run, card_fields.publishable_settings)
    card = {"repo_id": repo_id, "card_fields": card_fields, "revision": revision, "figures": figures}
    if _is_language_model(config):
        masked_words = fill_masks(model, note)
        card |= {"example": masked_words}
        save_card, expected, read = save_language_model_card, masked_word_items(masked_words), _read_masked_words
    else:
        _write_handler(folder)
        entities = find_entities(model, note)
        card |= {"example": {"text": note, "entities": entities}, "labels": config.entity_types}
        card |= {"parts": {name: getattr(config, name) for name in ("head", "unit", "context_size")}}
        card |= {"members": member_scores(run, members or getattr(config, "members", ()))}
        save_card, expected, read = save_model_card, entity_items(entities), _read_entities
    has_card = (model / "README.md").exists()
    if figures or not has_card:  # results are written in any case
        save_card(folder, **card)
    if has_card:
        shutil.copyfile(model / "README.md", folder / "README.md")
        report(f"{model / 'README.md'} is kept as the card")
    return Export("model", expected, partial(read, note=note))


def _read_masked_words(copy: str | Path, note: str) -> list[Item]:
    return masked_word_items(fill_masks(copy, note))


def _read_entities(copy: str | Path, note: str) -> list[Item]:
    return entity_items(find_entities_in_fresh_process(copy, note))


def _write_handler(folder: Path) -> None:
    """Writes what Inference Endpoints serve the model by, where it brings none of its own."""
    if not (folder / "handler.py").exists():
        shutil.copyfile(Path(__file__).with_name("handler.py"), folder / "handler.py")
        if not (folder / "requirements.txt").exists():
            (folder / "requirements.txt").write_text(REQUIREMENTS)


def _read_config(model: Path, run: Path):
    """The configuration of a model of CLIN-X or of a masked language model; raises HubError for any other."""
    try:
        config = AutoConfig.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise HubError(
            f"{run}: found no model there, nor a dataset or an app: expected config.json, model/config.json, "
            f"data/*.parquet or app.py ({error})"
        ) from None
    if not _is_language_model(config) and not hasattr(config, "entity_types"):
        raise HubError(
            f"{model}: found a model of type {config.model_type}, expected one fine-tuned with CLIN-X or a masked "
            "language model"
        )
    return config


def _is_language_model(config) -> bool:
    return any(name.endswith("ForMaskedLM") for name in config.architectures or ())


def _copy(source: Path, folder: Path, repo_type: str) -> None:
    for name, path in files_to_push(source, repo_type).items():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in LARGE_FILES:
            copy.symlink_to(path.absolute())
        else:
            shutil.copyfile(path, copy)


def _rewrite_configs(folder: Path, members: Sequence[str]) -> None:
    """Removes local paths from `config.json`, `tokenizer_config.json` …, and names where an ensemble's members are."""
    for path in folder.glob("*config.json"):
        content = _without_paths(json.loads(path.read_text(encoding="utf-8")))
        if members and "members" in content:
            content["members"] = list(members)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _without_paths(content):
    """Without the local paths that transformers writes down: `_name_or_path`, `tokenizer_file` …; not so labels."""
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if not key.endswith(("name_or_path", "_file"))}
        return {key: value if key == "label2id" else _without_paths(value) for key, value in kept.items()}
    return [_without_paths(item) for item in content] if isinstance(content, list) else content


def _write_space_card(
    source: Path, folder: Path, repo_id: str, card_fields: CardFields, report: Callable[[str], None]
) -> None:
    """Writes the card of an app or a metric, unless the folder has one."""
    script = source / f"{source.resolve().name}.py"
    is_metric = script.is_file() and "evaluate.Metric" in script.read_text(encoding="utf-8")
    if is_metric and repo_id.rpartition("/")[2] != script.stem:
        raise HubError(f"{repo_id}: expected a repo named {script.stem}, as `evaluate` looks for the metric")
    if (folder / "README.md").exists():
        report(f"{source / 'README.md'} is kept as the card")
        return
    if not card_fields.models and "CLINX_MODEL" in (source / "app.py").read_text(encoding="utf-8"):
        raise HubError(f"{source}: this app shows the models that its card names: add --model ORG/NAME, one or more")
    try:
        gradio_version = importlib.metadata.version("gradio")
    except importlib.metadata.PackageNotFoundError:
        raise HubError(
            f"{source}: gradio is not installed, and the card of a Space names its version: pip install gradio"
        ) from None
    if not is_metric:
        save_space_card(folder, repo_id, card_fields, gradio_version)
        return
    info = evaluate.load(str(source)).info
    save_metric_card(
        folder,
        repo_id,
        card_fields,
        gradio_version,
        description=info.description.strip(),
        inputs_description=info.inputs_description.partition("Examples:")[0].strip(),
        citation=info.citation,
    )
