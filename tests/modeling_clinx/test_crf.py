"""The CRF against brute force over all tag sequences of short chains, and the labels that it refuses."""

import re
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from modeling_clinx.crf_clinx import ClinXCRF, compact
from modeling_clinx.labels_clinx import spans_from_bio
from modeling_clinx.lattice_clinx import Spans, span_posteriors


EDGES = [(True, True), (True, False), (False, True), (False, False)]
CASES = {  # types, scheme, linear, longest chain that is enumerated
    "BIOSE": (1, "BIOSE", False, 5),
    "BIOSE, 2 types": (2, "BIOSE", False, 4),
    "BIO": (1, "BIO", False, 5),
    "BIO, 2 types": (2, "BIO", False, 5),
    "linear BIOSE": (1, "BIOSE", True, 5),
    "linear BIO, 2 types": (2, "BIO", True, 5),
}


@lru_cache
def legal_paths(n_types, scheme, linear, n_steps, edges) -> torch.Tensor:
    """(paths, T) tags of all sequences that are a document's labelling, or a part of one where an edge is free."""
    crf = ClinXCRF(n_types, scheme, linear)
    pairs = zip(crf.tags.roles, crf.tags.types.tolist(), strict=True)
    names = [f"{role}{kind}" if role != "O" else "O" for role, kind in pairs]
    span = {"BIOSE": "S{0}|B{0}(?:I{0})*E{0}", "BIO": "B{0}(?:I{0})*"}[scheme]
    document = re.compile("(?:O|" + "|".join(span.format(kind) for kind in range(n_types)) + ")*")
    before = [""] if edges[0] else ["", *(f"B{kind}" for kind in range(n_types))]
    after = [""] if edges[1] else ["", *(f"E{kind}" for kind in range(n_types))]
    paths = [
        path
        for path in product(range(len(names)), repeat=n_steps)
        if linear or any(document.fullmatch(b + "".join(names[tag] for tag in path) + a) for b in before for a in after)
    ]
    return torch.tensor(paths, dtype=torch.int64).view(len(paths), n_steps)


def path_scores(crf, emissions, edges, paths):
    """(paths,) score of each path over emissions (T, K), by definition."""
    score = emissions[torch.arange(len(emissions)), paths].sum(1)
    if crf.transitions is None or not len(emissions):
        return score
    score = score + crf.transitions[paths[:, :-1], paths[:, 1:]].sum(1)
    return score + crf.start[paths[:, 0]] * edges[0] + crf.end[paths[:, -1]] * edges[1]


def agrees(crf, path, labels) -> bool:
    """Whether a path of tags spells BIO labels, those of -100 being anything."""
    for t, label in enumerate(labels):
        role, kind = crf.tags.roles[path[t]], int(crf.tags.types[path[t]])
        if label == -100:
            continue
        if label != (0 if role == "O" else 1 + 2 * kind + (role in "IE")):
            return False
        following = labels[t + 1] if t + 1 < len(labels) else 0
        goes_on = label > 0 and following == 2 + 2 * ((label - 1) // 2)
        if crf.tags.scheme == "BIOSE" and following != -100 and goes_on != (role in "BI"):
            return False
    return True


class Batch:
    """A random CRF and a batch of chains with holes and padding; one of its rows is empty."""

    def __init__(self, case, seed=0, scale=2.0):
        self.case, self.longest = CASES[case][:3], CASES[case][3]
        generator = torch.Generator().manual_seed(seed)
        self.crf = ClinXCRF(*self.case).double()
        for parameter in self.crf.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * scale
        sizes = [self.longest, 0, 1, 2, self.longest - 1, self.longest, 3, self.longest]
        self.mask = torch.zeros(8, self.longest + 3, dtype=torch.bool)
        for row, size in enumerate(sizes):
            self.mask[row, torch.randperm(self.longest + 3, generator=generator)[:size]] = True
        shape = (*self.mask.shape, len(self.crf.tags))
        self.emissions = (torch.randn(shape, generator=generator, dtype=torch.float64) * scale).requires_grad_()
        self.edges = torch.tensor(EDGES * 2)
        self.lengths = self.mask.sum(1)
        self.generator = generator

    def rows(self):
        """Row, emissions (T, K) of its chain, edges, and its legal paths."""
        for row, (mask, edges) in enumerate(zip(self.mask, self.edges.tolist(), strict=True)):
            chain = self.emissions[row][mask]
            yield row, chain, edges, legal_paths(*self.case, len(chain), tuple(edges))

    def chains(self):
        """As the CRF's methods take them."""
        index, lengths = compact(self.mask)
        return (
            self.emissions.detach().gather(1, index[..., None].expand(-1, -1, self.emissions.shape[2])),
            lengths,
            self.edges,
        )

    def random_labels(self, known):
        """(B, T) BIO ids of a random legal path a row, `known` of them, and -100 elsewhere; 777 off the chain."""
        labels = torch.full(self.mask.shape, 777)
        for row, chain, _, paths in self.rows():
            if self.crf.transitions is None:
                of_row = torch.randint(0, 1 + 2 * self.case[0], (len(chain),), generator=self.generator)
            else:
                path = paths[torch.randint(len(paths), (), generator=self.generator)]
                of_row = self.crf.tags.bio[path]
            hidden = torch.rand(len(chain), generator=self.generator) >= known
            labels[row, self.mask[row]] = of_row.masked_fill(hidden, -100)
        return labels

    def parameters(self):
        return [self.emissions, *self.crf.parameters()]


@pytest.fixture(params=CASES)
def batch(request):
    return Batch(request.param)


def brute_force_loss(batch, labels):
    total, count = torch.zeros((), dtype=torch.float64), 0
    for row, chain, edges, paths in batch.rows():
        of_row = labels[row][batch.mask[row]].tolist()
        score = path_scores(batch.crf, chain, edges, paths)
        agreeing = torch.tensor([agrees(batch.crf, path, of_row) for path in paths.tolist()])
        assert agreeing.any()
        total = total + score.logsumexp(0) - score[agreeing].logsumexp(0)
        count += sum(label != -100 for label in of_row)
    return total / max(1, count)


@pytest.mark.parametrize("known", [1.0, 0.6, 0.2])
def test_loss_and_gradient_are_those_of_brute_force(batch, known):
    for _ in range(3):
        labels = batch.random_labels(known)
        loss, _ = batch.crf(batch.emissions, batch.mask, batch.edges, labels)
        expected = brute_force_loss(batch, labels)
        assert loss.dtype == torch.float64
        torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
        gradients = torch.autograd.grad(loss, batch.parameters())
        for gradient, reference in zip(gradients, torch.autograd.grad(expected, batch.parameters()), strict=True):
            torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-11)


def test_nothing_is_learned_where_no_label_is_known(batch):
    loss, _ = batch.crf(batch.emissions, batch.mask, batch.edges, torch.full(batch.mask.shape, -100))
    assert loss.item() == 0.0
    assert all((gradient == 0).all() for gradient in torch.autograd.grad(loss, batch.parameters()))


def test_an_empty_chain_costs_nothing():
    crf = ClinXCRF(2, "BIOSE")
    emissions = torch.randn(3, 4, 9, requires_grad=True)
    nowhere = torch.zeros(3, 4, dtype=torch.bool)
    loss, marginals = crf(emissions, nowhere, torch.ones(3, 2, dtype=torch.bool), torch.zeros(3, 4, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0 and not marginals.any() and not emissions.grad.any()


def test_a_score_of_minus_infinity_forbids_as_a_very_low_one_does():
    """Of a constraint of somebody's own."""
    results = []
    for never in (-1e4, -torch.inf):
        batch = Batch("BIO, 2 types")
        with torch.no_grad():
            batch.crf.transitions[2, -1] = batch.crf.start[-1] = never  # B of the second type, after O or first
        log_z, _ = batch.crf.log_partition(*batch.chains())
        results.append((log_z, *torch.autograd.grad(log_z.sum(), list(batch.crf.parameters()))))
    torch.testing.assert_close(*results)


def test_gradients_pass_gradcheck(batch):
    labels = batch.random_labels(0.7)

    def loss(emissions, *parameters):
        parameters = dict(zip(("transitions", "start", "end"), parameters, strict=False))
        arguments = emissions, batch.mask[:5], batch.edges[:5], labels[:5]
        return torch.func.functional_call(batch.crf, parameters, arguments)[0]

    emissions = batch.emissions[:5].detach().requires_grad_()
    assert torch.autograd.gradcheck(loss, (emissions, *batch.crf.parameters()), fast_mode=True)


def test_marginals_are_those_of_brute_force(batch):
    loss, marginals = batch.crf(batch.emissions, batch.mask, batch.edges)
    assert loss is None and not marginals.requires_grad
    expected = torch.zeros_like(marginals)
    for row, chain, edges, paths in batch.rows():
        weight = path_scores(batch.crf, chain, edges, paths).softmax(0).detach()
        one_hot = torch.nn.functional.one_hot(paths, len(batch.crf.tags)).double()
        expected[row, batch.mask[row]] = torch.einsum("p,ptk->tk", weight, one_hot)
    torch.testing.assert_close(marginals, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_decoded_path_is_the_best_of_all(batch, seed):
    batch = Batch(next(name for name, case in CASES.items() if case[:3] == batch.case), seed)
    decoded = batch.crf.decode(*batch.chains())
    for row, chain, edges, paths in batch.rows():
        path = decoded[row, : len(chain)]
        assert path.tolist() in paths.tolist()
        best = path_scores(batch.crf, chain, edges, paths).max() if len(chain) else torch.zeros(())
        score = path_scores(batch.crf, chain, edges, path[None])[0]
        torch.testing.assert_close(score, best, rtol=1e-12, atol=1e-12, check_dtype=False)
        assert not decoded[row, len(chain) :].any()


def test_span_posteriors_are_those_of_brute_force(batch):
    queries = [
        (row, start, stop, kind)
        for row, chain, *_ in batch.rows()
        for start, stop, kind in product(range(len(chain)), range(1, len(chain) + 1), range(batch.case[0]))
        if start < stop
    ]
    expected = dict.fromkeys(queries, 0.0)
    for row, chain, edges, paths in batch.rows():
        weights = path_scores(batch.crf, chain, edges, paths).softmax(0).tolist()
        for labels, weight in zip(batch.crf.tags.bio[paths].numpy(), weights, strict=True):
            for span in zip(*spans_from_bio(labels), strict=True):
                expected[(row, *(int(part) for part in span))] += weight
    chains = batch.chains()

    def posteriors(queries):
        return span_posteriors(batch.crf.posteriors(*chains), batch.crf.potentials(), chains[1], Spans(*queries))

    scores = posteriors(torch.tensor(queries).t())
    assert (scores <= 1 + 1e-12).all() and (scores > 0).any()
    np.testing.assert_allclose(scores.numpy(), [expected[query] for query in queries], rtol=1e-9, atol=1e-14)
    assert posteriors(torch.zeros(4, 0, dtype=torch.int64)).shape == (0,)


@pytest.mark.parametrize("head", ["crf", "linear"])
def test_labels_that_are_no_bio_ids_are_refused(head):
    crf = ClinXCRF(2, "BIOSE", linear=head == "linear")
    mask = torch.tensor([[True] * 4, [False, True, True, True]])
    for wrong in (5, -1, -99, 1000):
        labels = torch.zeros(2, 4, dtype=torch.int64)
        labels[1, 2] = wrong
        message = rf"labels\[1, 2\] = {wrong} \(row 1 of the batch\) is no BIO id: expected 0 to 4"
        with pytest.raises(ValueError, match=message):
            crf(torch.randn(2, 4, 9), mask, torch.ones(2, 2, dtype=torch.bool), labels)


@pytest.mark.parametrize("scheme", ["BIOSE", "BIO"])
@pytest.mark.parametrize(
    "labels, position", [([0, 2, 0, 0], 1), ([2, 0, 0, 0], 0), ([1, 4, 0, 0], 1), ([3, 4, 2, 0], 2)]
)
def test_labels_that_the_constraints_forbid_are_refused_with_their_row(scheme, labels, position):
    crf = ClinXCRF(2, scheme)
    labels = torch.tensor([[0, 1, 2, 0], labels])
    inputs = torch.randn(2, 4, len(crf.tags)), torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=rf"labels\[1, {position}\] = {labels[1, position]} \(row 1 of the batch\)"):
        crf(*inputs, labels)
    linear = ClinXCRF(2, scheme, linear=True)
    assert linear(*inputs, labels)[0].isfinite()


@settings(max_examples=100, deadline=None)
@given(data=st.data(), scheme=st.sampled_from(["BIOSE", "BIO"]), edges=st.sampled_from(EDGES))
def test_partial_labels_are_refused_exactly_when_no_labelling_agrees(data, scheme, edges):
    crf = ClinXCRF(1, scheme)
    labels = data.draw(st.lists(st.sampled_from([-100, 0, 1, 2]), min_size=1, max_size=4))
    paths = legal_paths(1, scheme, False, len(labels), edges)
    possible = any(agrees(crf, path, labels) for path in paths.tolist())
    emissions, mask = torch.zeros(1, len(labels), len(crf.tags)), torch.ones(1, len(labels), dtype=torch.bool)
    try:
        loss, _ = crf(emissions, mask, torch.tensor([edges]), torch.tensor([labels]))
        assert possible and loss.isfinite()
    except ValueError:
        assert not possible


def test_an_i_label_may_begin_a_chain_that_does_not_begin_its_document():
    crf = ClinXCRF(1, "BIOSE")
    chain = torch.randn(1, 3, 5), torch.ones(1, 3, dtype=torch.bool), torch.tensor([[False, True]])
    assert crf(*chain, torch.tensor([[2, 2, 0]]))[0].isfinite()


def test_a_linear_head_has_the_cross_entropy_of_its_tags():
    torch.manual_seed(0)
    crf = ClinXCRF(2, "BIOSE", linear=True)
    emissions = torch.randn(2, 6, 9)
    labels = torch.tensor([[0, 1, 2, 2, 3, 0], [1, 1, 0, 3, 4, 4]])
    tags = [["O", "B0", "I0", "E0", "S1", "O"], ["S0", "S0", "O", "B1", "I1", "E1"]]
    gold = torch.tensor([[crf.tags.roles.index(tag[0]) + int(tag[1:] or 0) for tag in row] for row in tags])
    loss, marginals = crf(emissions, torch.ones(2, 6, dtype=torch.bool), torch.ones(2, 2, dtype=torch.bool), labels)
    assert loss.item() == pytest.approx(cross_entropy(emissions.flatten(0, 1), gold.flatten()).item(), abs=1e-6)
    torch.testing.assert_close(marginals, emissions.softmax(-1))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.0, 1.0, 100.0]), case=st.sampled_from(list(CASES)[:4]))
def test_no_decoded_sequence_is_illegal(seed, scale, case):
    n_types, scheme, _, n_steps = CASES[case]
    torch.manual_seed(seed)
    crf = ClinXCRF(n_types, scheme)
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    lengths = torch.randint(1, n_steps + 1, (4,))
    decoded = crf.decode(torch.randn(4, n_steps, len(crf.tags)) * scale, lengths, torch.tensor(EDGES))
    for path, size, edges in zip(decoded, lengths.tolist(), EDGES, strict=True):
        assert path[:size].tolist() in legal_paths(n_types, scheme, False, size, edges).tolist()


def test_what_lies_off_the_chain_changes_nothing(batch):
    labels = batch.random_labels(0.8)
    junk = torch.where(batch.mask[..., None], batch.emissions.detach(), 1e4)
    results = [batch.crf(emissions, batch.mask, batch.edges, labels) for emissions in (batch.emissions, junk)]
    assert results[0][0].item() == results[1][0].item()
    assert torch.equal(results[0][1], results[1][1]) and not results[0][1][~batch.mask].any()
