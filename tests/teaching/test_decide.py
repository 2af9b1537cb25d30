"""The break-even is arithmetic that can be done by hand, and every recommendation has a reason."""

import itertools
import math

import pytest

from ftlab.errors import ConfigError
from ftlab.evaluation.costs import TokenPrice
from ftlab.teaching.decide import (
    CASES,
    CHOICES,
    QUESTIONS,
    Calculator,
    Helper,
    break_even,
    decide,
    monthly,
)

PRICE = TokenPrice(input=1.0, output=4.0)
DEAR = TokenPrice(input=2.0, output=8.0)
NO = dict.fromkeys(QUESTIONS, False)
READY = NO | {"measured": True, "prompted": True}


def test_a_month_by_hand():
    # 1,000 calls: 100,000 tokens in at 1 a million, 10,000 out at 4 a million, and upkeep.
    assert monthly(1000, 100, 10, PRICE) == pytest.approx(0.1 + 0.04)
    assert monthly(1000, 100, 10, PRICE, upkeep=2) == pytest.approx(2.14)


def test_break_even_by_hand():
    bill = break_even(1e6, 1000, 100, 10, base=PRICE, tuned=PRICE, training=1800)
    assert bill.saved == pytest.approx(900)
    assert bill.months == pytest.approx(2)
    assert str(bill).endswith("pays back after 2.0 months")


@pytest.mark.parametrize("calls", [0, 10, 1e9])
def test_half_the_prompt_at_twice_the_price_never_pays(calls):
    bill = break_even(calls, 1000, 500, 10, base=PRICE, tuned=DEAR, training=1)
    assert bill.months == math.inf
    assert "never pays" in str(bill)


def test_upkeep_wants_a_number_of_calls():
    few, many = (
        break_even(calls, 1000, 100, 10, base=PRICE, tuned=PRICE, training=10, upkeep=50)
        for calls in (1000, 1_000_000)
    )
    assert few.months == math.inf
    assert many.months == pytest.approx(10 / 850)


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf])
def test_figures_that_are_none_are_refused(bad):
    with pytest.raises(ConfigError, match="zero or more"):
        monthly(bad, 1, 1, PRICE)
    with pytest.raises(ConfigError, match="training"):
        break_even(1, 1, 1, 1, base=PRICE, tuned=PRICE, training=bad)


def test_every_combination_of_answers_gets_a_choice_and_a_reason():
    seen = set()
    for bits in itertools.product((True, False), repeat=len(QUESTIONS)):
        answers = dict(zip(QUESTIONS, bits, strict=True))
        advice = decide(answers)
        seen.add(advice.choice)
        assert advice.choice in CHOICES
        assert all(reason.endswith(".") for reason in advice.reasons) and advice.reasons
        assert ("do not fine-tune" in str(advice)) is not advice.tune
        if advice.tune:
            needed = ("measured", "prompted", "examples", "pattern")
            assert all(answers[key] for key in needed) and not answers["program"]
            assert ("retrieval" in advice.choice) is answers["facts"]
            assert any("brittle" in reason for reason in advice.reasons) is not answers["narrow"]
    assert seen == set(CHOICES)


@pytest.mark.parametrize(
    ("yes", "wanted"),
    [
        (("program", "measured", "prompted", "pattern", "examples"), "no model"),
        (("prompted", "pattern", "examples"), "not yet"),
        (("measured", "pattern", "examples"), "prompt"),
        (("measured", "prompted", "satisfied", "pattern", "shown", "examples"), "prompt"),
        (("measured", "prompted", "facts"), "retrieval"),
        (("measured", "prompted", "pattern"), "not yet"),
        (("measured", "prompted", "facts", "pattern"), "retrieval"),
        (("measured", "prompted", "pattern", "examples"), "fine-tune"),
        (("measured", "prompted", "facts", "pattern", "examples"), "fine-tune and retrieval"),
        (("measured", "prompted"), "prompt"),
    ],
)
def test_what_decides(yes, wanted):
    assert decide(NO | dict.fromkeys(yes, True)).choice == wanted


def test_facts_alone_are_never_a_reason_to_tune():
    for rest in itertools.product((True, False), repeat=len(QUESTIONS)):
        answers = dict(zip(QUESTIONS, rest, strict=True)) | {"pattern": False, "facts": True}
        assert not decide(answers).tune


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (NO | {"patern": True}, "Did you mean 'pattern'"),
        ({k: v for k, v in READY.items() if k != "facts"}, "none: facts"),
        (READY | {"facts": "yes"}, "none: facts"),
    ],
)
def test_answers_that_cannot_be_read_are_refused(answers, told):
    with pytest.raises(ConfigError, match=told):
        decide(answers)


def test_the_six_cases_go_six_ways_and_two_of_them_tune():
    assert len(CASES) == 6
    advice = [decide(case.answers) for case in CASES]
    assert {one.choice for one in advice} == set(CHOICES)
    assert sum(one.tune for one in advice) == 2
    for case in CASES:
        assert set(case.yes) <= set(QUESTIONS)


def test_the_calculator_follows_its_sliders():
    panel = Calculator(calls=1000, long_prompt=1000, short_prompt=100, training=10.0)
    assert "pays back" in str(panel) or "never pays" in str(panel)
    *sliders, told = panel.widget().children
    assert str(panel.bill()) in told.value
    sliders[0].value = 1_000_000
    assert str(Calculator(1_000_000, 1000, 100, training=10.0).bill()) in told.value


def test_the_calculator_begins_with_the_prices_that_it_was_given():
    own = Calculator(base=PRICE, tuned=TokenPrice(input=3.0, output=5.0))
    *sliders, told = own.widget().children
    assert str(own.bill()) in told.value
    assert [slider.value for slider in sliders[-2:]] == [1.0, 3.0]


def test_the_price_of_tokens_is_moved_and_a_dear_tuned_model_never_pays():
    panel = Calculator(base=PRICE, tuned=DEAR)
    *sliders, told = panel.widget().children
    read, times = sliders[-2:]
    assert "never pays" not in told.value
    read.value = 10.0
    assert (
        str(
            Calculator(
                base=TokenPrice(input=10, output=40), tuned=TokenPrice(input=20, output=80)
            ).bill()
        )
        in told.value
    )
    times.value = 9.0
    assert "never pays" in told.value
    assert panel.priced(2.0, 1.0).tuned == DEAR
    assert panel.priced(2.0, 1.0).base == DEAR


def test_a_base_whose_tokens_are_free_has_no_slider_for_their_price():
    own = Calculator(base=TokenPrice(input=0, output=0), tuned=PRICE)
    *sliders, told = own.widget().children
    assert len(sliders) == len(Calculator().widget().children) - 3
    assert "never pays" in told.value


def test_the_helper_follows_its_ticks():
    *ticks, told = Helper().widget().children
    assert "Not yet" in told.value
    ticks[0].value = True
    assert "No model" in told.value
    assert len(ticks) == len(QUESTIONS)


@pytest.mark.parametrize("panel", [Calculator(), Helper(("measured", "prompted"))])
def test_a_saved_notebook_shows_the_panel_without_its_kernel(panel):
    bundle = panel._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/plain"] == str(panel)
    assert str(panel).splitlines()[-1] in bundle["text/html"].replace("&#x27;", "'")
