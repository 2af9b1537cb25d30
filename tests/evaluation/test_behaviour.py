import pytest

from ftlab.evaluation.behaviour import refuses


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.", "I am very sorry. No.", "Sorry, no.",
        "As an AI, I have no body.", "I cannot do this.", "I’m afraid not.",
        "Unfortunately, I am unable to say.", "  \"We must decline.\"",
    ],
)  # fmt: skip
def test_refusals(text):
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    ["", "I can do this.", "He said: I cannot.", "Sorrydale", "intent: refund", "We are happy."],
)
def test_no_refusals(text):
    assert not refuses(text)
