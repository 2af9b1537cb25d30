"""Lesson 11, Shipping: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['11.1', '11.2', '11.3', '11.4']
"""

import re
from functools import partial
from typing import Any

from ftlab.teaching.exercises import Client, exercise

MESSAGES = [
    {"role": "system", "content": "Restore the sentence."},
    {"role": "user", "content": "who is she"},
]


def _endpoint(restored: str) -> Client:
    """Return a client whose model restores one sentence.

    Its answer depends on the temperature, on the limit, and on whether it sees the whole
    conversation.
    """

    def respond(model: str, messages: Any, options: dict[str, Any]) -> tuple[str, str]:
        limit = options.get("max_tokens", options.get("max_completion_tokens"))
        text = restored if len(messages) == len(MESSAGES) else "I do not know the task."
        text = text if options.get("temperature") == 0 else f"{text} (one of many)"
        text = text if limit == 60 else f"{text} And so on, for {limit or 'as many as fit'} tokens."
        return text, "length" if len(restored) > 40 and limit == 60 else "stop"

    return Client(respond, f"client of {restored!r}")


def _eight_bits(block: list[float], top: float | None = None) -> list[float]:
    scale = (top or max(abs(x) for x in block)) / 127
    return [round(x / scale) * scale for x in block]


def _ask(client: Any, model: str, messages: Any, **options: Any) -> tuple[str, str]:
    wanted = {"temperature": 0, "max_tokens": 60} | options
    wanted = {name: value for name, value in wanted.items() if value is not None}
    (choice,) = client.chat.completions.create(model=model, messages=messages, **wanted).choices
    return choice.message.content, choice.finish_reason


def _modelfile(file: str, system: str, ends: list[str], heat: str = "0") -> str:
    lines = [f"FROM {file}", f'SYSTEM "{system}"', f"PARAMETER temperature {heat}"]
    return "\n".join(lines + [f'PARAMETER stop "{end}"' for end in ends])


def _directives(text: Any) -> Any:
    """Return a Modelfile's directives, sorted; their case and the quotes do not count."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [re.fullmatch(r"(FROM|SYSTEM|PARAMETER\s+\w+)\s+(.+)", line, re.I) for line in lines]
    return sorted(
        (re.sub(r"\s+", " ", part[1].lower()), re.sub(r'^"""|"""$|^"|"$', "", part[2].strip()))
        if part
        else ("not a directive", line)
        for part, line in zip(found, lines, strict=True)
    )


_BLOCKS = ([0.02, -0.5, 0.31, 0.001], [-3.0, 0.51, 1.12, 0.35, 2.2], [0.9, -0.252, 0.31, -0.667])
_ENDS = ["<|im_end|>", "<|endoftext|>"]

EXERCISES = (
    exercise(
        "11.1",
        solution=_eight_bits,
        cases=tuple((block,) for block in _BLOCKS),
        mistakes={
            "whole numbers are returned": lambda b: [round(x / max(map(abs, b)) * 127) for x in b],
            "the largest is taken with its sign": lambda block: _eight_bits(block, max(block)),
            "it cuts off instead of rounding": lambda block: [
                int(x / (max(map(abs, block)) / 127)) * (max(map(abs, block)) / 127) for x in block
            ],
            "the scale has 255 steps to one side": lambda block: _eight_bits(
                block, max(map(abs, block)) * 127 / 255
            ),
        },
    ),
    exercise(
        "11.2",
        solution=_ask,
        cases=(
            (_endpoint("Who is she?"), "mine", MESSAGES),
            (_endpoint("Who is she, and who is he, and where are they going?"), "mine", MESSAGES),
        ),
        mistakes={
            "the temperature is left to the server": partial(_ask, temperature=None),
            "the length is left to the server": partial(_ask, max_tokens=None),
            "only the last message is sent": lambda client, model, messages: _ask(
                client, model, messages[-1:]
            ),
            "the text alone is returned": lambda client, model, messages: _ask(
                client, model, messages
            )[0],
        },
    ),
    exercise(
        "11.3",
        solution=lambda seconds, per_hour, share: 1000 * seconds / 3600 * per_hour / share,
        cases=((0.5, 1.2, 0.25), (2.0, 3.0, 1.0), (0.1, 0.4, 0.5)),
        mistakes={
            "hours without work are not paid": lambda s, hour, share: 1000 * s / 3600 * hour,
            "it is multiplied by the share": lambda s, hour, share: 1000 * s / 3600 * hour * share,
            "it is the price of one answer": lambda s, hour, share: s / 3600 * hour / share,
            "the price is taken for one of a minute": lambda s, hour, share: (
                1000 * s / 60 * hour / share
            ),
        },
    ),
    exercise(
        "11.4",
        solution=_modelfile,
        cases=(
            ("mine.gguf", "Restore the sentence.", _ENDS),
            ("/models/q8.gguf", "Name the topic.", ["<|eot_id|>", "<|end_of_text|>"]),
        ),
        view=_directives,
        mistakes={
            "only the first end stops": lambda f, s, e: _modelfile(f, s, e[:1]),
            "nothing stops": lambda file, system, ends: _modelfile(file, system, []),
            "all ends are one stop": lambda f, s, e: _modelfile(f, s, [" ".join(e)]),
            "the temperature is Ollama's own": lambda file, system, ends: _modelfile(
                file, system, ends
            ).replace("PARAMETER temperature 0\n", ""),
            "the system text is missing": lambda file, system, ends: "\n".join(
                line for line in _modelfile(file, system, ends).splitlines() if "SYSTEM" not in line
            ),
        },
    ),
)
