"""Lesson 03, What the trainer does: its exercises, as data, and the bookings it trains on.

A booking's message goes in, one line in a house notation comes out. No base model knows the
notation, rows are short, and the training rows have a range: parties of 2 to 6, from six to a
quarter to nine. So there are inputs just beside it.

>>> [exercise.id for exercise in EXERCISES]
['03.1', '03.2', '03.3', '03.4']
>>> data.answer(bookings(1, seed=0)[0])
'Lindqvist x4 20:00-22:00'
"""

import json
import random
from collections.abc import Collection
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


def _tool_row(question: str, time: str, result: str, reply: str, description: Any) -> data.Row:
    function = {"name": "free_tables", "arguments": {"time": time}}
    call = {"type": "function", "function": function}
    turns = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": reply},
    ]
    return {"messages": turns, "tools": [description]}


question, time, result, reply = TALKS[0]
TOOL_ROW = _tool_row(question, time, result, reply, TOOL)
"""A row with a tool, its call and its result."""


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


def _pairs(labels: list[int]) -> list[tuple[int, int]]:
    return [(i - 1, label) for i, label in enumerate(labels) if label != -100]


def _batch(rows: list[list[float]]) -> float:
    return sum(map(sum, rows)) / sum(map(len, rows))


def _settings(fits: int) -> Any:
    from trl import SFTConfig

    return SFTConfig(
        output_dir="runs/sft", bf16=False, num_train_epochs=3, learning_rate=2e-4, max_length=None,
        per_device_train_batch_size=fits, gradient_accumulation_steps=32 // fits,
    )  # fmt: skip


EXERCISES = (
    exercise(
        "03.1",
        solution=_tool_row,
        cases=tuple((*talk, TOOL) for talk in TALKS),
        view=_what_a_template_reads,
    ),
    exercise(
        "03.2",
        solution=_pairs,
        cases=(([-100, -100, 7, 2],), ([-100, 4, -100, 8, 2],), ([-100, -100, -100, 5],)),
    ),
    exercise(
        "03.3",
        solution=_batch,
        cases=(
            ([[1.0, 3.0], [2.0, 2.0, 5.0, 1.0]],),
            ([[4.0], [0.5, 0.5, 0.5]],),
            ([[0.2, 0.4], [0.1], [3.0, 1.0, 2.0]],),
        ),
    ),
    exercise(
        "03.4",
        solution=_settings,
        cases=((4,), (8,), (2,)),
        view=(
            "per_device_train_batch_size",
            "gradient_accumulation_steps",
            "num_train_epochs",
            "learning_rate",
            "max_length",
        ),
    ),
)
