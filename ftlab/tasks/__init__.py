"""What a model is taught, one file a task, all of one shape.

A task is a module of this folder with four functions: `examples` makes records, `prompt` phrases
the question, `parse` reads the answer, and `score` marks it. Where it can, it has `SIZES` and a
`baseline` too (see `Task`). Adding one is such a module, its entry in `data/tasks/about.yaml`, and
a test file.

A score is a `Ratio` whose parts add up over examples, never a rounded figure: a mean has den 1, a
micro-averaged F1 has num = 2 tp and den = 2 tp + fp + fn. So any set of examples, a bootstrap
resample included, has its exact metric at sum(num) / sum(den). Higher is better in every metric.

Examples are composed of forms, or drawn from rows that are written down. A form has alternatives in
parentheses and slots in braces; one that opens with "~" is held out: only test examples of the
slice "new phrasing" are built from it.

>>> rng = random.Random(3)
>>> pick(("{who} (walks|runs|is off) home", "~home goes {who}"), rng).format(who="Ann")
'Ann is off home'
>>> pick(("{who} (walks|runs|is off) home", "~home goes {who}"), rng, new=True)
'home goes {who}'
"""

import functools
import hashlib
import importlib
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from ftlab import data
from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import data_path, read_data, read_text

SPLITS = ("train", "test")
NEW = "new phrasing"
"""The slice of test examples that are made of held-out forms and held-out values."""
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")


class Ratio(NamedTuple):
    """One example's share of a metric that is a ratio of sums."""

    num: float
    den: float

    @property
    def value(self) -> float:
        """The ratio itself; nan where the denominator is zero and nothing can be said."""
        return self.num / self.den if self.den else float("nan")


def marks(**right: bool) -> dict[str, Ratio]:
    """Return one example's share of metrics that are 0 or 1 each."""
    return {name: Ratio(float(mark), 1) for name, mark in right.items()}


def total(ratios: Iterable[Ratio]) -> Ratio:
    """Add ratios up, part by part: the metric over all their examples.

    >>> total([Ratio(2, 2), Ratio(0, 6)]).value
    0.25
    """
    ratios = list(ratios)
    return Ratio(sum(r.num for r in ratios), sum(r.den for r in ratios))


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
    examples: "Callable[..., list[data.Row]]"
    """(n, seed, split="train") -> n records of a split, the same for the same arguments; train and
    test never share text."""
    prompt: Callable[[str], tuple[dict[str, str], ...]]
    """The messages that ask for one input."""
    parse: Callable[[str], str]
    """The answer within what a model wrote; parsing twice changes nothing."""
    score: "Callable[[data.Row, str], dict[str, Ratio]]"
    """Mark what a model wrote (it is parsed first) against the record's completion."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """How many records a split has, where they are written down; composed ones have no end."""
    baseline: "Callable[[Sequence[data.Row], Sequence[data.Row]], list[str]] | None" = None
    """Answers test records, having learned from training records, without a language model."""

    def up_to(self, n: int, seed: int, split: str = "train") -> "list[data.Row]":
        """Make `n` records, or all that there are."""
        return self.examples(min(n, self.sizes.get(split, n)), seed, split=split)


def names() -> list[str]:
    """Return the names of the tasks, sorted."""
    return sorted(read_data("tasks/about.yaml"))


@functools.cache
def get(name: str) -> Task:
    """Return a task by name, importing only that one; a ConfigError if there is none."""
    about = read_data("tasks/about.yaml")
    if name not in about:
        raise_unknown("task", name, about)
    room = importlib.import_module(f"ftlab.tasks.{name}")
    parts = {part: getattr(room, part) for part in ("examples", "prompt", "parse", "score")}
    sizes, baseline = getattr(room, "SIZES", {}), getattr(room, "baseline", None)
    return Task(name, **about[name], **parts, sizes=sizes, baseline=baseline)


# Asking and reading.


def asking(system: str, text: str) -> tuple[dict[str, str], ...]:
    """Return a system message and what the user says."""
    return ({"role": "system", "content": system}, {"role": "user", "content": text})


def first_paragraph(text: str) -> str:
    """Return the first paragraph of an answer, on one line."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return next((part for part in paragraphs if part), "")


# Examples that are composed.


def word_lists(task: str) -> SimpleNamespace:
    """Return the forms and values that a task draws from: the entries of `data/tasks/TASK.yaml`."""
    return SimpleNamespace(**read_data(f"tasks/{task}.yaml"))


def digest(text: str) -> str:
    """Return twelve hex digits that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def expand(form: str, rng: random.Random) -> str:
    """Choose one of each `(a|b|c)` in a form, the innermost first; an empty one is a choice too."""
    while match := _CHOICE.search(form):
        form = form[: match.start()] + rng.choice(match[1].split("|")) + form[match.end() :]
    return form


@functools.cache
def open_to(forms: tuple[str, ...], new: bool) -> tuple[str, ...]:
    """Return the forms that may be used: the held-out ones alone (`new`), or only the others."""
    return tuple(form.removeprefix("~") for form in forms if form.startswith("~") == new)


def pick(forms: tuple[str, ...], rng: random.Random, new: bool = False) -> str:
    """Choose a form, a held-out one if `new`, and expand it."""
    return expand(rng.choice(open_to(forms, new)), rng)


def asked_for(n: int, split: str, most: int | None = None, where: str = "") -> None:
    """Check how many examples of which split are asked for."""
    if split not in SPLITS:
        raise_unknown("split", split, SPLITS)
    if n < 1 or (most is not None and n > most):
        there = f"; {where} has {most} of them. Ask for 1 to {most}." if most is not None else (
            ". Ask for 1 or more.")  # fmt: skip
        raise ConfigError(f"{n} {split} examples were asked for{there}")


def draw(
    make: Callable[[random.Random, bool, Callable[[str], bool]], data.Row | None],
    n: int, seed: int, split: str, task: str,
) -> list[data.Row]:  # fmt: skip
    """Draw `n` records with different prompts; a larger `n` with the same seed starts the same.

    Args:
        make: makes one record from (rng, new, ours): `new` asks for held-out forms and values, as
            half of the test split has; `ours(text)` says whether a text belongs to the split: one
            in four is for testing by its hash alone, so that no seed puts it on both sides. It
            returns None to try again.
        n: how many.
        seed: the same seed gives the same records.
        split: "train" or "test".
        task: the task's name, so that two tasks do not share their chances.

    Raises:
        ConfigError: there is no such split, or `n` records cannot be drawn.
    """
    asked_for(n, split)
    ours = lambda text: SPLITS[int(digest(text), 16) % 4 == 0] == split
    rng = random.Random(f"{task} {split} {seed}")
    records: dict[str, data.Row] = {}
    for _ in range(400 * n + 4000):
        record = make(rng, split == "test" and rng.random() < 0.5, ours)
        if record is not None:
            records.setdefault(data.prompt(record)[-1]["content"], record)
        if len(records) == n:
            return list(records.values())
    raise ConfigError(
        f"{n} {split} examples were asked for; {task} found {len(records)} different ones. "
        "Ask for fewer."
    )


# Rows that are written down, not composed.


@functools.cache
def written(file: str) -> dict[str, tuple[dict[str, Any], ...]]:
    """Return the rows of `data/tasks/FILE`, JSON Lines, by their `split`."""
    rows = [json.loads(line) for line in read_text(data_path(f"tasks/{file}")).splitlines()]
    return {split: tuple(row for row in rows if row["split"] == split) for split in SPLITS}


def _those(file: str, split: str, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    return [row for row in written(file)[split] if all(row[k] == v for k, v in wanted.items())]


def sizes(file: str, **wanted: str) -> dict[str, int]:
    """Return how many rows a file of a task has in each split, all or with these values."""
    return {split: len(_those(file, split, wanted)) for split in SPLITS}


def sample(file: str, n: int, seed: int, split: str, **wanted: str) -> list[dict[str, Any]]:
    """Draw `n` different rows of a file's split; a larger `n` starts the same.

    Raises:
        ConfigError: there is no such split, `n` is not positive, or there are fewer rows.
    """
    pool = _those(file, split, wanted) if split in SPLITS else []
    asked_for(n, split, len(pool), file)
    random.Random(f"{file} {split} {seed}").shuffle(pool)
    return pool[:n]
