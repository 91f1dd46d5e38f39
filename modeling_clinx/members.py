"""Puts an ensemble together from models that were fine-tuned apart; it stays here, no repo on the Hub carries it.

`auto.py` makes it the class method `ClinXEnsembleForTokenClassification.from_members`.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from transformers import AutoTokenizer
from transformers.utils import cached_file
from transformers.utils.hub import extract_commit_hash

from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
from .modeling_clinx import ClinXForTokenClassification


_HUB_KWARGS = ("token", "cache_dir", "local_files_only", "revision", "subfolder", "force_download", "proxies")
_IRRELEVANT = re.compile("dropout|dtype|version|_path|architectures|cache|checkpointing|position_embedding_type|token_id")


class _MemberPlace(NamedTuple):
    """Where a member is loaded from."""

    given: str  # as the caller wrote it
    name: str  # folder or Hub name
    hub_kwargs: dict  # for loading it, with the commit in `revision`
    origin: str  # as the configuration keeps it: `name@commit`, or `local`

    @classmethod
    def find(cls, given: str, hub_kwargs: dict) -> "_MemberPlace":
        """The place of a folder, a Hub name, or `name@revision`.

        Raises OSError for a commit without a model, and ValueError for a model of another kind.
        """
        if Path(given).is_dir():
            place = cls(given, given, dict(hub_kwargs), "local")
        else:
            name, _, revision = given.partition("@")
            hub_kwargs = {**hub_kwargs, **({"revision": revision} if revision else {})}
            commit = extract_commit_hash(cached_file(name, "config.json", **hub_kwargs), None)
            if commit is None:  # transformers 5 says nothing, and would take the main branch
                raise OSError(f"{given} has no config.json: name a commit that holds a model")
            # model and tokenizer of one commit
            place = cls(given, name, {**hub_kwargs, "revision": commit}, f"{name}@{commit}")
        kind = ClinXConfig.get_config_dict(place.name, **place.hub_kwargs)[0].get("model_type")
        if kind != ClinXConfig.model_type:
            raise ValueError(f"{given} is a {kind} model, expected a {ClinXConfig.model_type} token classifier")
        return place


def from_members(cls, members, *, vote: str = "majority", **kwargs):
    """An ensemble of models that were fine-tuned on the same labels, from encoders of one kind.

    Members that were saved in different precisions are read in float32, unless `dtype` says otherwise.

    Args:
        members: their folders, Hub names, or `name@revision`.
        vote: `majority` or `average`, see `ClinXEnsembleConfig`.
        kwargs: for `ClinXForTokenClassification.from_pretrained`: `dtype`, `token`, `cache_dir` …

    Raises ValueError for no members, or two that differ in tokenizer, labels or another setting; says in what.
    """
    hub_kwargs = {name: value for name, value in kwargs.items() if name in _HUB_KWARGS}
    places = [_MemberPlace.find(str(member), hub_kwargs) for member in members]
    if not places:
        raise ValueError("an ensemble needs at least one member")
    first, *others = places
    config = ClinXConfig.from_pretrained(first.name, **first.hub_kwargs)
    traits = _traits(config, first)
    for other in others:
        other_config = ClinXConfig.from_pretrained(other.name, **other.hub_kwargs)
        if difference := _first_difference(traits, _traits(other_config, other)):
            raise ValueError(f"{first.given} and {other.given} cannot vote together: they differ in{difference}")
    settings = {**config.to_dict(), "members": [place.origin for place in places], "vote": vote}
    for derived in ("model_type", "auto_map", "custom_pipelines", "architectures"):
        settings.pop(derived, None)
    with torch.device("meta"):
        ensemble = cls(ClinXEnsembleConfig(**settings))
    ensemble.members = nn.ModuleList(
        ClinXForTokenClassification.from_pretrained(place.name, **{**kwargs, **place.hub_kwargs}) for place in places
    )
    if len({member.encoder.dtype for member in ensemble.members}) > 1:
        ensemble.float()
    return ensemble.eval()


def _traits(config: ClinXConfig, place: _MemberPlace) -> dict:
    """What members must have in common: all settings that matter, and the whole tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(place.name, **place.hub_kwargs)
    settings = config.to_dict()
    relevant, encoder = (
        {name: value for name, value in part.items() if not _IRRELEVANT.search(name)}
        for part in (settings, settings["encoder"])
    )
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    return {**relevant, "encoder": encoder, "tokenizer": {**backend, "truncation": None, "padding": None}}


def _first_difference(first, second, name: str = "") -> str:
    """The first of nested settings that differs, and what it is on both sides; "" where none does."""
    if first == second:
        return ""
    if isinstance(first, list) and isinstance(second, list):
        first, second = dict(enumerate(first)), dict(enumerate(second))
    if isinstance(first, dict) and isinstance(second, dict):  # None is as good as absent
        keys = {**first, **second}
        differences = (_first_difference(first.get(key), second.get(key), f"{name} {key}") for key in keys)
        return next(filter(None, differences), "")
    return f"{name}: {first!s:.200} and {second!s:.200}"
