"""What models make of the same characters of the target's notes: features, and probabilities of their labels.

Models with different tokenizers have no subwords in common, but the text: each is looked up at the subword that covers
a sampled character. Letters: n sampled characters, n' of them covered, T subwords, D hidden, K tags, L labels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from modeling_clinx import ClinXConfig
from modeling_clinx.building import max_positions
from modeling_clinx.lattice_clinx import with_float64
from modeling_clinx.windows_clinx import Tokens, special_affixes, tokenize, windows

from ..console import Progress
from ..errors import InputError
from ..finetuning.encoders import Encoder, describe_encoder, refuse_other_encoder
from .sample import Sample


class Features(NamedTuple):
    """What a model makes of the characters of a sample; rows of characters that it does not cover are NaN."""

    covered: np.ndarray  # (n,) bool, whether a labelled subword of the model stands there
    last: np.ndarray  # (n, D) float32 output of the encoder's last layer
    mean: np.ndarray  # (n, D) float32 mean over the outputs of all layers, the embeddings not among them
    marginals: np.ndarray | None  # (n, L) float64 probabilities of the labels; None of an encoder alone
    labels: list[str] | None  # L names, as the model has them
    encoder: Encoder


def read_features(model, tokenizer, sample: Sample, member: int = 0) -> Features:
    """What a model makes of the characters of a sample, on the device where it lies.

    Text is tokenized and divided into windows as the model's own prediction does it; of a model that is not of CLIN-X,
    as a new one on its encoder would. Windows are read one at a time, never padded: so a feature depends on its window
    alone, to the last bit, and not on what else is read. Padded batches are slower on a CPU, and differ by rounding.

    Args:
        model: an encoder, a CLIN-X model or ensemble, or any other token classifier; in float32, its scores are exact.
        tokenizer: its fast tokenizer.
        member: which model of an ensemble is read, counted from 0.

    Of a CLIN-X model the marginals are its CRF's, exact over the whole document, folded to BIO; of others the softmax
    of their logits.

    Raises InputError where the model covers none of the characters, and ValueError for another kind of model, a member
    that is not there, and a slow tokenizer.
    """
    reader = _Reader(model, tokenizer, member)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            notes = Progress("Reading the sample", "notes", len(sample.documents)).through(sample.documents)
            rows = [
                reader.read(note.text, sample.characters[sample.numbers == number]) for number, note in enumerate(notes)
            ]
            encoder = describe_encoder(reader.part, tokenizer)
    finally:
        model.train(was_training)
    covered, last, mean, marginals = zip(*rows, strict=True)
    covered = np.concatenate(covered)
    if not covered.any():
        raise InputError(f"the tokenizer of the model covers none of {len(covered)} words: expected one of text")
    last, mean = _at_covered(covered, last), _at_covered(covered, mean)
    marginals = None if reader.labels is None else _at_covered(covered, marginals)
    return Features(covered, last, mean, marginals, reader.labels, encoder)


def covered_by_all(features: Sequence[Features]) -> np.ndarray:
    """(n,) bool: the characters that all models cover, on which alone they are to be compared."""
    return np.logical_and.reduce([of_model.covered for of_model in features])


def last_layers(source: Features, target: Features) -> tuple[np.ndarray, np.ndarray]:
    """Last-layer features of two models at the characters that both cover, (n', D) float32 each.

    They are for measures that compare axes: the Procrustes distance and the cosine. Raises InputError as
    `refuse_other_encoder` does.
    """
    refuse_other_encoder(source.encoder, target.encoder)
    both = covered_by_all([source, target])
    return source.last[both], target.last[both]


class _Rows(NamedTuple):
    """What a model makes of the characters of one document; rows of those that it covers only."""

    covered: np.ndarray  # (n,) bool
    last: np.ndarray  # (n', D) float32
    mean: np.ndarray  # (n', D) float32
    marginals: np.ndarray | None  # (n', L) float64


class _Window(NamedTuple):
    """What a model makes of one window of T subwords, its special tokens left out."""

    last: torch.Tensor  # (T, D)
    mean: torch.Tensor  # (T, D)
    scores: torch.Tensor | None  # (T, K) emissions of a CRF's tags, or (T, L) logits


class _Reader:
    """A model that reads one document at a time.

    Attributes:
        part: the member that is read, or the model itself.
        labels: names of its labels; None of an encoder alone, and before anything was read.
    """

    def __init__(self, model, tokenizer, member: int):
        members = list(getattr(model, "members", [model]))
        if not 0 <= member < len(members):
            raise ValueError(f"member is {member}, expected 0 to {len(members) - 1}")
        self.part, self.tokenizer = members[member], tokenizer
        self.crf = getattr(self.part, "crf", None)
        self.affixes = special_affixes(tokenizer)
        self.labels: list[str] | None = None
        self.config = self.part.config
        if not self.config.model_type.startswith(ClinXConfig.model_type):  # the repo's own class, or this one's
            longest = max_positions(self.part.base_model)
            self.config = ClinXConfig(window_length=min(512, longest or 512))

    def read(self, text: str, characters: np.ndarray) -> _Rows:
        """What the model makes of some characters (n,) of a document."""
        tokens = tokenize(self.tokenizer, [text], self.config.unit)[0]
        positions, covered = _covering(tokens, characters)
        wanted = np.unique(positions)
        before = np.append(0, np.cumsum(tokens.chain))  # chain positions before each token
        last, mean, scores = [], [], []
        for window in windows(text, tokens, self.config, sum(map(len, self.affixes))):
            first, stop = before[[window.core_start, window.core_stop]]
            here = wanted[(first <= wanted) & (wanted < stop)]
            if self.crf is None and not len(here):
                continue  # a CRF sees the whole chain
            core = np.flatnonzero(tokens.chain[window.core_start : window.core_stop])
            core += window.core_start - window.start
            of_window = self._read_window(tokens.ids[window.start : window.stop])
            at = core[here - first]
            last.append(of_window.last.float().cpu().numpy()[at])
            mean.append(of_window.mean.cpu().numpy()[at])
            if of_window.scores is not None:
                scores.append(of_window.scores[at if self.crf is None else core])
        if not len(wanted):
            return _Rows(covered, *[np.zeros((0, 0), np.float32)] * 3)
        rows = np.searchsorted(wanted, positions)  # two characters may lie in one subword
        marginals = self._marginals(torch.cat(scores), wanted)[rows] if scores else None
        return _Rows(covered, np.concatenate(last)[rows], np.concatenate(mean)[rows], marginals)

    def _read_window(self, ids: np.ndarray) -> _Window:
        prefix, suffix = self.affixes
        home = [*self.part.parameters()][-1].device  # the encoder of a member may lie on disk
        input_ids = torch.tensor([[*prefix, *ids.tolist(), *suffix]], device=home)
        network = self.part if self.crf is None else self.part.encoder
        out = network(input_ids, attention_mask=torch.ones_like(input_ids), output_hidden_states=True)
        inner = slice(len(prefix), len(prefix) + len(ids))
        layers = out.hidden_states[1:]
        mean = sum(layer[0, inner].float() for layer in layers) / len(layers)
        return _Window(layers[-1][0, inner], mean, self._scores(out, inner))

    def _scores(self, out, inner: slice) -> torch.Tensor | None:
        if self.crf is not None:  # as ClinXForTokenClassification.compute_emissions, of a hidden layer that is here
            self.labels = _names(self.part.config)
            dtype = getattr(self.part.classifier.weight, "dtype", torch.float32)
            return with_float64(self.part.classifier(out[0][0, inner].to(dtype)).float())
        logits = getattr(out, "logits", None)
        if logits is None:
            return None
        if logits.shape[1:] != (out.hidden_states[-1].shape[1], self.part.config.num_labels):
            raise ValueError(f"{type(self.part).__name__} is neither an encoder nor a token classifier")
        self.labels = _names(self.part.config)
        return logits[0, inner]

    def _marginals(self, scores: torch.Tensor, wanted: np.ndarray) -> np.ndarray:
        """(wanted, L) float64 label probabilities at some chain positions of a document.

        Args:
            scores: emissions (chain positions, K) of a CRF, otherwise logits (wanted, L).
        """
        if self.crf is None:
            return torch.softmax(with_float64(scores).double(), -1).cpu().numpy()
        marginals = np.zeros((len(wanted), len(self.labels)))
        lengths = torch.tensor([len(scores)], device=scores.device)
        edges = torch.ones(1, 2, dtype=torch.bool, device=scores.device)
        for first, lattice in self.crf.posteriors(scores[None], lengths, edges):
            block = self.crf.tags.fold(lattice.marginals()[:, 0])  # (T', L)
            here = (first <= wanted) & (wanted < first + len(block))
            marginals[here] = block.cpu().numpy()[wanted[here] - first]
        return marginals


def _names(config) -> list[str]:
    return [config.id2label[label] for label in range(len(config.id2label))]


def _covering(tokens: Tokens, characters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which chain position covers each of the characters that one covers; and (n,) bool, which these are."""
    starts, ends = tokens.starts[tokens.chain], tokens.ends[tokens.chain]
    positions = np.searchsorted(starts, characters, side="right") - 1
    covered = positions >= 0
    covered[covered] = characters[covered] < ends[positions[covered]]
    return positions[covered], covered


def _at_covered(covered: np.ndarray, rows: Sequence[np.ndarray]) -> np.ndarray:
    """(n, …) the rows of all documents at the characters that are covered, NaN elsewhere."""
    found = np.concatenate([of_document for of_document in rows if len(of_document)])
    column = np.full((len(covered), found.shape[1]), np.nan, found.dtype)
    column[covered] = found
    return column
