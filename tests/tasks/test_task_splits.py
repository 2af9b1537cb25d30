"""What the tasks of invented phrasings promise of their splits: nothing of test is in train."""

import functools

import pytest

from ftlab import data, tasks
from ftlab.tasks import drawing

# How many records are drawn from each task for training, and the seed. Test has seed 1, which must
# not lead to the same records.
DRAWN = {"kindness": (1000, 1)}


@functools.cache
def drawn(name):
    """Train and test records of a task."""
    task = tasks.get(name)
    return task.examples(*DRAWN[name]), task.examples(400, 1, split="test")


@pytest.mark.parametrize("name", DRAWN)
def test_splits_share_neither_prompts_nor_skeletons(name):
    train, test = drawn(name)
    for key in (lambda e: data.prompt(e)[-1]["content"], lambda e: data.meta(e)["group"]):
        assert not {key(e) for e in train} & {key(e) for e in test}


def test_no_answer_of_test_is_in_train():
    train, test = drawn("kindness")
    assert not {data.answer(e) for e in train} & {data.answer(e) for e in test}


@pytest.mark.parametrize("name", DRAWN)
def test_half_of_the_test_split_is_new(name):
    train, test = drawn(name)
    assert 0.4 <= sum(data.meta(e)["slice"] == drawing.NEW for e in test) / len(test) <= 0.6
    assert drawing.NEW not in {data.meta(e)["slice"] for e in train}
