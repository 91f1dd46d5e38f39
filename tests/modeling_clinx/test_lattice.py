"""The recursions: right at extreme emissions, the same in blocks of any size, the same bits each time."""

from itertools import product

import pytest
import torch

from modeling_clinx import lattice_clinx, viterbi_clinx
from modeling_clinx.crf_clinx import ClinXCRF
from modeling_clinx.lattice_clinx import Spans, span_posteriors


def random_crf(seed, n_types, scheme, linear=False, scale=2.0):
    torch.manual_seed(seed)
    crf = ClinXCRF(n_types, scheme, linear).double()
    for parameter in crf.parameters():
        torch.nn.init.uniform_(parameter, -scale, scale)
    return crf


def spans_of(lengths, n_types, longest):
    """All spans of up to `longest` positions."""
    rows = torch.tensor(
        [
            (row, start, stop, kind)
            for row, size in enumerate(lengths.tolist())
            for start in range(size)
            for stop in range(start + 1, min(size, start + longest) + 1)
            for kind in range(n_types)
        ]
    )
    return Spans(*rows.t())


@pytest.mark.parametrize("n_types", [1, 3])
@pytest.mark.parametrize("scheme", ["BIOSE", "BIO"])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("block", [1, 3, 7, 16])
def test_blocks_do_not_show(n_types, scheme, linear, block, monkeypatch):
    crf = random_crf(1, n_types, scheme, linear)
    lengths = torch.tensor([40, 0, 1, 3, 7, 16, 17, 39, 21, 14])
    edges = torch.tensor([[row % 2 < 1, row % 4 < 2] for row in range(len(lengths))])
    chains = torch.randn(len(lengths), 40, len(crf.tags), dtype=torch.float64) * 2, lengths, edges
    spans = Spans(*(part[::7] for part in spans_of(lengths, n_types, longest=20)))
    on_chain = (torch.arange(40)[:, None] < lengths)[..., None]

    def everything():
        lattices = dict(crf.posteriors(*chains))
        ordered = (lattices[first] for first in sorted(lattices))
        log_scale, alpha, prior, beta = (torch.cat(part) for part in [*zip(*ordered, strict=True)][:4])
        scores = span_posteriors(crf.posteriors(*chains), crf.potentials(), chains[1], spans)
        log_z = crf.log_partition(*chains)[0]
        return crf.decode(*chains), log_scale, alpha * on_chain, prior * beta, scores, log_z

    monkeypatch.setattr(lattice_clinx, "BLOCK", 1000)
    whole = everything()
    monkeypatch.setattr(lattice_clinx, "BLOCK", block)
    path, *quantities = everything()
    assert torch.equal(path, whole[0])
    for quantity, expected in zip(quantities, whole[1:], strict=True):
        torch.testing.assert_close(quantity, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(whole[1].sum(0), whole[-1], rtol=1e-12, atol=1e-12)


def test_what_is_kept_of_a_block_does_not_hold_the_whole_of_it(monkeypatch):
    """Or the memory that a chain takes would not be bounded by the block."""
    crf, kept = ClinXCRF(2, "BIOSE"), []

    def spied(recursion):
        def spy(*args):
            kept.extend(tensor for tensor in args[2:3] if tensor is not None)  # of the position before the block
            return recursion(*args)

        return spy

    for file, name in ((lattice_clinx, "forward_backward"), (viterbi_clinx, "max_product")):
        monkeypatch.setattr(file, name, spied(getattr(file, name)))
    monkeypatch.setattr(lattice_clinx, "BLOCK", 4)
    chains = torch.randn(3, 14, 9), torch.tensor([14, 3, 9]), torch.ones(3, 2, dtype=torch.bool)
    crf.decode(*chains)
    list(crf.posteriors(*chains))
    assert len(kept) == 10  # each way: of 3 blocks when it goes forward, and of 2 again when it comes back
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in kept)


def log_domain(crf, emissions, allowed):
    """log Z over tags `allowed` (T, K) of one document's emissions (T, K), step by step with logsumexp, float64."""
    tags = crf.tags
    grid = [[tags.roles[i] + tags.roles[j] for j in range(len(tags))] for i in range(len(tags))]
    legal = torch.tensor([[pair[1] in "OBS" if pair[0] in "OES" else pair[1] in "IE" for pair in row] for row in grid])
    legal &= ~torch.tensor([[pair[0] in "BI" for pair in row] for row in grid]) | (tags.types[:, None] == tags.types)
    never = -1e9  # more than all of 2,000 steps; -inf would have no gradient
    transitions = crf.transitions.double().masked_fill(~legal, never)
    scores = emissions.double().masked_fill(~allowed, never)
    first, last = (torch.tensor([role in roles for role in tags.roles]) for roles in ("OBS", "OES"))
    alpha = scores[0] + crf.start.double().masked_fill(~first, never)
    for score in scores[1:]:
        alpha = (alpha[:, None] + transitions).logsumexp(0) + score
    return (alpha + crf.end.double().masked_fill(~last, never)).logsumexp(0)


def extreme_crf(seed, n_steps=2000, n_types=2, size_of_emissions=100.0):
    """A CRF, emissions of -100 or 100, and the BIO labels of a legal path that goes against all of them."""
    crf = random_crf(seed, n_types, "BIOSE", scale=5.0).float()
    emissions = (torch.randint(0, 2, (1, n_steps, len(crf.tags))).float() * 2 - 1) * size_of_emissions
    labels, path = [], []
    while len(labels) < n_steps:
        size, kind = int(torch.randint(1, 6, ())), int(torch.randint(0, n_types + 1, ()))
        size = min(size, n_steps - len(labels))
        roles = "O" * size if kind == n_types else ("S" if size == 1 else "B" + "I" * (size - 2) + "E")
        path += [crf.tags.roles.index(role) + (kind if role != "O" else 0) for role in roles]
        labels += [0] * size if kind == n_types else [1 + 2 * kind] + [2 + 2 * kind] * (size - 1)
    path = torch.tensor(path)
    emissions[0, torch.arange(n_steps), path] = -size_of_emissions
    return crf, emissions.requires_grad_(), torch.tensor([labels]), path


def assert_loss_is_right(crf, emissions, labels, agreeing):
    mask, edges = torch.ones(labels.shape, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool)
    loss, marginals = crf(emissions, mask, edges, labels)
    everything = torch.ones_like(agreeing)
    of_reference = emissions.detach().double().requires_grad_()
    log_z, gold = (log_domain(crf, of_reference[0], allowed) for allowed in (everything, agreeing))
    expected = (log_z - gold) / (labels != -100).sum()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    of_crf = list(crf.parameters())
    gradients = torch.autograd.grad(loss, [emissions, *of_crf])
    reference = torch.autograd.grad(expected, [of_reference, *of_crf])
    for gradient, right in zip(gradients, reference, strict=True):
        assert gradient.isfinite().all()
        torch.testing.assert_close(gradient.double(), right.double(), rtol=1e-5, atol=1e-7)
    assert marginals.isfinite().all()
    torch.testing.assert_close(marginals.sum(-1), torch.ones(labels.shape), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_gold_path_that_emissions_all_but_forbid_has_the_right_loss(seed):
    crf, emissions, labels, path = extreme_crf(seed)
    agreeing = torch.zeros(emissions.shape[1:], dtype=torch.bool)
    agreeing[torch.arange(len(path)), path] = True
    assert_loss_is_right(crf, emissions, labels, agreeing)


@pytest.mark.parametrize("seed", range(3))
def test_partial_labels_that_force_a_path_against_all_emissions_have_the_right_loss(seed):
    """Every third label is not known, so that the gold score is a sum over paths of next to no probability."""
    crf, emissions, labels, path = extreme_crf(seed)
    hidden = torch.arange(len(path)) % 3 == 1
    agreeing = torch.ones(emissions.shape[1:], dtype=torch.bool)
    full = labels[0].tolist()
    labels[0, hidden] = -100
    for t in (~hidden).nonzero()[:, 0].tolist():
        following = full[t + 1] if t + 1 < len(full) else 0
        decided = t + 1 == len(full) or not hidden[t + 1]
        goes_on = full[t] > 0 and following == 2 + 2 * ((full[t] - 1) // 2)
        for tag, (role, bio) in enumerate(zip(crf.tags.roles, crf.tags.bio.tolist(), strict=True)):
            fits = role == "O" or not decided or (role in "BI") == goes_on
            agreeing[t, tag] = bio == full[t] and fits
    assert_loss_is_right(crf, emissions, labels, agreeing)


@pytest.mark.parametrize("size", [300.0, 400.0, 1000.0, 5000.0])
@pytest.mark.parametrize("hide", [False, True])
def test_emissions_of_any_size_have_the_right_loss_and_gradient(size, hide):
    crf, emissions, labels, path = extreme_crf(0, n_steps=120, size_of_emissions=size)
    agreeing = torch.zeros(emissions.shape[1:], dtype=torch.bool)
    agreeing[torch.arange(len(path)), path] = True
    if hide:  # in the middle of the document nothing is known
        labels[0, 40:80], agreeing[39:80] = -100, True
        agreeing[39] = crf.tags.bio == labels[0, 39]
    assert_loss_is_right(crf, emissions, labels, agreeing)


def reference_span_posterior(crf, emissions, start, stop, kind):
    """Probability of a span in a BIOSE document of emissions (T, K): the paths with it against all paths."""
    allowed = torch.ones(emissions.shape, dtype=torch.bool)
    roles = "S" if stop == start + 1 else "B" + "I" * (stop - start - 2) + "E"
    for position, role in zip(range(start, stop), roles, strict=True):
        allowed[position] = torch.tensor([own == role for own in crf.tags.roles]) & (crf.tags.types == kind)
    log_z, of_span = (log_domain(crf, emissions, tags) for tags in (torch.ones_like(allowed), allowed))
    return (of_span - log_z).exp()


@pytest.mark.parametrize("size", [1.0, 300.0, 400.0, 1000.0, 5000.0])
@pytest.mark.parametrize("block", [5, 1000])
def test_span_posteriors_are_right_whatever_the_size_of_the_emissions(size, block, monkeypatch):
    monkeypatch.setattr(lattice_clinx, "BLOCK", block)
    crf = random_crf(3, 2, "BIOSE")
    sure = torch.randint(
        0, len(crf.tags), (4, 12)
    )  # one tag is certain at each position, mostly against the constraints
    emissions = (torch.nn.functional.one_hot(sure, len(crf.tags)) * 2.0 - 1.0) * size
    emissions[:, ::3] = torch.randn(4, 4, len(crf.tags))
    chains = emissions.double(), torch.full((4,), 12), torch.ones(4, 2, dtype=torch.bool)
    spans = spans_of(chains[1], 2, longest=4)
    scores = span_posteriors(crf.posteriors(*chains), crf.potentials(), chains[1], spans)
    for score, row, start, stop, kind in zip(scores, *spans, strict=True):
        expected = reference_span_posterior(crf, chains[0][row], int(start), int(stop), int(kind))
        torch.testing.assert_close(score, expected, rtol=1e-9, atol=1e-12)
    blocks = sorted(crf.posteriors(*chains), key=lambda block: block[0])
    marginals = torch.cat([lattice.marginals() for _, lattice in blocks]).transpose(0, 1)
    torch.testing.assert_close(marginals, crf.log_partition(*chains)[1], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(marginals.sum(-1), torch.ones(4, 12, dtype=torch.float64))


def test_a_linear_head_takes_emissions_of_any_size():
    crf = ClinXCRF(2, "BIOSE", linear=True)
    emissions = torch.randn(1, 6, 9, dtype=torch.float64) * 5000
    chains = emissions, torch.tensor([6]), torch.ones(1, 2, dtype=torch.bool)
    log_z, marginals = crf.log_partition(*chains)
    torch.testing.assert_close(log_z, emissions.logsumexp(-1).sum(1))
    torch.testing.assert_close(marginals, emissions.softmax(-1))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("linear", [False, True])
def test_emissions_that_are_not_finite_are_refused_with_their_place(wrong, linear):
    crf = ClinXCRF(2, "BIOSE", linear)
    emissions = torch.randn(3, 8, 9)
    emissions[1, 5, 2] = wrong
    lengths, edges = torch.tensor([8, 6, 2]), torch.ones(3, 2, dtype=torch.bool)
    for read in (crf.log_partition, lambda *chains: list(crf.posteriors(*chains))):
        with pytest.raises(ValueError, match=r"row 1, position 5 of the chain: emissions .*(nan|inf).* not finite"):
            read(emissions, lengths, edges)
    lengths[1] = 5  # off the chain it does not matter
    assert crf.log_partition(emissions, lengths, edges)[0].isfinite().all()


@pytest.mark.parametrize("scheme", ["BIOSE", "BIO"])
def test_certain_emissions_of_different_paths_that_meet_do_not_underflow(scheme):
    """Before each position one type is certain, after it another one, in all places of 8: at +-100, 0 / 0 is near."""
    crf = ClinXCRF(2, scheme).double()
    n_tags = len(crf.tags)
    pairs = torch.tensor(list(product(range(n_tags), repeat=2)))
    before, after = pairs[:, 0].repeat_interleave(7), pairs[:, 1].repeat_interleave(7)
    switch = torch.arange(1, 8).repeat(len(pairs))
    wanted = torch.where(torch.arange(8) < switch[:, None], before[:, None], after[:, None])
    emissions = torch.nn.functional.one_hot(wanted, n_tags).double() * 200 - 100
    chains = emissions, torch.full((len(emissions),), 8), torch.ones(len(emissions), 2, dtype=torch.bool)
    marginals = crf.log_partition(*chains)[1]
    torch.testing.assert_close(marginals.sum(-1), torch.ones(len(emissions), 8, dtype=torch.float64))
    scores = span_posteriors(crf.posteriors(*chains), crf.potentials(), chains[1], spans_of(chains[1], 2, longest=8))
    assert scores.isfinite().all() and (scores <= 1 + 1e-9).all()


def test_long_random_extremes_stay_finite():
    torch.manual_seed(0)
    for scheme in ("BIOSE", "BIO"):
        crf = ClinXCRF(3, scheme).double()
        emissions = torch.where(torch.rand(64, 300, len(crf.tags)) < 0.1, 100.0, -100.0).double()
        chains = emissions, torch.full((64,), 300), torch.ones(64, 2, dtype=torch.bool)
        log_z, marginals = crf.log_partition(*chains)
        assert log_z.isfinite().all()
        torch.testing.assert_close(marginals.sum(-1), torch.ones(64, 300, dtype=torch.float64))


def test_a_certain_span_has_posterior_one():
    crf = ClinXCRF(2, "BIOSE")
    emissions = torch.full((1, 30, 9), -100.0)
    path = [crf.tags.roles.index("B")] + [crf.tags.roles.index("I")] * 28 + [crf.tags.roles.index("E")]
    emissions[0, torch.arange(30), path] = 100.0
    chain = emissions, torch.tensor([30]), torch.ones(1, 2, dtype=torch.bool)
    span = Spans(*(torch.tensor([value]) for value in (0, 0, 30, 0)))
    assert span_posteriors(crf.posteriors(*chain), crf.potentials(), chain[1], span).item() == pytest.approx(
        1.0, abs=1e-12
    )


def test_only_its_three_parameters_are_saved():
    assert set(ClinXCRF(2, "BIOSE").state_dict()) == {"transitions", "start", "end"}
    assert not ClinXCRF(2, "BIOSE", linear=True).state_dict()
    assert not list(ClinXCRF(2, "BIOSE").buffers())


def test_two_runs_give_the_same_bits():
    def run():
        torch.manual_seed(3)
        crf = ClinXCRF(3, "BIOSE")
        emissions = torch.randn(5, 50, len(crf.tags), requires_grad=True)
        mask = torch.rand(5, 50) < 0.8
        edges = torch.rand(5, 2) < 0.5
        loss, marginals = crf(emissions, mask, edges, torch.zeros(5, 50, dtype=torch.int64))
        loss.backward()
        chain = emissions.detach(), torch.full((5,), 50), edges
        spans = Spans(*torch.tensor([[row, 3, 9, row % 3] for row in range(5)]).t())
        gradients = [parameter.grad for parameter in crf.parameters()]
        return (
            loss,
            marginals,
            emissions.grad,
            *gradients,
            crf.decode(*chain),
            span_posteriors(crf.posteriors(*chain), crf.potentials(), chain[1], spans),
        )

    assert all(torch.equal(first, second) for first, second in zip(run(), run(), strict=True))
