"""Lesson 03, SFT with TRL: its exercises, as data, and the bookings it trains on.

A booking's message goes in, one line in a house notation comes out. No base model knows the
notation, records are short, and the training records have a range: parties of 2 to 6, from six to
a quarter to nine. So there are inputs just beside it.

>>> [exercise.id for exercise in EXERCISES]
['03.1', '03.2', '03.3', '03.4', '03.5']
>>> booking = bookings(1, seed=0)[0]
>>> in_form(data.answer(booking)), in_form("A table, of course!")
(True, False)
"""

import random
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.files import read_data
from ftlab.teaching.exercises import exercise

NAMES, FORMS = read_data("lessons/bookings.yaml").values()
RANGE = ((2, 3, 4, 5, 6), (18, 19, 20))
"""Party sizes and hours that training records have."""
BESIDE = ((7, 8), (17, 21))
"""Those just beside."""
NOTATION = re.compile(r"[A-Z][a-z]+ x\d \d\d:\d\d")


def bookings(
    n: int, seed: int, *, beside: bool = False, apart_from: Collection[data.Row] = ()
) -> list[data.Row]:
    """Make `n` different bookings, each with its line in the house notation.

    Args:
        n: how many.
        seed: of the drawing.
        beside: party sizes and hours just beside the training range.
        apart_from: records whose messages must not come again.

    Raises:
        ConfigError: `n` is not between 1 and 1,000.
    """
    if not 1 <= n <= 1000:
        raise ConfigError(f"From 1 to 1,000 bookings can be made, not {n}.")
    sizes, hours = BESIDE if beside else RANGE
    rng = random.Random(f"bookings {seed} {beside}")
    known = {data.prompt(record)[-1]["content"] for record in apart_from}
    made: dict[str, data.Row] = {}
    while len(made) < n:
        people, name = rng.choice(sizes), rng.choice(NAMES)
        time = f"{rng.choice(hours)}:{rng.choice(('00', '15', '30', '45'))}"
        text = rng.choice(FORMS).format(n=people, t=time, name=name)
        if text not in known:
            made[text] = data.example(text, f"{name} x{people} {time}")
    return list(made.values())


def in_form(answer: str) -> bool:
    """Say whether an answer is one line in the notation, right or wrong.

    >>> in_form("Weber x4 19:30")
    True
    """
    return NOTATION.fullmatch(answer.strip()) is not None


def share_right(records: Sequence[data.Row], answers: Sequence[str]) -> float:
    """Return the share of answers that are exactly as wanted."""
    pairs = zip(records, answers, strict=True)
    return sum(data.answer(record) == answer.strip() for record, answer in pairs) / len(records)


def as_messages(record: data.Row) -> dict[str, list[dict[str, str]]]:
    """Return a record as TRL's `messages` form: one conversation.

    >>> as_messages(data.example("Hi?", "Ho."))["messages"][-1]
    {'role': 'assistant', 'content': 'Ho.'}
    """
    return {"messages": [*data.prompt(record), _answer(record)]}


def as_pair(record: data.Row) -> dict[str, list[dict[str, str]]]:
    """Return a record as TRL's form of prompt and completion."""
    return {"prompt": list(data.prompt(record)), "completion": [_answer(record)]}


def _answer(record: data.Row) -> dict[str, str]:
    return {"role": "assistant", "content": data.answer(record)}


# Looking at a model while it learns.


class Probe(NamedTuple):
    """What some records say of a model at one step."""

    loss: float
    """Of the answers, in nats per token."""
    form: float
    """Share of its own answers that are in the notation."""
    right: float
    """Share that is right."""
    said: str
    """The first of them."""


def probe(model: Any, tokenizer: Any, records: Sequence[data.Row]) -> Probe:
    """Ask a model, also one that is being trained, and leave it as it was."""
    import torch

    from ftlab.generation import generate
    from ftlab.training import sft

    losses: list[float] = []
    training = model.training
    model.eval()
    with torch.no_grad():
        for row in sft.prepare(tokenizer, records, max_length=1024):
            ids = torch.tensor([row["input_ids"]], device=model.device)
            chances = model(input_ids=ids).logits[0].float().log_softmax(-1)
            losses += [-chances[i, token].item() for i, token in _pairs(row["labels"])]
    said = generate(model, tokenizer, [data.prompt(r) for r in records], max_new_tokens=24)
    model.train(training)
    form = sum(map(in_form, said)) / len(said)
    return Probe(sum(losses) / len(losses), form, share_right(records, said), said[0])


def crossing(points: Sequence[tuple[float, float]], level: float) -> float:
    """Return where a curve first reaches a share of its highest value, between its points.

    >>> crossing([(0, 0.0), (10, 0.0), (20, 1.0)], 0.5)
    15.0
    """
    goal = level * max(y for _, y in points)
    x0, y0 = points[0]
    for x, y in points:
        if y >= goal:
            return x0 + (x - x0) * (goal - y0) / (y - y0) if y > y0 else float(x)
        x0, y0 = x, y
    raise AssertionError("a curve reaches its highest value")


# The solutions and the mistakes, as functions.

Rows = list[list[float]]


def _labels(ids: list[int], mask: list[int]) -> list[int]:
    return [token if on else -100 for token, on in zip(ids, mask, strict=True)]


def _pairs(labels: list[int], shift: int = 1) -> list[tuple[int, int]]:
    return [(i - shift, label) for i, label in enumerate(labels) if label != -100]


def _batch(rows: Rows) -> float:
    return sum(map(sum, rows)) / sum(map(len, rows))


def kept(losses: list[float], patience: int) -> int:
    """Return the epoch, from 0, whose weights early stopping keeps."""
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best >= patience:
            break
    return best


def _rises(losses: list[float], patience: int) -> int:
    """Compare each loss with the one before it, and keep the weights from before the rise."""
    row = 0
    for epoch in range(1, len(losses)):
        row = row + 1 if losses[epoch] >= losses[epoch - 1] else 0
        if row >= patience:
            return epoch - patience
    return len(losses) - 1


def _stopped(losses: list[float], patience: int) -> int:
    best = kept(losses, patience)
    return min(best + patience, len(losses) - 1)


def _merged(weight: float, b: list[float], a: list[float], alpha: float, rank: int) -> float:
    return weight + alpha / rank * sum(x * y for x, y in zip(b, a, strict=True))


EXERCISES = (
    exercise(
        "03.1",
        solution=_labels,
        cases=(
            ([5, 6, 7, 2], [0, 0, 1, 1]),
            ([9, 4, 4, 8, 2, 3], [0, 1, 1, 0, 1, 1]),
            ([3, 0, 2], [0, 1, 1]),
        ),
        mistakes={
            "there is 0 where no loss is wanted": lambda ids, mask: [
                t * on for t, on in zip(ids, mask, strict=True)
            ],
            "the mask is upside down": lambda ids, mask: _labels(ids, [1 - on for on in mask]),
            "tokens without loss are left out": lambda ids, mask: [
                t for t, on in zip(ids, mask, strict=True) if on
            ],
            "they are shifted by one": lambda ids, mask: [*_labels(ids, mask)[1:], -100],
            "the mask comes back": lambda ids, mask: list(mask),
        },
    ),
    exercise(
        "03.2",
        solution=_pairs,
        cases=(([-100, -100, 7, 2],), ([-100, 4, -100, 8, 2],), ([-100, -100, -100, 5],)),
        mistakes={
            "it does not shift": lambda labels: _pairs(labels, 0),
            "it shifts the other way": lambda labels: _pairs(labels, -1),
            "-100 is taken for a token": lambda labels: [
                (i - 1, label) for i, label in enumerate(labels)
            ][1:],
            "only the places come back": lambda labels: [i for i, _ in _pairs(labels)],
        },
    ),
    exercise(
        "03.3",
        solution=_batch,
        cases=(
            ([[1.0, 3.0], [2.0, 2.0, 5.0, 1.0]],),
            ([[4.0], [0.5, 0.5, 0.5]],),
            ([[0.2, 0.4], [0.1], [3.0, 1.0, 2.0]],),
        ),
        mistakes={
            "it is the mean of the records' means": lambda rows: (
                sum(sum(row) / len(row) for row in rows) / len(rows)
            ),
            "it divides by the records": lambda rows: sum(map(sum, rows)) / len(rows),
            "it adds up and does not divide": lambda rows: sum(map(sum, rows)),
        },
    ),
    exercise(
        "03.4",
        solution=kept,
        cases=(
            ([2.0, 1.2, 1.0, 1.1, 1.3, 0.9], 2),
            ([2.0, 1.5, 1.6, 1.4, 1.5, 1.6, 1.7], 2),
            ([1.0, 0.8, 0.7], 2),
            ([0.9, 1.1, 1.0, 0.8], 1),
            ([0.9, 1.1, 1.0, 1.2, 1.3], 3),
        ),
        mistakes={
            "it looks at losses behind the stop": lambda losses, patience: losses.index(
                min(losses)
            ),
            "it keeps the last weights": _stopped,
            "it compares with the epoch before": _rises,
            "it does not wait": lambda losses, patience: kept(losses, 1),
        },
    ),
    exercise(
        "03.5",
        solution=_merged,
        cases=(
            (0.5, [1.0, 2.0], [0.5, -1.0], 4.0, 2),
            (-1.0, [0.0, 0.0], [0.3, 0.4], 8.0, 2),
            (0.0, [0.5, 0.5, 1.0, 0.0], [1.0, 2.0, 1.0, 7.0], 8.0, 4),
        ),
        mistakes={
            "the scale is missing": lambda weight, b, a, alpha, rank: _merged(
                weight, b, a, rank, rank
            ),
            "it scales by alpha alone": lambda weight, b, a, alpha, rank: _merged(
                weight, b, a, alpha * rank, rank
            ),
            "the base is missing": lambda weight, b, a, alpha, rank: _merged(
                0.0, b, a, alpha, rank
            ),
            "the base is scaled as well": lambda weight, b, a, alpha, rank: _merged(
                weight * alpha / rank, b, a, alpha, rank
            ),
        },
    ),
)
