"""The break-even is arithmetic that can be done by hand, and every recommendation has a reason."""

import itertools
import math

import pytest

from ftlab.errors import ConfigError
from ftlab.teaching.decide import (
    CASES,
    CHOICES,
    QUESTIONS,
    Calculator,
    Helper,
    TokenPrice,
    decide,
)

PRICE = TokenPrice(input=1.0, output=4.0)
DEAR = TokenPrice(input=2.0, output=8.0)
NO = dict.fromkeys(QUESTIONS, False)


def test_break_even_by_hand():
    # A million calls: 1,000 million tokens in at 1 a million and 10 million out at 4; then 100.
    bill = Calculator(1e6, 1000, 100, 10, 1800, base=PRICE, tuned=PRICE).bill()
    assert (bill.before, bill.after) == pytest.approx((1040, 140))
    assert bill.months == pytest.approx(2)
    assert str(bill).endswith("pays back after 2.0 months")


@pytest.mark.parametrize("calls", [0, 10, 1e9])
def test_half_the_prompt_at_twice_the_price_never_pays(calls):
    bill = Calculator(calls, 1000, 500, 10, 1, base=PRICE, tuned=DEAR).bill()
    assert bill.months == math.inf
    assert "never pays" in str(bill)


def test_upkeep_wants_a_number_of_calls():
    few, many = (
        Calculator(calls, 1000, 100, 10, 10, 50, base=PRICE, tuned=PRICE).bill()
        for calls in (1000, 1_000_000)
    )
    assert few.months == math.inf
    assert many.months == pytest.approx(10 / 850)


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf])
@pytest.mark.parametrize("name", ["calls", "training"])
def test_figures_that_are_none_are_refused(name, bad):
    with pytest.raises(ConfigError, match=f"zero or more; got {name}={bad}"):
        Calculator(**{name: bad}).bill()


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


def test_a_question_that_there_is_not_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'pattern'"):
        decide(NO | {"patern": True})


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


def test_the_price_of_tokens_is_moved_and_a_dear_tuned_model_never_pays():
    panel = Calculator(base=PRICE, tuned=DEAR)
    *sliders, told = panel.widget().children
    assert str(panel.bill()) in told.value and sliders[-1].value == 2.0
    sliders[-1].value = 9.0
    assert "never pays" in told.value
    assert panel.priced(2.0, 1.0).tuned == DEAR
    assert panel.priced(2.0, 1.0).base == DEAR


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
