"""One model for the price of one: it learns the marginals of an ensemble, over annotated and other notes."""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from modeling_clinx import DocumentPredictor
from modeling_clinx.crf_clinx import compact
from modeling_clinx.lattice_clinx import expected_pairs
from modeling_clinx.windows_clinx import tokenize

from ..checks import refuse_no_model
from ..console import Progress
from ..corpora.documents import Document
from ..errors import InputError


NEGLIGIBLE = 1e-4  # probabilities below are left out: a thousand windows would fill gigabytes with them


def entity_types_of_teacher(teacher: str) -> list[str]:
    """Raises InputError where there is no model of this project."""
    try:
        refuse_no_model(teacher)
        config = AutoConfig.from_pretrained(teacher)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the ensemble {teacher}: {error}") from error
    if not hasattr(config, "entity_types"):
        raise InputError(f"cannot load the ensemble {teacher}: it is {config.model_type}, expected a CLIN-X model")
    return config.entity_types


def add_teacher_marginals(
    features: list[dict], documents: Sequence[Document], teacher: str, tokenizer, config, batch_size: int
) -> None:
    """Adds what the ensemble `teacher` finds in the documents to the features that `label_windows` made of them.

    Each gets `teacher_tags`, the members' mean marginals of tags in its core, and `teacher_pairs`, those of tag pairs
    summed over the core; both as (indices, values), negligible ones left out.

    Raises InputError where the teacher cannot be loaded, or labels other types, units or tags than the student will.
    """
    predictor = _load_teacher(teacher, tokenizer, config, batch_size)
    windows = iter(features)
    for document in Progress("Reading as the ensemble", "notes", len(documents)).through(documents):
        tokens = tokenize(predictor.tokenizer, [document.text], config.unit)
        size = int(tokens[0].chain.sum())
        document_windows, cuts = [], [0]
        while cuts[-1] < size:
            document_windows.append(next(windows))
            cuts.append(cuts[-1] + int(document_windows[-1]["core_mask"].sum()))
        if not document_windows:
            continue
        tags, pairs = _marginals(predictor, document.text, tokens, size, cuts)
        for feature, core, between in zip(document_windows, np.split(tags, cuts[1:-1]), pairs, strict=True):
            core = np.where(core < NEGLIGIBLE, 0.0, core)
            core /= core.sum(1, keepdims=True)
            between = np.where(between < NEGLIGIBLE, 0.0, between)
            between *= (len(core) - 1) / max(between.sum(), NEGLIGIBLE)
            at, tag = np.nonzero(core)
            feature["teacher_tags"] = (np.flatnonzero(feature["core_mask"])[at], tag), core[at, tag]
            feature["teacher_pairs"] = np.nonzero(between), between[np.nonzero(between)]


def _load_teacher(teacher: str, tokenizer, config, batch_size: int) -> DocumentPredictor:
    """The ensemble, on the GPU if there is one; raises InputError as `add_teacher_marginals` does."""
    try:
        model = AutoModelForTokenClassification.from_pretrained(teacher)
        teacher_tokenizer = AutoTokenizer.from_pretrained(teacher)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot load the ensemble {teacher}: {error}") from error
    for name in ("entity_types", "scheme", "unit", "head"):  # a linear head knows no forbidden pairs, a CRF does
        if getattr(model.config, name, None) != getattr(config, name):
            raise InputError(
                f"{teacher} has {name} {getattr(model.config, name, None)}, expected {getattr(config, name)}: a "
                "student labels what its teacher does"
            )
    if teacher_tokenizer.get_vocab() != tokenizer.get_vocab():
        raise InputError(f"{teacher} reads with another tokenizer than the encoder: their marginals do not match")
    return DocumentPredictor(model.to("cuda" if torch.cuda.is_available() else "cpu"), teacher_tokenizer, batch_size)


@torch.inference_mode()
def _marginals(predictor: DocumentPredictor, text: str, tokens, size: int, cuts: list[int]):
    """The members' mean marginals (T, K) of a document, and those of its tag pairs (K, K), summed between the cuts."""
    predictor.model.eval()
    tags, pairs = 0.0, 0.0
    for member, (emissions,) in zip(predictor.members, predictor.compute_emissions([text], tokens), strict=True):
        edges = torch.ones(1, 2, dtype=torch.bool, device=emissions.device)
        blocks = list(member.crf.posteriors(emissions[None], torch.tensor([size], device=emissions.device), edges))
        alpha, prior, beta = (
            torch.cat([getattr(lattice, name) for _, lattice in reversed(blocks)])  # (T, 1, K)
            for name in ("alpha", "prior", "beta")
        )
        log_psi, domain = member.crf.potentials().log_psi, blocks[0][1].domain
        tags = tags + domain.plain(domain.times(prior, beta))[:, 0].cpu().numpy()
        pairs = pairs + np.stack(
            [
                expected_pairs(alpha[a : b - 1], beta[a + 1 : b], log_psi, domain)[0].cpu().numpy()
                for a, b in itertools.pairwise(cuts)
            ]
        )
    return tags / len(predictor.members), pairs / len(predictor.members)


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
