"""Lesson 05, Data synthesis: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['05.1', '05.2', '05.3', '05.4', '05.5']
"""

import json
import math
import re
from typing import Any

from ftlab.formats import SHAREGPT
from ftlab.teaching.exercises import exercise

FENCE = "`" * 3


def _unfence(text: str) -> str:
    parts = text.split(FENCE)
    return (parts[1].partition("\n")[2] if len(parts) > 1 else text).strip()


def messages_in(reply: str) -> list[str]:
    """Return the messages of a reply that lists them, one on a line."""
    lines = [re.sub(r"^(-|\d+\.) +", "", line.strip()) for line in reply.splitlines()]
    return [line.strip('"') for line in lines if line and not line.endswith(":")]


def _turns(*told: str) -> list[dict[str, str]]:
    return [{"role": a, "content": b} for a, b in zip(told[::2], told[1::2], strict=True)]


def _sharegpt(messages: list[dict[str, str]]) -> dict[str, Any]:
    talk = [{"from": SHAREGPT[m["role"]], "value": m["content"]} for m in messages]
    return {"conversations": talk}


def _openings(texts: list[str]) -> int:
    return len({" ".join(text.split()[:3]) for text in texts})


def _leaks(train: list[dict[str, Any]], test: list[dict[str, Any]]) -> int:
    groups = {record["group"] for record in train}
    return sum(record["group"] in groups for record in test)


EXERCISES = (
    exercise(
        "05.1",
        solution=_unfence,
        cases=(
            (f"Sure! Here it is:\n{FENCE}python\nprint(1)\n{FENCE}\nI hope it helps!",),
            ("\nprint(2)\n",),
            (f"{FENCE}\nimport math\n\nprint(math.pi)\n{FENCE}",),
        ),
        mistakes={
            "the word after the fence stays": lambda text: (
                [*text.split(FENCE), ""][1].strip() or text.strip()
            ),
            "only the fence itself goes": lambda text: text.replace(FENCE, "").strip(),
            "it takes what stands before the fence": lambda text: text.split(FENCE)[0].strip(),
            "it takes what stands behind the fence": lambda text: text.split(FENCE)[-1].strip(),
            "nothing is stripped": lambda text: (
                text.split(FENCE)[1].partition("\n")[2] if FENCE in text else text
            ),
        },
    ),
    exercise(
        "05.2",
        solution=lambda wanted, accepted: math.ceil(wanted / accepted),
        cases=((1000, 0.8), (10, 0.75), (300, 1.0), (7, 0.125)),
        mistakes={
            "it multiplies": lambda wanted, accepted: math.ceil(wanted * accepted),
            "it adds the share that is rejected": lambda wanted, accepted: math.ceil(
                wanted * (2 - accepted)
            ),
            "it rounds down": lambda wanted, accepted: math.floor(wanted / accepted),
            "it does not round": lambda wanted, accepted: wanted / accepted,
        },
    ),
    exercise(
        "05.3",
        solution=_leaks,
        cases=(
            (
                [{"group": "a"}, {"group": "a"}, {"group": "b"}],
                [{"group": "a"}, {"group": "c"}, {"group": "a"}, {"group": "b"}],
            ),
            ([{"group": "a"}], [{"group": "b"}, {"group": "c"}]),
            ([{"group": "x"}, {"group": "x"}], [{"group": "x"}]),
        ),
        mistakes={
            "it counts groups": lambda train, test: len(
                {r["group"] for r in train} & {r["group"] for r in test}
            ),
            "it counts training records": lambda train, test: _leaks(test, train),
            "it counts clean records": lambda train, test: len(test) - _leaks(train, test),
            "it counts pairs": lambda train, test: sum(
                a["group"] == b["group"] for a in train for b in test
            ),
        },
    ),
    exercise(
        "05.4",
        solution=_sharegpt,
        cases=(
            (_turns("user", "Hi", "assistant", "Hello."),),
            (_turns("system", "Be brief.", "user", "And you?", "assistant", "Well."),),
            (_turns("user", "a", "assistant", "b", "user", "c", "assistant", "d"),),
        ),
        mistakes={
            "the roles keep their names": lambda messages: {
                "conversations": [{"from": m["role"], "value": m["content"]} for m in messages]
            },
            "the keys keep their names": lambda messages: {
                "conversations": [
                    {"role": SHAREGPT[m["role"]], "content": m["content"]} for m in messages
                ]
            },
            "it returns the list alone": lambda messages: _sharegpt(messages)["conversations"],
            "the system message is lost": lambda messages: _sharegpt(
                [m for m in messages if m["role"] != "system"]
            ),
            "it returns a text": lambda messages: json.dumps(_sharegpt(messages)),
        },
    ),
    exercise(
        "05.5",
        solution=_openings,
        cases=(
            (["Ask her to sit.", "Ask her to stand.", "Ask him to sit.", "Ask him to sit."],),
            (["Bring a tea.", "Bring a cup of tea.", "Bringing it helps."],),
            (["One two three four", "One two three", "one two three"],),
        ),
        mistakes={
            "it counts the texts": len,
            "it counts first words": lambda texts: len({text.split()[0] for text in texts}),
            "it counts first letters": lambda texts: len({text[:3] for text in texts}),
            "it counts whole texts": lambda texts: len(set(texts)),
            "it returns a share": lambda texts: _openings(texts) / len(texts),
        },
    ),
)
