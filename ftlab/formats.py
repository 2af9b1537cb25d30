"""Every format of training examples, to and from rows of the conversational form.

    messages           {"messages": [{"role": "user", "content": ...}, ...]}
    prompt_completion  {"prompt": [...], "completion": [...]}        lists of messages, or strings
    sharegpt           {"conversations": [{"from": "human", "value": ...}, ...]}
    alpaca             {"instruction": ..., "input": ..., "output": ..., "history": [[...], ...]}
    openai             as messages, with the arguments of tool calls as a JSON string
    vertex             {"systemInstruction": {"parts": [{"text": ...}]}, "contents": [...]}
    bedrock            {"schemaVersion": ..., "system": [{"text": ...}], "messages": [...]}

Of a conversation all answers are learned, except those with `"weight": 0`; of a prompt and
completion, the completion. What a format cannot hold, such as tools in alpaca, is refused. The
schemas, as read in November 2026:

- prompt_completion, tools: https://huggingface.co/docs/trl/dataset_formats
- sharegpt, alpaca: https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
- openai: https://platform.openai.com/docs/api-reference/fine-tuning/chat-input
- vertex:
  https://cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare
- bedrock (Converse; its older Claude form, a "system" string beside the messages, is read too):
  https://docs.aws.amazon.com/bedrock/latest/userguide/preparing-text-data.html
"""

import ast
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftlab.errors import DataError, raise_unknown

UPLOADS = ("openai", "vertex", "bedrock")  # of providers; they hold no meta
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
_MAY = {"prompt_completion": set[str](), "vertex": {"systemInstruction"},
        "alpaca": {"input", "system", "history"}}  # fmt: skip
KEYS = {name: keys | _MAY.get(name, {"system"}) for name, keys in NEEDED.items()}
OURS = {"tools", "chat_template_kwargs", "meta"}
"""A row's keys beside its messages; keys that are neither these nor in `KEYS` go to the meta."""
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""The keys under which a message holds what was thought before it; templates read one of them."""
MESSAGE = ("role", "content", "name", "weight", "tool_calls", "tool_call_id", *THOUGHTS)
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
    """Return the positions in `conversation(row)` of the answers that carry loss."""
    turns = conversation(row)
    start = 0 if row.get("messages") is not None else len(_side(row["prompt"], "user"))
    return [
        i for i, turn in enumerate(turns)
        if i >= start and turn["role"] == "assistant" and turn.get("weight") != 0
    ]  # fmt: skip


def _side(value: Any, role: str) -> list[Any]:
    return list(value) if isinstance(value, list) else [{"role": role, "content": value}]


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


def format_of(line: Mapping[str, Any]) -> str | None:
    """Return which format a line's object has the keys of (openai is "messages"); None if none's.

    >>> format_of({"prompt": "q", "completion": "a"})
    'prompt_completion'
    """
    present = {key for key, value in line.items() if value is not None}
    here = (name for there in (present, set(line)) for name in NEEDED if NEEDED[name] <= there)
    return next(here, None)


def extra_keys(line: Mapping[str, Any]) -> set[str]:
    """Return the keys of a line, and of its messages, that are unknown and hold something."""
    format = format_of(line)
    return set() if format is None else _own(line, format) | unread(line)


def _own(line: Mapping[str, Any], format: str) -> set[str]:
    return {key for key in line.keys() - KEYS[format] - OURS if line[key] is not None}


def unread(line: Mapping[str, Any]) -> set[str]:
    """Return the keys of a line's messages that are unknown, hold something, and are left out."""
    sides = (line.get(name) for name in ("messages", "conversations", "prompt", "completion"))
    turns = [turn for side in sides if isinstance(side, list) for turn in side]
    held = {key for turn in turns if isinstance(turn, Mapping)
            for key, value in turn.items() if value not in (None, [], {}, "")}  # fmt: skip
    return held - {*MESSAGE, "from", "value"}


def _type(value: Any) -> str:
    return type(value).__name__


class Faults(list[Fault]):
    """What is wrong with a line."""

    def add(self, check: str, reason: str) -> Any:
        """Append one; return None, which a caller returns in place of what it cannot make."""
        self.append((check, reason))


def examine(line: Any) -> tuple[dict[str, Any], list[Fault]]:
    """Return the row of a line in any of the formats, and all that is wrong with it.

    >>> [name for name, _ in examine({"messages": [{"role": "User", "content": ""}]})[1]]
    ['unknown_role', 'empty_content', 'no_assistant']
    """
    faults = Faults()
    if not isinstance(line, Mapping):
        return {}, [("not_an_object", f"a JSON object is wanted, got {_type(line)}")]
    if (format := format_of(line)) is None:
        keys = ", ".join(sorted(map(str, line))[:8]) or "no keys"
        reason = (
            f"no known format (keys: {keys}); wanted messages, conversations, contents, prompt and "
            "completion, or instruction and output"
        )
        return {}, [("unknown_format", reason)]
    given = _given(line, format)
    if not isinstance(given, list):
        got = "str: the list itself, not its text" if isinstance(given, str) else _type(given)
        faults.add("bad_record", f"the messages must be a list, got {got}")
        given = []
    turns = [message_of(turn, number, faults) for number, turn in enumerate(given, start=1)]
    _order(turns, faults)
    row: dict[str, Any] = {"messages": turns}
    weights = [turn.get("weight", 1) for turn in turns if turn["role"] == "assistant"]
    if format == "prompt_completion" or (format == "alpaca" and not line.get("history")):
        for turn in turns:
            turn.pop("weight", None)
        start = len(turns) - 1 if format == "alpaca" else len(_side(line["prompt"], "user"))
        row = {"prompt": turns[:start], "completion": turns[start:]}
        if turns[start:] and turns[start]["role"] != "assistant":
            faults.add("wrong_order", "the completion must begin with the assistant")
    elif weights and not any(weights):
        faults.add("bad_record", "every answer has weight 0, so there is nothing to learn")
    if tools := _tools(line.get("tools"), faults):
        row["tools"] = tools
    if line.get("chat_template_kwargs"):  # what the template is given, as TRL names it
        row["chat_template_kwargs"] = line["chat_template_kwargs"]
    own, unknown = line.get("meta") or {}, _own(line, format)
    if not isinstance(own, Mapping):
        faults.add("bad_record", f"meta must be an object, got {_type(own)}")
    elif own or unknown:
        row["meta"] = {key: line[key] for key in line if key in unknown} | dict(own)
    return row, list(faults)


def _given(line: Mapping[str, Any], format: str) -> Any:
    """Return the messages of a line as it has them, in one list."""
    if format == "prompt_completion":
        return _side(line["prompt"], "user") + _side(line["completion"], "assistant")
    system = line.get("systemInstruction" if format == "vertex" else "system")
    if format == "vertex" and isinstance(system, Mapping):
        system = system.get("parts")
    if format == "alpaca":
        question, more = line["instruction"], line.get("input")
        if isinstance(question, str) and isinstance(more, str) and more.strip():
            question = f"{question}\n\n{more}"
        history = line.get("history") or []
        texts: list[Any] = []
        for pair in history if isinstance(history, list) else [None]:
            texts += pair if isinstance(pair, list) and len(pair) == 2 else [None, None]
        turns: Any = _alternating([*texts, question, line["output"]])
    else:
        turns = line[{"sharegpt": "conversations", "vertex": "contents"}.get(format, "messages")]
    head = [{"role": "system", "content": system}] if system else []
    return head + turns if isinstance(turns, list) else turns


def _alternating(texts: list[Any], assistant: str = "assistant", key: str = "content") -> list[Any]:
    return [{"role": ("user", assistant)[i % 2], key: text} for i, text in enumerate(texts)]


def message_of(message: Any, number: int, faults: Faults) -> dict[str, Any]:
    """Return a message with the role, the keys and the content that a row has; add its faults."""
    if not isinstance(message, Mapping):
        faults.add("not_text", f"message {number} must be an object, got {_type(message)}")
        return {"role": "", "content": ""}
    given = {key: value for key, value in message.items() if value is not None}
    role = given.get("role", given.get("from"))
    if role is None and "parts" in given:  # vertex lets a single question go without
        role = "user"
    if not isinstance(role, str) or role not in ROLES:
        wanted = "system, user, assistant or tool"
        faults.add("unknown_role", f"message {number} has the role {role!r}; wanted {wanted}")
        role = str(role).strip().lower()  # the order is judged by what was meant
    calls = given.get("tool_calls")
    content = given.get("content", given.get("value", given.get("parts", "" if calls else None)))
    text = _text(content, number, faults)
    made: dict[str, Any] = {"role": ROLES.get(role, role), "content": text or ""}
    if text is not None and not text.strip() and not calls:
        faults.add("empty_content", f"message {number}, the {made['role']}'s, is empty")
    made |= {key: given[key] for key in MESSAGE[2:] if key in given}
    if calls:
        made["tool_calls"] = _calls(calls, number, faults)
    if made.get("weight", 1) not in (0, 1):
        got = made["weight"]
        faults.add("bad_weight", f"message {number} has the weight {got!r}; wanted 0 or 1")
    return made


def _text(content: Any, number: int, faults: Faults) -> str | None:
    """Return a content as one string, the text parts of a list joined; None if it is no text."""
    if isinstance(content, list):
        whole = [isinstance(part, Mapping) and isinstance(part.get("text"), str)
                 and part.get("type") in (None, "text") for part in content]  # fmt: skip
        if not all(whole):
            odd = content[whole.index(False)]
            reason = f"message {number} has parts that are not text: {str(odd)[:60]}"
            return faults.add("not_text", reason)
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        got = "null: it has no text" if content is None else _type(content)
        reason = f"the content of message {number} must be a string, got {got}"
        return faults.add("not_text", reason)
    try:
        content.encode("utf-8")
    except UnicodeEncodeError:
        reason = f"message {number} has half of a surrogate pair, which is no character"
        return faults.add("not_text", reason)
    return content


def _calls(calls: Any, number: int, faults: Faults) -> list[Any]:
    """Return tool calls with their arguments as objects, as chat templates want them."""
    made = []
    for call in calls if isinstance(calls, list) else [calls]:
        call = _pruned(call)
        if (inner := function_of(call)) is None:
            faults.add("bad_record", f"message {number} has a tool call without a name")
            continue
        arguments = inner.get("arguments") or {}
        try:
            arguments = loads(arguments) if isinstance(arguments, str) else arguments
            reason = f"must be an object, got {_type(arguments)}"
        except DataError as error:
            arguments, reason = None, f"are {error}"
        if not isinstance(arguments, Mapping):
            faults.add("bad_record", f"message {number}: the arguments of {inner['name']} {reason}")
        inner = {**inner, "arguments": arguments}
        made.append({**call, "function": inner} if "function" in call else inner)
    return made


def function_of(call: Any) -> Any:
    """Return the part of a tool, or of a call, that has the function's name; None if none has."""
    inner = call.get("function", call) if isinstance(call, Mapping) else None
    return inner if isinstance(inner, Mapping) and isinstance(inner.get("name"), str) else None


def _tools(tools: Any, faults: Faults) -> Any:
    """Return the tools of a line, which some data sets keep as a JSON string."""
    try:
        tools = loads(tools) if isinstance(tools, str) and tools.strip() else tools
    except DataError as error:
        return faults.add("bad_record", f"tools are {error}")
    tools = _pruned(tools or [])
    if not isinstance(tools, list) or None in map(function_of, tools):
        return faults.add("bad_record", "tools must be a list of objects with a function's name")
    return tools


def _order(turns: list[dict[str, Any]], faults: Faults) -> None:
    """Add what is wrong with the order of the turns."""
    roles = [turn["role"] for turn in turns]
    if not roles or roles[-1] != "assistant":
        reason = "the last message must be the assistant's: it is learned; cut what comes after it"
        faults.add("no_assistant", reason)
    before: str | None = None
    for i, role in enumerate(roles if set(roles) <= AFTER.keys() else []):
        unanswered = before == "assistant" and bool(turns[i - 1].get("tool_calls"))
        if role not in AFTER[before] or (unanswered and role != "tool"):
            shown = ", ".join(roles[:12])
            rule = "after at most one system message, user and assistant take turns, the user first"
            reason = f"{rule}, and a tool's results follow its call; got {shown}"
            return faults.add("wrong_order", reason)
        before = role


class NotJsonError(DataError):
    """A text is not JSON; the message is the reason alone."""

    def __init__(self, reason: str, check: str = "broken_json") -> None:
        super().__init__(reason)
        self.check = check
        """The name of the doctor's check."""


def loads(text: str) -> Any:
    """Return what JSON holds.

    Raises:
        NotJsonError: it is not JSON, holds NaN, Infinity or a number too large, or names a key
            twice.
    """

    def constant(name: str) -> float:
        raise NotJsonError(f"not JSON: {name} is no JSON number; write null", "bad_number")

    def number(digits: str) -> float:
        value = float(digits)
        return value if math.isfinite(value) else constant(digits)

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) < len(items):
            keys = [key for key, _ in items]
            twice = next(key for key in keys if keys.count(key) > 1)
            reason = f"the key {twice!r} stands twice in one object: keep one"
            raise NotJsonError(reason, "repeated_key")
        return made

    try:
        return json.loads(
            text, parse_constant=constant, parse_float=number, object_pairs_hook=pairs
        )
    except RecursionError:
        raise NotJsonError("the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        if of_repr(text) is not None:
            reason = "Python's repr, not JSON: write json.dumps(record), not str(record)"
            raise NotJsonError(reason, "python_repr") from None
        alone = "; a carriage return stands in the line" if "\r" in text.strip() else ""
        raise NotJsonError(f"not JSON: {error.msg} (column {error.colno}){alone}") from None
    except NotJsonError:
        raise
    except ValueError as error:  # such as a whole number of too many digits
        raise NotJsonError(f"not JSON: {error}") from None


_PYTHON = re.compile(r"[{\[,:]\s*(?:'|(?:True|False|None)\b)")


def of_repr(text: str) -> dict[str, Any] | None:
    """Return the object of which a text is Python's repr; None if it is none."""
    if not text.lstrip().startswith("{") or not _PYTHON.search(text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that are none
            found = ast.literal_eval(text.strip())
        return dict(json.loads(json.dumps(found, allow_nan=False)))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


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
        return {"messages": [openai_message(turn) for turn in turns], **tools}
    if format == "prompt_completion":
        start = carry[0]
        if row.get("messages") is None:  # a completion may hold several turns
            start = len(_side(row["prompt"], "user"))
        elif len(carry) > 1 or start != len(turns) - 1:
            raise DataError("a completion holds one learned answer, the last; write messages")
        turns = [{key: it for key, it in turn.items() if key != "weight"} for turn in turns]
        return {"prompt": turns[:start], "completion": turns[start:], **tools}
    held = ("user", "assistant", "system") + ("tool",) * (format == "sharegpt")
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
    said, parts = [{"text": system}], [[{"text": text}] for text in texts]
    if format == "vertex":
        head: dict[str, Any] = {"systemInstruction": {"role": "system", "parts": said}}
        return (head if system is not None else {}) | {
            "contents": _alternating(parts, "model", "parts")
        }
    head = {"schemaVersion": SCHEMA} | ({} if system is None else {"system": said})
    return head | {"messages": _alternating(parts)}


def lost(row: Mapping[str, Any], format: str) -> set[str]:
    """Return the keys of a row that `line_of` leaves out, for the format has no place for them."""
    if format in ("messages", "prompt_completion"):
        return set()
    kept = MESSAGE[:-3] if format == "openai" else MESSAGE[:2]
    gone = {key for turn in conversation(row) for key in turn.keys() - {*kept, "weight"}}
    return gone | ({"chat_template_kwargs"} if row.get("chat_template_kwargs") else set())


def refused(rows: Sequence[Mapping[str, Any]], format: str) -> Iterator[str]:
    """Say what a provider is known to refuse in rows, though the file has its format.

    As read in November 2026, from the provider's own pages:

    - OpenAI, 10 records at least: developers.openai.com/api/docs/guides/supervised-fine-tuning
    - Gemini on Vertex AI, 1 million records of text at most:
      docs.cloud.google.com/vertex-ai/generative-ai/docs/models/tune-text-models-supervised
    - Nova on Bedrock, counts and reserved words: the validator in aws-samples/amazon-nova-samples
      (customization/bedrock-finetuning/understanding/dataset_validation)
    """
    count = len(rows)
    if format == "openai" and count < 10:
        yield f"OpenAI takes no file of fewer than 10 records; this one has {count}."
    if format == "vertex" and count > 1_000_000:
        yield f"Gemini takes no file of more than 1,000,000 records; this one has {count:,}."
    if format != "bedrock":
        return
    if count < 200:
        few = "8 records, Nova 2 Lite none of fewer than 200"
        least = few if count < 8 else "200 (Nova 2 Lite)"
        yield f"Amazon Nova takes no file of fewer than {least}; this one has {count}."
    found: dict[int, str] = {}
    for number, row in enumerate(rows, start=1):
        text = "\n".join(turn["content"] for turn in conversation(row))
        if match := _RESERVED.search(text):
            found[number] = match.group()
    if found:
        where = ", ".join(map(str, list(found)[:10])) + ", ..." * (len(found) > 10)
        words = ", ".join(sorted(set(found.values()))[:9])
        yield (
            f"Amazon Nova refuses reserved words in a text, whatever their case: {words}; in "
            f"{len(found):,} records: {where}. Write them otherwise, such as 'User -'. Other "
            "models of Bedrock take them."
        )


_RESERVED = re.compile(  # case counts for nothing, and neither do the letters before
    r"(?:system|user|bot|assistant|thought):|\[EOS\]|<(?:image|video|unk)>", re.IGNORECASE
)


def openai_message(turn: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as OpenAI's service takes it."""
    kept = {key: value for key, value in turn.items() if key not in THOUGHTS}
    if "tool_calls" not in kept:
        return kept
    calls = []
    for number, call in enumerate(kept["tool_calls"]):
        inner = call.get("function", call)
        arguments = json.dumps(inner.get("arguments", {}), ensure_ascii=False)
        function = {"name": inner["name"], "arguments": arguments}
        calls.append({"id": f"call_{number}", "type": "function", **call, "function": function})
    return {**kept, "tool_calls": calls}
