"""Lesson 03, What the trainer does: its exercises, as data, and the bookings it trains on.

A booking's message goes in, one line in a house notation comes out. No base model knows the
notation, rows are short, and the training rows have a range: parties of 2 to 6, from six to a
quarter to nine. So there are inputs just beside it.

>>> [exercise.id for exercise in EXERCISES]
['03.1', '03.2', '03.3', '03.4', '03.5']
>>> data.answer(bookings(1, seed=0)[0])
'Lindqvist x4 20:00-22:00'
"""

import json
import random
from collections.abc import Collection
from functools import partial
from typing import Any

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.files import read_data
from ftlab.teaching.exercises import exercise

SYSTEM, NAMES, FORMS, TOOL, TALKS = read_data("lessons/bookings.yaml").values()
RANGE = ((2, 3, 4, 5, 6), (18, 19, 20))
"""Party sizes and hours that training rows have."""
BESIDE = ((7, 8), (17, 21))
"""Those just beside."""


def bookings(
    n: int, seed: int, *, beside: bool = False, apart_from: Collection[data.Row] = ()
) -> list[data.Row]:
    """Return `n` different bookings, each with its line in the house notation.

    Args:
        n: how many.
        seed: of the drawing.
        beside: party sizes and hours just beside the training range.
        apart_from: rows whose messages must not come again.

    Raises:
        ConfigError: `n` is not between 1 and 1,000.
    """
    if not 1 <= n <= 1000:
        raise ConfigError(f"From 1 to 1,000 bookings can be drawn, not {n}.")
    sizes, hours = BESIDE if beside else RANGE
    rng = random.Random(f"bookings {seed} {beside}")
    known = {data.prompt(row)[-1]["content"] for row in apart_from}
    rows: dict[str, data.Row] = {}
    while len(rows) < n:
        people, name, hour = rng.choice(sizes), rng.choice(NAMES), rng.choice(hours)
        minute = rng.choice(("00", "15", "30", "45"))
        text = rng.choice(FORMS).format(n=people, t=f"{hour}:{minute}", name=name)
        if text not in known:
            line = f"{name} x{people} {hour}:{minute}-{hour + 2}:{minute}"
            rows[text] = data.example(text, line, system=SYSTEM)
    return list(rows.values())


# The solutions and the mistakes, as functions.

Rows = list[list[float]]


def _tool_row(
    question: str, time: str, result: str, reply: str, description: Any, *, given: Any = None,
    role: str = "tool",
) -> data.Row:  # fmt: skip
    function = {"name": "free_tables", "arguments": {"time": time} if given is None else given}
    turns = [
        {"role": "user", "content": question},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": function}],
        },
        {"role": role, "content": result},
        {"role": "assistant", "content": reply},
    ]
    return {"messages": turns, "tools": [description]}


_QUESTION, _TIME, _RESULT, _REPLY = TALKS[0]
TOOL_ROW = _tool_row(_QUESTION, _TIME, _RESULT, _REPLY, TOOL)
"""A row with a tool, its call and its result."""


def _call_as_text(question: str, time: str, *rest: Any) -> data.Row:
    row = _tool_row(question, time, *rest)
    turn = row["messages"][1]
    turn["content"] = json.dumps(turn.pop("tool_calls")[0]["function"])
    return row


def _without_tools(*given: Any) -> data.Row:
    return {"messages": _tool_row(*given)["messages"]}


def _one_tool(*given: Any) -> data.Row:
    return {**_tool_row(*given), "tools": given[-1]}


def _without_result(*given: Any) -> data.Row:
    row = _tool_row(*given)
    return {**row, "messages": [turn for turn in row["messages"] if turn["role"] != "tool"]}


def _what_a_template_reads(row: Any) -> Any:
    """Return a tool row without what templates do not ask for: ids, names, types, empty texts."""
    turns = []
    for turn in row["messages"]:
        seen = {"role": turn["role"], "content": turn.get("content") or ""}
        for call in turn.get("tool_calls") or ():
            function = call.get("function", call)
            arguments = function["arguments"]
            if isinstance(arguments, str) and arguments.startswith("{"):
                arguments = json.loads(arguments)
            seen.setdefault("calls", []).append([function["name"], arguments])
        turns.append(seen)
    return {"messages": turns, "tools": row.get("tools")}


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


def _settings(fits: int, *, size: int = 0, parts: int = 0, **others: Any) -> Any:
    from trl import SFTConfig

    chosen = {"num_train_epochs": 3, "learning_rate": 2e-4, "max_length": None}
    return SFTConfig(
        output_dir="runs/sft", bf16=False, per_device_train_batch_size=size or fits,
        gradient_accumulation_steps=parts or 32 // fits, **chosen | others,
    )  # fmt: skip


def _what_counts(config: Any) -> dict[str, Any]:
    size = config.per_device_train_batch_size
    return {
        "rows at a time": size,
        "effective batch": size * config.gradient_accumulation_steps,
        "epochs": config.num_train_epochs,
        "learning rate": config.learning_rate,
        "max_length": config.max_length,
    }


EXERCISES = (
    exercise(
        "03.1",
        solution=_tool_row,
        cases=tuple((*talk, TOOL) for talk in TALKS),
        view=_what_a_template_reads,
        mistakes={
            "the call is written as text": _call_as_text,
            "the result has another role": partial(_tool_row, role="user"),
            "the arguments are no dictionary": lambda *given: _tool_row(*given, given=given[1]),
            "the tools are missing": _without_tools,
            "tools is no list": _one_tool,
            "the result is missing": _without_result,
        },
    ),
    exercise(
        "03.2",
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
        "03.3",
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
        "03.4",
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
        "03.5",
        solution=_settings,
        cases=((4,), (8,), (2,)),
        view=_what_counts,
        mistakes={
            "all 32 rows are read at once": partial(_settings, size=32, parts=1),
            "the parts are 32": partial(_settings, parts=32),
            "long answers are cut": partial(_settings, max_length=1024),
            "the rate is the default": partial(_settings, learning_rate=2e-5),
            "nothing is accumulated": partial(_settings, parts=1),
        },
    ),
)
