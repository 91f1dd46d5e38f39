"""Whether two models descend from the same pretrained encoder, so that their features have axes in common."""

import json
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import torch

from ..errors import InputError


COMPARED_EMBEDDINGS = 256  # rows, evenly over the vocabulary
SAME_EMBEDDINGS = 0.8  # median cosine; fine-tuning leaves it near 1, another pretraining near 0


class Encoder(NamedTuple):
    """By what a pretrained encoder is known again, also once it was fine-tuned."""

    kind: str  # as `xlm-roberta`
    hidden_size: int
    n_layers: int
    vocabulary: str  # digest of the tokenizer's
    embeddings: np.ndarray  # (COMPARED_EMBEDDINGS, …) float32 of some subwords


def describe_encoder(model, tokenizer) -> Encoder:
    """The encoder of a model, which is no ensemble but may be a member of one, and its tokenizer."""
    config = getattr(model.config, "encoder", model.config)
    table = model.get_input_embeddings().weight.detach()
    chosen = np.linspace(0, len(table) - 1, COMPARED_EMBEDDINGS).astype(np.int64)
    embeddings = table[torch.from_numpy(chosen).to(table.device)].float().cpu().numpy()
    vocabulary = sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()
    return Encoder(config.model_type, config.hidden_size, config.num_hidden_layers, vocabulary, embeddings)


def refuse_other_encoder(source: Encoder, target: Encoder) -> None:
    """Raises InputError, with what differs, unless both models descend from the same pretrained encoder.

    Of one architecture and vocabulary, they do if their word embeddings are nearly parallel: fine-tuning and further
    pretraining turn these by little, and most not at all.
    """
    different = "these are models of different encoders, whose features have no axes in common"
    for name in ("kind", "hidden_size", "n_layers", "vocabulary"):
        values = getattr(source, name), getattr(target, name)
        if values[0] != values[1]:
            found = "" if name == "vocabulary" else f": {values[0]} and {values[1]}"
            raise InputError(f"{different}: they differ in {name.replace('_', ' ')}{found}")
    lengths = np.linalg.norm(source.embeddings, axis=1) * np.linalg.norm(target.embeddings, axis=1)
    cosines = (source.embeddings * target.embeddings).sum(1)[lengths > 0] / lengths[lengths > 0]
    if len(cosines) and np.median(cosines) < SAME_EMBEDDINGS:
        raise InputError(
            f"{different}: they are alike in size and vocabulary, but the cosine of their word embeddings is "
            f"{np.median(cosines):.2f} (median), so they were pretrained apart"
        )
