"""The formats of examples: each provider's and tool's JSON object, to and from a list of messages.

    messages           {"messages": [{"role": "user", "content": ...}, ...], "meta": {...}}   ours
    prompt_completion  {"prompt": [...], "completion": [...]}      lists of messages, or strings
    sharegpt           {"conversations": [{"from": "human", "value": ...}, ...]}
    alpaca             {"instruction": ..., "input": ..., "output": ...}
    openai             as messages; earlier answers have "weight": 0, since they carry no loss here
    vertex             {"systemInstruction": {"parts": [...]}, "contents": [{"role": "model", ...
    bedrock            {"schemaVersion": ..., "system": [{"text": ...}], "messages": [...]}
    cohere             {"messages": [{"role": "Chatbot", "content": ...}, ...]}

What travels: every format holds a system message and several turns. `meta` travels in the first
four. The others are for upload to a provider that knows no such key, and one that checks its keys
refuses the file; so a record with meta is refused there, unless it is dropped on purpose. Only
openai can say that an earlier answer is not to be learnt; in the schemas of vertex, bedrock and
cohere, as of the pages below, there is no field for it.

The schemas, as read or as mirrored in November 2026:

- prompt_completion: https://huggingface.co/docs/trl/dataset_formats
- sharegpt, alpaca (with system and history):
  https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
- openai: https://platform.openai.com/docs/api-reference/fine-tuning/chat-input
- vertex:
  https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare
- bedrock (Converse; its older Claude form, a "system" string beside the messages, is read too):
  https://docs.aws.amazon.com/bedrock/latest/userguide/preparing-text-data.html
- cohere (the service was deprecated on 15 September 2025; files remain):
  https://docs.cohere.com/docs/chat-preparing-the-data

>>> turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
>>> row = row_of(turns, "vertex")
>>> row["contents"][1]
{'role': 'model', 'parts': [{'text': 'Hello.'}]}
>>> turns_of(row) == (turns, {})
True
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ftlab.errors import DataError, raise_unknown

__all__ = [
    "FORMATS",
    "KEYS",
    "ROLES",
    "UPLOADS",
    "check",
    "format_of",
    "plain",
    "row_of",
    "text",
    "turns_of",
]

UPLOADS = ("openai", "vertex", "bedrock", "cohere")
"""The formats of providers, which hold no meta."""
FORMATS = ("messages", "prompt_completion", "sharegpt", "alpaca", *UPLOADS)
NEEDED = {
    "bedrock": {"schemaVersion", "messages"},
    "messages": {"messages"},
    "sharegpt": {"conversations"},
    "prompt_completion": {"prompt", "completion"},
    "alpaca": {"instruction", "output"},
    "vertex": {"contents"},
}
"""The keys that make a line of each format, in the order in which they are looked for."""
KEYS = {
    "bedrock": {"messages", "system", "schemaVersion", "meta"},
    "cohere": {"messages", "meta"},
    "messages": {"messages", "system", "meta"},
    "sharegpt": {"conversations", "system", "meta"},
    "prompt_completion": {"prompt", "completion", "meta"},
    "alpaca": {"instruction", "input", "output", "system", "history", "meta"},
    "vertex": {"contents", "systemInstruction", "meta"},
}
"""All the keys that each format knows; others are kept in a record's meta."""
ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant",
    "chatbot": "assistant",
}  # fmt: skip
COHERE = {"system": "System", "user": "User", "assistant": "Chatbot"}
SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}
SCHEMA = "bedrock-conversation-2024"


# Reading.


def format_of(row: Mapping[str, Any]) -> str | None:
    """Return which format a line's object has the keys of; None if it has none's.

    A line of openai's is one of "messages".

    >>> format_of({"prompt": "q", "completion": "a"})
    'prompt_completion'
    """
    name = next((name for name, keys in NEEDED.items() if keys <= row.keys()), None)
    if name == "messages" and isinstance(row["messages"], list):
        turns = [turn for turn in row["messages"] if isinstance(turn, Mapping)]
        if any(turn.get("role") == COHERE["assistant"] for turn in turns):
            return "cohere"
    return name


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of vertex, bedrock or cohere in the shape of "messages", unchecked.

    A row of another format is returned as it is, so that one with the key "messages" has that shape
    in any case.

    >>> plain({"contents": [{"role": "model", "parts": [{"text": "Hi"}]}]})
    {'messages': [{'role': 'model', 'content': [{'text': 'Hi', 'type': 'text'}]}]}
    """
    format = format_of(row)
    if format not in ("vertex", "bedrock", "cohere"):
        return dict(row)
    turns = row["contents" if format == "vertex" else "messages"]
    if isinstance(turns, list):
        turns = [_plain_turn(turn, format) for turn in turns]
        system = row.get("systemInstruction" if format == "vertex" else "system")
        if system and format != "cohere":
            parts = system.get("parts") if isinstance(system, Mapping) else system
            turns = [{"role": "system", "content": _typed(parts)}, *turns]
    rest = {key: value for key, value in row.items() if key not in KEYS[format] - {"meta"}}
    return {"messages": turns, **rest}


def _plain_turn(turn: Any, format: str) -> Any:
    if not isinstance(turn, Mapping):
        return turn
    if format == "vertex":  # a role may be left out of a single question
        return {"role": turn.get("role", "user"), "content": _typed(turn.get("parts"))}
    if format == "bedrock":
        return {**turn, "content": _typed(turn.get("content"))}
    role = turn.get("role")
    known = isinstance(role, str) and role in COHERE.values()
    return {**turn, "role": str(role).lower() if known else role}


def _typed(parts: Any) -> Any:
    """Name the kind of text parts, as OpenAI does."""
    if not isinstance(parts, list):
        return parts
    return [
        {**part, "type": "text"} if isinstance(part, Mapping) and part.keys() == {"text"} else part
        for part in parts
    ]


def turns_of(row: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Return the messages and the meta of one line's object, in any of the formats.

    Raises:
        DataError: it is no example; the text is the reason alone.
    """
    if not isinstance(row, dict):
        raise DataError(f"a JSON object is wanted, got {type(row).__name__}")
    format = format_of(row)
    if format is None:
        keys = ", ".join(sorted(row)[:8]) or "no keys"
        raise DataError(
            f"no known format (keys: {keys}); wanted messages, conversations, contents, prompt and "
            "completion, or instruction and output"
        )
    if format in ("vertex", "bedrock", "cohere"):
        row = plain(row)
    if "messages" in row:
        format = "messages"
        turns = [*_system(row), *check(row["messages"], "messages")]
        if turns and turns[-1]["role"] == "assistant" and row["messages"][-1].get("weight") == 0:
            raise DataError("the last answer has weight 0, so there is nothing to learn")
    elif format == "sharegpt":
        turns = [*_system(row), *check(row["conversations"], "conversations")]
    elif format == "prompt_completion":
        turns = [
            *_side(row["prompt"], "user", "prompt"),
            *_side(row["completion"], "assistant", "completion"),
        ]
    else:
        turns = _alpaca(row)
    if not turns or turns[-1]["role"] != "assistant":
        raise DataError("the last message must be the assistant's: it is the completion")
    for turn in turns:
        if not turn["content"].strip():
            raise DataError(f"the {turn['role']}'s text is empty")
    meta = row.get("meta") or {}
    if not isinstance(meta, dict):
        raise DataError(f"meta must be an object, got {type(meta).__name__}")
    extra = {key: value for key, value in row.items() if key not in KEYS[format]}
    return turns, {**extra, **meta}


def _alpaca(row: dict[str, Any]) -> list[dict[str, str]]:
    """Return the turns of an Alpaca line; `input` follows the instruction after a blank line."""
    turns = _system(row)
    history = row.get("history") or []
    for pair in history if isinstance(history, list) else [None]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise DataError("history must be a list of [question, answer] pairs")
        turns += [
            *_side(pair[0], "user", "history"),
            *_side(pair[1], "assistant", "history"),
        ]
    asked = text(row["instruction"], "instruction")
    given = text(row.get("input") or "", "input")
    turns += _side(f"{asked}\n\n{given}" if given.strip() else asked, "user", "instruction")
    return [*turns, *_side(row["output"], "assistant", "output")]


def _system(row: dict[str, Any]) -> list[dict[str, str]]:
    """Return the system message that some formats keep in a key of its own."""
    return _side(row["system"], "system", "system") if row.get("system") else []


def _side(value: Any, role: str, name: str) -> list[dict[str, str]]:
    """Return the messages of a value that is a string of this role, or a list of messages."""
    if isinstance(value, list) and role != "system":
        return check(value, name)
    return [{"role": role, "content": text(value, name)}]


def check(value: Any, name: str) -> list[dict[str, str]]:
    """Check a list of messages, and name roles and keys as "messages" does.

    Raises:
        DataError: it is no list of messages; the text is the reason alone.
    """
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise DataError(f"{name} must be a list of messages, got {type(value).__name__}")
    turns = []
    for number, message in enumerate(value, start=1):
        if not isinstance(message, Mapping):
            raise DataError(f"message {number} must be an object, got {type(message).__name__}")
        role = message.get("role", message.get("from"))
        if not isinstance(role, str) or role not in ROLES:
            raise DataError(
                f"message {number} has the role {role!r}; wanted system, user or assistant"
            )
        if message.get("tool_calls"):
            raise DataError(f"message {number} calls a tool, which a record cannot hold")
        content = message.get("content", message.get("value"))
        if isinstance(content, list):
            content = _parts(content, number)
        content = text(content, f"the content of message {number}")
        turns.append({"role": ROLES[role], "content": content})
    return turns


def _parts(parts: list[Any], number: int) -> str:
    """Join the text parts of a message; pictures and sound are refused."""
    kinds = [
        part.get("type", "/".join(map(str, part)))
        if isinstance(part, dict)
        else type(part).__name__
        for part in parts
    ]
    if any(kind != "text" for kind in kinds):
        raise DataError(f"message {number} has parts that are not text: {kinds}")
    return "".join(text(part.get("text"), f"message {number}") for part in parts)


def text(value: Any, name: str) -> str:
    """Return a value that is text and can be written as UTF-8.

    Raises:
        DataError: it is not.
    """
    if not isinstance(value, str):
        raise DataError(f"{name} must be a string, got {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{name} has half of a surrogate pair, which is no character") from None
    return value


# Writing.


def row_of(turns: Sequence[dict[str, str]], format: str) -> dict[str, Any]:
    """Return messages, the last of them the answer, as an object of one of the formats.

    Raises:
        ConfigError: an unknown format.
        DataError: an upload format, and a text is empty, which providers refuse.
    """
    if format not in FORMATS:
        raise_unknown("format", format, FORMATS)
    if format in UPLOADS:
        for number, turn in enumerate(turns, start=1):
            if not turn["content"].strip():
                raise DataError(f"message {number}, the {turn['role']}'s, is empty")
    if format == "messages":
        return {"messages": list(turns)}
    if format == "openai":
        return {"messages": [*map(_unlearnt, turns[:-1]), turns[-1]]}
    if format == "prompt_completion":
        return {"prompt": list(turns[:-1]), "completion": [turns[-1]]}
    if format == "sharegpt":
        talk = [{"from": SHAREGPT[turn["role"]], "value": turn["content"]} for turn in turns]
        return {"conversations": talk}
    if format == "cohere":
        return {"messages": [{**turn, "role": COHERE[turn["role"]]} for turn in turns]}
    system = turns[0]["content"] if turns[0]["role"] == "system" else None
    rest = turns if system is None else turns[1:]
    if format == "vertex":
        told = {} if system is None else {"systemInstruction": _part("system", "parts", system)}
        roles = {"user": "user", "assistant": "model"}
        return {**told, "contents": [_part(roles[t["role"]], "parts", t["content"]) for t in rest]}
    if format == "bedrock":
        talk = [_part(turn["role"], "content", turn["content"]) for turn in rest]
        head = {} if system is None else {"system": [{"text": system}]}
        return {"schemaVersion": SCHEMA, **head, "messages": talk}
    texts = [turn["content"] for turn in rest]
    row: dict[str, Any] = {"instruction": texts[-2], "input": "", "output": texts[-1]}
    if system is not None:
        row["system"] = system
    if len(texts) > 2:
        row["history"] = [list(pair) for pair in zip(texts[:-2:2], texts[1:-2:2], strict=True)]
    return row


def _unlearnt(turn: dict[str, str]) -> dict[str, Any]:
    return {**turn, "weight": 0} if turn["role"] == "assistant" else turn


def _part(role: str, key: str, content: str) -> dict[str, Any]:
    return {"role": role, key: [{"text": content}]}
