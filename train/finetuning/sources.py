"""Transfer's start: the encoder of a fine-tuned source model, or the mean of several (after Lange et al. 2022)."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer
from transformers.utils import cached_file

from modeling_clinx import ClinXConfig, ClinXForTokenClassification
from modeling_clinx.building import load_encoder, load_member
from modeling_clinx.configuration_clinx import ClinXEnsembleConfig

from ..checks import AUTO, refuse_no_model
from ..errors import InputError
from ..fingerprint import model_commit
from ..recipe import Recipe
from ..scoring.scores import median_member
from .encoders import describe_encoder, refuse_other_encoder


class Source(NamedTuple):
    """A fine-tuned model to start from, as it is now."""

    given: str  # as the recipe names it
    name: str  # its folder, or its name on the Hub
    version: str  # the digest of a folder, or the commit on the Hub
    is_on_hub: bool
    kind: str  # as `clinx`, `clinx-ensemble`, `xlm-roberta`
    member: int | None  # which of an ensemble's, from 1
    reason: str  # why this member

    @property
    def hub_kwargs(self) -> dict:
        """For loading that very version."""
        return {"revision": self.version} if self.is_on_hub else {}

    @property
    def index(self) -> int:
        """Of the member, from 0."""
        return (self.member or 1) - 1

    @property
    def identity(self) -> str:
        """What a run that starts from it depends on."""
        return f"{self.version} member {self.member}" if self.member else self.version

    def published(self) -> dict:
        """What a card may tell of it: nothing of a path."""
        place = {"name": self.name, "revision": self.version} if self.is_on_hub else {}
        return {**place, "member": self.member} if self.member else place


def find_sources(recipe: Recipe) -> list[Source]:
    """The models that the recipe starts from, if it names any.

    Raises InputError, in one line, for one that is not there, and where it has not been chosen.
    """
    if recipe.source_model == AUTO:
        raise InputError(f"source_model is {AUTO}, which only `clinx finetune RECIPE` chooses by: name the model")
    return [find_source(given) for given in recipe.sources]


def find_source(given: str) -> Source:
    """The model at a folder, its own or a run's, or on the Hub, NAME or NAME@REVISION; raises InputError as above."""
    if Path(given, "model", "config.json").is_file():
        return find_source(str(Path(given, "model")))._replace(given=given)
    is_folder = Path(given).is_dir()
    name, _, revision = (given, "", "") if is_folder else given.partition("@")
    if revision and Path(name).is_dir():
        raise InputError(f"{given}: {name} is a folder, and only a repo on the Hub has revisions: leave it out")
    refuse_no_model(name)
    with _one_line(f"cannot start from the source {given}"):
        version = model_commit(name, revision or None)
        hub_kwargs = {} if is_folder else {"revision": version}
        config = ClinXConfig.get_config_dict(name, **hub_kwargs)[0]
        kind, member, reason = config.get("model_type", ""), None, ""
        if kind == ClinXEnsembleConfig.model_type:
            member, reason = _median(name, hub_kwargs, len(config["members"]))
    return Source(given, name, version, not is_folder, kind, member, reason)


def _median(name: str, hub_kwargs: dict, n_members: int) -> tuple[int, str]:
    """The member of an ensemble that is the median by validation score, counted from 1, and why it is taken.

    Its run says how each member did (`metrics.json` beside `model/`), or what was pushed with it (`results.json`).
    """
    folder = Path(name)
    if folder.is_dir():
        files = [folder / "results.json", folder.resolve().parent / "metrics.json"]
    else:
        file = cached_file(name, "results.json", _raise_exceptions_for_missing_entries=False, **hub_kwargs)
        files = [Path(file)] if file else []
    for file in files:
        scores = _validation_scores(file)
        if len(scores) == n_members:
            number = median_member(scores)
            return number + 1, f"of {n_members} the median on validation notes, strict F1 {100 * scores[number]:.2f} %"
    return 1, "the first, since no results.json or metrics.json beside it says how its members did on validation notes"


def _validation_scores(file: Path) -> list[float]:
    """Strict F1 of an ensemble's members; empty where the file does not say it of all."""
    try:
        scores = [member["validation"] for member in json.loads(file.read_text(encoding="utf-8"))["members"]]
        return [float(score["f1"] if isinstance(score, dict) else score) for score in scores]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def model_from_sources(recipe: Recipe, sources: list[Source], entity_types: list[str], config: dict):
    """A new classifier and CRF on the encoder of a source, or on the mean of several, and its tokenizer.

    Args:
        config: settings of `ClinXConfig`.

    Raises InputError for sources that cannot be read or do not descend from one encoder, and from the recipe's if it
    names one; and with `transfer_head: shared`, for one whose labels, head or scheme are others.
    """
    first = sources[0]
    for source in sources:
        if source.member:
            member = f"member {source.member}, {source.reason}"
            print(f"note: {source.given} is an ensemble, of which one encoder is taken: {member}", file=sys.stderr)
    with _one_line(f"cannot start from the source {first.given}"):
        place = {"hub_kwargs": first.hub_kwargs, "member": first.index}
        model = ClinXForTokenClassification.from_encoder(first.name, entity_types, **place, **config)
        tokenizer = AutoTokenizer.from_pretrained(first.name, **first.hub_kwargs)
    if recipe.encoder:
        with _one_line(f"cannot start from the encoder {recipe.encoder}"):
            pretrained = load_encoder(recipe.encoder, {"revision": recipe.revision} if recipe.revision else {})
        with _one_line(f"source {first.given} and encoder {recipe.encoder}"):
            refuse_other_encoder(describe_encoder(model, tokenizer), describe_encoder(*pretrained))
    if len(sources) > 1:
        _take_mean(model.encoder, tokenizer, sources, recipe.source_weights or [1.0] * len(sources))
    if recipe.transfer_head == "shared":
        _keep_shared_labels(model, first)
    return model, tokenizer


@torch.no_grad()
def _take_mean(encoder, tokenizer, sources: list[Source], weights: list[float]) -> None:
    """Turns the first source's encoder into the weighted mean of all."""
    origin = describe_encoder(encoder, tokenizer)
    mean = {name: weight for name, weight in encoder.state_dict().items() if "lora_" not in name}  # not new adapters
    shares = [weight / sum(weights) for weight in weights]
    for weight in mean.values():
        if weight.is_floating_point():
            weight *= shares[0]
    for source, share in zip(sources[1:], shares[1:], strict=True):
        with _one_line(f"cannot start from the source {source.given}"):
            other, its_tokenizer = load_encoder(source.name, source.hub_kwargs, source.index)
        with _one_line(f"no mean of the sources {sources[0].given} and {source.given}"):
            refuse_other_encoder(origin, describe_encoder(other, its_tokenizer))
            state = other.state_dict()
            for name, weight in mean.items():
                if name not in state or state[name].shape != weight.shape:
                    found = [*state[name].shape] if name in state else "none"
                    raise InputError(f"{name} is {[*weight.shape]} in one and {found} in the other")
        for name, weight in mean.items():
            if weight.is_floating_point():
                weight += share * state[name]


@torch.no_grad()
def _keep_shared_labels(model: ClinXForTokenClassification, source: Source) -> None:
    """Emission rows of O and of the labels that both have, and the CRF's scores between them, are the source's."""
    if not source.kind.startswith(ClinXConfig.model_type):
        raise InputError(
            f"{source.given} is a {source.kind} model, whose head a CRF cannot go on with: set transfer_head: new"
        )
    with _one_line(f"cannot start from the source {source.given}"):
        other = load_member(source.name, source.index, dtype=torch.float32, **source.hub_kwargs)
    for name in ("head", "scheme"):
        values = getattr(other.config, name), getattr(model.config, name)
        if values[0] != values[1]:
            raise InputError(
                f"{source.given} has {name} {values[0]}, not {values[1]}: set the same, or transfer_head: new"
            )
    if not {*other.config.entity_types} & {*model.config.entity_types}:
        raise InputError(
            f"{source.given} has no label in common with the notes: it finds {', '.join(other.config.entity_types)}, "
            f"they have {', '.join(model.config.entity_types)}; set transfer_head: new"
        )
    here, there = _tag_names(model), _tag_names(other)
    shared = [name for name in here if name in there]
    to, by = (torch.tensor([names.index(name) for name in shared]) for names in (here, there))
    model.classifier.weight[to], model.classifier.bias[to] = other.classifier.weight[by], other.classifier.bias[by]
    if model.crf.transitions is not None:
        model.crf.transitions[to[:, None], to] = other.crf.transitions[by[:, None], by]
        model.crf.start[to], model.crf.end[to] = other.crf.start[by], other.crf.end[by]


def _tag_names(model: ClinXForTokenClassification) -> list[tuple[str, str]]:
    """Role and entity type of each tag, in the order of its scores."""
    tags, types = model.crf.tags, model.config.entity_types
    return [(role, types[k] if k >= 0 else "") for role, k in zip(tags.roles, tags.types.tolist(), strict=True)]


@contextmanager
def _one_line(where: str) -> Iterator[None]:
    """What cannot be read is an InputError of one line that says where."""
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{where}: {next(iter(str(error).strip().splitlines()), type(error).__name__)}") from error
