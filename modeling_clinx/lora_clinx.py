"""Adapters of low rank (Hu et al. 2022, LoRA): what is learned is added to a pretrained encoder, which stays as it was.

The members of an ensemble then share one encoder: each of its linear layers has the matrices of all of them.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn


_MEMBER = ContextVar("member", default=0)


class LoRALinear(nn.Linear):
    """A linear layer W with what N members add to it: W + scale · B A, with the A and B of the member that reads."""

    lora_a: nn.Parameter  # (N, rank, inputs)
    lora_b: nn.Parameter  # (N, outputs, rank)
    scale: float

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        member = _MEMBER.get() if len(self.lora_a) > 1 else 0
        added = nn.functional.linear(inputs, self.lora_a[member])
        return super().forward(inputs) + nn.functional.linear(added, self.lora_b[member]) * self.scale

    def reset_adapters(self) -> None:
        """Adapters that change nothing yet."""
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        nn.init.zeros_(self.lora_b)


@contextmanager
def reading_as(member: int) -> Iterator[None]:
    """Layers with adapters of several members use those of this one, in this thread."""
    before = _MEMBER.set(member)
    try:
        yield
    finally:
        _MEMBER.reset(before)


def add_adapters(encoder: nn.Module, rank: int, alpha: float, n_members: int = 1) -> None:
    """Gives every linear layer of the encoder new adapters, scaled by alpha / rank; they alone are trained."""
    encoder.requires_grad_(False)
    for layer in [module for module in encoder.modules() if type(module) is nn.Linear]:
        layer.__class__ = LoRALinear  # in its place, so that the names of its weights stay
        new = {"dtype": layer.weight.dtype, "device": layer.weight.device}
        layer.lora_a = nn.Parameter(torch.empty(n_members, rank, layer.in_features, **new))
        layer.lora_b = nn.Parameter(torch.empty(n_members, layer.out_features, rank, **new))
        layer.scale = alpha / rank
        layer.reset_adapters()


def layers_with_adapters(encoder: nn.Module) -> list[LoRALinear]:
    """In the order of the encoder's modules."""
    return [module for module in encoder.modules() if isinstance(module, LoRALinear)]


def merge_adapters(encoder: nn.Module, members: list[int]) -> None:
    """Adds the mean of what these members add to the encoder's weights, and makes it one without adapters."""
    with torch.no_grad():
        for layer in layers_with_adapters(encoder):
            added = torch.einsum("nor,nri->oi", layer.lora_b[members], layer.lora_a[members])
            layer.weight += added * (layer.scale / len(members))
            del layer.lora_a, layer.lora_b, layer.scale
            layer.__class__ = nn.Linear
    encoder.requires_grad_(True)


def share_encoder(members: list) -> None:
    """Makes members with one adapter each read with the encoder of the first, which gets the adapters of all.

    Raises ValueError where another encoder is under them; names the weight.
    """
    first, *others = members
    layers = [layers_with_adapters(member.encoder) for member in members]
    weights = first.encoder.state_dict()
    for number, other in enumerate(others, 1):
        for name, weight in other.encoder.state_dict().items():
            if "lora_" not in name and not torch.equal(weight, weights[name]):
                raise ValueError(f"member {number + 1} has adapters of another encoder than member 1: {name} differs")
    with torch.no_grad():
        for of_members in zip(*layers, strict=True):
            for name in ("lora_a", "lora_b"):
                setattr(of_members[0], name, nn.Parameter(torch.cat([getattr(one, name) for one in of_members])))
    for number, other in enumerate(others, 1):
        other.read_with(first.encoder, number)
