import math

import numpy as np
import pytest

from ftlab.errors import ConfigError
from ftlab.evaluation.intervals import paired_bootstrap
from ftlab.evaluation.power import examples_needed, sign_test, smallest_difference, votes_needed


def sd_of_shares(better, worse):
    return math.sqrt(better + worse - (better - worse) ** 2)


@pytest.mark.parametrize(("better", "worse"), [(0.25, 0.15), (0.3, 0.1)])
def test_as_many_examples_as_it_says_find_the_difference_four_times_in_five(better, worse):
    rng = np.random.default_rng(0)
    n = examples_needed(better - worse, sd_of_shares(better, worse))
    gaps = rng.choice([1, -1, 0], p=[better, worse, 1 - better - worse], size=(4000, n))
    found = np.abs(gaps.mean(axis=1)) > 1.96 * gaps.std(axis=1, ddof=1) / math.sqrt(n)
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_the_interval_of_the_verdict_finds_it_as_often():
    better, worse = 0.3, 0.1
    n = examples_needed(better - worse, sd_of_shares(better, worse))
    rng, ones, zeros, found = np.random.default_rng(1), np.ones(n), np.zeros(n), 0
    for world in range(200):
        gaps = rng.choice([1, -1, 0], p=[better, worse, 1 - better - worse], size=n)
        got = paired_bootstrap(zeros, ones, gaps, ones, samples=300, seed=world)
        found += not got.covers_zero
    assert found / 200 == pytest.approx(0.8, abs=0.08)


def test_the_two_questions_are_one_formula_turned_round():
    sd = sd_of_shares(0.2, 0.1)
    n = examples_needed(0.03, sd)
    assert smallest_difference(n, sd) <= 0.03 < smallest_difference(n - 1, sd)
    assert examples_needed(-0.03, sd) == n


@pytest.mark.parametrize("better", [0.9, 0.7, 0.6])
def test_votes_are_the_fewest_that_the_sign_test_shows_four_times_in_five(better):
    def shown(n):
        return sum(
            math.comb(n, wins) * better**wins * (1 - better) ** (n - wins)
            for wins in range(n // 2 + 1, n + 1)
            if sign_test(wins, n - wins) < 0.05
        )

    n = votes_needed(better)
    assert shown(n) >= 0.8
    assert all(shown(fewer) < 0.8 for fewer in range(1, n))


def test_no_fewer_votes_are_named_than_could_ever_show_it():
    assert sign_test(5, 0) > 0.05 > sign_test(6, 0)
    assert votes_needed(0.999) == 6
    assert votes_needed(0.52) > 4000


@pytest.mark.parametrize("share", [0.5, 1])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ConfigError):
        votes_needed(share)
