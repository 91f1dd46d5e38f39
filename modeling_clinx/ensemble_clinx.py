"""Several token classifiers as one model: `DocumentPredictor` and the pipeline let its members vote."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import AutoTokenizer

from .configuration_clinx import ClinXEnsembleConfig
from .modeling_clinx import ClinXForTokenClassification, ClinXModel, ClinXOutput, ClinXPreTrainedModel


if TYPE_CHECKING:  # transformers carries along the files that a file itself imports, which it finds by their text
    from .crf_clinx import ClinXCRF  # noqa: F401
    from .labels_clinx import TagSet  # noqa: F401
    from .pipeline_clinx import ClinXPipeline  # noqa: F401
    from .prediction_clinx import DocumentPredictor  # noqa: F401
    from .vote_clinx import vote  # noqa: F401
    from .windows_clinx import Window  # noqa: F401


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

        Raises:
            ValueError: no members, or two that differ in tokenizer, labels or another setting; names the difference.
        """
        models, origins, first = [], [], None
        hub_kwargs = {name: kwargs[name] for name in ("token", "cache_dir", "local_files_only") if name in kwargs}
        for member in map(str, members):
            is_local = Path(member).is_dir()
            name, _, revision = (member, "", "") if is_local else member.partition("@")
            pinned = {"revision": revision} if revision else {}
            model = ClinXForTokenClassification.from_pretrained(name, **kwargs, **pinned)
            traits = _traits(model.config, AutoTokenizer.from_pretrained(name, **hub_kwargs, **pinned))
            first = first or (member, traits)
            if difference := _difference(first[1], traits):
                raise ValueError(f"{first[0]} and {member} cannot vote together: they differ in {difference}")
            models.append(model)
            origins.append("local" if is_local else f"{name}@{getattr(model.config, '_commit_hash', None) or revision}")
        if not models:
            raise ValueError("an ensemble needs at least one member")
        settings = {**models[0].config.to_dict(), "members": origins, "vote": vote}
        for name in ("model_type", "auto_map", "custom_pipelines", "architectures"):
            settings.pop(name, None)
        with torch.device("meta"):
            ensemble = cls(ClinXEnsembleConfig(**settings))
        ensemble.members = nn.ModuleList(models)
        return ensemble.eval()

    @classmethod
    def from_pretrained(cls, name_or_path, *args, max_members_in_memory: int | None = None, **kwargs):
        """As `PreTrainedModel.from_pretrained`.

        Args:
            max_members_in_memory: keep no more members than this in memory; the encoders of the others are read from
                disk each time that they are needed, layer by layer, which is slower.
        """
        if max_members_in_memory is not None:
            config = kwargs.get("config") or cls.config_class.from_pretrained(name_or_path, **kwargs)
            home = kwargs.get("device_map") or "cpu"
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
        outputs = [member(*inputs) for member in self.members]
        logits = torch.stack([output.logits for output in outputs]).double().exp().mean(0).log().float()
        loss = None if labels is None else torch.stack([output.loss for output in outputs]).mean()
        return ClinXOutput(loss=loss, logits=logits, emissions=torch.stack([output.emissions for output in outputs]))


def _traits(config, tokenizer) -> dict:
    """What members must have in common, by its name."""
    settings = config.to_dict()
    for name in ("dropout", "dtype", "torch_dtype", "transformers_version", "_name_or_path", "architectures"):
        settings.pop(name, None)
        settings["encoder"].pop(name, None)
    encoder = {f"encoder's {name}": value for name, value in settings.pop("encoder").items()}
    backend = {**json.loads(tokenizer.backend_tokenizer.to_str()), "truncation": None, "padding": None}
    vocabulary = {"tokenizer's vocabulary": tokenizer.get_vocab()}
    return {**settings, **encoder, **vocabulary, **{f"tokenizer's {name}": value for name, value in backend.items()}}


def _difference(ours: dict, theirs: dict) -> str:
    for name in [*ours, *(theirs.keys() - ours.keys())]:
        a, b = ours.get(name), theirs.get(name)
        if a != b:
            if isinstance(a, (dict, list)) and isinstance(b, (dict, list)):
                a, b = ([x for x in one if x not in other][:3] or f"{len(one)}" for one, other in ((a, b), (b, a)))
            return f"{name}: {a} and {b}"
    return ""


ClinXEnsembleModel.register_for_auto_class("AutoModel")
ClinXEnsembleForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
