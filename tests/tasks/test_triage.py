import json
from collections import Counter
from pathlib import Path

import pytest

from ftlab import data, tasks
from ftlab.errors import DataError
from ftlab.tasks.triage import TOPICS, baseline, examples, parse, score

FILE = Path(__file__).parents[2] / "data/tasks/tickets.jsonl"
TRAIN, TEST = examples(480, seed=0), examples(120, seed=0, split="test")


@pytest.mark.parametrize(
    ("text", "right", "valid"),
    [
        ("refund", 1, 1),
        ("**Refund.**\n\nBecause money is due, and not a bug.", 1, 1),
        ("Topic: refund", 1, 1),
        ("billing", 0, 1),
        ("bug, refund", 0, 1),  # naming them all does not pay: the first counts
        ("refunds", 0, 0),
        ("Sorry to hear that.\nrefund", 0, 0),
        ("", 0, 0),
    ],
)
def test_score(text, right, valid):
    marks = score(data.example("My money, please.", "refund"), text)
    assert (marks["right"].num, marks["valid"].num) == (right, valid)
    assert parse(parse(text)) == parse(text)


def test_the_file_is_whole():
    rows = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()]
    assert len(rows) == 600 == len({" ".join(row["text"].lower().split()) for row in rows})
    assert all(row["text"] == row["text"].strip() != "" for row in rows)
    for split, least in (("train", 60), ("test", 15)):
        topics = Counter(row["topic"] for row in rows if row["split"] == split)
        assert set(topics) == set(TOPICS) and min(topics.values()) >= least
        kinds = Counter(row["kind"] for row in rows if row["split"] == split)
        assert kinds["plain"] > kinds["messy"] > kinds["hostile"] > 10
    assert {row["writer"] for row in rows} == {"ada", "ben", "cem", "dot"}


def test_most_hostile_messages_name_a_topic_that_is_not_theirs():
    hostile = [r for r in TRAIN + TEST if data.meta(r)["slice"] == "hostile"]
    named = [parse(data.prompt(r)[-1]["content"]) for r in hostile]
    lures = [n for n, r in zip(named, hostile, strict=True) if n in TOPICS and n != data.answer(r)]
    assert len(lures) > len(hostile) / 3


def accuracy(answers):
    marks = [score(r, a)["right"] for r, a in zip(TEST, answers, strict=True)]
    return tasks.total(marks).value


def test_baseline_learns_from_more_and_stays_far_from_sure():
    answers = baseline(TRAIN, TEST)
    assert answers == baseline(TRAIN, TEST) and set(answers) <= set(TOPICS)
    assert 2 / 7 < accuracy(answers) < 0.8
    assert accuracy(baseline(TRAIN[:50], TEST)) < accuracy(answers)


def test_baseline_looks_at_no_answer_of_the_test():
    blind = [data.example(data.prompt(r), "?") for r in TEST[:5]]
    assert baseline(TRAIN[:100], blind) == baseline(TRAIN[:100], TEST[:5])
    assert baseline(TRAIN[:50], []) == []


@pytest.mark.parametrize(("bad", "message"), [([], "0 different"), (TRAIN[:1] * 3, "1 different")])
def test_baseline_says_what_it_needs(bad, message):
    with pytest.raises(DataError, match=message):
        baseline(bad, TEST[:1])
