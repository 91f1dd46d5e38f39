"""A source model on the disk or the Hub, as features of the target's notes."""

import torch
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer

import modeling_clinx  # noqa: F401, which makes its models known to AutoModel

from ..errors import InputError
from ..finetuning.sources import find_source
from .features import Features, read_features
from .sample import Sample


def read_source(given: str, sample: Sample) -> Features:
    """What a model makes of the sample's characters; of an ensemble its median member, from which a run would start.

    Args:
        given: folder of a model or of a run, or a name on the Hub: a token classifier, an ensemble or an encoder.

    Raises InputError for what cannot be read, and for a tokenizer that does not tell where a subword stands.
    """
    source = find_source(given)
    try:
        config = AutoConfig.from_pretrained(source.name, **source.hub_kwargs)
        is_labelling = any(kind.endswith("ForTokenClassification") for kind in config.architectures or ())
        kind = AutoModelForTokenClassification if is_labelling else AutoModel
        model = kind.from_pretrained(source.name, dtype=torch.float32, **source.hub_kwargs)
        tokenizer = AutoTokenizer.from_pretrained(source.name, **source.hub_kwargs)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the source {given}: {error}") from error
    if not tokenizer.is_fast:
        raise InputError(f"the source {given} has no fast tokenizer, which tells where subwords stand (tokenizer.json)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return read_features(model.to(device), tokenizer, sample, source.index)
