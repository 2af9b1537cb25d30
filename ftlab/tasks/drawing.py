"""Draw composed examples: alternatives expanded, forms held out, splits that share nothing.

A form is a string with alternatives in parentheses and slots in braces. One that opens with "~" is
held out: only test examples of the slice "new phrasing" are built from it.

>>> rng = random.Random(3)
>>> pick(("{who} (walks|runs|is off) home", "~home goes {who}"), rng).format(who="Ann")
'Ann is off home'
>>> pick(("{who} (walks|runs|is off) home", "~home goes {who}"), rng, new=True)
'home goes {who}'

Whether a text belongs to training or to testing follows from its hash alone, so that no seed and
no number of examples can put the same text on both sides.
"""

import functools
import hashlib
import json
import random
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from ftlab import data
from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import data_path, read_data, read_text

NEW = "new phrasing"
"""The slice of test examples that are made of held-out forms and held-out values."""

SPLITS = ("train", "test")
_TEST_SHARE = 4  # one text in four is for testing
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")


def word_lists(task: str) -> SimpleNamespace:
    """Return the forms and values that a task draws from: the entries of `data/tasks/TASK.yaml`.

    Raises:
        DataError: there is no such file, or it is not YAML.

    >>> word_lists("kindness").people[0]
    'my neighbour>your neighbour'
    """
    return SimpleNamespace(**read_data(f"tasks/{task}.yaml"))


def digest(text: str) -> str:
    """Return twelve hex digits that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def side(text: str) -> str:
    """Return the split that a text belongs to, "train" or "test", by its hash."""
    return SPLITS[int(digest(text), 16) % _TEST_SHARE == 0]


def expand(form: str, rng: random.Random) -> str:
    """Choose one of each `(a|b|c)` in a form, the innermost first; an empty one is a choice too."""
    while match := _CHOICE.search(form):
        form = form[: match.start()] + rng.choice(match[1].split("|")) + form[match.end() :]
    return form


def open_to(forms: Sequence[str], new: bool) -> tuple[str, ...]:
    """Return the forms that may be used: the held-out ones alone (`new`), or only the others."""
    return _open_to(tuple(forms), new)


@functools.cache
def _open_to(forms: tuple[str, ...], new: bool) -> tuple[str, ...]:
    return tuple(form.removeprefix("~") for form in forms if form.startswith("~") == new)


def pick(forms: Sequence[str], rng: random.Random, new: bool = False) -> str:
    """Choose a form and expand it.

    Args:
        forms: strings; those that open with "~" are held out.
        rng: where chance comes from.
        new: choose among the held-out forms, not among the others.
    """
    return expand(rng.choice(open_to(forms, new)), rng)


def draw(
    make: Callable[[random.Random, bool, Callable[[str], bool]], data.Row | None],
    n: int,
    seed: int,
    split: str,
    task: str,
) -> list[data.Row]:
    """Draw `n` records with different prompts; a larger `n` with the same seed starts the same.

    Args:
        make: makes one record from (rng, new, ours): `new` asks for held-out forms and values,
            `ours(text)` says whether a text belongs to the split. It returns None to try again.
        n: how many.
        seed: the same seed gives the same records.
        split: "train", or "test", half of which is `NEW`.
        task: the task's name, so that two tasks do not share their chances.

    Raises:
        ConfigError: there is no such split, or `n` records cannot be drawn.
    """
    if split not in SPLITS:
        raise_unknown("split", split, SPLITS)
    if n < 1:
        raise ConfigError(f"{n} {split} examples were asked for. Ask for 1 or more.")
    rng = random.Random(f"{task} {split} {seed}")
    records: dict[str, data.Row] = {}
    tries = 0
    while len(records) < n:
        tries += 1
        if tries > 400 * n + 4000:
            raise ConfigError(
                f"{n} {split} examples were asked for; {task} found {len(records)} different ones. "
                "Ask for fewer."
            )
        new = split == "test" and rng.random() < 0.5
        record = make(rng, new, lambda text: side(text) == split)
        if record is not None:
            records.setdefault(data.prompt(record)[-1]["content"], record)
    return list(records.values())


# Rows that are written down, not composed.


@functools.cache
def written(file: str) -> dict[str, tuple[dict[str, Any], ...]]:
    """Return the rows of `data/tasks/FILE`, JSON Lines, by their `split`."""
    lines = read_text(data_path(f"tasks/{file}")).splitlines()
    rows = [json.loads(line) for line in lines]
    return {split: tuple(row for row in rows if row["split"] == split) for split in SPLITS}


def _those(file: str, split: str, wanted: dict[str, str]) -> list[dict[str, Any]]:
    return [row for row in written(file)[split] if all(row[k] == v for k, v in wanted.items())]


def sizes(file: str, **wanted: str) -> dict[str, int]:
    """Return how many rows a file of a task has in each split, all or with these values."""
    return {split: len(_those(file, split, wanted)) for split in SPLITS}


def sample(file: str, n: int, seed: int, split: str, **wanted: str) -> list[dict[str, Any]]:
    """Draw `n` different rows of a file's split, all or with these values; a larger `n` starts
    the same.

    Raises:
        ConfigError: there is no such split, `n` is not positive, or there are fewer rows.
    """
    if split not in SPLITS:
        raise_unknown("split", split, SPLITS)
    pool = _those(file, split, wanted)
    if not 1 <= n <= len(pool):
        raise ConfigError(
            f"{n} {split} examples were asked for; {file} has {len(pool)} of them. Ask for 1 to "
            f"{len(pool)}."
        )
    random.Random(f"{file} {split} {seed}").shuffle(pool)
    return pool[:n]
