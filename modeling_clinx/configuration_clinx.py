"""The configuration of a CLIN-X model: an encoder, the entity types, and how text becomes windows and labels."""

from transformers import AutoConfig, PretrainedConfig


FORMAT_VERSION = 2  # 1, or 2 with adapters, which earlier releases would leave out
CHOICES = {
    "head": ("crf", "linear"),
    "scheme": ("BIOSE", "BIO"),
    "unit": ("subword", "word"),
    "segmentation": ("packed", "sentence"),
    "vote": ("majority", "average"),
}
# What a load cannot change.
_OF_WEIGHTS = ("entity_types", "head", "scheme", "lora_rank", "id2label", "label2id", "num_labels")


def _check_choices(**settings: str) -> None:
    for name, value in settings.items():
        if value not in CHOICES[name]:
            raise ValueError(f"{name} is {value!r}, expected one of {', '.join(CHOICES[name])}")


def _check_format(version: int) -> None:
    if version > FORMAT_VERSION:
        raise ValueError(
            f"this model was saved in CLIN-X format {version}, but the code at hand knows formats up to "
            f"{FORMAT_VERSION}: load it with the code of its own repo (trust_remote_code=True) or a newer release"
        )


def _check_names(entity_types) -> None:
    if isinstance(entity_types, str):
        raise ValueError(f"entity_types is {entity_types!r}, expected a list of names")
    names = list(entity_types)
    if wrong := [name for name in names if name == "O" or not str(name).strip() or names.count(name) > 1]:
        needed = "a name of its own that is not empty and other than O, which means no entity"
        raise ValueError(f"entity_types has {wrong}: each needs {needed}")


def _check_same(kwargs: dict, own: dict, reason: str) -> None:
    """Takes the settings in `own` out of `kwargs`; raises ValueError for one that is given there and differs."""
    for name, value in own.items():
        given = kwargs.pop(name, None)
        if name == "id2label" and given is not None:  # whose keys are strings in a file
            given = {int(i): label for i, label in given.items()}
        if given is not None and given != value and not (isinstance(given, tuple) and list(given) == value):
            advice = "leave it out, or begin a new model with ClinXForTokenClassification.from_encoder"
            raise ValueError(f"{name} is {given!r}, but {reason} {value!r}: {advice}")


def _custom_pipelines() -> dict:
    """The pipelines of a repo; a new dict each time, since `pipeline()` replaces the class names in it by classes."""
    return {
        task: {"impl": "pipeline_clinx.ClinXPipeline", "pt": ["AutoModelForTokenClassification"], "type": "text"}
        for task in ("ner", "token-classification")
    }


class PrivateByDefault:
    """A push makes a private repo unless it says `private=False`: clinical models may remember text."""

    def push_to_hub(self, *args, private: bool | None = None, **kwargs):
        return super().push_to_hub(*args, private=private is not False, **kwargs)

    def save_pretrained(self, *args, **kwargs):
        if kwargs.get("push_to_hub"):
            kwargs["private"] = kwargs.get("private") is not False
        return super().save_pretrained(*args, **kwargs)


class ClinXConfig(PrivateByDefault, PretrainedConfig):
    """Configuration of a CLIN-X token classifier (Lange et al. 2022, section 3).

    Keyword arguments besides are those of `PretrainedConfig`.

    Args:
        encoder: configuration of the encoder (a `PretrainedConfig`, or a dict with its `model_type`).
        entity_types: names of the entity types; `id2label` is derived: `O`, then `B-X`, `I-X` for each type X.
        head: `crf`, or `linear`: the same chain without transitions and constraints.
        scheme: the labels inside of the model, `BIOSE` or `BIO`. Outside it is always BIO.
        unit: what a label stands on: every `subword`, or the first subword of every `word`.
        segmentation: `packed` (a window's core holds as many whole sentences as fit) or `sentence` (one each).
        context_size: subwords of document context on each side of a window's core; at most a quarter of the window.
        window_length: the longest window in subwords, special tokens included.
        dropout: dropout probability before the classifier.
        lora_rank: rank of the adapters (LoRA, Hu et al. 2022) that are trained in each linear layer of the encoder and
            leave its own weights as they were; None trains the encoder.
        special_ids: ids of the tokenizer's special tokens, which never carry a label.
        format_version: the oldest version of this format that can read the model.

    Raises ValueError for an unknown choice, entity types that are twice there, empty or `O`, a size out of range, a
    newer format, or an `id2label`, `label2id` or `num_labels` that the entity types do not give.
    """

    model_type = "clinx"
    sub_configs = {"encoder": AutoConfig}
    _repo_code = {
        "AutoConfig": "configuration_clinx.ClinXConfig",
        "AutoModel": "modeling_clinx.ClinXModel",
        "AutoModelForTokenClassification": "modeling_clinx.ClinXForTokenClassification",
    }
    keys_to_ignore_at_inference = ["emissions"]
    vote = None  # a single model decides alone

    def __init__(
        self,
        encoder=None,
        entity_types=(),
        head="crf",
        scheme="BIOSE",
        unit="subword",
        segmentation="packed",
        context_size=100,
        window_length=512,
        dropout=0.1,
        lora_rank=None,
        special_ids=(),
        format_version=1,
        **kwargs,
    ):
        _check_format(format_version)
        _check_choices(head=head, scheme=scheme, unit=unit, segmentation=segmentation)
        _check_names(entity_types)
        if context_size < 0 or window_length < 8 or (lora_rank is not None and lora_rank < 1):
            sizes = f"context_size {context_size} must be >= 0, window_length {window_length} at least 8"
            raise ValueError(f"{sizes}, lora_rank {lora_rank} at least 1")
        self.encoder = AutoConfig.for_model(**encoder) if isinstance(encoder, dict) else encoder
        self.entity_types, self.special_ids = list(entity_types), list(special_ids)
        self.head, self.scheme, self.unit, self.segmentation = head, scheme, unit, segmentation
        self.context_size, self.window_length, self.dropout = context_size, window_length, dropout
        self.lora_rank, self.format_version = lora_rank, max(format_version, 2 if lora_rank else 1)
        labels = ["O"] + [f"{prefix}-{name}" for name in self.entity_types for prefix in "BI"]
        derived = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        _check_same(kwargs, {**derived, "num_labels": len(labels)}, f"entity_types {self.entity_types} give")
        of_repo = {"auto_map": dict(self._repo_code), "custom_pipelines": _custom_pipelines()}
        super().__init__(**{**derived, **of_repo, **kwargs})

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """As `PretrainedConfig.from_dict`; raises ValueError for a setting that disagrees with the saved weights, or is
        none."""
        saved = cls(**config_dict)
        _check_same(kwargs, {name: getattr(saved, name) for name in _OF_WEIGHTS}, "this model was saved with")
        cls(**config_dict | {name: kwargs[name] for name in kwargs.keys() & config_dict.keys()})  # checks its choices
        return super().from_dict(config_dict, **kwargs)

    def to_dict(self):
        """A saved configuration names the code saved beside it, and no folder of the machine that it was made on."""
        saved = {**super().to_dict(), "auto_map": dict(self._repo_code), "custom_pipelines": _custom_pipelines()}
        (saved.get("encoder") or {}).pop("_name_or_path", None)
        return saved


class ClinXEnsembleConfig(ClinXConfig):
    """Configuration of an ensemble whose members all have the settings of one `ClinXConfig`.

    Args:
        members: where each member came from, `name@commit` on the Hub, or `local`.
        vote: `majority` of the members' labels at each subword, or `average` of their marginals.
    """

    model_type = "clinx-ensemble"
    _repo_code = {
        "AutoConfig": "configuration_clinx.ClinXEnsembleConfig",
        "AutoModel": "ensemble_clinx.ClinXEnsembleModel",
        "AutoModelForTokenClassification": "ensemble_clinx.ClinXEnsembleForTokenClassification",
    }

    def __init__(self, encoder=None, members=(), vote="majority", **kwargs):
        _check_choices(vote=vote)
        self.members, self.vote = list(members), vote
        super().__init__(encoder, **kwargs)
