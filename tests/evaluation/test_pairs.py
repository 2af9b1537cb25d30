import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ftlab.evaluation.power import holm, pairs, permutation_test, sign_test
from ftlab.tasks import Ratio


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (7, 3), (3, 7), (12, 12), (60, 25)])
def test_sign_test_is_the_exact_binomial_test(wins, losses):
    exact = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1
    assert sign_test(wins, losses) == pytest.approx(exact)


def test_permutation_agrees_with_all_the_swaps_there_are():
    rng = np.random.default_rng(0)
    a = [Ratio(*row) for row in rng.integers(1, 5, size=(9, 2))]
    b = [Ratio(*row) for row in rng.integers(1, 5, size=(9, 2))]

    def gap(swaps):
        one = [y if swap else x for x, y, swap in zip(a, b, swaps, strict=True)]
        two = [x if swap else y for x, y, swap in zip(a, b, swaps, strict=True)]
        ends = [sum(r.num for r in row) / sum(r.den for r in row) for row in (one, two)]
        return abs(ends[1] - ends[0])

    all_gaps = [gap(swaps) for swaps in itertools.product((0, 1), repeat=9)]
    exact = np.mean([g >= gap((0,) * 9) - 1e-12 for g in all_gaps])
    assert permutation_test(a, b, samples=20_000) == pytest.approx(exact, abs=0.012)


def test_permutation_claims_a_difference_between_equals_as_often_as_it_says():
    rng, claims = np.random.default_rng(3), 0
    for world in range(300):
        dens = rng.integers(1, 6, size=60)
        a, b = (
            [Ratio(num, den) for num, den in zip(rng.binomial(dens, 0.4), dens, strict=True)]
            for _ in range(2)
        )
        claims += permutation_test(a, b, samples=200, seed=world) < 0.05
    assert 0.01 < claims / 300 < 0.09


def test_no_case_at_all_is_no_evidence():
    assert permutation_test([Ratio(0, 0)] * 5, [Ratio(0, 0)] * 5) == 1.0


def test_holm_by_hand():
    assert holm([]) == []
    assert holm([0.02]) == [0.02]
    assert holm([0.04, 0.001, 0.9, 0.03]) == pytest.approx([0.09, 0.004, 0.9, 0.09])
    assert max(holm([0.5, 0.6])) == 1.0


def right(*marks):
    return [Ratio(float(mark), 1) for mark in marks]


def test_every_pair_with_its_direction_and_mcnemar_for_right_and_wrong():
    scores = {"a": right(*[0] * 40), "b": right(*[1] * 30, *[0] * 10), "c": right(*[1] * 40)}
    found = pairs(scores)
    assert [(pair.a, pair.b) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    first = found[0]
    assert (first.win, first.tie, first.loss) == (30, 10, 0)
    assert first.difference.value == 0.75 and first.test == "McNemar, exact"
    assert first.p == sign_test(30, 0)
    assert first.corrected == pytest.approx(2 * first.p) and first.shown
    assert first.smallest == pytest.approx(2.8 * math.sqrt(0.75 * 0.25 / 40), rel=0.05)
    assert first.needed["0.01"] > 20 * first.needed["0.05"] > 0


def test_a_few_wins_and_no_loss_are_not_shown_though_the_interval_leaves_zero_out():
    # 5 to 0 of 40: in nearly every draw at least one of the five is there.
    (pair,) = pairs({"a": right(*[0] * 40), "b": right(*[1] * 5, *[0] * 35)})
    assert not pair.difference.covers_zero and pair.p == 0.0625 and not pair.shown


def test_systems_that_never_differ_say_nothing_of_power():
    (pair,) = pairs({"a": right(1, 0, 1), "b": right(1, 0, 1)})
    assert (pair.smallest, pair.needed, pair.p, pair.shown) == (None, {}, 1.0, False)
    assert pairs({"a": right(1, 0)}) == []


def test_other_ratios_are_tested_by_permutation_with_the_sign_test_beside():
    rng = np.random.default_rng(0)
    a = [Ratio(2 * tp, 10) for tp in rng.integers(0, 4, 50)]
    b = [Ratio(r.num + 1, r.den) for r in a]
    (pair,) = pairs({"a": a, "b": b})
    assert pair.test == "permutation" and pair.p == pytest.approx(1 / 2001)
    assert pair.win == 50 and pair.shown
