"""Conversations as a chat template writes them, and where the answers stand that carry loss.

    <|im_start|>user\\nSay hi<|im_end|>\\n<|im_start|>assistant\\nHi.<|im_end|>\\n
                                                             ^^^^^^^^^^^^^

A completion is what follows the text that the model is given at generation. In `messages` every
answer is learned, and the template's {% generation %} markers say where they are: its own, or
those of the training twin that TRL has for it. Where there are none, the conversation is rendered
up to each answer and up to its end.

>>> plain([{"role": "user", "content": "Hi", "weight": None}], dict, False)
[{'role': 'user', 'content': 'Hi'}]
>>> talk({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})[1]
[1]
"""

import contextlib
import json
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from ftlab import data
from ftlab.errors import DataError, ModelError
from ftlab.formats import THOUGHTS

__all__ = ["HELLO", "PROBE", "Facts", "Message", "Talk", "added_tokens", "facts", "find", "missing",
           "plain", "render", "shared", "talk"]  # fmt: skip

PROBE = "ftlabprobe"  # stands for a text, to see where a template writes it
HELLO = {"role": "user", "content": "hello"}
Message = Mapping[str, Any]
Span = tuple[int, int]
_ONE_AT_A_TIME = threading.Lock()  # transformers has one place for what it finds between markers


class Facts(NamedTuple):
    """What rendering one conversation shows of a template."""

    marked: str | None
    """The template to find answers by, with {% generation %} markers; None if there is none."""
    end: str | None
    """The special token that ends an assistant's turn; None if the template writes none."""
    blocks: bool
    """Whether a message's content must be a list of parts, as for models that see images."""


def render(
    tokenizer: Any, messages: Sequence[Message], tools: Any = None,
    options: Mapping[str, Any] | None = None, *,
    opening: bool = False, marked: str | None = None, blocks: bool | None = None,
) -> tuple[str, list[Span]]:  # fmt: skip
    """Render messages as text, in one pass.

    Args:
        tokenizer: a tokenizer with a chat template.
        messages: the conversation.
        tools: JSON schemas of functions, as a list or as the JSON of one.
        options: what the template takes besides.
        opening: add the words that open the assistant's turn.
        marked: a template with markers, to be used in place of the tokenizer's.
        blocks: whether contents are lists of parts; by default as the template wants them.

    Returns:
        The text; and with `marked` the first and last character of each part between markers.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses these messages.
    """
    from jinja2.exceptions import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    blocks = facts(tokenizer).blocks if blocks is None else blocks
    tools = (json.loads(tools) if isinstance(tools, str) else tools) or None
    call: dict[str, Any] = {
        "tools": tools,
        "chat_template": marked or tokenizer.get_chat_template(tools=tools),
        "return_assistant_tokens_mask": marked is not None,
        "add_generation_prompt": opening,
        **tokenizer.special_tokens_map,
        **(options or {}),
    }
    try:
        with _ONE_AT_A_TIME:
            try:
                made: Any = render_jinja_template([plain(messages, dict, blocks)], **call)
            except TypeError:  # a template that joins the arguments of a call to a text
                made = render_jinja_template([plain(messages, str, blocks)], **call)
    except (TemplateError, TypeError) as error:
        roles = ", ".join(message["role"] for message in messages)
        cure = " Put the system text at the start of the first user message."
        raise DataError(
            f"The chat template refuses these messages ({roles}): {error}."
            f"{cure if messages[0]['role'] == 'system' else ''}"
        ) from None
    return made[0][0], made[1][0] if marked else []


def plain(messages: Sequence[Message], arguments: type, blocks: bool) -> list[dict[str, Any]]:
    """Return messages as templates expect them: without nulls, without our `weight`.

    Args:
        messages: the conversation.
        arguments: what the arguments of a tool call become: dict, as is usual, or str (JSON).
        blocks: make each text a list with one part.
    """
    made = []
    for message in messages:
        kept = {k: v for k, v in message.items() if v is not None and k != "weight"}
        if blocks and isinstance(kept.get("content"), str):
            kept["content"] = [{"type": "text", "text": kept["content"]}]
        if kept.get("tool_calls"):
            kept["tool_calls"] = [_call(call, arguments) for call in kept["tool_calls"]]
        made.append(kept)
    return made


def _call(call: Message, arguments: type) -> dict[str, Any]:
    function = dict(call.get("function") or call)
    given = function.get("arguments")
    if arguments is str and not isinstance(given, str):
        function["arguments"] = json.dumps(given, ensure_ascii=False)
    elif arguments is dict and isinstance(given, str):
        with contextlib.suppress(ValueError):  # broken JSON is shown to the model as it is
            function["arguments"] = json.loads(given)
    return {**call, "function": function} if "function" in call else function


# What a template does, remembered by tokenizer and template.

_known: "WeakKeyDictionary[Any, tuple[str, Facts]]" = WeakKeyDictionary()


def facts(tokenizer: Any) -> Facts:
    """Return what a tokenizer's template does to an answer.

    Raises:
        ModelError: the tokenizer has no chat template.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "This tokenizer has no chat template, so nothing says how a conversation is written "
            "for its model. Take the instruct version, or set tokenizer.chat_template."
        )
    key = f"{tokenizer.chat_template}{tokenizer.eos_token}{len(tokenizer)}"
    known = _known.get(tokenizer)
    if known is None or known[0] != key:
        known = _known[tokenizer] = (key, _examined(tokenizer))
    return known[1]


def _examined(tokenizer: Any) -> Facts:
    marked = _marked(tokenizer)
    names = sorted(added_tokens(tokenizer).values(), key=len, reverse=True)
    special = "|".join(map(re.escape, names)) or r"(?!)"
    run = re.compile(f"(?:{special})*({special})")
    asked = [HELLO, {"role": "assistant", "content": PROBE}]
    for blocks in (False, True):
        try:
            text, _ = render(tokenizer, asked, marked=marked, blocks=blocks)
        except DataError:
            continue
        if PROBE in text:
            end = run.search(text.rpartition(PROBE)[2])  # the last of the first that stand together
            return Facts(marked, end.group(1) if end else None, blocks)
    return Facts(marked, None, False)


def _marked(tokenizer: Any) -> str | None:
    own = tokenizer.get_chat_template()
    if re.search(r"\{%-?\s*generation\s*-?%\}", own):
        return own
    from trl.chat_template_utils import get_training_chat_template  # takes two seconds

    try:
        return get_training_chat_template(tokenizer)
    except Exception:  # it renders tool calls, at which a template may fail in any way
        return None


def added_tokens(tokenizer: Any) -> dict[int, str]:
    """Return the tokens that were added to a vocabulary, by id; blanks are left out."""
    named = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    added = {number: token for token, number in tokenizer.get_added_vocab().items()}
    return {number: token for number, token in {**added, **dict(named)}.items() if token.strip()}


# Where the answers stand.


class Talk(NamedTuple):
    """What a row says, whichever of the two forms it has."""

    messages: list[dict[str, Any]]
    """The whole conversation."""
    learned: list[int]
    """The numbers of the messages that carry loss, from 0."""
    begin: int | None
    """The number of the completion's first message; None for `messages`."""
    tools: Any
    """JSON schemas of functions."""
    options: Mapping[str, Any]
    """What the template takes besides."""

    def prompt(self, tokenizer: Any, number: int, marked: str | None = None) -> str:
        """Return the text that the model is given to write message `number`."""
        begun = self.messages[:number]
        return render(tokenizer, begun, self.tools, self.options, opening=True, marked=marked)[0]

    def text(self, tokenizer: Any, number: int) -> str:
        """Return the text of the first `number` messages."""
        return render(tokenizer, self.messages[:number], self.tools, self.options)[0]


def talk(row: Mapping[str, Any]) -> Talk:
    """Return what a row says, and which of its messages carry loss.

    Raises:
        DataError: the row has no messages.
    """
    messages, completion = data.conversation(row), row.get("completion")
    length = 1 if isinstance(completion, str) else len(completion or [])
    begin = None if row.get("messages") is not None else len(messages) - length
    options = row.get("chat_template_kwargs") or {}
    return Talk(messages, data.learned(row), begin, row.get("tools"), options)


def find(tokenizer: Any, said: Talk) -> tuple[str, list[Span]]:
    """Return a text, and the first and last character of each answer that carries loss.

    The text ends with the answer where the conversation does: what a template writes behind the
    end of a turn is cut off.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses the messages, or rewrites what stands before an answer.
    """
    if not said.learned:
        return said.text(tokenizer, len(said.messages)), []
    made = _between_markers(tokenizer, said) if said.begin is None else None
    if made is None:
        try:
            made = _after_prompts(tokenizer, said, exact=True)
        except DataError:
            if said.begin is not None:
                made = _between_markers(tokenizer, said)
            made = made or _after_prompts(tokenizer, said, exact=False)
    text, spans = made
    spans = [(begin, _stop(tokenizer, text, begin, end)) for begin, end in spans]
    last = said.learned[-1] == len(said.messages) - 1
    return text[: spans[-1][1]] if last else text, spans


def _between_markers(tokenizer: Any, said: Talk) -> tuple[str, list[Span]] | None:
    """Find the answers by markers; None where there are none, or where they fit no message."""
    marked = facts(tokenizer).marked
    if marked is None:
        return None
    text, parts = render(tokenizer, said.messages, said.tools, said.options, marked=marked)
    spans: list[Span] = []
    for begin, end in parts:
        if spans and begin == spans[-1][1]:  # a turn may be marked in several parts
            begin = spans.pop()[0]
        if end > begin:
            spans.append((begin, end))
    written = [i for i, message in enumerate(said.messages) if message["role"] == "assistant"]
    if len(spans) == len(written):
        spans = [span for i, span in zip(written, spans, strict=True) if i in said.learned]
    elif written != said.learned:  # which part is whose?
        return None
    if said.begin is not None:
        text, spans = _with_prompt(tokenizer, said, said.begin, text, spans)
    return (text, spans) if spans else None


def _with_prompt(
    tokenizer: Any, said: Talk, number: int, text: str, spans: list[Span]
) -> tuple[str, list[Span]]:
    """Put the prompt of generation before a completion that a twin wrote; no spans if it cannot.

    A twin keeps thoughts that the template drops from earlier answers. What opens the turn belongs
    to the prompt, marked or not.
    """
    prompt, twin = (said.prompt(tokenizer, number, m) for m in (None, facts(tokenizer).marked))
    begin = shared(twin, text)
    kept = len(prompt) - len(twin[begin:])
    if prompt[kept:] != twin[begin:] or _moved(said, twin, text[:begin], number):
        return text, []
    by = kept - begin
    spans = [(max(span[0], begin) + by, span[1] + by) for span in spans if span[1] > begin]
    return prompt[:kept] + text[begin:], spans


def _after_prompts(tokenizer: Any, said: Talk, *, exact: bool) -> tuple[str, list[Span]]:
    """Find each answer as what follows its prompt; without `exact` its turn may open otherwise."""
    text, spans = said.text(tokenizer, len(said.messages)), []
    for i in said.learned:
        prompt = said.prompt(tokenizer, i)
        begin, end = shared(prompt, text), len(text)
        if begin < len(prompt) and (exact or _moved(said, prompt, text[:begin], i)):
            raise DataError(_rewritten(prompt, text, begin))
        if i + 1 < len(said.messages):
            turn = said.text(tokenizer, i + 1)
            turn = turn[: _stop(tokenizer, turn, begin, len(turn))].rstrip()
            end = len(turn)
            if not text.startswith(turn):
                raise DataError(_rewritten(turn, text, shared(turn, text)))
        spans.append((begin, end))
    return text, spans


def _stop(tokenizer: Any, text: str, begin: int, end: int) -> int:
    """Return where an answer ends: behind the token that ends its turn."""
    mark, body = facts(tokenizer).end, text[begin:end]
    if mark and text.startswith(mark, end) and not body.rstrip().endswith(mark):
        return end + len(mark)  # the markers leave it out
    if mark and mark in body:
        rest = body[: body.rindex(mark)]
        while rest.rstrip().endswith(mark):  # some write it twice at the end of all
            rest = rest.rstrip().removesuffix(mark)
        return begin + len(rest) + len(mark)
    return end


def shared(one: str, other: str) -> int:
    """Return how many characters two texts have in common at their start."""
    pairs = enumerate(zip(one, other, strict=False))
    differs = (i for i, (a, b) in pairs if a != b)
    return len(one) if other.startswith(one) else next(differs, min(len(one), len(other)))


def _moved(said: Talk, prompt: str, text: str, number: int) -> bool:
    """Return whether a prompt has something of the first messages that a text lacks."""
    return not set(missing(said, text, number)) <= set(missing(said, prompt, number))


def _rewritten(wanted: str, text: str, at: int) -> str:
    return (
        "The chat template writes the prompt otherwise once the answer is there, so there is no "
        f"telling which tokens are the answer's. The prompt goes on with {wanted[at : at + 40]!r} "
        f"where the conversation has {text[at : at + 40]!r}. Templates do so when they drop a "
        "system message or earlier thoughts. Leave those out of the row, make each answer a "
        "prompt and completion of its own (ftlab convert --unroll), or set a "
        "tokenizer.chat_template with {% generation %} markers."
    )


def missing(said: Talk, text: str, number: int | None = None) -> list[str]:
    """Return what a text lacks of the first `number` messages, or of all, and of the tools."""
    found = []
    for tool in json.loads(said.tools) if isinstance(said.tools, str) else said.tools or []:
        name = tool.get("function", tool).get("name") if isinstance(tool, dict) else tool.__name__
        if not _has(text, name):
            found.append(f"the tool {name}")
    for message in said.messages[:number]:
        kinds = {"system": "the system message", "tool": "a tool's result"}
        kind = kinds.get(message["role"], f"what the {message['role']} says")
        thoughts = [message.get(key) or "" for key in THOUGHTS]
        content = message.get("content") or ""
        for part in content if isinstance(content, list) else [{"text": content}]:
            *within, spoken = re.split("</?think>", str(part.get("text") or ""))
            thoughts += within
            found += [] if _has(text, spoken) else [kind]
        if not all(_has(text, thought) for thought in thoughts):
            found.append("the thoughts before an answer")
        if message["role"] in ("user", "assistant") and not _has(text, message.get("name") or ""):
            found.append("a name")
        for call in message.get("tool_calls") or []:
            if not _has(text, (call.get("function") or call)["name"]):
                found.append("a call of a tool")
    return list(dict.fromkeys(found))


def _has(text: str, part: str) -> bool:
    """Return whether a text holds a part, as it is or within JSON."""
    part = part.strip()
    return part in text or json.dumps(part, ensure_ascii=False)[1:-1] in text
