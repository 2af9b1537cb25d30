import pytest

from ftlab.errors import ConfigError
from ftlab.evaluation.behaviour import behaviour, refuses, repetition


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


def test_repetition_counts_runs_that_were_there_before():
    assert repetition("") == (0, 0) == repetition("a b c")
    assert repetition("a b c d e f") == (0, 3)
    assert repetition("yes " * 10) == (6, 7)


def test_behaviour_of_answers():
    found = behaviour(["one two three four", "one two", "", "yes " * 10])
    words = found["words"]
    assert (words["shortest"], words["longest"], words["mean"], words["median"]) == (0, 10, 4, 3)
    assert words["quarter"] == 1.5 and words["three_quarters"] == 5.5
    assert found["empty"]["value"] == 0.25
    assert found["repetition"]["value"] == pytest.approx(6 / 8)  # runs of all answers together
    assert found["refusals"]["value"] == found["refusals"]["low"] == 0 < found["refusals"]["high"]


def test_no_answers_are_refused():
    with pytest.raises(ConfigError):
        behaviour([])
