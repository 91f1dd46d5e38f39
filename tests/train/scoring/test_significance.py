"""Whether two systems differ: interval and p-value."""

import random
import time
from itertools import product

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test

from clinx.corpora.documents import Document, Entity
from clinx.errors import InputError
from clinx.scoring import significance
from clinx.scoring.scores import score
from clinx.scoring.significance import compare, compare_runs, document_p_value, run_p_value
from tests.train.scoring.systems import GOLD, binomial_interval, document, noisy, outcomes


def test_a_system_does_not_differ_from_itself():
    pred = noisy(GOLD, 0.8, seed=0)
    result = compare(GOLD, pred, pred)
    assert (result["difference"], result["interval"], result["p_value"]) == (0.0, [0.0, 0.0], 1.0)


def test_systems_that_differ_clearly_are_told_apart_and_those_that_hardly_do_are_not():
    good, alike, bad = noisy(GOLD, 0.9, seed=1), noisy(GOLD, 0.9, seed=2), noisy(GOLD, 0.7, seed=3)
    clear, hardly = compare(GOLD, good, bad), compare(GOLD, good, alike)
    assert clear["difference"] == score(GOLD, good)["f1"] - score(GOLD, bad)["f1"]
    assert 0 < clear["interval"][0] < clear["difference"] < clear["interval"][1]
    assert clear["p_value"] < 0.01
    assert hardly["interval"][0] < 0 < hardly["interval"][1]
    assert hardly["p_value"] > 0.05


def test_a_comparison_is_repeatable_and_turns_its_sign_with_the_systems():
    a, b = noisy(GOLD, 0.9, seed=1), noisy(GOLD, 0.8, seed=2)
    result, turned = compare(GOLD, a, b), compare(GOLD, b, a)
    assert result == compare(GOLD, a, b)
    assert turned["difference"] == -result["difference"]
    assert turned["interval"] == pytest.approx([-bound for bound in reversed(result["interval"])])
    assert turned["p_value"] == pytest.approx(result["p_value"], abs=0.01)


def test_a_few_documents_are_permuted_exhaustively():
    gold = [document(str(n), (0, 3, "X")) for n in range(4)]
    assert compare(gold, gold, [document(d.id) for d in gold])["p_value"] == 2 / 2**4


def f1(predictions: list[Document], numbers: np.ndarray) -> np.ndarray:
    """Strict F1 on the documents of these numbers (…, n), counted anew; from 40 on they are another system's."""
    pairs = [({*gold.entities}, {*pred.entities}) for gold, pred in zip(GOLD * 2, predictions, strict=True)]
    sums = np.array([(len(gold & pred), len(gold) + len(pred)) for gold, pred in pairs])  # (80, 2)
    matches, mentions = sums.T[:, numbers].sum(-1)
    return 2 * matches / mentions


@pytest.mark.parametrize(("kept", "seed"), [(0.9, 1), (0.84, 2), (0.8, 3)])
def test_interval_and_p_value_are_those_of_scipy_but_for_chance(kept, seed):
    a, b, numbers = noisy(GOLD, 0.85, seed=9), noisy(GOLD, kept, seed), np.arange(40)
    resampling = {"vectorized": True, "n_resamples": 10_000, "rng": 5}

    def difference(x, y, axis):
        return f1([*a, *b], x) - f1([*a, *b], y)

    interval = bootstrap(
        (numbers,), lambda drawn, axis: difference(drawn, drawn + 40, axis), method="percentile", **resampling
    ).confidence_interval
    test = permutation_test((numbers, numbers + 40), difference, permutation_type="samples", **resampling)
    result = compare(GOLD, a, b)
    assert result["difference"] == pytest.approx(test.statistic)
    assert result["interval"] == pytest.approx([interval.low, interval.high], abs=0.002)
    assert result["p_value"] == pytest.approx(test.pvalue, abs=0.02)


def test_twenty_thousand_documents_are_compared_in_seconds():
    chance = random.Random(0)
    gold = [
        Document(str(n), "x" * 100, [Entity(s, s + 1, "X") for s in range(chance.randrange(5, 40))])
        for n in range(20_000)
    ]
    a, b = noisy(gold, 0.9, seed=1), noisy(gold, 0.9, seed=2)
    start = time.process_time()
    result = compare(gold, a, b)
    assert time.process_time() - start < 30  # about four seconds on a quiet core
    assert result["interval"][0] < result["difference"] < result["interval"][1] and result["p_value"] > 0.001


def test_one_document_is_too_few_to_compare_on():
    with pytest.raises(InputError, match="expected two or more"):
        compare(GOLD[:1], GOLD[:1], GOLD[:1])


def test_of_one_run_each_the_interval_is_that_over_documents():
    a, b = noisy(GOLD, 0.9, seed=1), noisy(GOLD, 0.8, seed=2)
    once, runs = compare(GOLD, a, b), compare_runs(GOLD, [a], [b])
    assert (runs["difference"], runs["interval"]) == (once["difference"], once["interval"])


def test_runs_that_differ_among_themselves_widen_the_interval():
    b = [noisy(GOLD, 0.8, seed=seed) for seed in (1, 2, 3)]
    alike = [noisy(GOLD, kept, seed=7) for kept in (0.9, 0.9, 0.9)]
    apart = [noisy(GOLD, kept, seed=seed) for kept, seed in ((0.99, 4), (0.9, 5), (0.81, 6))]
    narrow, wide = (np.ptp(compare_runs(GOLD, runs, b)["interval"]) for runs in (alike, apart))
    assert wide > 1.3 * narrow
    result = compare_runs(GOLD, apart, b)
    means = [np.mean([score(GOLD, pred)["f1"] for pred in runs]) for runs in (apart, b)]
    assert result["difference"] == pytest.approx(means[0] - means[1]) and result["runs"] == [3, 3]


def test_documents_and_runs_are_drawn_as_the_definition_says():
    a = [noisy(GOLD, kept, seed=seed) for kept, seed in ((0.95, 4), (0.85, 5))]
    b = [noisy(GOLD, kept, seed=seed) for kept, seed in ((0.8, 6), (0.7, 7), (0.75, 8))]
    chance, differences = np.random.default_rng(3), []
    for _ in range(1000):
        numbers = chance.integers(40, size=40)
        means = [
            np.mean([f1([*runs[i], *runs[i]], numbers) for i in chance.integers(len(runs), size=len(runs))])
            for runs in (a, b)
        ]
        differences.append(means[0] - means[1])
    assert compare_runs(GOLD, a, b)["interval"] == pytest.approx(
        list(np.percentile(differences, (2.5, 97.5))), abs=0.01
    )


def test_of_one_run_each_the_p_value_is_that_of_compare():
    for n in (9, 40):
        a, b = noisy(GOLD[:n], 0.9, seed=1), noisy(GOLD[:n], 0.85, seed=2)
        runs = compare_runs(GOLD[:n], [a], [b])
        assert compare(GOLD[:n], a, b).items() < runs.items()
        assert runs["p_value_of_runs"] == 1.0


@pytest.mark.parametrize(("runs_a", "runs_b"), [(1, 1), (2, 2), (3, 1)])
def test_the_p_value_over_documents_is_that_of_all_swaps_one_by_one(runs_a, runs_b):
    chance = np.random.default_rng(7)
    rates = chance.beta(6, 3, size=7)
    a, b = ([outcomes(rates, chance) for _ in range(n)] for n in (runs_a, runs_b))
    differences = []
    for swaps in product((False, True), repeat=7):
        pooled = np.zeros((2, 2))  # of each system: matches, and gold + predicted mentions, a run
        for document_number, is_swapped in enumerate(swaps):
            for system, runs in enumerate((b, a) if is_swapped else (a, b)):
                pooled[system] += np.mean([run[document_number] for run in runs], axis=0)
        f1 = 2 * pooled[:, 0] / pooled[:, 1]
        differences.append(f1[0] - f1[1])
    below, above = (np.mean([sign * (other - differences[0]) <= 1e-12 for other in differences]) for sign in (1, -1))
    assert document_p_value(a, b, chance) == pytest.approx(min(1, 2 * min(below, above)))


@pytest.mark.parametrize("sizes", [(3, 3), (4, 2), (2, 5)])
def test_the_p_value_over_runs_is_that_of_scipys_exact_permutation(sizes):
    chance = np.random.default_rng(2)
    a, b = (chance.normal(0.9, 0.02, size) for size in sizes)
    exact = permutation_test((a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis), vectorized=True).pvalue
    assert run_p_value(a, b, chance) == pytest.approx(exact)


def test_runs_that_are_too_many_to_permute_in_all_ways_are_drawn():
    chance = np.random.default_rng(3)
    a, b = chance.normal(0.90, 0.01, 10), chance.normal(0.908, 0.01, 10)
    exact = permutation_test(
        (a, b), lambda x, y, axis: x.mean(axis) - y.mean(axis), vectorized=True, n_resamples=np.inf
    ).pvalue
    assert run_p_value(a, b, chance) == pytest.approx(exact, abs=0.02)


def test_the_p_value_over_documents_knows_no_order_of_runs():
    gold = GOLD[:9]
    a, b = ([noisy(gold, kept, seed) for seed in seeds] for kept, seeds in ((0.9, (1, 2)), (0.86, (3, 4))))
    p_values = {compare_runs(gold, *runs)["p_value"] for runs in ((a, b), (a[::-1], b), (a + a, b + b))}
    assert len(p_values) == 1


TRIALS = 2000


def rejections(runs_a: int, runs_b: int, documents: int, spread: float, seed: int) -> dict[str, float]:
    """How often each test rejects at 5 % where both sides are runs of one training, whose seeds have an effect of this
    spread on the rates of all documents."""
    chance, rejected = np.random.default_rng(seed), {"documents": 0, "runs": 0}
    for _ in range(TRIALS):
        rates = chance.beta(8, 2, size=documents)
        runs = [outcomes(np.clip(rates + spread * chance.normal(), 0, 1), chance) for _ in range(runs_a + runs_b)]
        f1 = np.array([2 * run[:, 0].sum() / run[:, 1].sum() for run in runs])
        rejected["documents"] += document_p_value(runs[:runs_a], runs[runs_a:], chance) <= 0.05
        rejected["runs"] += run_p_value(f1[:runs_a], f1[runs_a:], chance) <= 0.05
    rates = {name: times / TRIALS for name, times in rejected.items()}
    print(f"{runs_a} and {runs_b} runs, {documents} documents, spread of seeds {spread}: {rates}")
    return rates


@pytest.mark.slow
@pytest.mark.parametrize(("runs_a", "runs_b", "documents"), [(1, 1, 10), (1, 1, 30), (3, 3, 10), (3, 1, 10)])
def test_one_null_pair_in_twenty_is_told_apart(runs_a, runs_b, documents, monkeypatch):
    """Ten documents are swapped in all ways; thirty would have a thousand million."""
    monkeypatch.setattr(significance, "RESAMPLES", 1024 if documents == 10 else 1000)
    low, high = binomial_interval(0.05, TRIALS)
    assert low <= rejections(runs_a, runs_b, documents, spread=0, seed=101)["documents"] <= high


@pytest.mark.slow
def test_where_seeds_have_an_effect_the_test_over_runs_holds_and_that_over_documents_does_not(monkeypatch):
    """What the docstring of `compare_runs` says: the one knows of seeds, the other does not."""
    monkeypatch.setattr(significance, "RESAMPLES", 1024)
    rates = rejections(4, 4, 10, spread=0.03, seed=6)
    low, high = binomial_interval(2 / 70, TRIALS)  # of 70 permutations, only the two outermost are below 5 %
    assert low <= rates["runs"] <= high
    assert rates["documents"] > 0.1
