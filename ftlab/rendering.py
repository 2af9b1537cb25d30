"""Conversations as a chat template writes them, and what a template does to an answer.

    end of turn    <|im_end|>     what the template writes behind an answer
    marked         the template with {% generation %} markers: its own, or TRL's training twin

>>> plain([{"role": "user", "content": "Hi", "weight": None}], dict, False)
[{'role': 'user', 'content': 'Hi'}]
"""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from ftlab.errors import DataError, ModelError

__all__ = ["HELLO", "PROBE", "Facts", "Message", "added_tokens", "facts", "plain", "render"]

PROBE = "ftlabprobe"  # stands for a text, to see where a template writes it
HELLO = {"role": "user", "content": "hello"}
Message = Mapping[str, Any]
Span = tuple[int, int]


class Facts(NamedTuple):
    """What rendering one conversation shows of a template."""

    marked: str | None
    """The template to find answers by, with {% generation %} markers; None if there is none."""
    end: str | None
    """The special token that ends an assistant's turn; None if the template writes none."""
    blocks: bool
    """Whether a message's content must be a list of parts, as for models that see images."""
    special: re.Pattern[str]
    """Any token that was added to the vocabulary, as text."""


def render(
    tokenizer: Any,
    messages: Sequence[Message],
    tools: Any = None,
    options: Mapping[str, Any] | None = None,
    *,
    opening: bool = False,
    marked: str | None = None,
) -> tuple[str, list[Span]]:
    """Render messages as text, in one pass.

    Args:
        tokenizer: a tokenizer with a chat template.
        messages: the conversation.
        tools: JSON schemas of functions, as a list or as the JSON of one.
        options: what the template takes besides.
        opening: add the words that open the assistant's turn.
        marked: a template with markers, to be used in place of the tokenizer's.

    Returns:
        The text; and with `marked` the first and last character of each part between markers.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses these messages.
    """
    blocks = facts(tokenizer).blocks
    return _rendered(tokenizer, messages, tools, options or {}, opening, marked, blocks)


def _rendered(
    tokenizer: Any, messages: Sequence[Message], tools: Any, options: Mapping[str, Any],
    opening: bool, marked: str | None, blocks: bool,
) -> tuple[str, list[Span]]:  # fmt: skip
    from jinja2.exceptions import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    tools = (json.loads(tools) if isinstance(tools, str) else tools) or None
    call: dict[str, Any] = {
        "tools": tools,
        "chat_template": marked or tokenizer.get_chat_template(tools=tools),
        "return_assistant_tokens_mask": marked is not None,
        "add_generation_prompt": opening,
        **tokenizer.special_tokens_map,
        **options,
    }
    try:
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
    special = re.compile("|".join(map(re.escape, names)) or r"(?!)")
    run = re.compile(f"(?:{special.pattern})*({special.pattern})")
    talk = [HELLO, {"role": "assistant", "content": PROBE}]
    for blocks in (False, True):
        try:
            text, _ = _rendered(tokenizer, talk, None, {}, False, marked, blocks)
        except DataError:
            continue
        if PROBE in text:
            end = run.search(text.rpartition(PROBE)[2])  # the last of the first that stand together
            return Facts(marked, end.group(1) if end else None, blocks, special)
    return Facts(marked, None, False, special)


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
