"""The record: messages in, the completion wanted; and the JSONL files it comes from and goes to.

    {"messages": [{"role": "user", "content": "Capital of France?"},
                  {"role": "assistant", "content": "Paris."}], "meta": {"id": "fr-1"}}

A line may be in any of four formats, and a file may mix them:

    messages            {"messages": [...]}                 OpenAI's; the last is the completion
    prompt_completion   {"prompt": ..., "completion": ...}  strings, or lists of messages
    sharegpt            {"conversations": [{"from": "human", "value": ...}, ...]}
    alpaca              {"instruction": ..., "input": ..., "output": ...}

>>> record = Record.of("Capital of France?", "Paris.", id="fr-1")
>>> record.messages
({'role': 'user', 'content': 'Capital of France?'},)
>>> to_trl(record)["completion"]
[{'role': 'assistant', 'content': 'Paris.'}]
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab.errors import DataError, raise_unknown
from ftlab.files import read_text, writing

__all__ = ["FORMATS", "Record", "fingerprint", "format_of", "from_row", "read", "to_trl", "write"]

FORMATS = ("messages", "prompt_completion", "sharegpt", "alpaca")
SHOWN = 10  # bad lines listed in one message; the rest are counted
NEEDED = {
    "messages": {"messages"},
    "sharegpt": {"conversations"},
    "prompt_completion": {"prompt", "completion"},
    "alpaca": {"instruction", "output"},
}
"""The keys that make a line of each format, in the order in which they are looked for."""
KEYS = {
    "messages": {"messages", "meta"},
    "sharegpt": {"conversations", "system", "meta"},
    "prompt_completion": {"prompt", "completion", "meta"},
    "alpaca": {"instruction", "input", "output", "system", "history", "meta"},
}
"""All the keys that each format knows; others are kept in a record's meta."""
ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant",
}  # fmt: skip


@dataclass(frozen=True)
class Record:
    """One training example.

    Raises:
        DataError: the messages are not an optional system message, then turns of user and
            assistant that end with the user; or a text is not a string.
    """

    messages: tuple[dict[str, str], ...]
    """What goes in: each message has a `role` and a `content`."""
    completion: str
    """The assistant's text that is wanted."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What is known about it: id, slice, group, source."""

    def __post_init__(self) -> None:
        turns = _messages(self.messages, "messages")
        if not turns:
            raise DataError("there are no messages")
        rest = turns[1:] if turns[0]["role"] == "system" else turns
        wanted = [("user", "assistant")[i % 2] for i in range(len(rest))]
        if [turn["role"] for turn in rest] != wanted or len(rest) % 2 == 0:
            raise DataError(
                "the turns before the completion must be user, assistant, ..., user, after at most "
                f"one system message; got {', '.join(turn['role'] for turn in turns)}"
            )
        _text(self.completion, "the completion")
        if not isinstance(self.meta, dict):
            raise DataError(f"meta must be an object, got {type(self.meta).__name__}")
        object.__setattr__(self, "messages", tuple(turns))

    @classmethod
    def of(cls, user: str, completion: str, *, system: str | None = None, **meta: Any) -> "Record":
        """Make a record of one turn; further keywords become its `meta`."""
        turns = [] if system is None else [{"role": "system", "content": system}]
        return cls((*turns, {"role": "user", "content": user}), completion, meta)


# Reading.


def read(path: str | os.PathLike[str]) -> list[Record]:
    """Read a JSONL file whose lines are in any of the four formats; blank lines are skipped.

    Keys that a format does not know are kept in the record's `meta`.

    Raises:
        DataError: the file cannot be read, holds no record, or has bad lines; the message lists
            the bad lines by number.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        raise DataError(
            f"{path} is one JSON array; JSONL is wanted, one object on each line. "
            f"Convert it with: jq -c '.[]' {path}"
        )
    records: list[Record] = []
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            records.append(_parse(line))
        except DataError as error:
            bad.append((number, str(error)))
    if bad:
        listed = [f"  line {number}: {reason}" for number, reason in bad[:SHOWN]]
        if len(bad) > SHOWN:
            listed.append(f"  and {len(bad) - SHOWN} more")
        lines = "1 bad line" if len(bad) == 1 else f"{len(bad)} bad lines"
        raise DataError(
            f"{path} has {lines} of {len(bad) + len(records)}. Correct or remove:\n"
            + "\n".join(listed)
        )
    if not records:
        raise DataError(f"{path} holds no records: it is empty.")
    return records


def _parse(line: str) -> Record:
    """Turn one line into a record; the DataError's text is the reason alone."""
    try:
        row = json.loads(line)
    except RecursionError:
        raise DataError("the JSON is nested too deeply") from None
    except ValueError as error:
        where = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        what = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise DataError(f"not JSON: {what}{where}") from None
    return from_row(row)


def format_of(row: Mapping[str, Any]) -> str | None:
    """Return which of the four formats a line's object has the keys of; None if it has none's.

    >>> format_of({"prompt": "q", "completion": "a"})
    'prompt_completion'
    """
    return next((name for name, keys in NEEDED.items() if keys <= row.keys()), None)


def from_row(row: Any) -> Record:
    """Return the record of one line's object, in any of the four formats.

    Raises:
        DataError: it is no record; the text is the reason alone.
    """
    if not isinstance(row, dict):
        raise DataError(f"a JSON object is wanted, got {type(row).__name__}")
    format = format_of(row)
    if format is None:
        keys = ", ".join(sorted(row)[:8]) or "no keys"
        raise DataError(
            f"no known format (keys: {keys}); wanted messages, conversations, prompt and "
            "completion, or instruction and output"
        )
    if format == "messages":
        turns = _messages(row["messages"], "messages")
    elif format == "sharegpt":
        turns = [*_system(row), *_messages(row["conversations"], "conversations")]
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
    return Record(tuple(turns[:-1]), turns[-1]["content"], {**extra, **meta})


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
    asked = _text(row["instruction"], "instruction")
    given = _text(row.get("input") or "", "input")
    turns += _side(f"{asked}\n\n{given}" if given.strip() else asked, "user", "instruction")
    return [*turns, *_side(row["output"], "assistant", "output")]


def _system(row: dict[str, Any]) -> list[dict[str, str]]:
    """Return the system message that some formats keep in a key of its own."""
    return _side(row["system"], "system", "system") if row.get("system") else []


def _side(value: Any, role: str, name: str) -> list[dict[str, str]]:
    """Return the messages of a value that is a string of this role, or a list of messages."""
    if isinstance(value, list) and role != "system":
        return _messages(value, name)
    return [{"role": role, "content": _text(value, name)}]


def _messages(value: Any, name: str) -> list[dict[str, str]]:
    """Check a list of messages, and name roles and keys as OpenAI does."""
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
        text = _text(content, f"the content of message {number}")
        turns.append({"role": ROLES[role], "content": text})
    return turns


def _parts(parts: list[Any], number: int) -> str:
    """Join the text parts of a message; pictures and sound are refused."""
    kinds = [part.get("type") if isinstance(part, dict) else type(part).__name__ for part in parts]
    if any(kind != "text" for kind in kinds):
        raise DataError(f"message {number} has parts that are not text: {kinds}")
    return "".join(_text(part.get("text"), f"message {number}") for part in parts)


def _text(value: Any, name: str) -> str:
    """Check that a value is text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise DataError(f"{name} must be a string, got {type(value).__name__}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{name} has half of a surrogate pair, which is no character") from None
    return value


# Writing.


def write(
    path: str | os.PathLike[str],
    records: Iterable[Record],
    *,
    format: str = "messages",
    overwrite: bool = False,
) -> Path:
    """Write records as JSONL, whole or not at all; return the path.

    Args:
        path: the file to make.
        records: what to write; each record's `meta`, if any, is kept under "meta".
        format: "messages", "prompt_completion" (conversational), "sharegpt" or "alpaca".
        overwrite: replace a file that exists.

    Raises:
        ConfigError: an unknown format.
        DataError: the file exists, cannot be written, or a record's meta is not JSON.
    """
    if format not in FORMATS:
        raise_unknown("format", format, FORMATS)
    with writing(path, overwrite=overwrite) as temporary, temporary.open("wb") as stream:
        for number, record in enumerate(records, start=1):
            row = _row(record, format)
            if record.meta:
                row["meta"] = record.meta
            try:
                stream.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"The meta of record {number} cannot be written as JSON: {error}. "
                    f"{path} was not written."
                ) from None
    return Path(path)


def _row(record: Record, format: str) -> dict[str, Any]:
    """Return a record in one of the formats, without its meta."""
    turns = list(record.messages)
    answer = {"role": "assistant", "content": record.completion}
    if format == "messages":
        return {"messages": [*turns, answer]}
    if format == "prompt_completion":
        return to_trl(record)
    if format == "sharegpt":
        names = {"system": "system", "user": "human", "assistant": "gpt"}
        talk = [{"from": names[t["role"]], "value": t["content"]} for t in [*turns, answer]]
        return {"conversations": talk}
    system = turns.pop(0)["content"] if turns[0]["role"] == "system" else None
    texts = [turn["content"] for turn in turns]
    row: dict[str, Any] = {"instruction": texts[-1], "input": "", "output": record.completion}
    if system is not None:
        row["system"] = system
    if len(texts) > 1:
        row["history"] = [list(pair) for pair in zip(texts[:-1:2], texts[1::2], strict=True)]
    return row


def to_trl(record: Record) -> dict[str, Any]:
    """Return the record as TRL's conversational prompt and completion, which masks the prompt."""
    return {
        "prompt": [dict(message) for message in record.messages],
        "completion": [{"role": "assistant", "content": record.completion}],
    }


def fingerprint(records: Iterable[Record]) -> str:
    """Return the SHA-256 of the records in order, meta included, as 64 hex digits.

    The same records give the same figure whatever file or format they came from.

    >>> fingerprint([Record.of("a", "b")]) == fingerprint([Record.of("a", "b")])
    True
    """
    digest = hashlib.sha256()
    for record in records:
        row = [list(record.messages), record.completion, record.meta]
        canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), default=str)
        digest.update(canonical.encode("ascii") + b"\n")
    return digest.hexdigest()
