import collections
import re
import sys

import pytest

from ftlab import data, tasks
from ftlab.errors import ConfigError, DataError, MissingExtraError
from ftlab.tasks import Ratio, drawing, messages, triage
from ftlab.tasks.triage import CUE, FORMS, INTENTS, PRIORITIES, baseline, parse, prompt, score

RIGHT = "intent: refund\npriority: high"


def record(completion=RIGHT, text="Give it back."):
    return data.example(CUE + text, completion)


def text_of(example):
    return data.prompt(example)[-1]["content"].removeprefix(CUE)


def labels(example):
    return tuple(line.split(": ")[1] for line in data.answer(example).split("\n"))


def test_the_task_is_known():
    assert tasks.get("triage") is triage.TASK
    assert triage.TASK.headline in score(record(), "")
    assert len(INTENTS) >= 8
    assert sorted(FORMS.problem) == sorted(FORMS.crossed) == sorted(FORMS.aside)
    assert len(PRIORITIES) == 3


# Marking.


@pytest.mark.parametrize(
    ("text", "both", "intent", "priority", "valid"),
    [
        (RIGHT, 1, 1, 1, 1),
        ("priority: high\nintent: refund", 1, 1, 1, 1),
        ("Intent: Refund\n\nPriority: HIGH\n\nBecause money is due.", 1, 1, 1, 1),
        ("**Intent:** refund\n**Priority:** `high`", 1, 1, 1, 1),
        ('{"intent": "refund", "priority": "high"}', 1, 1, 1, 1),
        ("intent: refund\npriority: low", 0, 1, 0, 1),
        ("intent: billing\npriority: high", 0, 0, 1, 1),
        ("intent: refund", 0, 1, 0, 0),
        ("intent:\npriority: high", 0, 0, 1, 0),
        ("intent: refunds\npriority: high", 0, 0, 1, 0),
        ("intent: money\npriority: soon", 0, 0, 0, 0),
        ("refund high", 0, 0, 0, 0),
        ("", 0, 0, 0, 0),
        # Naming them all does not pay: the first counts.
        ("intent: bug\nintent: refund\npriority: low\npriority: high", 0, 0, 0, 1),
    ],
)
def test_score(text, both, intent, priority, valid):
    assert score(record(), text) == {
        "both": Ratio(both, 1),
        "intent": Ratio(intent, 1),
        "priority": Ratio(priority, 1),
        "valid": Ratio(valid, 1),
    }
    assert parse(parse(text)) == parse(text)


def test_parse_gives_two_short_lines():
    assert parse("Sure!\nIntent : Bug.\nPriority = Low") == "intent: bug\npriority: low"
    assert parse("  no labels ") == "no labels"


# Making.


@pytest.fixture(scope="module")
def train():
    return triage.examples(1000, seed=0)


@pytest.fixture(scope="module")
def test():
    return triage.examples(400, seed=1, split="test")


def test_records_are_whole(train, test):
    for example in (*train, *test):
        assert data.prompt(example) == list(prompt(text_of(example)))
        assert score(example, data.answer(example))["both"] == Ratio(1, 1)
        assert score(example, data.answer(example))["valid"] == Ratio(1, 1)
        assert parse(data.answer(example)) == data.answer(example)
        assert not re.search(r"[{}|]|  ", text_of(example)), text_of(example)
        assert len(data.prompt(example)[-1]["content"] + data.answer(example)) <= messages.LONGEST
        assert set(data.meta(example)) == {
            "id", "slice", "difficulty", "group", "form", "traits"
        }  # fmt: skip
    assert {data.meta(e)["difficulty"] for e in test} == {"easy", "medium", "hard"}


def test_every_label_and_every_pair_occurs(train):
    intents = collections.Counter(labels(e)[0] for e in train)
    priorities = collections.Counter(labels(e)[1] for e in train)
    assert set(intents) == set(INTENTS)
    assert min(intents.values()) >= 60
    assert set(priorities) == set(PRIORITIES)
    assert min(priorities.values()) >= 200
    assert len({labels(e) for e in train}) == len(INTENTS) * len(PRIORITIES)


def test_every_kind_of_trouble_occurs(train):
    seen = [trait for example in train for trait in data.meta(example)["traits"]]
    for trait in (
        "borrowed words", "second problem", "misleading tone", "misleading subject", "no impact",
        *messages.ROUGH,
    ):  # fmt: skip
        assert seen.count(trait) >= 40, trait


def test_a_loud_subject_tells_nothing(train):
    opening = r"^.{0,9}(?:VERY URGENT|URGENT|ASAP|READ THIS)"
    loud = [e for e in train if re.search(opening, text_of(e))]
    high = sum(labels(e)[1] == "high" for e in loud) / len(loud)
    usual = sum(labels(e)[1] == "high" for e in train) / len(train)
    assert len(loud) >= 30
    assert abs(high - usual) < 0.25


def test_tickets_differ_beyond_their_values(train):
    assert len({data.meta(e)["group"] for e in train}) >= 980
    # The bare words, without numbers, dates and whatever starts with a capital.
    soft = [text_of(e) for e in train if "shouting" not in data.meta(e)["traits"]]
    bare = {" ".join(re.findall(r"\b[a-z]+\b", text)) for text in soft}
    assert len(bare) >= 0.97 * len(soft)
    # Beyond the whole: the ways to state one intent.
    for intent in INTENTS:
        stated = FORMS.problem[intent] + FORMS.crossed[intent]
        assert len(drawing.open_to(stated, False)) >= 18
        assert len(drawing.open_to(stated, True)) >= 7


def test_no_form_is_in_two_pools():
    every = [
        form
        for pools in (FORMS.problem, FORMS.crossed, FORMS.impact, FORMS.impact_crossed)
        for pool in pools.values()
        for form in pool
    ]
    assert len(every) == len({form.removeprefix("~") for form in every})


def test_what_is_held_out_stays_out(train, test):
    new = [e for e in test if data.meta(e)["slice"] == drawing.NEW]
    known = [*train, *(e for e in test if data.meta(e)["slice"] == messages.KNOWN)]
    held_out = ["tilt", "our ways part", "kindly let", "right to be forgotten", "curtain rises"]
    held_out += [f.lower() for f in drawing.open_to(FORMS.products + FORMS.towns, True)]
    for phrase in held_out:
        assert phrase not in "\n".join(text_of(e) for e in known).lower()
    assert "curtain rises" in "\n".join(text_of(e) for e in new).lower()


@pytest.mark.parametrize(("n", "split"), [(0, "train"), (5, "dev")])
def test_examples_refuse_what_they_cannot_give(n, split):
    with pytest.raises(ConfigError):
        triage.examples(n, seed=0, split=split)


# The linear model.


def accuracy(records, answers):
    return tasks.total(score(r, a)["both"] for r, a in zip(records, answers, strict=True)).value


def test_baseline_learns_what_words_tell_and_no_more(train, test):
    answers = baseline(train, test)
    assert answers == baseline(train, test)
    assert all(score(r, a)["valid"].num for r, a in zip(test, answers, strict=True))
    part = {
        name: accuracy(*zip(*[(r, a) for r, a in zip(test, answers, strict=True)
                              if data.meta(r)["slice"] == name], strict=True))
        for name in (drawing.NEW, messages.KNOWN)
    }  # fmt: skip
    commonest = collections.Counter(data.answer(r) for r in train).most_common(1)[0][0]
    guess = accuracy(test, [commonest] * len(test))
    assert part[messages.KNOWN] >= 0.75
    assert guess + 0.05 < part[drawing.NEW] < part[messages.KNOWN] - 0.2
    assert accuracy(test, baseline(train[:50], test)) < accuracy(test, answers)


def test_baseline_looks_at_no_answer_of_the_test(train):
    asked = [record("intent: ?\npriority: ?", text_of(e)) for e in train[:5]]
    assert baseline(train[5:200], asked) == baseline(train[5:200], train[:5])
    assert baseline(train[:50], []) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "0 different labels of intent"),
        ([record()] * 3, "1 different labels of intent"),
        ([record(), record("priority: low")], "Training record 2 has no intent"),
        ([record(), record("intent: bug\npriority: high")], "1 different labels of priority"),
    ],
)
def test_baseline_says_what_it_needs(bad, message):
    with pytest.raises(DataError, match=message):
        baseline(bad, [record()])


def test_baseline_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(MissingExtraError, match="pip install scikit-learn"):
        baseline([record()], [record()])
