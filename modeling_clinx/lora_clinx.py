"""Adapters of low rank (Hu et al. 2022, LoRA): each linear layer W of an encoder computes W x + B A x.

The members of an ensemble then share one encoder, whose layers have an A and a B of each.
"""

from contextvars import ContextVar

import torch
from torch import nn


READING = ContextVar("READING", default=0)  # the member, counted from 0, whose adapters are used in this thread


class LoRALinear(nn.Linear):
    """A linear layer with the adapters of N members: `lora_a` (N, rank, inputs) and `lora_b` (N, outputs, rank)."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        member = READING.get()
        inner = nn.functional.linear(inputs, self.lora_a[member])
        return super().forward(inputs) + nn.functional.linear(inner, self.lora_b[member])


def add_adapters(encoder: nn.Module, rank: int, n_members: int = 1) -> None:
    """Gives every linear layer adapters of zeros, and leaves the names of its own weights as they are."""
    for layer in [module for module in encoder.modules() if type(module) is nn.Linear]:
        layer.__class__ = LoRALinear
        layer.lora_a = nn.Parameter(layer.weight.new_zeros(n_members, rank, layer.in_features))
        layer.lora_b = nn.Parameter(layer.weight.new_zeros(n_members, layer.out_features, rank))
