"""Several token classifiers as one model: `DocumentPredictor` and the pipeline let its members vote."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from transformers import AutoTokenizer
from transformers.utils import cached_file
from transformers.utils.hub import extract_commit_hash

from .configuration_clinx import ClinXConfig, ClinXEnsembleConfig
from .modeling_clinx import ClinXForTokenClassification, ClinXModel, ClinXOutput, ClinXPreTrainedModel


if TYPE_CHECKING:  # transformers carries along the files that a file itself imports, which it finds by their text
    from .crf_clinx import ClinXCRF  # noqa: F401
    from .decoding_clinx import MemberDecodings  # noqa: F401
    from .labels_clinx import TagSet  # noqa: F401
    from .lattice_clinx import Lattice  # noqa: F401
    from .pipeline_clinx import ClinXPipeline  # noqa: F401
    from .prediction_clinx import DocumentPredictor  # noqa: F401
    from .vote_clinx import vote  # noqa: F401
    from .windows_clinx import Window  # noqa: F401

_HUB_KWARGS = ("token", "cache_dir", "local_files_only", "revision", "subfolder", "force_download", "proxies")
_IRRELEVANT = re.compile("dropout|dtype|version|_path|architectures|cache|checkpointing|position_embedding|token_id")


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


class ClinXEnsembleModel(ClinXPreTrainedModel):
    """The first member's encoder, for `AutoModel`; takes and returns what the encoder does."""

    config_class = ClinXEnsembleConfig
    base_model_prefix = ""
    _keys_to_ignore_on_load_unexpected = [r"^members\.(?!0\.encoder\.)"]

    def __init__(self, config: ClinXEnsembleConfig):
        super().__init__(config)
        self.members = nn.ModuleList([ClinXModel(config)])
        self.post_init()

    @property
    def encoder(self):
        return self.members[0].encoder

    def forward(self, *args, **kwargs):
        return self.members[0](*args, **kwargs)


class ClinXEnsembleForTokenClassification(ClinXPreTrainedModel):
    """An ensemble of `ClinXForTokenClassification` (Lange et al. 2022, section 3.3: training on random splits).

    `from_members` puts it together; `from_pretrained` loads what `save_pretrained` wrote.
    """

    config_class = ClinXEnsembleConfig
    base_model_prefix = ""
    accepts_loss_kwargs = False
    _no_split_modules = ["ClinXForTokenClassification"]  # a device holds whole members

    def __init__(self, config: ClinXEnsembleConfig):
        super().__init__(config)
        self.members = nn.ModuleList(ClinXForTokenClassification(config) for _ in config.members)
        self._keep_in_fp32_modules_strict = ["classifier"] if config.head == "linear" else ["classifier", "crf"]
        self.post_init()

    @classmethod
    def from_members(cls, members, *, vote: str = "majority", **kwargs):
        """An ensemble of models that were fine-tuned on the same labels, from encoders of one kind.

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
            ClinXForTokenClassification.from_pretrained(place.name, **{**kwargs, **place.hub_kwargs})
            for place in places
        )
        return ensemble.eval()

    @classmethod
    def from_pretrained(cls, name_or_path, *args, max_members_in_memory: int | None = None, **kwargs):
        """As `PreTrainedModel.from_pretrained`.

        Args:
            max_members_in_memory: keep no more members than this in memory; the encoders of the others are read from
                disk each time that they are needed, layer by layer, which is slower. `device_map` may then name one
                device, by default the CPU.

        Raises ValueError for `max_members_in_memory` below 1, or with a `device_map` of several devices.
        """
        if max_members_in_memory is not None:
            home = "cpu" if kwargs.get("device_map") is None else kwargs["device_map"]
            if max_members_in_memory < 1 or home == "auto" or isinstance(home, dict):
                raise ValueError(f"max_members_in_memory is {max_members_in_memory}: at least 1, on one device")
            config = kwargs.get("config") or cls.config_class.from_pretrained(name_or_path, **kwargs)
            kwargs["device_map"] = {
                f"members.{i}.{part}": "disk" if part == "encoder" and i >= max_members_in_memory else home
                for i in range(len(config.members))
                for part in ("encoder", "dropout", "crf", "classifier")
            }
        return super().from_pretrained(name_or_path, *args, **kwargs)

    def forward(
        self, input_ids, attention_mask=None, token_type_ids=None, core_mask=None, edge_mask=None, labels=None
    ) -> ClinXOutput:
        """The members' mean loss and mean label probabilities for a batch of windows; see the members' `forward`.

        Voting is over whole documents: see `DocumentPredictor`. `emissions` are (N, B, T, K).
        """
        inputs = (input_ids, attention_mask, token_type_ids, core_mask, edge_mask, labels)
        outputs = [(out.loss, out.logits, out.emissions) for out in (member(*inputs) for member in self.members)]
        loss, logits, emissions = (
            None if parts[0] is None else torch.stack([part.to(parts[0].device) for part in parts])
            for parts in zip(*outputs, strict=True)
        )
        logits = logits.double().exp().mean(0).log().float()
        return ClinXOutput(loss if loss is None else loss.mean(), logits, emissions)


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


ClinXEnsembleModel.register_for_auto_class("AutoModel")
ClinXEnsembleForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
