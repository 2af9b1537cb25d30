"""Every format of training examples, to and from rows of the conversational form.

    messages           {"messages": [{"role": "user", "content": ...}, ...]}
    prompt_completion  {"prompt": [...], "completion": [...]}        lists of messages, or strings
    sharegpt           {"conversations": [{"from": "human", "value": ...}, ...]}
    alpaca             {"instruction": ..., "input": ..., "output": ..., "history": [[...], ...]}
    openai             as messages, with the arguments of tool calls as a JSON string
    vertex             {"systemInstruction": {"parts": [{"text": ...}]}, "contents": [...]}
    bedrock            {"schemaVersion": ..., "system": [{"text": ...}], "messages": [...]}

Which answers are learned: all of a conversation, except those with `"weight": 0`; of a prompt and
completion, the completion. alpaca, vertex and bedrock cannot say that an earlier answer is not
learned, prompt_completion cannot say that it is, and only messages, openai and prompt_completion
hold tools: what a format cannot hold is refused. The schemas, as read in November 2026:

- prompt_completion, tools: https://huggingface.co/docs/trl/dataset_formats
- sharegpt, alpaca: https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
- openai: https://platform.openai.com/docs/api-reference/fine-tuning/chat-input
- vertex:
  https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare
- bedrock (Converse; its older Claude form, a "system" string beside the messages, is read too):
  https://docs.aws.amazon.com/bedrock/latest/userguide/preparing-text-data.html
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ftlab.errors import DataError, raise_unknown

UPLOADS = ("openai", "vertex", "bedrock")
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
    "bedrock": {"messages", "system", "schemaVersion"},
    "messages": {"messages", "system"},
    "sharegpt": {"conversations", "system"},
    "prompt_completion": {"prompt", "completion"},
    "alpaca": {"instruction", "input", "output", "system", "history"},
    "vertex": {"contents", "systemInstruction"},
}
OURS = {"tools", "chat_template_kwargs", "meta"}
"""A row's keys beside its messages; keys that are neither these nor its format's go to the meta."""
MESSAGE = ("role", "content", "name", "weight", "tool_calls", "tool_call_id", "reasoning_content",
           "thinking")  # fmt: skip
"""The keys of a message; others are left out."""
ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant",
    "chatbot": "assistant",
    "tool": "tool", "observation": "tool",
}  # fmt: skip
SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt", "tool": "tool"}
SCHEMA = "bedrock-conversation-2024"
AFTER: dict[str | None, tuple[str, ...]] = {
    None: ("system", "user"), "system": ("user",), "user": ("assistant",),
    "assistant": ("user", "tool"), "tool": ("tool", "assistant"),
}  # fmt: skip
"""Which roles may follow which; None is the beginning."""

Fault = tuple[str, str]
"""The name of the doctor's check, and the reason in words."""


# Rows.


def conversation(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all messages of a row: new dicts, without keys that are None (as Arrow fills them).

    Raises:
        DataError: the row has no messages.

    >>> conversation({"prompt": "Capital of France?", "completion": "Paris."})[1]
    {'role': 'assistant', 'content': 'Paris.'}
    """
    if row.get("messages") is not None:
        messages = row["messages"]
    elif row.get("prompt") is not None and row.get("completion") is not None:
        messages = _side(row["prompt"], "user") + _side(row["completion"], "assistant")
    else:
        raise DataError(
            f"a row needs messages, or prompt and completion; got {', '.join(row) or 'no keys'}"
        )
    return [_present(message) for message in messages]


def learned(row: Mapping[str, Any]) -> list[int]:
    """Return the positions in `conversation(row)` of the answers that carry loss.

    >>> turns = [{"role": role, "content": "x"} for role in ("user", "assistant") * 2]
    >>> learned({"messages": turns}), learned({"prompt": turns[:3], "completion": turns[3:]})
    ([1, 3], [3])
    """
    turns = conversation(row)
    start = 0 if row.get("messages") is not None else len(_side(row["prompt"], "user"))
    return [
        i for i, turn in enumerate(turns)
        if i >= start and turn["role"] == "assistant" and turn.get("weight") != 0
    ]  # fmt: skip


def _side(value: Any, role: str) -> list[Any]:
    return [{"role": role, "content": value}] if isinstance(value, str) else list(value)


def _present(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in message.items() if value is not None}
    if "tool_calls" in kept:
        kept["tool_calls"] = _pruned(kept["tool_calls"])
    kept.setdefault("content", "")  # as where an answer only calls a tool
    return kept


def _pruned(value: Any) -> Any:
    """Return JSON without the keys that are null, at any depth."""
    if isinstance(value, Mapping):
        return {key: _pruned(item) for key, item in value.items() if item is not None}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


# Reading.


def format_of(line: Mapping[str, Any]) -> str | None:
    """Return which format a line's object has the keys of; None if it has none's.

    A line of openai's is one of "messages".

    >>> format_of({"prompt": "q", "completion": "a"})
    'prompt_completion'
    """
    present = {key for key, value in line.items() if value is not None}
    here = (name for name, keys in NEEDED.items() if keys <= present)
    return next(here, None) or next((n for n, keys in NEEDED.items() if keys <= line.keys()), None)


def extra_keys(line: Mapping[str, Any]) -> set[str]:
    """Return the keys of a line, and of its messages, that are unknown and hold something."""
    format = format_of(line)
    if format is None:
        return set()
    unknown = {key for key in line.keys() - KEYS[format] - OURS
               if line[key] is not None}  # fmt: skip
    for name in ("messages", "conversations", "prompt", "completion"):
        turns = line.get(name)
        for turn in turns if isinstance(turns, list) else ():
            if isinstance(turn, Mapping):
                kept = {key for key, value in turn.items() if value not in (None, [], {}, "")}
                unknown |= kept - {*MESSAGE, "from", "value"}
    return unknown


def examine(line: Any) -> tuple[dict[str, Any], list[Fault]]:
    """Return the row of a line in any of the formats, and all that is wrong with it.

    >>> [name for name, _ in examine({"messages": [{"role": "User", "content": ""}]})[1]]
    ['unknown_role', 'empty_content', 'no_assistant']
    """
    if not isinstance(line, Mapping):
        return {}, [("not_an_object", f"a JSON object is wanted, got {type(line).__name__}")]
    format = format_of(line)
    if format is None:
        keys = ", ".join(sorted(map(str, line))[:8]) or "no keys"
        return {}, [(
            "unknown_format", f"no known format (keys: {keys}); wanted messages, conversations, "
            "contents, prompt and completion, or instruction and output",
        )]  # fmt: skip
    faults: list[Fault] = []
    if format == "prompt_completion":
        prompt = _messages(line["prompt"], "user", "prompt", faults)
        completion = _messages(line["completion"], "assistant", "completion", faults, len(prompt))
        row: dict[str, Any] = {"prompt": prompt, "completion": completion}
        for turn in (*prompt, *completion):
            turn.pop("weight", None)
        if completion and completion[0]["role"] != "assistant":
            faults.append(("wrong_order", "the completion must begin with the assistant"))
    else:
        turns = _messages(*_talk(line, format), faults)
        row = {"messages": turns}
        if format == "alpaca" and not line.get("history"):
            row = {"prompt": turns[:-1], "completion": turns[-1:]}
        answers = [turn for turn in turns if turn["role"] == "assistant"]
        if answers and all(turn.get("weight") == 0 for turn in answers):
            faults.append(("bad_record", "every answer has weight 0, so there is nothing to learn"))
    faults += _order([*row.get("prompt", ()), *row.get("completion", ()), *row.get("messages", ())])
    if tools := _tools(line.get("tools"), faults):
        row["tools"] = tools
    if line.get("chat_template_kwargs"):  # what the template is given, as TRL names it
        row["chat_template_kwargs"] = line["chat_template_kwargs"]
    extra = {key: value for key, value in line.items()
             if key not in KEYS[format] | OURS and value is not None}  # fmt: skip
    own = line.get("meta") or {}
    if not isinstance(own, Mapping):
        faults.append(("bad_record", f"meta must be an object, got {type(own).__name__}"))
    elif extra or own:
        row["meta"] = {**extra, **own}
    return row, faults


def _talk(line: Mapping[str, Any], format: str) -> tuple[Any, str, str]:
    """Return the messages of a line as it has them, the role of a bare text, and their name."""
    name = {"sharegpt": "conversations", "vertex": "contents"}.get(format, "messages")
    system = line.get("systemInstruction" if format == "vertex" else "system")
    head = [{"role": "system", "content": system}] if system else []
    if format == "alpaca":
        turns: Any = []
        history = line.get("history") or []
        for pair in history if isinstance(history, list) else [None]:
            pair = pair if isinstance(pair, list) and len(pair) == 2 else [None, None]
            turns += [
                {"role": "user", "content": pair[0]},
                {"role": "assistant", "content": pair[1]},
            ]
        question, given = line["instruction"], line.get("input")
        if isinstance(question, str) and isinstance(given, str) and given.strip():
            question = f"{question}\n\n{given}"
        turns += [{"role": "user", "content": question},
                  {"role": "assistant", "content": line["output"]}]  # fmt: skip
    elif format == "vertex" and isinstance(line[name], list):
        turns = [  # a role may be left out of a single question
            {"role": turn.get("role", "user"), "content": turn.get("parts")}
            if isinstance(turn, Mapping) else turn for turn in line[name]
        ]  # fmt: skip
        if isinstance(system, Mapping):
            head = [{"role": "system", "content": system.get("parts")}]
    else:
        turns = line[name]
    return head + turns if isinstance(turns, list) else turns, "user", name


def _messages(
    value: Any, role: str, name: str, faults: list[Fault], before: int = 0
) -> list[dict[str, Any]]:
    """Return messages with roles, keys and contents as a row has them; add what is wrong."""
    if not isinstance(value, list):
        if name not in ("prompt", "completion"):
            got = type(value).__name__
            faults.append(("bad_record", f"{name} must be a list of messages, got {got}"))
            return []
        value = [{"role": role, "content": value}]
    return [_message(turn, i, faults) for i, turn in enumerate(value, start=before + 1)]


def _message(message: Any, number: int, faults: list[Fault]) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        got = type(message).__name__
        faults.append(("not_text", f"message {number} must be an object, got {got}"))
        return {"role": "", "content": ""}
    given = {key: value for key, value in message.items() if value is not None}
    role = given.get("role", given.get("from"))
    if not isinstance(role, str) or role not in ROLES:
        wanted = "system, user, assistant or tool"
        faults.append(("unknown_role", f"message {number} has the role {role!r}; wanted {wanted}"))
        role = str(role).strip().lower()  # the order is judged by what was meant
    made: dict[str, Any] = {key: given[key] for key in MESSAGE if key in given}
    made["role"] = ROLES.get(role, role)
    calls = given.get("tool_calls")
    if calls:
        made["tool_calls"] = _calls(calls, number, faults)
    else:
        made.pop("tool_calls", None)
    content = given.get("content", given.get("value"))
    made["content"] = _text(content, number, "" if calls else None, faults)
    if not made["content"].strip() and not calls and not (faults and faults[-1][0] == "not_text"):
        faults.append(("empty_content", f"message {number}, the {made['role']}'s, is empty"))
    if "weight" in made and made["weight"] not in (0, 1):
        got = made["weight"]
        faults.append(("bad_record", f"message {number} has the weight {got!r}; wanted 0 or 1"))
    return {key: made[key] for key in MESSAGE if key in made}


def _text(content: Any, number: int, default: str | None, faults: list[Fault]) -> str:
    """Return a content as one string; the text parts of a list are joined."""
    if content is None:
        content = default
    if isinstance(content, list):
        kinds = [
            "text" if isinstance(part, Mapping) and isinstance(part.get("text"), str)
            and part.get("type", "text") == "text"
            else part.get("type") or "/".join(map(str, part)) if isinstance(part, Mapping)
            else type(part).__name__
            for part in content
        ]  # fmt: skip
        if set(kinds) - {"text"}:
            faults.append(("not_text", f"message {number} has parts that are not text: {kinds}"))
            return ""
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        got = type(content).__name__
        faults.append(("not_text", f"the content of message {number} must be a string, got {got}"))
        return ""
    try:
        content.encode("utf-8")
    except UnicodeEncodeError:
        faults.append(("not_text", f"message {number} has half of a surrogate pair, which is no "
                                   "character"))  # fmt: skip
        return ""
    return content


def _calls(calls: Any, number: int, faults: list[Fault]) -> list[Any]:
    """Return tool calls with their arguments as objects, as chat templates want them."""
    made = []
    for call in calls if isinstance(calls, list) else [calls]:
        call = _pruned(call)
        inner = call.get("function", call) if isinstance(call, Mapping) else None
        if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
            faults.append(("bad_record", f"message {number} has a tool call without a name"))
            continue
        arguments = inner.get("arguments", {})
        if isinstance(arguments, str):
            try:
                arguments = loads(arguments or "{}")
            except DataError as error:
                faults.append(("bad_record", f"message {number}: the arguments of "
                                             f"{inner['name']} are {error}"))  # fmt: skip
                continue
        if not isinstance(arguments, Mapping):
            got = type(arguments).__name__
            faults.append(("bad_record", f"message {number}: the arguments of {inner['name']} "
                                         f"must be an object, got {got}"))  # fmt: skip
        inner = {**inner, "arguments": arguments}
        made.append({**call, "function": inner} if "function" in call else inner)
    return made


def _tools(tools: Any, faults: list[Fault]) -> list[Any]:
    """Return the tools of a line, which some data sets keep as a JSON string."""
    try:
        tools = loads(tools) if isinstance(tools, str) and tools.strip() else tools
    except DataError as error:
        faults.append(("bad_record", f"tools are {error}"))
        return []
    tools = _pruned(tools or [])
    inner = [tool.get("function", tool) if isinstance(tool, Mapping) else None
             for tool in (tools if isinstance(tools, list) else [None])]  # fmt: skip
    if not all(isinstance(it, Mapping) and isinstance(it.get("name"), str) for it in inner):
        faults.append(("bad_record", "tools must be a list of objects with a function's name"))
        return []
    return tools if isinstance(tools, list) else []


def _order(turns: list[dict[str, Any]]) -> Iterable[Fault]:
    """Yield what is wrong with the order of the turns."""
    roles = [turn["role"] for turn in turns]
    if not roles or roles[-1] != "assistant":
        yield "no_assistant", "the last message must be the assistant's: it is what is learned"
    if not set(roles) <= set(SHAREGPT):
        return
    before: str | None = None
    for i, role in enumerate(roles):
        unanswered = before == "assistant" and bool(turns[i - 1].get("tool_calls"))
        if role not in AFTER[before] or (unanswered and role != "tool"):
            yield (
                "wrong_order",
                (
                    "after at most one system message, user and assistant take turns, the user "
                    f"first, and a tool's results follow its call; got {', '.join(roles[:12])}"
                ),
            )
            return
        before = role


def loads(text: str) -> Any:
    """Return what JSON holds.

    Raises:
        DataError: it is not JSON, holds NaN, Infinity or a number too large, or names a key twice;
            the text is the reason alone.

    >>> loads('{"a": 1, "a": 2}')
    Traceback (most recent call last):
        ...
    ftlab.errors.DataError: the key 'a' stands twice in one object: keep one
    """

    def constant(name: str) -> float:
        raise DataError(f"not JSON: {name} is no JSON number; write null")

    def number(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else constant(digits)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) < len(items):
            keys = [key for key, _ in items]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DataError(f"the key {twice!r} stands twice in one object: keep one")
        return made

    try:
        return json.loads(
            text, parse_constant=constant, parse_float=number, object_pairs_hook=pairs
        )
    except RecursionError:
        raise DataError("the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON: {error.msg} (column {error.colno})") from None
    except DataError:
        raise
    except ValueError as error:  # such as a whole number of too many digits
        raise DataError(f"not JSON: {error}") from None


# Writing.


def line_of(row: Mapping[str, Any], format: str) -> dict[str, Any]:
    """Return a row, without its meta, as an object of one of the formats.

    Raises:
        ConfigError: an unknown format.
        DataError: the format cannot hold what the row says; the text is the reason alone.

    >>> row = {"prompt": "Hi", "completion": "Hello."}
    >>> line_of(row, "vertex")["contents"][1]
    {'role': 'model', 'parts': [{'text': 'Hello.'}]}
    """
    if format not in FORMATS:
        raise_unknown("format", format, FORMATS)
    turns, carry = conversation(row), learned(row)
    answers = [i for i, turn in enumerate(turns) if turn["role"] == "assistant"]
    tools = {key: _pruned(row[key]) for key in ("tools", "chat_template_kwargs") if row.get(key)}
    for i in answers:  # a weight stands only where it says something
        turns[i].pop("weight", None)
        if i not in carry:
            turns[i]["weight"] = 0
    if format == "messages":
        return {"messages": turns, **tools}
    if format == "openai":
        tools.pop("chat_template_kwargs", None)
        return {"messages": [_openai(turn) for turn in turns], **tools}
    if format == "prompt_completion":
        start = carry[0]
        if row.get("messages") is None:  # a completion may hold several turns
            start = len(_side(row["prompt"], "user"))
        elif len(carry) > 1 or start != len(turns) - 1:
            raise DataError("a completion holds one learned answer, the last; write messages")
        turns = [{key: it for key, it in turn.items() if key != "weight"} for turn in turns]
        return {"prompt": turns[:start], "completion": turns[start:], **tools}
    held = {"user", "assistant", "system"} | ({"tool"} if format == "sharegpt" else set())
    if tools or any("tool_calls" in turn or turn["role"] not in held for turn in turns):
        raise DataError(f"{format} has no place for tools here; write messages or openai")
    if format == "sharegpt":
        return {"conversations": [
            {"from": SHAREGPT[turn["role"]], "value": turn["content"],
             **({"weight": 0} if turn.get("weight") == 0 else {})} for turn in turns
        ]}  # fmt: skip
    if carry != answers:
        raise DataError(
            f"{format} cannot say that an answer is not learned (weight 0); write messages, openai "
            "or sharegpt, or leave the weights out"
        )
    system = turns[0]["content"] if turns[0]["role"] == "system" else None
    texts = [turn["content"] for turn in (turns if system is None else turns[1:])]
    if format == "alpaca":
        line: dict[str, Any] = {"instruction": texts[-2], "input": "", "output": texts[-1]}
        line |= {} if system is None else {"system": system}
        pairs = [list(pair) for pair in zip(texts[:-2:2], texts[1:-2:2], strict=True)]
        return line | ({"history": pairs} if pairs else {})
    parts = "parts" if format == "vertex" else "content"
    talk = [
        {"role": ("user", "model" if format == "vertex" else "assistant")[i % 2],
         parts: [{"text": text}]} for i, text in enumerate(texts)
    ]  # fmt: skip
    said = [{"text": system}]
    if format == "vertex":
        first = {} if system is None else {"systemInstruction": {"role": "system", "parts": said}}
        return {**first, "contents": talk}
    return {"schemaVersion": SCHEMA, **({} if system is None else {"system": said}),
            "messages": talk}  # fmt: skip


def _openai(turn: dict[str, Any]) -> dict[str, Any]:
    """Return a message as OpenAI's service takes it."""
    kept = {key: value for key, value in turn.items()
            if key not in ("reasoning_content", "thinking")}  # fmt: skip
    if "tool_calls" not in kept:
        return kept
    calls = []
    for number, call in enumerate(kept["tool_calls"]):
        inner = call.get("function", call)
        arguments = json.dumps(inner.get("arguments", {}), ensure_ascii=False)
        function = {"name": inner["name"], "arguments": arguments}
        calls.append({"id": f"call_{number}", "type": "function", **call, "function": function})
    return {**kept, "tool_calls": calls}
