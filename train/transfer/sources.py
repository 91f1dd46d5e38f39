"""A source model on the disk or the Hub, as features of the target's notes."""

import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification, AutoTokenizer

from modeling_clinx.modeling_clinx import without_pooler  # its models are known to AutoModel with that

from ..corpora.documents import Document
from ..errors import InputError
from ..finetuning.data import member_data, read_annotated
from ..finetuning.sources import find_source
from ..recipe import Recipe
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
        unused = {} if is_labelling else without_pooler(config)
        model = kind.from_pretrained(source.name, dtype=torch.float32, **unused, **source.hub_kwargs)
        tokenizer = AutoTokenizer.from_pretrained(source.name, **source.hub_kwargs)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(f"cannot read the source {given}: {error}") from error
    if not tokenizer.is_fast:
        raise InputError(f"the source {given} has no fast tokenizer, which tells where subwords stand (tokenizer.json)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return read_features(model.to(device), tokenizer, sample, source.index)


def notes_of_runs(sources: Iterable[str]) -> dict[str, list[Document]]:
    """By source, the annotated documents that it learned from, where it is a run of `clinx finetune`.

    Of an ensemble, those that its members divide. Standard error says of which run they cannot be read, and why.
    """
    notes = {}
    for name in sources:
        file = Path(name, "recipe.yaml")
        if not file.is_file() or Path(name, "blocks").exists():  # a language model's texts have no annotations
            continue
        try:
            recipe = Recipe.read(file)
            data = read_annotated(recipe)
            notes[name] = data.documents if recipe.is_ensemble else member_data(recipe, data).train
        except InputError as error:
            print(f"note: words of {name} are not compared, since its notes cannot be read: {error}", file=sys.stderr)
    return notes
