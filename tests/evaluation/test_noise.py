import statistics

import pytest
from scipy.stats import ttest_ind

from ftlab.errors import ConfigError
from ftlab.evaluation import noise
from ftlab.training.study import Repeat, Sweep, Trial
from ftlab.training.sweep import defaults

DEFAULT = defaults("lora")


def made(losses, search=(0.5, 0.4, 0.6), test=None):
    """A sweep of three trials whose repeats have the given losses by seed."""
    trials = [
        Trial(i, DEFAULT | ({"epochs": 4 + i} if i else {}), "complete", x, {4: x}, 10)
        for i, x in enumerate(search)
    ]
    repeats = [
        Repeat(number, seed, loss, (test or losses)[number][seed - 1], 9)
        for number, row in losses.items()
        for seed, loss in enumerate(row, 1)
    ]
    settings = {
        "default": DEFAULT,
        "finalists": 2,
        "task": "say",
        "model": "tiny",
        "method": "lora",
    }
    return Sweep(settings, trials, repeats, 1.0)


def test_the_interval_is_that_of_students_test():
    a, b = [0.5, 0.54, 0.49], [0.45, 0.43, 0.48]
    theirs = ttest_ind(b, a).confidence_interval()
    ours = noise.gap(a, b)
    assert ours.value == pytest.approx(statistics.fmean(b) - statistics.fmean(a))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    quiet = noise.gap(a, b, [[0.5, 0.5, 0.5]])  # one more group that says: less noise
    assert quiet.high < ours.high
    with pytest.raises(ConfigError, match="two seeds"):
        noise.gap([0.1], [0.2])


def test_a_clear_gain_is_told_and_a_lucky_seed_is_not():
    clear = noise.judge(made({0: [0.5, 0.51], 1: [0.4, 0.41], 2: [0.6, 0.61]}))
    assert clear.best.number == 1 and clear.held_out.high < 0
    assert "The default lost to trial 1, by 0.1000" in " ".join(clear.sentences)
    assert clear.sentences[-1] == "Trial 1 reads the records 5 times, the default 3 times."
    assert "which flatters it" in clear.sentences[0] and "came 2. of 3" in clear.sentences[0]
    lucky = noise.judge(made({0: [0.5, 0.41], 1: [0.39, 0.52], 2: [0.6, 0.5]}))
    assert lucky.held_out.covers_zero
    assert "within the noise" in lucky.sentences[1] and "lost" not in " ".join(lucky.sentences)


def test_the_default_can_win():
    losses = {0: [0.3, 0.31], 1: [0.4, 0.41], 2: [0.6, 0.61]}
    judged = noise.judge(made(losses, search=(0.3, 0.4, 0.6)))
    assert "None beat the default" in judged.sentences[0]
    assert "The default won, by 0.1000" in judged.sentences[1]


def test_unseen_data_may_say_something_else():
    losses = {0: [0.5, 0.51], 1: [0.4, 0.41], 2: [0.6, 0.61]}
    test = {0: [0.5, 0.51], 1: [0.5, 0.51], 2: [0.6, 0.61]}
    judged = noise.judge(made(losses, test=test))
    assert judged.held_out.high < 0 and judged.test.covers_zero
    assert (
        "never saw: 0.5050 against 0.5050. The difference of +0.0000 is within"
        in (judged.sentences[2])
    )


def test_what_is_not_known_is_not_said():
    none = noise.judge(made({}))
    assert "nothing is known of the noise" in none.sentences[-1] and none.best.number == 1
    one = noise.judge(made({0: [0.5], 1: [0.4], 2: [0.6]}))
    assert "one fresh seed only" in one.sentences[-1] and one.held_out.covers_zero
    broken = noise.judge(made({0: [0.5, 0.51], 1: [None, 0.41], 2: [0.6, 0.61]}))
    assert "Trial 1 failed with another seed" in " ".join(broken.sentences)
    assert broken.best.number == 2


def test_the_report_has_every_trial_and_marks_the_default():
    sweep = made({0: [0.5, 0.51], 1: [0.4, 0.41], 2: [0.6, 0.61]})
    text = noise.markdown(sweep, noise.judge(sweep))
    rows = [line for line in text.splitlines() if line.startswith("| ") and "rate" in line]
    assert [row.split("|")[1].strip() for row in rows] == ["1", "0 (default)", "2"]
    assert "| 0.4000 | 0.4000, 0.4100 |" in rows[0]
