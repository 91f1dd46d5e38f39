"""The sum-product recursions of a linear-chain CRF as pure functions, and what is read off them.

A labelling y of a chain of T positions has the score

    s(y) = sum_t e_t(y_t) + sum_t A(y_t, y_t+1) + start(y_1) + end(y_T)

with emissions e and transitions A, where start and end count at the edges of documents only; it has the probability
p(y) = exp(s(y)) / Z with Z = sum_y exp(s(y)). With psi(i, j) = exp(A(i, j) - max A), 0 where j may not follow i, and
unary_t(j) = exp(e_t(j) - max e_t), start and end scores included, the forward recursion is

    prior_t(j) = sum_i alpha_t-1(i) psi(i, j)           prior_1(j) = 1
    scale_t    = sum_j prior_t(j) unary_t(j)
    alpha_t(j) = prior_t(j) unary_t(j) / scale_t        = p(y_t = j | the emissions up to t)

so that log Z = sum_t log_scale_t, where log_scale_t is log(scale_t) and the two maxima that were taken out at t. The
backward recursion is the forward one on the reversed chain with the transposed psi; its result is scaled so that

    beta_t(j)  ∝ unary_t(j) sum_k psi(j, k) beta_t+1(k)    with    sum_j prior_t(j) beta_t(j) = 1
    p(y_t = j)               = prior_t(j) beta_t(j)
    p(y_t = i, y_t+1 = j)    = alpha_t(i) psi(i, j) beta_t+1(j)

These marginals are the gradient of log Z: d log Z / d e_t(j) = sum_y p(y) [y_t = j] = p(y_t = j), and in the same way
for pairs and transitions. So autograd never has to see a recursion.

Why the scaled linear domain: a step is one matrix product, where the log domain takes K x K exponentials. Why float64:
emissions of -100 and 100 give unary scores of exp(-200), which float32 takes for 0 and float64 does not.

**Where that ends.** Let r be the largest difference of two emissions at one position, plus those of two transitions, of
two start scores and of two end scores. A tag that closes may come two steps after any other, one that opens a step
after it, and one inside of a span another step later; so each tag of a lattice has alpha and beta of at least
exp(-3 r) / 2 K^3. Where that is near the smallest float64, exp(-708), the same recursions run in the log domain, on
logarithms of the same quantities: slower, and right whatever the emissions.

Letters: B rows, T positions, K tags, S spans, P positions of all spans, R tags of one entity type.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch

from .labels_clinx import TagSet


BLOCK = 4096  # positions of a chain that are held in float64 at a time
MAX_LINEAR_RANGE = 650.0  # nats between the numbers of a lattice in the linear domain; float64 ends at 708


class Domain(NamedTuple):
    """How the recursions hold numbers, and what they do with them: as they are, or as logarithms."""

    one: float
    zero: float
    times: Callable
    over: Callable
    total: Callable
    product: Callable  # of matrices, batched
    from_log: Callable  # in place
    log: Callable
    plain: Callable


def _log_product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """The logarithm of exp(left) @ exp(right)."""
    return torch.logsumexp(left[..., None] + right[:, None], -2, out=out)


LINEAR = Domain(1.0, 0.0, torch.mul, torch.div, torch.sum, torch.bmm, torch.exp_, torch.log, torch.positive)
LOG = Domain(
    0.0, -torch.inf, torch.add, torch.sub, torch.logsumexp, _log_product, torch.positive, torch.positive, torch.exp
)


class Chains(NamedTuple):
    """B chains, compacted to the left, or a block of neighbouring positions of them."""

    emissions: torch.Tensor  # (B, T, K) float
    lengths: torch.Tensor  # (B,) int64 positions of each whole chain
    edges: torch.Tensor  # (B, 2) bool, whether a chain begins and ends where its document does
    first: int = 0  # the position in the whole chains at which this block begins
    domain: Domain = LINEAR  # in which the recursions run

    def on_chain(self) -> torch.Tensor:
        """(B, T) bool, whether a position is one of the chain's."""
        return on_chain(self.lengths - self.first, self.emissions.shape[1])

    def blocks(self) -> list["Chains"]:
        """The chains in blocks of at most `BLOCK` positions, from left to right."""
        firsts = range(0, self.emissions.shape[1], BLOCK)
        parts = zip(firsts, self.emissions.split(BLOCK, 1), strict=True)
        return [self._replace(emissions=emissions, first=first) for first, emissions in parts]


class Potentials(NamedTuple):
    """What scores tags whatever the input: float64, without gradient, -inf where the constraints forbid a tag.

    A linear head has neither such scores nor constraints: its `transitions`, `start` and `end` are None.
    """

    tags: TagSet
    transitions: torch.Tensor | None  # (K, K), `transitions[i, j]` of j after i
    start: torch.Tensor | None  # (K,)
    end: torch.Tensor | None  # (K,)
    log_psi: torch.Tensor  # (K, K) transitions - psi_shift; () 0 for a linear head
    psi_shift: torch.Tensor | float  # () the largest transition score
    spread: torch.Tensor | float  # () the largest difference of two transitions, two start and two end scores, summed


class Lattice(NamedTuple):
    """Forward and backward quantities of T positions, as the formulas above name them: time first, float64.

    All but `log_scale` are as the domain holds them.
    """

    log_scale: torch.Tensor  # (T, B) their sum is log Z; 0 off the chain
    alpha: torch.Tensor  # (T, B, K)
    prior: torch.Tensor  # (T, B, K)
    beta: torch.Tensor  # (T, B, K), 0 off the chain
    domain: Domain

    def marginals(self) -> torch.Tensor:
        """(T, B, K) posterior probability of each tag, 0 off the chain."""
        return self.domain.plain(self.domain.times(self.prior, self.beta))


class Spans(NamedTuple):
    """S spans of one entity type each, at positions `starts` to `stops` (exclusive) of their rows."""

    rows: torch.Tensor  # (S,) int64
    starts: torch.Tensor  # (S,) int64
    stops: torch.Tensor  # (S,) int64
    types: torch.Tensor  # (S,) int64


def with_float64(tensor: torch.Tensor) -> torch.Tensor:
    """The same tensor, on the CPU if its device has no float64: Apple's MPS."""
    return tensor.cpu() if tensor.device.type == "mps" else tensor


def on_chain(lengths: torch.Tensor, n_steps: int) -> torch.Tensor:
    """(B, T) bool, True at the first `lengths` (B,) of T positions."""
    return torch.arange(n_steps, device=lengths.device) < lengths[:, None]


def local_scores(chains: Chains, potentials: Potentials) -> torch.Tensor:
    """(T, B, K) float64: emissions with start and end scores, -inf where an edge forbids a tag."""
    emissions = chains.emissions.detach().transpose(0, 1)
    scores = emissions.to(torch.float64, memory_format=torch.contiguous_format, copy=True)
    if potentials.transitions is None:
        return scores
    if chains.first == 0:
        scores[0] += torch.where(chains.edges[:, :1], potentials.start, 0.0)
    last = chains.lengths - 1 - chains.first  # (B,)
    rows = (chains.edges[:, 1] & (last >= 0) & (last < len(scores))).nonzero()[:, 0]  # whose last position is here
    scores[last[rows], rows] += potentials.end
    return scores


# Sum-product


def with_domain(chains: Chains, potentials: Potentials) -> Chains:
    """Whole chains with the domain in which nothing underflows; see above.

    Raises ValueError for emissions that are not finite; names row and position.
    """
    emissions, own_range = chains.emissions, potentials.spread + math.log(chains.emissions.shape[-1])
    least, largest = emissions.aminmax()
    if 3 * float(largest - least + own_range) < MAX_LINEAR_RANGE:  # which nan is not
        return chains
    ranges = (emissions.amax(-1) - emissions.amin(-1)).masked_fill_(~chains.on_chain(), 0.0)  # (B, T)
    if not ranges.isfinite().all():
        row, position = (~ranges.isfinite()).nonzero()[0].tolist()
        wrong = emissions[row, position].abs().max().item()
        place = f"row {row}, position {position} of the chain: emissions of {wrong} are not finite"
        raise ValueError(f"{place}: look for weights that are nan or too large")
    fits = potentials.transitions is None or 3 * float(ranges.max() + own_range) < MAX_LINEAR_RANGE
    return chains._replace(domain=LINEAR if fits else LOG)


def forward_backward(
    chains: Chains,
    potentials: Potentials,
    alpha_before: torch.Tensor | None = None,
    beta_after: torch.Tensor | None = None,
) -> Lattice:
    """The lattice of whole chains, or of a block of them.

    Args:
        alpha_before: (B, K) alpha of the position before the block; None if it is the first block.
        beta_after: (B, K) beta of the position after the block; None if it is the last block.
    """
    mask, domain = chains.on_chain().t(), chains.domain  # (T, B)
    scores = local_scores(chains, potentials)  # (T, B, K)
    shift = scores.amax(-1)  # (T, B)
    unary = domain.from_log(scores.sub_(shift[..., None])).masked_fill_(~mask[..., None], domain.one)
    if potentials.transitions is None:
        return _independent_positions(unary, shift, mask)

    # Both directions go side by side, [:, 0] forward and [:, 1] backward, so that a step is one batched product.
    psi, n_steps = domain.from_log(torch.stack([potentials.log_psi, potentials.log_psi.t()])), len(unary)
    mirror = _mirror(chains)[..., None].expand_as(unary)
    alphas = torch.stack([unary, unary.gather(0, mirror)], 1)  # (T, 2, B, K) unary scores, which become alphas
    priors = torch.empty_like(alphas)
    priors[0] = domain.one
    if alpha_before is not None:
        priors[0, 0] = domain.product(alpha_before[None], psi[:1])[0]
    if beta_after is not None:
        goes_on = chains.lengths > chains.first + n_steps
        priors[0, 1] = torch.where(goes_on[:, None], domain.product(beta_after[None], psi[1:])[0], domain.one)
    scales = _sum_product(alphas, priors, psi, domain)  # (T, 2, B, 1)

    alpha, prior, beta = alphas[:, 0], priors[:, 0], alphas[:, 1].gather(0, mirror)
    beta = domain.over(beta, domain.total(domain.times(prior, beta), -1, keepdim=True), out=beta)
    log_scale = domain.log(scales[:, 0, :, 0]) + shift
    log_scale[int(chains.first == 0) :] += potentials.psi_shift  # no transition leads to the very first position
    beta.masked_fill_(~mask[..., None], domain.zero)
    return Lattice(log_scale.masked_fill_(~mask, 0.0), alpha, prior, beta, domain)


def _sum_product(unary: torch.Tensor, priors: torch.Tensor, psi: torch.Tensor, domain: Domain) -> torch.Tensor:
    """The forward recursion, in place: turns `unary` into alpha and fills `priors` from its first step on.

    Args:
        unary, priors: (T, 2, B, K).
        psi: (2, K, K), one for each direction.

    Returns the scales, (T, 2, B, 1).
    """
    scales = unary.new_empty(*unary.shape[:3], 1)
    before = None
    for alpha, prior, scale in zip(unary.unbind(), priors.unbind(), scales.unbind(), strict=True):
        if before is not None:
            domain.product(before, psi, out=prior)
        domain.total(domain.times(alpha, prior, out=alpha), -1, keepdim=True, out=scale)
        before = domain.over(alpha, scale, out=alpha)
    return scales


def _mirror(chains: Chains) -> torch.Tensor:
    """(T, B) positions that reverse the part of each row that is on the chain, and leave the rest in its place."""
    n_steps = chains.emissions.shape[1]
    steps = torch.arange(n_steps, device=chains.lengths.device)[:, None]
    last = (chains.lengths - chains.first).clamp(max=n_steps) - 1  # (B,)
    return torch.where(chains.on_chain().t(), last - steps, steps)


def _independent_positions(unary: torch.Tensor, shift: torch.Tensor, mask: torch.Tensor) -> Lattice:
    """The lattice of a linear head: a softmax at each position, of (T, B, K) unary scores and a (T, B) mask."""
    scale = unary.sum(-1)  # (T, B)
    alpha = unary / scale[..., None]
    log_scale = (scale.log() + shift).masked_fill_(~mask, 0.0)
    return Lattice(log_scale, alpha, torch.ones_like(alpha), alpha * mask[..., None], LINEAR)


def expected_pairs(alpha: torch.Tensor, beta: torch.Tensor, log_psi: torch.Tensor, domain: Domain) -> torch.Tensor:
    """(B, K, K) how often each pair of neighbouring tags is expected.

    Args:
        alpha: (T, B, K) of positions.
        beta: (T, B, K) of the positions after them.
    """
    if domain is LINEAR:
        return log_psi.exp() * torch.einsum("tbi,tbj->bij", alpha, beta)
    pairs = log_psi.new_zeros(alpha.shape[1], *log_psi.shape)
    for before, after in zip(alpha[..., None], beta[:, :, None], strict=True):
        pairs += (before + log_psi + after).exp()
    return pairs


def lattices_backwards(chains: Chains, potentials: Potentials) -> Iterator[tuple[int, Lattice]]:
    """Yields the first position and the lattice of each block, the last block first.

    Memory is bounded by the block, and the lattices are those of the whole chains: a first pass keeps alpha of the
    position before each block, a second one computes each block again and hands beta on to the block before it.
    """
    entries, alpha_before = [], None
    for block in with_domain(chains, potentials).blocks():
        entries.append((block, alpha_before))
        lattice = forward_backward(block, potentials, alpha_before)
        alpha_before = lattice.alpha[-1].clone()  # a view would hold the block
    beta_after = None
    for block, alpha_before in reversed(entries):
        if beta_after is not None:  # the lattice of the last block is still here
            lattice = forward_backward(block, potentials, alpha_before, beta_after)
        beta_after = lattice.beta[0]
        yield block.first, lattice


# Spans


def span_posteriors(
    lattices: Iterable[tuple[int, Lattice]], potentials: Potentials, lengths: torch.Tensor, spans: Spans
) -> torch.Tensor:
    """Exact probability that each span with its entity type is in the labelling, as `spans_from_bio` reads it.

    It is the mass of the paths through tags of the type that carry each other on, with a break before and after:

        sum over j_a … j_b-1 of  entry(j_a) gain_a(j_a) psi(j_a, j_a+1) gain_a+1(j_a+1) … gain_b-1(j_b-1) leave(j_b-1)

    for a span at a to b, where gain_t = alpha_t / prior_t = unary_t / scale_t, entry(j) is the part of prior_a(j) that
    comes from tags which j does not carry on, and leave(j) the sum of psi(j, k) beta_b(k) over the tags k which do not
    carry on j. All of it is computed in logarithms.

    Args:
        lattices: the first position and the lattice of each block, in any order.
        lengths: (B,) int64 positions of each chain.

    Returns (S,) float64.
    """
    device, sizes = lengths.device, spans.stops - spans.starts
    tags = potentials.tags.of_type().to(device)[spans.types]  # (S, R)
    continues = potentials.tags.continues.to(device)
    breaks = torch.where(continues, -torch.inf, potentials.log_psi)  # (K, K)
    carries_on = torch.where(continues, potentials.log_psi, -torch.inf)  # (K, K)
    offsets = sizes.cumsum(0) - sizes  # (S,) of the first position of each span among the P of all
    owner = torch.repeat_interleave(torch.arange(len(sizes), device=device), sizes)  # (P,)
    positions = torch.arange(len(owner), device=device) - offsets[owner] + spans.starts[owner]  # (P,)
    entry, leave = (torch.zeros(tags.shape, dtype=torch.float64, device=device) for _ in range(2))  # (S, R)
    gain = torch.zeros(len(owner), tags.shape[1], dtype=torch.float64, device=device)  # (P, R)
    for first, lattice in lattices:
        stop, log = first + len(lattice.alpha), lattice.domain.log
        s = ((spans.starts - 1 >= first) & (spans.starts - 1 < stop)).nonzero()[:, 0]
        before = log(lattice.alpha[spans.starts[s] - 1 - first, spans.rows[s]]).t()  # (K, s)
        entry[s] = (before[..., None] + breaks[:, tags[s]]).logsumexp(0)
        s = ((spans.stops >= first) & (spans.stops < stop) & (spans.stops < lengths[spans.rows])).nonzero()[:, 0]
        after = log(lattice.beta[spans.stops[s] - first, spans.rows[s]]).t()  # (K, s)
        leave[s] = (after[..., None] + breaks.t()[:, tags[s]]).logsumexp(0)
        p = ((positions >= first) & (positions < stop)).nonzero()[:, 0]
        at = (positions[p, None] - first, spans.rows[owner[p], None], tags[owner[p]])
        gain[p] = log(lattice.alpha[at]) - log(lattice.prior[at])
    gain.nan_to_num_(-torch.inf, neginf=-torch.inf)  # 0 / 0 where a tag cannot be reached
    mass = entry + gain[offsets]  # (S, R) of the paths up to a span's first position, then up to the next one …
    inner = carries_on[tags[:, :, None], tags[:, None, :]]  # (S, R, R)
    for step in range(1, int(sizes.max()) if len(sizes) else 0):
        s = (sizes > step).nonzero()[:, 0]
        mass[s] = (mass[s, :, None] + inner[s]).logsumexp(1) + gain[offsets[s] + step]
    return (mass + leave).logsumexp(-1).exp()
