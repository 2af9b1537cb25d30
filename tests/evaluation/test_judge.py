"""Judges through the official client: read strictly, asked in both orders, compared by kappa."""

import math

import openai
import pytest
from openai_server import KEY, serving

from ftlab.errors import ConfigError
from ftlab.evaluation.judge import first_line, judge_each, judge_pairs, kappa, refuses
from ftlab.files import data_path
from ftlab.recorded import RECORDED, read_recorded, serve


@pytest.fixture
def judge():
    """Return `judge(write)`: a client of a server that answers prompts with `write(prompt)`."""
    opened = []

    def start(write):
        context = serving(lambda messages: write(messages[-1]["content"]))
        opened.append(context)
        server = context.__enter__()
        return openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0)

    yield start
    for context in opened:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [("1\nYes.", "1"), (" **0**\n\nNo.", "0"), ("`1`.", "1"), ("'1'", "1"), ("10\n", None),
     ("Answer: 1", None), ("Yes\n1", None), ("", None), ("0 or 1", None), ("1 0", None)],
)  # fmt: skip
def test_only_the_word_alone_on_the_first_line_is_a_verdict(reply, verdict):
    assert first_line(reply, ("0", "1")) == verdict


def test_each_prompt_gets_its_verdict_in_order(judge):
    client = judge(lambda prompt: {"a": "1\nwell", "b": "0", "c": "I think 1"}[prompt])
    assert judge_each(client, "tiny", list("abcab")) == [1, 0, None, 1, 0]
    assert judge_each(client, "tiny", []) == []
    with pytest.raises(openai.NotFoundError):
        judge_each(client, "none", ["a"])


def test_a_mind_that_changes_with_the_order_is_a_tie(judge):
    client = judge(
        lambda prompt: {"good first": "A", "good second": "B", "odd": "Both"}.get(prompt, "A")
    )
    pairs = [("good first", "good second"), ("good second", "good first"), ("x", "y"),
             ("good first", "odd"), ("odd", "odd")]  # fmt: skip
    assert judge_pairs(client, "tiny", pairs) == ["A", "B", "tie", None, None]
    with pytest.raises(ConfigError, match="two prompts"):
        judge_pairs(client, "tiny", [("one",)])


def test_recorded_verdicts_come_through_the_course_s_endpoint():
    rows = [row for row in read_recorded(data_path("recorded/judge.jsonl"))
            if "Answer with 1 for yes" in row["messages"][0]["content"]]  # fmt: skip
    with serve(files=["judge"]) as endpoint:
        client = openai.OpenAI(base_url=endpoint.url, api_key="none", max_retries=0)
        found = judge_each(client, RECORDED, [row["messages"][0]["content"] for row in rows])
    assert len(rows) > 50 and set(found) == {0, 1}
    assert [str(verdict) for verdict in found] == [row["reply"][0] for row in rows]


def test_kappa_is_scikit_learns():
    from sklearn.metrics import cohen_kappa_score

    a, b = [1, 1, 0, 0, 1, 0, 1, 0, 0, 1], [1, 0, 0, 0, 1, 0, 1, 1, 0, 1]
    assert kappa(a, b).value == pytest.approx(cohen_kappa_score(a, b))
    words = ["A", "B", "tie", "A", "B", "A"], ["A", "tie", "tie", "B", "B", "A"]
    assert kappa(*words).value == pytest.approx(cohen_kappa_score(*words))


def test_kappa_at_the_edges_is_never_sure_and_nothing_is_made_of_nothing():
    full = kappa([0, 1] * 5, [0, 1] * 5)
    assert full.value == full.high == 1 and 0 < full.low < 0.6
    none = kappa([0, 1] * 5, [1, 0] * 5)
    assert none.value == none.low == -1 and none.high > -0.6
    assert math.isnan(kappa([1, 1], [1, 1]).value) and math.isnan(kappa([], []).value)
    assert kappa([1, None, 0, 1], [1, 0, 0, None]) == kappa([1, 0], [1, 0])
    with pytest.raises(ConfigError, match="2 verdicts against 1"):
        kappa([1, 0], [1])


def test_kappas_interval_covers_the_truth_about_as_often_as_it_says():
    import numpy as np

    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):  # right in 80 of 100 verdicts on even classes: kappa is 0.6
        truth = rng.integers(0, 2, 60)
        found = kappa(truth.tolist(), np.where(rng.random(60) < 0.8, truth, 1 - truth).tolist())
        covered += found.low <= 0.6 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


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
