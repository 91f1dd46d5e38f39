"""Whether two systems differ: interval and p-value."""

import pytest

from clinx.errors import InputError
from clinx.scoring.scores import score
from clinx.scoring.significance import compare
from tests.train.scoring.systems import GOLD, document, noisy


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


def test_one_document_is_too_few_to_compare_on():
    with pytest.raises(InputError, match="expected two or more"):
        compare(GOLD[:1], GOLD[:1], GOLD[:1])
