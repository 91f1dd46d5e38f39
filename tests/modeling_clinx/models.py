"""Models for tests."""

import torch
from torch import nn

from modeling_clinx import ClinXForTokenClassification


TYPES = ["FARMACO", "DOLENCIA"]


def new_model(folder, entity_types=TYPES, **config_kwargs) -> ClinXForTokenClassification:
    """A model on the encoder of `folder`, without dropout, that finds something at random."""
    torch.manual_seed(1)
    model = ClinXForTokenClassification.from_encoder(folder, entity_types, **config_kwargs).eval()
    nn.init.normal_(model.classifier.weight)
    return model
