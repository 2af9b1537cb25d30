"""What a model is taught, one file a task, all of one shape.

A task is data and plain functions: it makes examples, phrases the prompt, reads the answer and
scores it. Adding one is a file with a `TASK` in it, its name in `_HOME`, and a test file.

>>> from ftlab import tasks
>>> task = tasks.get("punctuation")
>>> task.headline
'f1'
>>> sorted(task.score(task.examples(1, seed=0)[0], "")["f1"]._asdict())
['den', 'num']

A score is a `Ratio` whose parts add up over examples, never a rounded figure. A mean has den 1; a
micro-averaged F1 has num = 2 tp and den = 2 tp + fp + fn. So any set of examples, a bootstrap
resample included, has its exact metric at sum(num) / sum(den). Higher is better in every metric.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ftlab import data
from ftlab.errors import raise_unknown

_HOME = {
    "extraction": "ftlab.tasks.extraction",
    "kindness": "ftlab.tasks.kindness",
    "punctuation": "ftlab.tasks.punctuation",
    "style": "ftlab.tasks.style",
    "triage": "ftlab.tasks.triage",
    "unit_tests": "ftlab.tasks.unit_tests",
}


class Ratio(NamedTuple):
    """One example's share of a metric that is a ratio of sums."""

    num: float
    den: float

    @property
    def value(self) -> float:
        """The ratio itself; nan where the denominator is zero and nothing can be said."""
        return self.num / self.den if self.den else float("nan")


class MakeExamples(Protocol):
    """How a task makes records: the same arguments give the same records."""

    def __call__(self, n: int, seed: int, split: str = "train") -> "list[data.Row]":
        """Make `n` records of the split "train" or "test"."""


@dataclass(frozen=True)
class Task:
    """What is taught, with how it is asked and how it is marked."""

    name: str
    """The name that `get` knows it by."""
    describe: str
    """One paragraph for people: what goes in, what comes out, where the examples come from."""
    headline: str
    """The metric that decides, one of those that `score` returns."""
    licence: str
    """Under what terms the examples may be used."""
    examples: MakeExamples
    """Make records; train and test never share text."""
    prompt: Callable[[str], tuple[dict[str, str], ...]]
    """The messages that ask for one input."""
    parse: Callable[[str], str]
    """The answer within what a model wrote; parsing twice changes nothing."""
    score: "Callable[[data.Row, str], dict[str, Ratio]]"
    """Mark what a model wrote (it is parsed first) against the record's completion."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """How many records a split has, where they are written down; composed ones have no end."""

    def up_to(self, n: int, seed: int, split: str = "train") -> "list[data.Row]":
        """Make `n` records, or all that there are."""
        return self.examples(min(n, self.sizes.get(split, n)), seed, split=split)


def names() -> list[str]:
    """Return the names of the tasks, sorted."""
    return sorted(_HOME)


def get(name: str) -> Task:
    """Return a task by name, importing only that one.

    Raises:
        ConfigError: no task has this name.
    """
    if name not in _HOME:
        raise_unknown("task", name, _HOME)
    return importlib.import_module(_HOME[name]).TASK


def total(ratios: Iterable[Ratio]) -> Ratio:
    """Add ratios up, part by part: the metric over all their examples.

    >>> total([Ratio(2, 2), Ratio(0, 6)]).value
    0.25
    """
    ratios = list(ratios)
    return Ratio(sum(r.num for r in ratios), sum(r.den for r in ratios))
