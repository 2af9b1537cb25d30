"""Lesson 05, Making data: what its teacher is asked, what becomes of the replies, its exercises.

>>> [exercise.id for exercise in EXERCISES]
['05.1', '05.2', '05.3', '05.4']
>>> messages_in('Here are two:\\n\\n1. Where is it?\\n2. "Is it lost?"')
['Where is it?', 'Is it lost?']
"""

import json
import re
from functools import partial
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


def text_of(client: Any, model: str, prompt: str, most: int, *, role: str = "user") -> str | None:
    """Return the text of an answer to one prompt, or None if the limit cut it off."""
    messages = [{"role": role, "content": prompt}]
    reply = client.chat.completions.create(model=model, messages=messages, max_tokens=most)
    choice = reply.choices[0]
    return None if choice.finish_reason == "length" else choice.message.content


def _asked(client: Any, model: str, prompt: str, **limit: int) -> Any:
    messages = [{"role": "user", "content": prompt}]
    return client.chat.completions.create(model=model, messages=messages, **limit)


def messages_in(reply: str) -> list[str]:
    """Return the messages of a reply that lists them, one on a line."""
    lines = [re.sub(r"^(-|\d+\.) +", "", line.strip()) for line in reply.splitlines()]
    return [line.strip('"') for line in lines if line and not line.endswith(":")]


def leaking(train: list[dict[str, Any]], test: list[dict[str, Any]]) -> int:
    """Return how many records of `test` have a sibling, of the same "group", in `train`."""
    groups = {record["group"] for record in train}
    return sum(record["group"] in groups for record in test)


def tool_record(
    sentence: str, call: dict[str, Any], tools: list[Any], *, nulls: bool = False
) -> dict[str, Any]:
    """Return a row whose answer is a tool call; `call` has the keys "tool" and "arguments"."""
    given = {key: it for key, it in call["arguments"].items() if nulls or it is not None}
    function = {"name": call["tool"], "arguments": given}
    turn = {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": function}
    ]}  # fmt: skip
    return {"messages": [{"role": "user", "content": sentence}, turn], "tools": tools}


def _as_string(*given: Any) -> dict[str, Any]:
    record = tool_record(*given)
    function = record["messages"][-1]["tool_calls"][0]["function"]
    function["arguments"] = json.dumps(function["arguments"])
    return record


def _as_text(sentence: str, call: dict[str, Any], tools: list[Any]) -> dict[str, Any]:
    turns = [{"role": "user", "content": sentence},
             {"role": "assistant", "content": json.dumps(call)}]  # fmt: skip
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
        mistakes={
            "an answer that was cut off is kept": lambda client, model, prompt, most: (
                _asked(client, model, prompt, max_tokens=most).choices[0].message.content
            ),
            "the whole reply comes back": lambda client, model, prompt, most: _asked(
                client, model, prompt, max_tokens=most
            ),
            "a message comes back, not its text": lambda client, model, prompt, most: (
                _asked(client, model, prompt, max_tokens=most).choices[0].message
            ),
            "nothing limits the answer": lambda client, model, prompt, most: (
                None
                if (reply := _asked(client, model, prompt)).choices[0].finish_reason == "length"
                else reply.choices[0].message.content
            ),
            "the prompt is sent as the system's": partial(text_of, role="system"),
        },
    ),
    exercise(
        "05.2",
        solution=messages_in,
        cases=(
            ("- Where is it?\n- It has been a week. 3 boxes!\n",),
            ("Sure, here are two more:\n\n1. i want 2 of them\n2. Is it lost?",),
            ('"Two came, not one."\n\n"Why - is it late?"',),
        ),
        mistakes={
            "the preamble is kept": lambda reply: [
                re.sub(r"^(-|\d+\.) +", "", line.strip()).strip('"')
                for line in reply.splitlines() if line.strip()
            ],
            "empty lines are kept": lambda reply: [
                re.sub(r"^(-|\d+\.) +", "", line.strip()).strip('"')
                for line in reply.splitlines() if not line.strip().endswith(":")
            ],
            "the numbers stay": lambda reply: [
                re.sub("^- +", "", line.strip()).strip('"')
                for line in reply.splitlines() if line.strip() and not line.endswith(":")
            ],
            "the dashes stay": lambda reply: [
                re.sub(r"^\d+\. +", "", line.strip()).strip('"')
                for line in reply.splitlines() if line.strip() and not line.endswith(":")
            ],
            "the quotation marks stay": lambda reply: [
                re.sub(r"^(-|\d+\.) +", "", line.strip())
                for line in reply.splitlines() if line.strip() and not line.endswith(":")
            ],
            "all digits and dashes go": lambda reply: [
                re.sub(r"\d+\. +|\d+ *|- *", "", line.strip()).strip('"')
                for line in reply.splitlines() if line.strip() and not line.endswith(":")
            ],
        },
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
        mistakes={
            "it counts groups": lambda train, test: len(
                {r["group"] for r in train} & {r["group"] for r in test}
            ),
            "it counts training records": lambda train, test: leaking(test, train),
            "it counts clean records": lambda train, test: len(test) - leaking(train, test),
            "it counts pairs": lambda train, test: sum(
                a["group"] == b["group"] for a in train for b in test
            ),
        },
    ),
    exercise(
        "05.4",
        solution=tool_record,
        cases=(
            ("Open on Monday?", {"tool": "opening_hours", "arguments": {"day": "Monday"}}, _TOOLS),
            ("When?", {"tool": "opening_hours", "arguments": {"day": None}}, _TOOLS),
        ),
        view=_what_counts,
        mistakes={
            "the call is written as text": _as_text,
            "what the guest did not say is learned": partial(tool_record, nulls=True),
            "the arguments are a string": _as_string,
            "the tools are missing": lambda *given: {"messages": tool_record(*given)["messages"]},
        },
    ),
)  # fmt: skip
