"""A model repo as a predictor."""

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification, DocumentPredictor

from ..checks import refuse_no_model
from ..errors import InputError


class Computing(NamedTuple):
    """Where a model computes, and how much at a time.

    Attributes:
        batch_size: windows that the encoder reads at a time, see `DocumentPredictor`.
        device: by default a GPU if there is one.
        max_members_in_memory: of an ensemble; the others are read from disk whenever they are needed.
        dtype: number format of the encoder's weights, as torch names it; by default that of the model repo.
    """

    batch_size: int = 16
    device: str | None = None
    max_members_in_memory: int | None = None
    dtype: str | None = None


def load_predictor(model: str, computing: Computing) -> DocumentPredictor:
    """The predictor of a model repo; raises InputError for what is no model of CLIN-X."""
    batch_size, device, max_members_in_memory, dtype = computing
    for name, value in (("batch-size", batch_size), ("max-members-in-memory", max_members_in_memory)):
        if value is not None and value < 1:
            raise InputError(f"found {value} for {name}, expected 1 or more")
    device = checked_device(device)
    refuse_no_model(model)
    try:
        if max_members_in_memory is None:
            network = AutoModelForTokenClassification.from_pretrained(model, dtype=dtype or "auto").to(device)
        elif hasattr(AutoConfig.from_pretrained(model), "members"):
            placed = {"max_members_in_memory": max_members_in_memory, "device_map": device}
            network = AutoModelForTokenClassification.from_pretrained(model, dtype=dtype or "auto", **placed)
        else:
            raise InputError(f"{model} is a single model: max-members-in-memory is about an ensemble")
        tokenizer = AutoTokenizer.from_pretrained(model)
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        fault = error if Path(model).is_dir() else f"no such folder, and none on the Hub that can be read: {error}"
        raise InputError(f"cannot load the model {model}: {fault}") from error
    if not isinstance(network, (ClinXForTokenClassification, ClinXEnsembleForTokenClassification)):
        raise InputError(f"{model} is a {type(network).__name__}, expected a model or an ensemble of CLIN-X")
    return DocumentPredictor(network, tokenizer, batch_size)


def checked_device(name: str | None) -> str:
    """The device, by default a GPU if there is one; raises InputError for one on which nothing can be computed."""
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, ImportError):  # in this order: unknown, not compiled in, no such backend
        here = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        here += ["mps"] if torch.backends.mps.is_available() else []
        raise InputError(f"found the device {name!r}, expected one that is here: {', '.join(here)}") from None
    return name
