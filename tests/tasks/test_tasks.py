"""What every task promises, whichever it is."""

import functools
import os
import random
import subprocess
import sys

import pytest

from ftlab import data, tasks
from ftlab.errors import ConfigError
from ftlab.tasks import NEW, Ratio, kindness

NAMES = tasks.names()
SCORED = {"unit_tests": 6}
"""How many records are marked, where each is run in a sandbox; 50 elsewhere."""
SIZE = {"style": 40}
"""How many records are drawn, where there are fewer than 100 of a split."""
REFERENCES = {"style": 0.85}
"""What the references score, where the measure is not exact; 1 elsewhere."""


@functools.cache
def made(name, seed=1, split="train", n=0):
    return tuple(tasks.get(name).examples(n or SIZE.get(name, 100), seed, split=split))


def asked(record):
    """Return what a record asks, however it is written."""
    return " ".join(data.prompt(record)[-1]["content"].lower().split())


def digests():
    """Return a fingerprint of some records of each task, and of the probe."""
    found = {name: data.fingerprint(made(name, n=20)) for name in NAMES}
    return found | {"probe": data.fingerprint(kindness.probe(9, seed=1))}


@functools.cache
def digests_elsewhere():
    """Return the same from a process in which sets are in another order."""
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['digests']())"
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    run = [sys.executable, "-c", code, __file__]
    return subprocess.run(run, env=env, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", NAMES)
def test_examples_depend_on_the_seed_alone(name):
    first = made(name, n=20)
    make = tasks.get(name).examples
    assert list(first) == make(20, 1)
    if name != "punctuation":  # it mixes everyday sentences in by their share
        assert list(first) == make(40, 1)[:20]
    assert list(first) != make(20, 2)
    assert data.fingerprint(first) in digests_elsewhere()


def test_all_of_it_is_the_same_elsewhere():
    assert digests_elsewhere() == str(digests())


@pytest.mark.parametrize("name", NAMES)
def test_one_shape(name):
    task = tasks.get(name)
    assert task.name == name and task.describe and task.licence
    record = made(name)[0]
    marks = task.score(record, "")
    assert task.headline in marks
    assert all(isinstance(ratio, Ratio) and ratio.num <= ratio.den for ratio in marks.values())
    assert marks[task.headline].num == 0 < marks[task.headline].den  # nothing earns nothing
    assert len(task.up_to(150, 0)) == min(150, task.sizes.get("train", 150))
    with pytest.raises(ConfigError, match="split"):
        task.examples(1, 0, split="tests")
    with pytest.raises(ConfigError, match=r"0 train.* Ask for 1"):
        task.examples(0, 0)


SHARED = {"triage", "unit_tests"}
"""Tasks of which test records may have an answer or a family of training; texts never."""


@pytest.mark.parametrize("name", NAMES)
def test_train_and_test_share_no_text(name):
    n = tasks.get(name).sizes
    train, test = (
        [r for seed in range(2) for r in made(name, seed, part, n.get(part, 600 - 300 * seed))]
        for part in ("train", "test")
    )
    assert not {asked(r) for r in train} & {asked(r) for r in test}
    if name not in SHARED:
        assert not {data.answer(r) for r in train} & {data.answer(r) for r in test}
        assert not {data.meta(r)["group"] for r in train} & {data.meta(r)["group"] for r in test}
    assert len({asked(r) for r in made(name)}) > 0.97 * len(made(name))


def test_half_of_the_composed_test_splits_is_held_out_from_training():
    for name, new in (("kindness", NEW), ("unit_tests", "new family")):
        train, test = (
            [data.meta(r)["slice"] for r in made(name, 0, part, 300)] for part in ("train", "test")
        )
        assert 0.4 <= test.count(new) / 300 <= 0.6 and new not in train


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_records_are_labelled(name, split):
    records = made(name, split=split)
    assert len(records) == SIZE.get(name, 100) == len({data.meta(r)["id"] for r in records})
    for record in records:
        assert isinstance(data.meta(record)["slice"], str) and data.meta(record)["slice"]
        assert isinstance(data.meta(record)["group"], str) and data.meta(record)["group"]
        assert data.answer(record).strip() == data.answer(record) != ""
    labels = {(data.meta(r)["slice"], data.meta(r).get("difficulty")) for r in records}
    assert len(labels) > 1  # so that results can be cut


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_completion_has_full_marks(name, split):
    task = tasks.get(name)
    records = made(name, split=split)[: SCORED.get(name, 50)]
    marks = [task.score(record, data.answer(record))[task.headline] for record in records]
    assert tasks.total(marks).value >= REFERENCES.get(name, 1)


@pytest.mark.parametrize("name", NAMES)
def test_parsing_twice_changes_nothing(name):
    parse = tasks.get(name).parse
    rng = random.Random(name)
    for record in made(name):
        text = data.answer(record)
        assert parse(text) == parse(parse(text))
        cut = text[: rng.randrange(len(text) + 1)]
        fence = rng.choice(["```\n{}\n```", "```json\n{}\n```\nDone.", "Here it is:\n\n{}"])
        for other in (cut, f"{text}\n\n{text}", fence.format(text), fence.format(cut), "\n" + cut):
            assert parse(parse(other)) == parse(other), repr(other)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wanted_is_not_what_another_record_wants(name):
    """A constant answer is no way to the headline metric."""
    task = tasks.get(name)
    records = made(name)[: SCORED.get(name, 50)]
    constant = data.answer(records[0])
    marks = [task.score(record, constant)[task.headline] for record in records[1:]]
    assert tasks.total(marks).value < 0.5


def test_a_task_that_is_not_there():
    with pytest.raises(ConfigError, match="Did you mean 'triage'"):
        tasks.get("triag")
    assert tasks.total([]) == Ratio(0, 0)
    assert data.meta(data.example("a", "b")) == {}
