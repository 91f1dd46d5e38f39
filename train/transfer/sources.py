"""A source model on the disk or the Hub, as features of the target's notes."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer

import modeling_clinx  # noqa: F401, which makes its models known to AutoModel

from ..errors import InputError
from .features import Features, read_features
from .sample import Sample


def read_source(name: str, sample: Sample) -> Features:
    """What a model makes of the sample's characters.

    Args:
        name: folder of a model or of a run, or a name on the Hub: a token classifier, an ensemble or an encoder.

    Raises InputError for what cannot be read, and for a tokenizer that does not tell where a subword stands.
    """
    folder = Path(name, "model")
    place = str(folder) if (folder / "config.json").is_file() else name
    try:
        config = AutoConfig.from_pretrained(place)
        is_labelling = any(kind.endswith("ForTokenClassification") for kind in config.architectures or ())
        kind = AutoModelForTokenClassification if is_labelling else AutoModel
        model = kind.from_pretrained(place, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError) as error:
        fault = error if Path(place).is_dir() else f"no such folder, and none on the Hub that can be read: {error}"
        raise InputError(f"cannot read the source {name}: {fault}") from error
    if not tokenizer.is_fast:
        raise InputError(f"the source {name} has no fast tokenizer, which tells where subwords stand (tokenizer.json)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return read_features(model.to(device), tokenizer, sample)
