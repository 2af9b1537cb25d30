"""Lesson 13, Capstone: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['13.1', '13.2', '13.3', '13.4']
"""

import math
from typing import Any

import ftlab
from ftlab.teaching.exercises import exercise


def _within(rows: int, batch: int, epochs: int, seconds: float, minutes: float) -> Any:
    steps = min(math.ceil(rows / batch) * epochs, int(60 * minutes / seconds))
    return ftlab.sft_config(max_steps=max(1, steps), per_device_train_batch_size=batch)


def _row(customer: str, text: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": text}],
        "completion": [{"role": "assistant", "content": "login"}],
        "meta": {"customer": customer},
    }


def _leaked(train: list[dict[str, Any]], test: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {row["meta"]["customer"] for row in train}
    return [row for row in test if row["meta"]["customer"] in known]


def _decision(low: float, high: float, least: float) -> str:
    return "ship" if low >= least else "stop" if high < least else "improve"


def _facts(base: str, licence: str) -> Any:
    from huggingface_hub import ModelCardData

    return ModelCardData(
        base_model=base, license=licence, library_name="peft", pipeline_tag="text-generation",
        tags=["lora", "ftlab"],
    )  # fmt: skip


def _fields(facts: Any) -> Any:
    """Return what the hub reads, in any order; what is no card's data stays as it is."""
    held = facts.to_dict()
    return {key: sorted(value) if isinstance(value, list) else value
            for key, value in held.items() if value}  # fmt: skip


EXERCISES = (
    exercise(
        "13.1",
        solution=_within,
        cases=((100, 4, 2, 1.5, 1), (10, 4, 3, 0.5, 30), (90, 8, 1, 7.0, 0.5), (64, 8, 2, 2.0, 5)),
        view=("max_steps", "per_device_train_batch_size"),
    ),
    exercise(
        "13.2",
        solution=_leaked,
        cases=(
            (
                [_row("a", "I cannot log in."), _row("b", "where is it"), _row("a", "Hi.")],
                [_row("a", "No login again!"), _row("c", "hello"), _row("a", "I cannot log in.")],
            ),
            ([_row("a", "one")], [_row("b", "one"), _row("c", "two")]),
        ),
    ),
    exercise(
        "13.3",
        solution=_decision,
        cases=((0.6, 0.8, 0.5), (0.1, 0.3, 0.5), (0.48, 0.7, 0.5), (0.3, 0.52, 0.5),
               (0.5, 0.6, 0.5)),
    ),
    exercise(
        "13.4",
        solution=_facts,
        cases=(("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"), ("a/b", "mit")),
        view=_fields,
    ),
)  # fmt: skip
