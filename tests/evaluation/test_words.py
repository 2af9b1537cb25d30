import re

import pytest

from ftlab import data, tasks
from ftlab.evaluation.compare import compare
from ftlab.evaluation.forgetting import forgotten
from ftlab.evaluation.power import pairs
from ftlab.evaluation.report import finding, sentence
from ftlab.tasks import Ratio

TASK = tasks.get("triage")
ROWS = TASK.examples(40, 0, split="test")
RIGHT = [data.answer(record) for record in ROWS]
WRONG = ["of no known topic"] * 40


def part(k):
    """Answers of which the first k are right."""
    return [*RIGHT[:k], *WRONG[k:]]


def test_with_several_systems_each_is_told_and_the_two_highest_are_compared():
    text = compare(TASK, ROWS, {"base": part(2), "a": part(30), "b": part(31)}).sentence
    assert "right is 0.050 for base. Against it: a 0.750, better by 0.700" in text
    assert "b 0.775, better by 0.725" in text
    assert "The two highest are b and a: b against a, no difference shown" in text


def test_no_second_comparison_where_the_baseline_is_among_the_highest():
    text = compare(TASK, ROWS, {"base": part(30), "a": part(2), "b": part(31)}).sentence
    assert "two highest" not in text and "a 0.050, worse by 0.700" in text


def test_what_a_test_does_not_bear_out_is_no_difference():
    text = compare(TASK, ROWS, {"base": part(0), "tuned": part(5)}).sentence
    assert "no difference shown" in text and "McNemar's test gives p = 0.06)" in text
    assert "better" not in text


def test_what_is_shown_alone_may_not_be_among_many():
    def marks(k):
        return [Ratio(float(i < k), 1) for i in range(40)]

    alone = pairs({"base": marks(0), "tuned": marks(7)})
    assert finding(alone[0]).startswith("better by 0.175")
    many = pairs({"base": marks(0), "tuned": marks(7), **{f"o{i}": marks(1) for i in range(4)}})
    told = finding(many[0], len(many))
    assert "no difference shown" in told and "corrected for 15 comparisons" in told


def test_no_case_of_the_headline_is_told():
    assert "cannot be told" in sentence("f1", 1, {"base": None}, [])


def test_power_is_told_with_the_examples_that_a_finer_difference_needs():
    verdict = compare(TASK, ROWS, {"base": part(20), "tuned": part(26)})
    (note,) = [text for text in verdict.remarks if text.startswith("How sure")]
    found, finer, needed = re.search(
        r"difference of ([\d.]+) or more.* One of ([\d.]+) would need about ([\d,]+)", note
    ).groups()
    assert float(found) == pytest.approx(verdict.pairs[0].smallest, abs=0.001)
    assert float(finer) < float(found)
    assert int(needed.replace(",", "")) == pytest.approx(verdict.pairs[0].needed[finer], rel=0.1)
    same = compare(TASK, ROWS, {"base": RIGHT, "tuned": RIGHT})
    assert not [text for text in same.remarks if text.startswith("How sure")]


def test_the_prompt_that_became_shorter():
    rows = {"base": (2, 60), "base + 4 examples": (20, 400), "tuned": (30, 60)}
    verdict = compare(
        TASK, ROWS, {name: part(k) for name, (k, _) in rows.items()},
        costs={name: {"tokens_in": tokens} for name, (_, tokens) in rows.items()},
    )  # fmt: skip
    (note,) = [text for text in verdict.remarks if text.startswith("At what price")]
    assert "prompt of tuned has 60 tokens, that of base + 4 examples 400: 85% shorter" in note


def test_what_got_worse_is_told_and_what_did_not_is_not():
    base = [Ratio(100.0 + 5 * i, 50) for i in range(10)]
    worse = [Ratio(r.num + 5 + i % 2, r.den) for i, r in enumerate(base)]
    verdict = compare(
        TASK, ROWS, {"base": part(10), "tuned": part(10)},
        forgetting=forgotten({"base": base, "tuned": worse, "same": base}),
    )  # fmt: skip
    told = "\n".join(verdict.remarks)
    assert re.search(r"tuned needs 2\.560 bits per character and base 2\.450: worse by 0\.11", told)
    assert "same needs 2.450 bits per character and base 2.450: no difference shown" in told
    quiet = compare(TASK, ROWS, {"base": part(10), "tuned": part(10)}).remarks
    assert quiet == []


def test_a_slice_that_got_worse_is_told():
    hard = [data.meta(r)["slice"] == "messy" for r in ROWS]
    tuned = [w if h else r for r, w, h in zip(RIGHT, WRONG, hard, strict=True)]
    verdict = compare(TASK, ROWS, {"base": RIGHT, "tuned": tuned})
    told = " ".join(verdict.remarks)
    assert f"on the {sum(hard)} examples of messy, tuned is worse by 1.000" in told
