"""Dropout on the encoder's output, also of whole features and whole positions, as the paper's authors trained."""

import torch
from torch import nn


class LockedDropout(nn.Module):
    """Dropout of features, the same ones at all positions of a window (Gal & Ghahramani 2016); (B, T, D) to (B, T, D).

    Args:
        probability: of a feature to be zero; the others are scaled, so that their expectation stays.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        features_first = hidden.transpose(1, 2)  # (B, D, T): what is dropped is a row
        return nn.functional.dropout1d(features_first, self.probability, self.training).transpose(1, 2)


class WordDropout(nn.Module):
    """Zeroes whole positions, and scales none (Iyyer et al. 2015, as flair has it); (B, T, D) to (B, T, D).

    Args:
        probability: of a position to be zero.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.probability:
            return hidden
        return hidden * torch.empty_like(hidden[..., :1]).bernoulli_(1 - self.probability)


def output_dropout(dropout: float, locked_dropout: float, word_dropout: float) -> nn.Module:
    """What stands between encoder and classifier while a model is trained; it has no weights, so none are saved."""
    if not (locked_dropout or word_dropout):
        return nn.Dropout(dropout)
    return nn.Sequential(WordDropout(word_dropout), LockedDropout(locked_dropout), nn.Dropout(dropout))
