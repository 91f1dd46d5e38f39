"""How similar a source is to a target: one pure function a measure, and the fusion of their ranks.

Letters: n sampled characters of the target's notes, d features, C classes (BIO labels that occur), m sources.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np


LARGER_IS_CLOSER = {  # every measure, and which of its ends is the more similar one
    "procrustes": False,
    "cosine": True,
    "vocabulary": True,
    "mention_vocabulary": True,
    "trigrams": True,
    "size": True,
    "leep": True,
    "h_score": True,
    "log_me": True,
}

# What is fused, chosen before any result was seen, and then kept: four measures that look at different things, that
# ask for no model of the target, and that compare models with any tokenizers and encoders.
#   leep: the labels that the source's head gives, against the target's: what a head that is thrown away had learned.
#   h_score: the encoder, on the mean over its layers (Garbas et al. 2024: layers that are not the last transfer too).
#   log_me: the encoder's last layer, which is what the new head reads in its first step. Of the mean over layers it
#       would repeat the H-score, and so count it twice.
#   mention_vocabulary: the annotated words themselves, the one measure here that no model takes part in.
# Left out: procrustes, which is defined between models of one encoder only, needs a model of the target, and is what
# the fusion is compared with; cosine, for the same reasons; vocabulary, trigrams and size, which look at the notes and
# not at what is annotated in them: all sources here are clinical notes, and what hurts are foreign annotations.
FUSED = ("leep", "h_score", "log_me", "mention_vocabulary")

RANK_CONSTANT = 60
ROWS_PER_COMPONENT = 10  # rows for each principal component that the Procrustes distance keeps
RIDGE = 1e-8  # of the largest singular value: directions that are weaker are not decided by the features
SMALLEST_NOISE = 1e-6  # variance of LogME's noise: with as many features as rows, its evidence would have no maximum
PRIOR_GRID = np.linspace(-14, 6, 401) * np.log(10)  # log of LogME's prior precision over noise precision


def procrustes_distance(source: np.ndarray, target: np.ndarray, n_components: int | None = None) -> float:
    """Orthogonal Procrustes distance ‖W − I‖_F of two models' features of the same characters.

    W is the orthogonal matrix that minimizes ‖XW − Y‖_F (Schönemann 1966), U Vᵀ with U Σ Vᵀ = svd(Xᵀ Y), where X and Y
    are `source` and `target`, centred and projected on the k leading principal components of the target's. It is 0
    where the models agree, √(2k) for an unrelated rotation, and at most 2√k; smaller is more similar (Lange et al.
    2021, section 3). Compare it between sources of the same k, and between models of the same pretrained encoder only:
    the axes of two encoders have nothing to do with each other (`features.last_layers` refuses them).

    Few rows leave W undecided: along directions in which the features hardly vary it would be arbitrary. Hence k is at
    most a tenth of the rows, and W is taken from Xᵀ Y + εI, the W nearest to I among those that are as good.

    Args:
        source, target: (n, d) features, a row for each character.
        n_components: k, by default the smaller of d and n / 10.

    Raises ValueError for features of different shapes, or that are not finite.
    """
    source, target = _paired(source, target)
    source, target = source - source.mean(0), target - target.mean(0)
    n_rows, width = target.shape
    k = min(width, max(1, n_rows // ROWS_PER_COMPONENT)) if n_components is None else n_components
    if not 1 <= k <= width:
        raise ValueError(f"n_components is {k}, expected 1 to {width}, the number of features")
    components = np.linalg.eigh(target.T @ target)[1][:, ::-1][:, :k]  # (d, k)
    product = (source @ components).T @ (target @ components)  # (k, k)
    largest = np.linalg.norm(product, 2)
    if not largest:
        return 0.0  # one of the models says the same everywhere: nothing tells them apart
    left, _, right = np.linalg.svd(product / largest + RIDGE * np.eye(k))
    return float(np.linalg.norm(left @ right - np.eye(k)))


def cosine_of_means(source: np.ndarray, target: np.ndarray) -> float:
    """Cosine of the mean features of two models, (n, d) each, or of one encoder on two corpora, (n, d) and (n', d).

    x̄ · ȳ / (‖x̄‖ ‖ȳ‖), from -1 to 1, larger is more similar ("word vector variance" of Lange et al. 2021). The means
    are not centred: they are what is compared. NaN where one of them is 0; between models of the same encoder only.

    Raises ValueError for different numbers of features, or where they are not finite.
    """
    _check_widths(source, target)
    means = [_features(features).mean(0) for features in (source, target)]
    lengths = np.prod([np.linalg.norm(mean) for mean in means])
    return float(np.clip(means[0] @ means[1] / lengths, -1, 1)) if lengths else np.nan


def vocabulary_overlap(source: Collection[str], target: Collection[str]) -> float:
    """|Vs ∩ Vt| / |Vt|: the share of the target's different words that the source has too.

    From 0 to 1, larger is more similar; of all words, or of those in mentions (Lange et al. 2021, section 3). A target
    without words gives NaN.
    """
    words = set(target)
    return len(words & set(source)) / len(words) if words else np.nan


def trigram_similarity(source: Mapping[object, int], target: Mapping[object, int]) -> float:
    """1 − JS(P, Q), with the Jensen–Shannon divergence in bits, of two corpora's counts of word 3-grams.

    JS = H((P + Q) / 2) − (H(P) + H(Q)) / 2 (Lin 1991; as a similarity of corpora: Ruder & Plank 2017). From 0, nothing
    in common, to 1, the same distribution; larger is more similar. NaN where one of them has none.
    """
    totals = sum(source.values()), sum(target.values())
    if not all(totals):
        return np.nan
    grams = sorted({*source, *target})  # in an order of their own, so that sums do not depend on how they were counted
    p, q = (
        np.array([counts.get(gram, 0) for gram in grams]) / total
        for counts, total in zip((source, target), totals, strict=True)
    )
    middle = (p + q) / 2
    divergence = sum((part[part > 0] * np.log2(part[part > 0] / middle[part > 0])).sum() / 2 for part in (p, q))
    return float(np.clip(1 - divergence, 0, 1))


def size(words: Counter) -> float:
    """The number of words of the source's notes, 0 or more; larger counts as more similar (Lange et al. 2021)."""
    return float(sum(words.values()))


def leep(marginals: np.ndarray, labels: np.ndarray) -> float:
    """Log expected empirical prediction (Nguyen et al. 2020, equation 2): how well source labels tell target labels.

    With θ(z | x) the source model's probability of its label z at a character, and P(y | z) the share of the target's
    label y in what the source calls z, it is the mean over characters of log Σ_z P(y | z) θ(z | x). From −H(Y), the
    entropy of the target's labels, reached where the source's tell nothing, to 0; larger is more similar.

    Args:
        marginals: (n, source labels) probabilities, each row summing up to 1; of a CRF its exact marginals.
        labels: (n,) int, the target's labels.

    Raises ValueError for rows that are no probabilities, or numbers of rows that differ.
    """
    marginals, classes = _features(marginals), _classes(labels, len(marginals))
    if (marginals < 0).any() or (np.abs(marginals.sum(1) - 1) > 1e-3).any():
        raise ValueError("marginals must be probabilities whose rows sum up to 1; give the exponentials of logits")
    marginals = marginals / marginals.sum(1, keepdims=True)
    joint = np.stack([marginals[classes == c].sum(0) for c in range(classes.max() + 1)])  # (C, source labels) times n
    conditional = joint / np.maximum(joint.sum(0), np.finfo(float).tiny)
    return float(min(0.0, np.log((conditional[classes] * marginals).sum(1)).mean()))


def h_score(features: np.ndarray, labels: np.ndarray) -> float:
    """Shrunk H-score: how much of the features' variance lies between classes, each direction by its own variance.

    tr(Σ_α⁻¹ (1 − α) Σ_between), with Σ_α = (1 − α) Σ + α tr(Σ) / d I and the α of Ledoit & Wolf (Ibrahim et al. 2022,
    section 4, after Bao et al. 2019). From 0 to C − 1, the number of classes but one; larger is more similar. It is
    unchanged by a rotation, a shift and a scaling of all features.

    Args:
        features: (n, d), best the mean over all layers (Garbas et al. 2024).
        labels: (n,) int, the target's labels.

    Raises ValueError for features that are not finite, or numbers of rows that differ.
    """
    features = _features(features)
    classes = _classes(labels, len(features))
    features = features - features.mean(0)
    variances, axes = np.linalg.eigh(features.T @ features / len(features))  # (d,), (d, d)
    if not variances.sum() > 0:
        return 0.0  # the same features everywhere
    from sklearn.covariance import ledoit_wolf_shrinkage  # not above: a second, and few need it

    shrinkage = ledoit_wolf_shrinkage(features, assume_centered=True)
    shrunk = (1 - shrinkage) * np.maximum(variances, 0) + shrinkage * variances.mean()
    sizes = np.bincount(classes)  # (C,)
    means = np.stack([features[classes == c].mean(0) for c in range(len(sizes))]) @ axes  # (C, d)
    between = sizes @ means**2 / len(features)  # (d,) along each axis
    has_variance = shrunk > np.finfo(float).eps * shrunk.max()  # all have, unless nothing is shrunk
    return float((1 - shrinkage) * (between[has_variance] / shrunk[has_variance]).sum())


def log_me(features: np.ndarray, labels: np.ndarray) -> float:
    """Log of the maximum evidence of a Bayesian linear model of the labels, a row, the mean over classes.

    For each class, y = 1 in it and 0 elsewhere is taken for N(0, (I + F Fᵀ / λ) / β), F being the features, and β and
    λ = α / β for those that make it the likeliest (You et al. 2021, equation 2; α is the precision of the weights, β
    that of the noise). A density, so that it has no bounds; larger is more similar. Unchanged by a rotation and a
    scaling of all features; not by a shift, since the model has no intercept.

    For each λ the best β is n / q, q = yᵀ (I + F Fᵀ / λ)⁻¹ y. So instead of the authors' fixed-point iteration, which
    may take long or end at a maximum that is not the highest, the best λ is looked for on a grid, and then between its
    neighbours. The noise is held to a variance of 1e-6 or more, since features that explain a class exactly would
    have infinite evidence.

    Raises ValueError for features that are not finite, or numbers of rows that differ.
    """
    features = _features(features)
    classes = _classes(labels, len(features))
    targets = (classes[:, None] == np.arange(classes.max() + 1)).astype(float)  # (n, C)
    axes, lengths, _ = np.linalg.svd(features, full_matrices=False)
    rank = int((lengths > np.finfo(float).eps * lengths[0]).sum())
    along = (axes[:, :rank].T @ targets) ** 2  # (rank, C)
    strengths = (lengths[:rank] / lengths[0]) ** 2  # (rank,) none where all features are 0
    evidences = [
        _maximum_evidence(strengths, along[:, c], float(targets[:, c].sum()), len(features))
        for c in range(targets.shape[1])
    ]
    return float(np.mean(evidences) / len(features))


def _maximum_evidence(strengths: np.ndarray, along: np.ndarray, total: float, n_rows: int) -> float:
    """The log evidence at the best λ and β.

    Args:
        strengths: (rank,) eigenvalues of F Fᵀ, the largest being 1.
        along: (rank,) squares of y along its eigenvectors.
        total: ‖y‖².
    """

    def evidence(log_prior: np.ndarray) -> np.ndarray:
        """(…,) at log λ (…,)."""
        prior = np.exp(log_prior)[..., None]
        share = prior / (prior + strengths)  # (…, rank)
        residual = (share * along).sum(-1) + max(0.0, total - along.sum())  # q
        noise = np.maximum(residual / n_rows, SMALLEST_NOISE)  # 1 / β
        fit = n_rows * np.log(2 * np.pi * noise) + residual / noise
        return (np.log(share).sum(-1) - fit) / 2

    grid = PRIOR_GRID
    for _ in range(4):  # each time a fiftieth of what was left
        best = int(evidence(grid).argmax())
        grid = np.linspace(grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)], 101)
    return float(evidence(grid).max())


def mean_ranks(values: Sequence[float], larger_is_closer: bool) -> np.ndarray:
    """(m,) float64 ranks from 1, the most similar; equal values share the mean of their ranks.

    What is missing (NaN) gets the middle rank (m + 1) / 2, which speaks neither for nor against it; the ranks of the
    others are stretched to the range of m, so that coming first among few is worth no more than it says.
    """
    values = np.asarray(values, float)
    scores = -values if larger_is_closer else values
    known = ~np.isnan(scores)
    ranks = np.full(len(scores), (len(scores) + 1) / 2)
    ascending = np.sort(scores[known])
    first, last = (np.searchsorted(ascending, scores[known], side) for side in ("left", "right"))
    if known.any():
        ranks[known] = (first + last) / 2 * len(scores) / known.sum() + 0.5
    return ranks


def reciprocal_rank_fusion(
    measures: Mapping[str, Sequence[float]], names: Sequence[str] = FUSED, k: float = RANK_CONSTANT
) -> np.ndarray:
    """Σ over the measures of 1 / (k + rank), for each of m sources; larger is more similar (Cormack et al. 2009).

    Ties and missing values are ranked as `mean_ranks` says. A measure that all sources share, or none has, changes
    nothing in their order.

    Args:
        measures: m values of each measure, NaN where a source has none.
        names: the measures that are fused.

    Returns (m,) float64. Raises ValueError for a name that is no measure, or is not among `measures`.
    """
    if missing := [name for name in names if name not in measures or name not in LARGER_IS_CLOSER]:
        known = ", ".join(name for name in measures if name in LARGER_IS_CLOSER)
        raise ValueError(f"cannot fuse {', '.join(missing)}: expected measures among {known}")
    terms = [1 / (k + mean_ranks(measures[name], LARGER_IS_CLOSER[name])) for name in names]
    return np.sort(terms, axis=0).sum(0)  # sorted, so that equal ranks in other measures have the very same sum


def _features(features: np.ndarray) -> np.ndarray:
    """The features in float64; raises ValueError where they are not (n, d), n and d at least 1, or not finite."""
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"features have the shape {features.shape}, expected (n, d) with at least one row and column")
    if not np.isfinite(features).all():
        raise ValueError("features are not finite: leave out the rows of characters that the model does not cover")
    return features


def _paired(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _check_widths(source, target)
    source, target = _features(source), _features(target)
    if len(source) != len(target):
        raise ValueError(f"found {len(source)} and {len(target)} rows, expected features of the same characters")
    return source, target


def _check_widths(source: np.ndarray, target: np.ndarray) -> None:
    widths = np.shape(source)[-1], np.shape(target)[-1]
    if widths[0] != widths[1]:
        raise ValueError(
            f"found {widths[0]} and {widths[1]} features: these are models of different encoders, whose features can "
            "only be compared between models of the same one"
        )


def _classes(labels: np.ndarray, n_rows: int) -> np.ndarray:
    """(n,) int64: the labels that occur, numbered from 0; raises ValueError for another number of rows."""
    labels = np.asarray(labels)
    if labels.shape != (n_rows,):
        raise ValueError(f"labels have the shape {labels.shape}, expected ({n_rows},), one for each row")
    return np.unique(labels, return_inverse=True)[1]
