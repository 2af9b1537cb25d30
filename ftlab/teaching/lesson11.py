"""Lesson 11, Shipping: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['11.1', '11.2', '11.3', '11.4']
"""

import re
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


def _eight_bits(block: list[float]) -> list[float]:
    scale = max(abs(x) for x in block) / 127
    return [round(x / scale) * scale for x in block]


def _ask(client: Any, model: str, messages: Any) -> tuple[str, str]:
    reply = client.chat.completions.create(
        model=model, messages=messages, temperature=0, max_tokens=60
    )
    choice = reply.choices[0]
    return choice.message.content, choice.finish_reason


def _cost(seconds: float, per_hour: float, share: float) -> float:
    return 1000 * seconds / 3600 * per_hour / share


def _modelfile(file: str, system: str, ends: list[str]) -> str:
    lines = [f"FROM {file}", f'SYSTEM "{system}"', "PARAMETER temperature 0"]
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
_ANSWERS = ("Who is she?", "Who is she, and who is he, and where are they going?")
_ENDS = ["<|im_end|>", "<|endoftext|>"]

EXERCISES = (
    exercise("11.1", solution=_eight_bits, cases=tuple((block,) for block in _BLOCKS)),
    exercise(
        "11.2",
        solution=_ask,
        cases=tuple((_endpoint(answer), "mine", MESSAGES) for answer in _ANSWERS),
    ),
    exercise("11.3", solution=_cost, cases=((0.5, 1.2, 0.25), (2.0, 3.0, 1.0), (0.1, 0.4, 0.5))),
    exercise(
        "11.4",
        solution=_modelfile,
        cases=(
            ("mine.gguf", "Restore the sentence.", _ENDS),
            ("/models/q8.gguf", "Name the topic.", ["<|eot_id|>", "<|end_of_text|>"]),
        ),
        view=_directives,
    ),
)
