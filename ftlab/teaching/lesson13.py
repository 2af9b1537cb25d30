"""Lesson 13, Capstone: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['13.1', '13.2', '13.3', '13.4']
"""

import math
from functools import partial
from typing import Any

import ftlab
from ftlab.teaching.exercises import exercise


def _within(
    rows: int, batch: int, epochs: int, seconds: float, minutes: float, *,
    limit: Any = min, whole: Any = math.ceil, fits: Any = int, per_minute: int = 60,
    set_batch: bool = True,
) -> Any:  # fmt: skip
    steps = limit(whole(rows / batch) * epochs, fits(per_minute * minutes / seconds))
    size = {"per_device_train_batch_size": batch} if set_batch else {}
    return ftlab.sft_config(max_steps=max(1, steps), **size)


def _budget(args: Any) -> Any:
    return {"max_steps": args.max_steps, "batch": args.per_device_train_batch_size}


def _row(customer: str, text: str) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": text}],
        "completion": [{"role": "assistant", "content": "login"}],
        "meta": {"customer": customer},
    }


def _customers(rows: list[dict[str, Any]]) -> set[str]:
    return {row["meta"]["customer"] for row in rows}


def _leaked(train: list[dict[str, Any]], test: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in test if row["meta"]["customer"] in _customers(train)]


def _facts(base: str, licence: str | None, **other: Any) -> Any:
    from huggingface_hub import ModelCardData

    given = {
        "base_model": base, "license": licence, "library_name": "peft",
        "pipeline_tag": "text-generation", "tags": ["lora", "ftlab"],
    }  # fmt: skip
    return ModelCardData(**(given | other))


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
        view=_budget,
        mistakes={
            "the passes do not limit it": partial(_within, limit=lambda a, b: b),
            "the time does not limit it": partial(_within, limit=lambda a, b: a),
            "a last part of a batch is lost": partial(_within, whole=int),
            "the number of steps is rounded up": partial(_within, fits=math.ceil),
            "minutes are taken for seconds": partial(_within, per_minute=1),
            "the batch is not set": partial(_within, set_batch=False),
        },
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
        mistakes={
            "it compares the rows": lambda train, test: [row for row in test if row in train],
            "it returns the clean rows": lambda train, test: [
                row for row in test if row["meta"]["customer"] not in _customers(train)
            ],
            "it looks in the training rows": lambda train, test: _leaked(test, train),
            "it returns the customers": lambda train, test: [
                row["meta"]["customer"] for row in _leaked(train, test)
            ],
        },
    ),
    exercise(
        "13.3",
        solution=lambda low, high, least: (
            "ship" if low >= least else "stop" if high < least else "improve"
        ),
        cases=((0.6, 0.8, 0.5), (0.1, 0.3, 0.5), (0.48, 0.7, 0.5), (0.3, 0.52, 0.5),
               (0.5, 0.6, 0.5)),
        mistakes={
            "it looks at the upper end to ship": lambda low, high, least: (
                "ship" if high >= least else "stop"
            ),
            "it looks at the lower end to stop": lambda low, high, least: (
                "stop" if low < least else "ship"
            ),
            "it looks at the middle": lambda low, high, least: (
                "ship" if (low + high) / 2 >= least else "stop"
            ),
        },
    ),
    exercise(
        "13.4",
        solution=_facts,
        cases=(("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"), ("a/b", "mit")),
        view=_fields,
        mistakes={
            "the base is the model's name": lambda base, licence: _facts(
                base, licence, base_model=None, model_name=base
            ),
            "the library is transformers": partial(_facts, library_name="transformers"),
            "the licence is missing": lambda base, licence: _facts(base, None),
            "it is a dictionary": lambda base, licence: _facts(base, licence).to_dict(),
        },
    ),
)  # fmt: skip
