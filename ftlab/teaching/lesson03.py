"""Lesson 03, Data synthesis: its exercises, as data.

>>> [exercise.id for exercise in EXERCISES]
['03.1', '03.2', '03.3', '03.4', '03.5']
"""

import json
import math
from typing import Any

from ftlab.formats import SHAREGPT
from ftlab.teaching.exercises import Exercise, Mistake

FENCE = "`" * 3


def _unfence(text: str) -> str:
    parts = text.split(FENCE)
    return (parts[1].partition("\n")[2] if len(parts) > 1 else text).strip()


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
    Exercise(
        id="03.1",
        title="what is inside the code fence",
        hints=(
            "text.split(FENCE) cuts the answer into what is before, inside and behind.",
            "Take part 1, drop its first line (the language's name) with "
            '.partition("\\n")[2], and strip; without a fence, strip the whole text.',
        ),
        solution=_unfence,
        cases=(
            (f"Sure! Here it is:\n{FENCE}python\nprint(1)\n{FENCE}\nI hope it helps!",),
            ("\nprint(2)\n",),
            (f"{FENCE}\nimport math\n\nprint(math.pi)\n{FENCE}",),
        ),
        mistakes=(
            Mistake(
                "the word after the fence stays",
                lambda text: [*text.split(FENCE), ""][1].strip() or text.strip(),
                "A fence often opens with a language, as in ```python. The rest of that line is "
                "no code: drop it.",
            ),
            Mistake(
                "only the fence itself goes",
                lambda text: text.replace(FENCE, "").strip(),
                "What stands before and behind the fence is chatter and has to go as well.",
            ),
            Mistake(
                "it takes what stands before the fence",
                lambda text: text.split(FENCE)[0].strip(),
                "Part 0 is the preamble. Part 1 is what is inside.",
            ),
            Mistake(
                "it takes what stands behind the fence",
                lambda text: text.split(FENCE)[-1].strip(),
                "The last part is the chatter at the end. Part 1 is what is inside.",
            ),
            Mistake(
                "nothing is stripped",
                lambda text: text.split(FENCE)[1].partition("\n")[2] if FENCE in text else text,
                "Blank lines at either end are no part of the answer: .strip() them.",
            ),
        ),
    ),
    Exercise(
        id="03.2",
        title="how many answers to ask for",
        hints=(
            "Of 100 answers with a share of 0.8 accepted, 80 are kept. Which way round is asked?",
            "Divide by the share, and round up: math.ceil(wanted / accepted).",
        ),
        solution=lambda wanted, accepted: math.ceil(wanted / accepted),
        cases=((1000, 0.8), (10, 0.75), (300, 1.0), (7, 0.125)),
        mistakes=(
            Mistake(
                "it multiplies",
                lambda wanted, accepted: math.ceil(wanted * accepted),
                "That is how many would be kept of `wanted` answers. More must be asked than kept.",
            ),
            Mistake(
                "it adds the share that is rejected",
                lambda wanted, accepted: math.ceil(wanted * (2 - accepted)),
                "Of those added, some are rejected too. Divide by the share accepted.",
            ),
            Mistake(
                "it rounds down",
                lambda wanted, accepted: math.floor(wanted / accepted),
                "Then it is one short. Round up.",
            ),
            Mistake(
                "it does not round",
                lambda wanted, accepted: wanted / accepted,
                "There is no third of an answer. Round up.",
            ),
        ),
    ),
    Exercise(
        id="03.3",
        title="count the leaks of a split",
        hints=(
            "Collect the groups of the training side in a set.",
            'sum(record["group"] in groups for record in test) counts the test records.',
        ),
        solution=_leaks,
        cases=(
            (
                [{"group": "a"}, {"group": "a"}, {"group": "b"}],
                [{"group": "a"}, {"group": "c"}, {"group": "a"}, {"group": "b"}],
            ),
            ([{"group": "a"}], [{"group": "b"}, {"group": "c"}]),
            ([{"group": "x"}, {"group": "x"}], [{"group": "x"}]),
        ),
        mistakes=(
            Mistake(
                "it counts groups",
                lambda train, test: len({r["group"] for r in train} & {r["group"] for r in test}),
                "The score is a mean over test records, so count these: a group may have many.",
            ),
            Mistake(
                "it counts training records",
                lambda train, test: _leaks(test, train),
                "Those may stay where they are. What is spoilt is the test record.",
            ),
            Mistake(
                "it counts clean records",
                lambda train, test: len(test) - _leaks(train, test),
                "These are the ones that do not leak.",
            ),
            Mistake(
                "it counts pairs",
                lambda train, test: sum(a["group"] == b["group"] for a in train for b in test),
                "A test record with two siblings in training leaks once. Use a set of groups.",
            ),
        ),
    ),
    Exercise(
        id="03.4",
        title="a record as ShareGPT",
        hints=(
            "Each message becomes {'from': ..., 'value': ...}, and a dict translates the roles.",
            "{'conversations': [{'from': NAMES[m['role']], 'value': m['content']} for m in "
            "messages]}, with NAMES from system to system, user to human, assistant to gpt.",
        ),
        solution=_sharegpt,
        cases=(
            (_turns("user", "Hi", "assistant", "Hello."),),
            (_turns("system", "Be brief.", "user", "And you?", "assistant", "Well."),),
            (_turns("user", "a", "assistant", "b", "user", "c", "assistant", "d"),),
        ),
        mistakes=(
            Mistake(
                "the roles keep their names",
                lambda messages: {
                    "conversations": [{"from": m["role"], "value": m["content"]} for m in messages]
                },
                "In this format the user is called human, and the assistant gpt.",
            ),
            Mistake(
                "the keys keep their names",
                lambda messages: {
                    "conversations": [
                        {"role": SHAREGPT[m["role"]], "content": m["content"]} for m in messages
                    ]
                },
                "In this format a message has the keys from and value.",
            ),
            Mistake(
                "it returns the list alone",
                lambda messages: _sharegpt(messages)["conversations"],
                "A line is an object: {'conversations': [...]}.",
            ),
            Mistake(
                "the system message is lost",
                lambda messages: _sharegpt([m for m in messages if m["role"] != "system"]),
                "What goes in must come out: this format can hold a system message.",
            ),
            Mistake(
                "it returns a text",
                lambda messages: json.dumps(_sharegpt(messages)),
                "Return the dict itself; writing it as JSON comes later.",
            ),
        ),
    ),
    Exercise(
        id="03.5",
        title="how many ways to begin",
        hints=(
            "Words are what text.split() gives; the opening is the first three of them.",
            'Put them in a set: len({" ".join(text.split()[:3]) for text in texts}).',
        ),
        solution=_openings,
        cases=(
            (["Ask her to sit.", "Ask her to stand.", "Ask him to sit.", "Ask him to sit."],),
            (["Bring a tea.", "Bring a cup of tea.", "Bringing it helps."],),
            (["One two three four", "One two three", "one two three"],),
        ),
        mistakes=(
            Mistake(
                "it counts the texts",
                len,
                "Two texts that begin alike have one opening. Put the openings in a set.",
            ),
            Mistake(
                "it counts first words",
                lambda texts: len({text.split()[0] for text in texts}),
                "Three words are wanted: text.split()[:3].",
            ),
            Mistake(
                "it counts first letters",
                lambda texts: len({text[:3] for text in texts}),
                "text[:3] is three letters. Split the text into words first.",
            ),
            Mistake(
                "it counts whole texts",
                lambda texts: len(set(texts)),
                "Only the first three words matter: text.split()[:3].",
            ),
            Mistake(
                "it returns a share",
                lambda texts: _openings(texts) / len(texts),
                "A count is wanted, not a share.",
            ),
        ),
    ),
)
