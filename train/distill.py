"""One model for the price of one: it learns the marginals of an ensemble, over annotated and other notes."""

from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoModelForTokenClassification, AutoTokenizer

from modeling_clinx.crf_clinx import Lattice, compact
from modeling_clinx.prediction_clinx import DocumentPredictor
from modeling_clinx.windows_clinx import tokenize

from .documents import Document
from .errors import InputError


NEGLIGIBLE = 1e-4  # probabilities below are left out: a thousand windows would fill gigabytes with them


def taught(
    features: list[dict], documents: Sequence[Document], teacher: str, tokenizer, config, batch_size: int
) -> None:
    """Adds what the ensemble `teacher` finds in the documents to the features that `window_features` made of them.

    Each gets `teacher_tags`, the members' mean marginals of tags in its core, and `teacher_pairs`, those of tag pairs
    summed over the core; both as (indices, values), negligible ones left out.

    Raises:
        InputError: the teacher cannot be loaded, or labels other types, units or tags than the student will.
    """
    try:
        model = AutoModelForTokenClassification.from_pretrained(teacher)
        theirs = AutoTokenizer.from_pretrained(teacher)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the ensemble {teacher}: {error}") from error
    for name in ("entity_types", "scheme", "unit"):
        if getattr(model.config, name, None) != getattr(config, name):
            raise InputError(
                f"{teacher} has {name} {getattr(model.config, name, None)}, expected {getattr(config, name)}: a "
                "student labels what its teacher does"
            )
    if theirs.get_vocab() != tokenizer.get_vocab():
        raise InputError(f"{teacher} reads with another tokenizer than the encoder: their marginals do not match")
    predictor = DocumentPredictor(model.to("cuda" if torch.cuda.is_available() else "cpu"), theirs, batch_size)
    windows = iter(features)
    bar = tqdm(documents, "Reading as the ensemble", disable=None)
    for size, marginals in _documents(predictor, (document.text for document in bar)):
        first = 0
        while first < size:
            feature = next(windows)
            position = np.flatnonzero(feature["core_mask"])
            tags, pairs = marginals(first, first + len(position))
            first += len(position)
            tags = np.where(tags < NEGLIGIBLE, 0.0, tags)
            tags /= tags.sum(1, keepdims=True)
            pairs = np.where(pairs < NEGLIGIBLE, 0.0, pairs)
            pairs *= (len(position) - 1) / max(pairs.sum(), NEGLIGIBLE)
            at, tag = np.nonzero(tags)
            feature["teacher_tags"] = (position[at], tag), tags[at, tag]
            feature["teacher_pairs"] = np.nonzero(pairs), pairs[np.nonzero(pairs)]


@torch.inference_mode()
def _documents(predictor: DocumentPredictor, texts):
    """Yields the length of each chain, and a function of its first and last positions that gives (T, K) and (K, K)."""
    crfs = [member.crf for member in predictor.members]
    predictor.model.eval()
    for text in texts:
        tokens = tokenize(predictor.tokenizer, [text], predictor.model.config.unit)
        size = int(tokens[0].chain.sum())
        if not size:
            continue
        lattices = []
        for crf, (emissions,) in zip(crfs, predictor.emissions([text], tokens, np.array([size])), strict=True):
            edges = torch.ones(1, 2, dtype=torch.bool, device=emissions.device)
            blocks = crf.posteriors(emissions[None], torch.tensor([size], device=emissions.device), edges)
            parts = zip(*(lattice for _, lattice in reversed(list(blocks))), strict=True)
            lattices.append(Lattice(*(torch.cat(part)[:, 0] if part[0].dim() == 3 else None for part in parts)))

        def marginals(first, stop, lattices=lattices):
            tags = [(lattice.prior * lattice.beta)[first:stop] for lattice in lattices]
            pairs = [
                crf._psi()[0] * (lattice.alpha[first : stop - 1].t() @ lattice.beta[first + 1 : stop])
                for crf, lattice in zip(crfs, lattices, strict=True)
            ]
            return [(sum(one) / len(crfs)).cpu().numpy() for one in (tags, pairs)]

        yield size, marginals


def distillation_loss(crf, emissions, core_mask, edge_mask, teacher_tags, teacher_pairs) -> torch.Tensor:
    """log Z of the student minus the expected score of a labelling under the teacher, the mean over the core.

    Its gradient is the difference of the student's and the teacher's marginals: no second derivatives. It is the
    cross-entropy of the two distributions over labellings, for the part of the teacher that a chain can hold.

    Args:
        emissions: (B, T, K) of the student.
        core_mask: (B, T) bool.
        edge_mask: (B, 2) bool.
        teacher_tags: (B, T, K) marginals, 0 off the core.
        teacher_pairs: (B, K, K) marginals of neighbouring tags, summed over the core.
    """
    index, lengths = compact(core_mask)
    wide = index[..., None].expand(-1, -1, emissions.shape[-1])
    chain = emissions.gather(1, wide)
    log_z, _ = crf.log_partition(chain, lengths, edge_mask)
    tags = teacher_tags.gather(1, wide).double()
    expected = (tags * chain).sum((1, 2))
    if crf.transitions is not None:
        last = tags[torch.arange(len(tags)), (lengths - 1).clamp(min=0)]
        expected = expected + (teacher_pairs.double() * crf.transitions).sum((1, 2))
        expected = expected + (tags[:, 0] @ crf.start.double()) * edge_mask[:, 0]
        expected = expected + (last @ crf.end.double()) * edge_mask[:, 1]
    return (log_z - expected).sum() / lengths.sum().clamp(min=1)
