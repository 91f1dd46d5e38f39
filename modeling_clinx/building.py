"""Makes new models, of an encoder or of members; it stays here, no repo on the Hub carries it.

`auto.py` makes class methods of the two functions: `ClinXForTokenClassification.from_encoder` and
`ClinXEnsembleForTokenClassification.from_members`.
"""

import json
import math
import re
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import cached_file
from transformers.utils.hub import extract_commit_hash

from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
from .ensemble_clinx import ClinXEnsembleForTokenClassification
from .lora_clinx import LoRALinear, add_adapters
from .modeling_clinx import ClinXForTokenClassification, ClinXModel, without_pooler


_HUB_KWARGS = ("token", "cache_dir", "local_files_only", "revision", "subfolder", "force_download", "proxies")
_DERIVED = ("model_type", "auto_map", "custom_pipelines", "architectures")  # from the class of a configuration
_IRRELEVANT = re.compile(
    "dropout|dtype|version|_path|architectures|cache|checkpointing|position_embedding_type|token_id"
)


def from_encoder(
    cls, name_or_path: str, entity_types, *, hub_kwargs: dict | None = None, member: int = 0, **config_kwargs
):
    """A new token classifier on a pretrained encoder; classifier and CRF begin untrained.

    Args:
        name_or_path: a folder or Hub name of any encoder with a fast tokenizer: masked-LM checkpoints such as
            `llange/xlm-roberta-large-spanish-clinical`, or another token classifier, whose encoder is taken.
        entity_types: names of the entity types.
        hub_kwargs: `revision`, `token`, `cache_dir` … for loading the encoder.
        member: which one's encoder is taken of an ensemble, counted from 0.
        config_kwargs: settings of `ClinXConfig`.

    With `lora_rank` the encoder gets adapters that change nothing yet, and of it they alone are trained.

    Raises ValueError where the encoder's tokenizer is not a fast one, or a setting is wrong.
    """
    encoder, tokenizer = load_encoder(name_or_path, hub_kwargs, member)
    longest = max_positions(encoder)
    if longest is not None:
        config_kwargs["window_length"] = min(config_kwargs.get("window_length", 512), longest)
    special_ids = sorted({*tokenizer.all_special_ids} - {tokenizer.unk_token_id})  # an unknown word has a label
    model = cls(ClinXConfig(encoder.config, entity_types, special_ids=special_ids, **config_kwargs))
    model.encoder = encoder
    if model.config.lora_rank:
        encoder.requires_grad_(False)
        add_adapters(encoder, model.config.lora_rank)
        layers = layers_with_adapters(encoder)
        if not layers:
            raise ValueError(f"{name_or_path} has no linear layers that take adapters: leave lora_rank out")
        for layer in layers:
            nn.init.kaiming_uniform_(layer.lora_a, a=math.sqrt(5))  # as Hu et al. do; B stays zero
    return model


def load_encoder(name_or_path: str, hub_kwargs: dict | None = None, member: int = 0):
    """An encoder in float32 without adapters, and its fast tokenizer; arguments and errors as of `from_encoder`."""
    hub_kwargs = hub_kwargs or {}
    tokenizer = AutoTokenizer.from_pretrained(name_or_path, **hub_kwargs)
    if not tokenizer.is_fast:
        raise ValueError(f"{name_or_path} has no fast tokenizer (tokenizer.json), which gives character offsets")
    kwargs = {"dtype": torch.float32, **hub_kwargs}
    kind = ClinXConfig.get_config_dict(name_or_path, **hub_kwargs)[0].get("model_type", "")
    if member:
        encoder = load_member(name_or_path, member, **kwargs).encoder
    elif kind.startswith(ClinXConfig.model_type):  # an ensemble gives its first member's
        known = ClinXModel if kind == ClinXConfig.model_type else AutoModel
        encoder = known.from_pretrained(name_or_path, **kwargs).encoder
    else:
        encoder_config = AutoConfig.from_pretrained(name_or_path, **hub_kwargs)
        encoder = AutoModel.from_pretrained(name_or_path, **kwargs, **without_pooler(encoder_config))
    merge_adapters(encoder, [0])
    return encoder, tokenizer


def layers_with_adapters(encoder: nn.Module) -> list[LoRALinear]:
    """In the order of the encoder's modules."""
    return [module for module in encoder.modules() if isinstance(module, LoRALinear)]


def merge_adapters(encoder: nn.Module, members: list[int]) -> None:
    """Adds the mean of what these members add to the encoder's weights, which has no adapters then."""
    with torch.no_grad():
        for layer in layers_with_adapters(encoder):
            layer.weight += torch.einsum("nor,nri->oi", layer.lora_b[members], layer.lora_a[members]) / len(members)
            del layer.lora_a, layer.lora_b
            layer.__class__ = nn.Linear
    encoder.requires_grad_(True)


class _OneMember(ClinXForTokenClassification):
    """A member that is read out of an ensemble's file, in which the others are no surprise."""

    _keys_to_ignore_on_load_unexpected = [r"^members\."]


def load_member(name_or_path: str, member: int = 0, **kwargs) -> ClinXForTokenClassification:
    """One model of an ensemble, counted from 0, without the others in memory; or a single model.

    Adapters are added to the encoder's weights, which has none then: it is like any other, and may be quantized.

    Args:
        kwargs: for `from_pretrained`.
    """
    hub_kwargs = {name: value for name, value in kwargs.items() if name in _HUB_KWARGS}
    settings = ClinXConfig.get_config_dict(name_or_path, **hub_kwargs)[0]
    if settings["model_type"] == ClinXConfig.model_type:
        model = ClinXForTokenClassification.from_pretrained(name_or_path, **kwargs)
        return without_adapters(model, [0]) if model.config.lora_rank else model
    config = ClinXEnsembleConfig.from_pretrained(name_or_path, **hub_kwargs)
    if config.lora_rank:
        ensemble = ClinXEnsembleForTokenClassification.from_pretrained(name_or_path, **kwargs)
        return without_adapters(ensemble, [member])
    renamed = {rf"^members\.{member}\.": ""}
    model = _OneMember.from_pretrained(name_or_path, config=config, key_mapping=renamed, **kwargs)
    model.__class__, model.config = ClinXForTokenClassification, _config_of_one(config)
    return model


def _config_of_one(config: ClinXConfig, **changes) -> ClinXConfig:
    """The configuration of a single model that is as the members of an ensemble are."""
    settings = {name: value for name, value in config.to_dict().items() if name not in ("members", "vote", *_DERIVED)}
    return ClinXConfig(**settings | changes)


def without_adapters(ensemble, members: list[int]) -> ClinXForTokenClassification:
    """The first of these members, with the mean of their adapters added to the encoder, which the ensemble loses."""
    member = ensemble.members[members[0]]
    encoder = ensemble.members[0].encoder
    merge_adapters(encoder, members)
    member.__dict__.pop("encoder", None)
    member.encoder, member.number = encoder, 0
    member.config = _config_of_one(ensemble.config, lora_rank=None, format_version=1)
    return member


def max_positions(encoder) -> int | None:
    """The longest input that an encoder takes, in subwords; None where its configuration sets no limit."""
    n_positions = getattr(encoder.config, "max_position_embeddings", None)
    if not n_positions or n_positions < 0:
        return None
    table = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    padding_idx = getattr(table, "padding_idx", None)  # of RoBERTa and its kin, where positions begin after it
    return n_positions if padding_idx is None else n_positions - padding_idx - 1


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
    settings = {name: value for name, value in config.to_dict().items() if name not in _DERIVED}
    settings |= {"members": [place.origin for place in places], "vote": vote}
    with torch.device("meta"):
        ensemble = cls(ClinXEnsembleConfig(**settings))
    ensemble.members = nn.ModuleList(
        ClinXForTokenClassification.from_pretrained(place.name, **{**kwargs, **place.hub_kwargs}) for place in places
    )
    if len({member.encoder.dtype for member in ensemble.members}) > 1:
        ensemble.float()
    if config.lora_rank:
        _join_adapters(ensemble)
    return ensemble.eval()


def _join_adapters(ensemble) -> None:
    """Gives the first member's encoder the adapters of all; raises ValueError where another one is under them."""
    first, *others = (member.encoder for member in ensemble.members)
    weights = first.state_dict()
    for number, other in enumerate(others, 2):
        for name, weight in other.state_dict().items():
            if "lora_" not in name and not torch.equal(weight, weights[name]):
                raise ValueError(f"member {number} has adapters of another encoder than member 1: {name} differs")
    for layers in zip(*map(layers_with_adapters, (first, *others)), strict=True):
        for name in ("lora_a", "lora_b"):
            joined = torch.cat([getattr(layer, name).detach() for layer in layers])
            setattr(layers[0], name, nn.Parameter(joined))
    for member in ensemble.members:
        member.config = ensemble.config  # none is a model of its own any more
    ensemble.share_encoder()


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
