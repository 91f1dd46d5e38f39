"""How well measures foresee gains, and sets of sources."""

import json
from itertools import permutations

import numpy as np
import pytest

from clinx.errors import InputError
from clinx.transfer.quality import CHANCE, FIGURES, case_of, evaluate_measures, ndcg, rank_of_best, regret
from clinx.transfer.sets import class_of, evaluate_sets, foresee_classes, read_transfers
from clinx.transfer.similarity import FUSED, LARGER_IS_CLOSER


GAINS = np.array([0.03, -0.01, 0.02, 0.0])
MEASURES = {name: [0.0, 0.0, 0.0, 0.0] for name in FUSED}


def test_a_right_order_is_perfect_and_the_reverse_is_not():
    for figure, best, worst in (("spearman", 1, -1), ("regret", 0, 0.04), ("rank_of_best", 1, 4), ("hit", 1, 0)):
        assert FIGURES[figure](GAINS, GAINS) == pytest.approx(best)
        assert FIGURES[figure](GAINS, -GAINS) == pytest.approx(worst)
    assert ndcg(GAINS, GAINS) == 1 > ndcg(GAINS, -GAINS)


@pytest.mark.parametrize("figure", ["regret", "ndcg", "rank_of_best", "hit"])
def test_a_tie_counts_as_the_mean_of_all_its_orders(figure):
    of_orders = [FIGURES[figure](GAINS, np.array(order)) for order in permutations(range(4))]
    assert FIGURES[figure](GAINS, np.zeros(4)) == pytest.approx(np.mean(of_orders))


def test_ndcg_is_as_defined():
    gains = np.array([0.3, 0.1, 0.0])
    discounts = 1 / np.log2([2, 3, 4])
    assert ndcg(gains, np.array([2, 3, 1])) == pytest.approx(
        (0.1 * discounts[0] + 0.3 * discounts[1]) / (0.3 * discounts[0] + 0.1 * discounts[1])
    )


def test_smaller_is_closer_for_a_distance_and_what_is_missing_speaks_neither_way():
    case = case_of(GAINS, MEASURES | {"procrustes": [1.0, 4.0, np.nan, 3.0]})
    assert regret(case.gains, case.closeness["procrustes"]) == 0
    assert rank_of_best(case.gains, case.closeness["procrustes"]) == 1


def test_measures_are_evaluated_beside_chance_and_unknown_ones_left_out():
    cases = [case_of(GAINS + i, MEASURES | {"leep": list(GAINS), "size": [np.nan] * 4}) for i in range(5)]
    table = evaluate_measures(cases)
    assert "size" not in table and "h_score" not in table
    assert table["leep"]["regret"]["mean"] == table["leep"]["regret"]["interval"][1] == 0
    assert table[CHANCE]["regret"]["mean"] == pytest.approx(0.03 - GAINS.mean())
    assert table["leep"]["regret"]["less_chance"] == pytest.approx([GAINS.mean() - 0.03] * 2)
    assert table["fused"]["hit"]["mean"] == 1 and table[CHANCE]["hit"]["mean"] == 0.25


def transfers(n_targets=6, n_sources=5):
    """Gains that follow LEEP, whose height is another for every target."""
    rows = []
    for t in range(n_targets):
        for s in range(n_sources):
            gain = 0.02 * (s - 2)
            measures = {"leep": gain - t, "size": 1000.0 * s * s}
            rows.append({"target": f"t{t}", "source": f"s{s}", "size": "250", "gain": gain, "measures": measures})
    return rows


def test_classes_are_learned_from_earlier_transfers():
    expected = ["hurts", "helps", "neutral", "neutral", "helps"]
    assert foresee_classes(transfers(), {"leep": [-9, -5, -7, -7.1, -6]}) == expected
    assert foresee_classes(transfers(), {"leep": [1.0, np.nan]})[1] == "neutral"
    evaluated = evaluate_sets(transfers())
    assert evaluated["right"] == evaluated["transfers"] == 30 and evaluated["commonest"] == 12
    assert evaluated["gain_of_helpful"] == pytest.approx(0.03) and evaluated["gain_of_all"] == pytest.approx(0)


def test_what_cannot_be_learned_is_refused(tmp_path):
    assert [class_of(gain) for gain in (0.006, 0.004, -0.004, -0.006)] == ["helps", "neutral", "neutral", "hurts"]
    with pytest.raises(InputError, match="no measure in common"):
        foresee_classes(transfers(), {"cosine": [1.0]})
    with pytest.raises(InputError, match="nothing to tell apart"):
        foresee_classes(transfers()[:1], {"leep": [1.0]})
    assert evaluate_sets(transfers(n_targets=1)) is None
    file = tmp_path / "transfers.json"
    as_text = [{**transfer, "gain": str(transfer["gain"])} for transfer in transfers()]
    file.write_text(json.dumps({"transfers": as_text}))
    assert read_transfers(file) == transfers()
    for content in ("{", "[]", '{"transfers": [{"target": "a"}]}', '{"transfers": 3}'):
        file.write_text(content)
        with pytest.raises(InputError, match="expected transfers.json"):
            read_transfers(file)
    file.write_text(json.dumps({"transfers": transfers()[:1]}))
    with pytest.raises(InputError, match="of one class"):
        read_transfers(file)
    file.write_text(json.dumps({"transfers": transfers()}))
    assert read_transfers(file) == transfers()
    with pytest.raises(InputError, match="cannot read the transfers"):
        read_transfers(tmp_path / "none.json")


def test_every_measure_has_a_direction():
    assert set(FUSED) < set(LARGER_IS_CLOSER)
