"""The temperature of a model's scores, so that they are probabilities (Guo et al. 2017), for a chain of labels."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch.nn.utils.rnn import pad_sequence

from modeling_clinx import DocumentPredictor
from modeling_clinx.labels_clinx import UNKNOWN
from modeling_clinx.prediction_clinx import MAX_POSITIONS_TO_DECODE, padded_batches

from ..corpora.alignment import align
from ..corpora.documents import Document


MOST_SUBWORDS = 100_000  # that are looked at: they bound memory and time
BOUNDS = (0.2, 10.0)

Chains = list[tuple[torch.Tensor, torch.Tensor]]  # emissions (B, T, K) and BIO labels (B, T) of whole documents


def fit_temperature(predictor: DocumentPredictor, documents: Sequence[Document]) -> float:
    """The temperature at which the annotations of all documents are the most likely.

    All scores of the model, those of its classifier and of its CRF, are to be divided by it: the best labelling of a
    document stays what it is.

    Args:
        predictor: of a single model.
        documents: annotated ones from which the model did not learn; the first are used, about 100,000 subwords.
    """
    predictor.model.eval()
    crf, chains = predictor.members[0].crf, _chains(predictor, documents)

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        scaled = deepcopy(crf)
        _divide(scaled, temperature)
        return sum(_negative_log_likelihood(scaled, emissions / temperature, labels) for emissions, labels in chains)

    if not chains:
        return 1.0
    with torch.no_grad():
        best = minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded", options={"xatol": 0.01})
    return float(np.exp(best.x))


def apply_temperature(model, temperature: float) -> None:
    """Divides the scores of a model by a temperature, in its weights: whoever loads it has nothing to know of it."""
    for module in (model.classifier, model.crf):
        _divide(module, temperature)


def _divide(module: torch.nn.Module, temperature: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter /= temperature


def _chains(predictor: DocumentPredictor, documents: Sequence[Document]) -> Chains:
    """What the model computes for the documents, those of like length together."""
    config, chains, n_subwords = predictor.model.config, [], 0
    known = [replace(d, entities=[e for e in d.entities if e.label in config.entity_types]) for d in documents]
    for aligned in align(known, predictor.tokenizer, config.entity_types, config.unit):
        if len(aligned.labels):
            chains.append(aligned)
            n_subwords += len(aligned.labels)
        if n_subwords >= MOST_SUBWORDS:
            break
    lengths = np.array([len(aligned.labels) for aligned in chains])
    return [
        _together(predictor, [chains[i] for i in group]) for group in padded_batches(lengths, MAX_POSITIONS_TO_DECODE)
    ]


def _together(predictor: DocumentPredictor, documents) -> tuple[torch.Tensor, torch.Tensor]:
    texts, tokens = [one.document.text for one in documents], [one.tokens for one in documents]
    with torch.inference_mode():
        emissions = pad_sequence(predictor.compute_emissions(texts, tokens)[0], batch_first=True)
    labels = pad_sequence([torch.from_numpy(one.labels) for one in documents], True, padding_value=UNKNOWN)
    return emissions.clone(), labels.to(emissions.device)


def _negative_log_likelihood(crf, emissions: torch.Tensor, labels: torch.Tensor) -> float:
    mask = labels != UNKNOWN
    loss, _ = crf(emissions, mask, mask.new_ones(len(mask), 2), labels)  # the mean over subwords
    return float(loss.detach()) * int(mask.sum())
