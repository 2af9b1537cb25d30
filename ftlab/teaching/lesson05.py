"""Lesson 05, Making data: what its teacher is asked, what becomes of the replies, its exercises.

>>> [exercise.id for exercise in EXERCISES]
['05.1', '05.2', '05.3', '05.4']
>>> messages_in('Here are two:\\n\\n1. Where is it?\\n2. "Is it lost?"')
['Where is it?', 'Is it lost?']
"""

import json  # noqa: F401  for the usual mistakes
import re
from typing import Any

from ftlab import data, tasks
from ftlab.files import read_data
from ftlab.teaching.exercises import Client, exercise

WORDS = read_data("lessons/teacher.yaml")

Candidate = tuple[str, str, str, str]
"""How a message was made, its topic, the seed that it is from (or ""), and its text."""


def requests() -> dict[str, list[str]]:
    """Return what a teacher is asked, by kind; its translations are sent back when they came."""
    seeds = WORDS["seeds"]
    functions = tasks.get("unit_tests").examples(WORDS["functions"], seed=5)
    code = [data.prompt(row)[-1]["content"].partition("def ") for row in functions]
    shown = {
        topic: "\n".join(f"- {seed['text']}" for seed in seeds if seed["topic"] == topic)
        for topic in WORDS["topics"]
    }
    return {
        "paraphrase": [WORDS["paraphrase"].format(text=seed["text"], manner=manner)
                       for seed in seeds for manner in WORDS["manners"]],
        "there": [WORDS["translate"].format(text=seed["text"], language=language)
                  for seed in seeds for language in WORDS["languages"]],
        "new": [WORDS["new"].format(topic=topic, examples=shown[topic], where=place)
                for topic in WORDS["topics"] for place in WORDS["places"]],
        "code": [WORDS["unit_tests"].format(code="".join(parts[1:])) for parts in code],
        "calls": [WORDS["tool_call"].format(sentence=one) for one in WORDS["sentences"]],
    }  # fmt: skip


def candidates(replies: dict[str, list[str]]) -> list[Candidate]:
    """Return the messages in the replies to `requests`, before any check."""
    made = []
    for way, kind, times in (("paraphrase", "paraphrase", "manners"),
                             ("back-translation", "back", "languages")):  # fmt: skip
        sources = [seed for seed in WORDS["seeds"] for _ in WORDS[times]]
        made += [(way, seed["topic"], seed["text"], tidy(reply))
                 for seed, reply in zip(sources, replies[kind], strict=True)]  # fmt: skip
    topics = [topic for topic in WORDS["topics"] for _ in WORDS["places"]]
    return made + [
        ("new", topic, "", text)
        for topic, reply in zip(topics, replies["new"], strict=True)
        for text in messages_in(reply)
    ]


def tidy(reply: str) -> str:
    """Return the message in a reply: no preamble, no quotes around it, no remark behind it.

    >>> tidy('Sure! Here it is:\\n\\n"Where is it?"')
    'Where is it?'
    """
    text = re.sub(r"\A(sure|here)\b[^\n]*:\n+", "", reply.strip(), flags=re.IGNORECASE)
    if quoted := re.match(r'"([^"]+)"', text):
        text = quoted[1]
    return " ".join(re.split(r"\n+[(*]", text)[0].split())


def _echo(reason: str) -> Client:
    """Return a client that answers with what it was asked."""

    def respond(model: str, messages: Any, settings: dict[str, Any]) -> tuple[str, str]:
        most = settings.get("max_completion_tokens", settings.get("max_tokens"))
        said = ", ".join(f"{message['role']}: {message['content']}" for message in messages)
        return f"{model} ({most} tokens): {said}", reason

    return Client(respond)


def text_of(client: Any, model: str, prompt: str, most: int) -> str | None:
    """Return the text of an answer to one prompt, or None if the limit cut it off."""
    messages = [{"role": "user", "content": prompt}]
    reply = client.chat.completions.create(model=model, messages=messages, max_tokens=most)
    choice = reply.choices[0]
    return None if choice.finish_reason == "length" else choice.message.content


def messages_in(reply: str) -> list[str]:
    """Return the messages of a reply that lists them, one on a line."""
    lines = [re.sub(r"^(-|\d+\.) +", "", line.strip()) for line in reply.splitlines()]
    return [line.strip('"') for line in lines if line and not line.endswith(":")]


def leaking(train: list[dict[str, Any]], test: list[dict[str, Any]]) -> int:
    """Return how many records of `test` have a sibling, of the same "group", in `train`."""
    groups = {record["group"] for record in train}
    return sum(record["group"] in groups for record in test)


def tool_record(sentence: str, call: dict[str, Any], tools: list[Any]) -> dict[str, Any]:
    """Return a row whose answer is a tool call; `call` has the keys "tool" and "arguments"."""
    given = {key: it for key, it in call["arguments"].items() if it is not None}
    asked = {"type": "function", "function": {"name": call["tool"], "arguments": given}}
    turns = [
        {"role": "user", "content": sentence},
        {"role": "assistant", "content": "", "tool_calls": [asked]},
    ]
    return {"messages": turns, "tools": tools}


def _what_counts(record: Any) -> Any:
    """Return a row with a call without what templates do not ask for: ids, types, empty texts."""
    turns = []
    for turn in record["messages"]:
        calls = [call.get("function", call) for call in turn.get("tool_calls") or ()]
        said = [[function["name"], function["arguments"]] for function in calls]
        turns.append([turn["role"], turn.get("content") or "", said])
    return {"turns": turns, "tools": record.get("tools")}


_TOOLS = [{"type": "function", "function": {"name": "opening_hours", "parameters": {}}}]

EXERCISES = (
    exercise(
        "05.1",
        solution=text_of,
        cases=((_echo("stop"), "small", "Say hello.", 20), (_echo("length"), "big", "Go on.", 8)),
    ),
    exercise(
        "05.2",
        solution=messages_in,
        cases=(
            ("- Where is it?\n- It has been a week. 3 boxes!\n",),
            ("Sure, here are two more:\n\n1. i want 2 of them\n2. Is it lost?",),
            ('"Two came, not one."\n\n"Why - is it late?"',),
        ),
    ),
    exercise(
        "05.3",
        solution=leaking,
        cases=(
            (
                [{"group": "a"}, {"group": "a"}, {"group": "b"}],
                [{"group": "a"}, {"group": "c"}, {"group": "a"}, {"group": "b"}],
            ),
            ([{"group": "a"}], [{"group": "b"}, {"group": "c"}]),
            ([{"group": "x"}, {"group": "x"}], [{"group": "x"}]),
        ),
    ),
    exercise(
        "05.4",
        solution=tool_record,
        cases=(
            ("Open on Monday?", {"tool": "opening_hours", "arguments": {"day": "Monday"}}, _TOOLS),
            ("When?", {"tool": "opening_hours", "arguments": {"day": None}}, _TOOLS),
        ),
        view=_what_counts,
    ),
)
