"""Which model to start from: every measure of each source, their fused rank, and how sure it is."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..corpora.documents import Document
from ..corpora.sentences import sentence_blocks
from ..errors import InputError
from .features import Features, covered_by_all, last_layers
from .sample import Sample, sample_characters
from .similarity import (
    cosine_of_means,
    h_score,
    leep,
    log_me,
    procrustes_distance,
    reciprocal_rank_fusion,
    size,
    trigram_similarity,
    vocabulary_overlap,
)
from .sources import read_source
from .words import Words, count_words


PARTS = 5  # of the target's documents, in each of which the sources are ranked once more
SURE = 0.8  # share of the parts in which the first source is ahead of the second


class RankedSource(NamedTuple):
    """A source, with what was measured of it.

    Attributes:
        measures: by name; NaN where a measure cannot be told, such as overlaps of a source whose notes are not here.
        score: the fused reciprocal rank, larger is better.
    """

    name: str
    measures: dict[str, float]
    score: float


class Ranking(NamedTuple):
    """Sources, the likely best first.

    Attributes:
        ahead: share of the parts of the target in which the first is ahead of the second; NaN of one source.
        words, documents: the sample on which models were compared.
    """

    sources: list[RankedSource]
    ahead: float
    words: int
    documents: int

    @property
    def is_sure(self) -> bool:
        """Whether the first source is ahead of the second in nearly all parts of the target, or is the only one."""
        return len(self.sources) == 1 or self.ahead >= SURE


def rank_sources(
    documents: Sequence[Document],
    sources: Sequence[str],
    notes: Mapping[str, Sequence[Document]] | None = None,
    target_model: str | None = None,
    seed: int = 0,
) -> Ranking:
    """Ranks models by how well one would go on from each on annotated documents.

    Args:
        documents: of the target, annotated.
        sources: folders or Hub names of models.
        notes: of a source, by its name, the annotated documents that it learned from, for the measures of words.
        target_model: a model that was trained on the target, for the Procrustes distance and the cosine.

    Where there are fewer documents than parts, blocks of sentences stand for them. Sources whose fused ranks are equal
    keep their order. Models of another encoder than that of `target_model` have no Procrustes distance. Raises
    InputError for a model that cannot be read, and a target without mentions.
    """
    if again := [name for name in sources if sources.count(name) > 1]:
        raise InputError(f"the source {again[0]} stands there more than once: name each model once")
    documents = documents if len(documents) >= PARTS else sentence_blocks(documents)
    sample = sample_characters(documents, seed=seed)
    features = {name: read_source(name, sample) for name in sources}
    target = read_source(target_model, sample) if target_model else None
    common = covered_by_all([*features.values(), *([target] if target else [])])
    table = _by_models(features, target, sample, common)
    words = {name: count_words(notes[name]) if notes and name in notes else None for name in sources}
    table |= _by_words(words, count_words(documents))
    scores = reciprocal_rank_fusion(table)
    order = sorted(range(len(sources)), key=lambda number: -scores[number])
    ranked = [
        RankedSource(sources[i], {name: float(values[i]) for name, values in table.items()}, float(scores[i]))
        for i in order
    ]
    ahead = _share_ahead(order[:2], table, features, sample, common) if len(sources) > 1 else np.nan
    return Ranking(ranked, ahead, int(common.sum()), len(sample.documents))


def _by_models(
    features: Mapping[str, Features], target: Features | None, sample: Sample, rows: np.ndarray
) -> dict[str, list[float]]:
    """Measures of models on the characters `rows`, (n,) bool; by measure a value for each source."""
    labels = sample.labels[rows]
    table = {
        "leep": [np.nan if f.marginals is None else leep(f.marginals[rows], labels) for f in features.values()],
        "h_score": [h_score(f.mean[rows], labels) for f in features.values()],
        "log_me": [log_me(f.last[rows], labels) for f in features.values()],
    }
    if target is not None:
        pairs = [_of_one_encoder(of_source, target) for of_source in features.values()]
        table["procrustes"] = [np.nan if pair is None else procrustes_distance(*pair) for pair in pairs]
        table["cosine"] = [np.nan if pair is None else cosine_of_means(*pair) for pair in pairs]
    return table


def _of_one_encoder(source: Features, target: Features) -> tuple[np.ndarray, np.ndarray] | None:
    """Last-layer features of both, if their axes can be compared."""
    try:
        return last_layers(source, target)
    except InputError:
        return None


def _by_words(sources: Mapping[str, Words | None], target: Words) -> dict[str, list[float]]:
    """Measures of the notes' words; by measure a value for each source, NaN where its notes are not known."""

    def of_known(measure) -> list[float]:
        return [np.nan if words is None else measure(words) for words in sources.values()]

    return {
        "mention_vocabulary": of_known(lambda words: vocabulary_overlap(words.in_mentions, target.in_mentions)),
        "vocabulary": of_known(lambda words: vocabulary_overlap(words.everywhere, target.everywhere)),
        "trigrams": of_known(lambda words: trigram_similarity(words.trigrams, target.trigrams)),
        "size": of_known(lambda words: size(words.everywhere)),
    }


def _share_ahead(
    first_two: Sequence[int],
    table: Mapping[str, Sequence[float]],
    features: Mapping[str, Features],
    sample: Sample,
    common: np.ndarray,
) -> float:
    """Share of the parts of the target in which the first source is ahead of the second; half of a tie."""
    n = len(sample.numbers)  # of few long documents, stretches are the parts
    parts = sample.numbers % PARTS if len(sample.documents) >= PARTS else np.arange(n) * PARTS // n
    ahead = []
    for part in range(PARTS):
        rows = common & (parts == part)
        if len(np.unique(sample.labels[rows])) > 1:
            scores = reciprocal_rank_fusion({**table, **_by_models(features, None, sample, rows)})
            first, second = scores[list(first_two)]
            ahead.append(0.5 if first == second else float(first > second))
    return float(np.mean(ahead)) if ahead else np.nan
