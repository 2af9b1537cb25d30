"""Chat templates: the text a model sees, its tokens, and which of them carry loss.

    asked    <|im_start|>user\\nSay hi<|im_end|>\\n<|im_start|>assistant\\n
    wanted   Hi.<|im_end|>
    loss     0 for each token of the first line, 1 for each of the second

The mask covers the completion and the token that ends the turn, and nothing else: without that
token in the loss a tuned model never stops; with the prompt in it, a model learns to ask.

>>> Encoded([5, 6, 7, 2], [0, 0, 1, 1], False).supervised
2
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from ftlab.errors import ConfigError, DataError, ModelError

if TYPE_CHECKING:
    from rich.text import Text

    from ftlab.records import Record

__all__ = [
    "Encoded",
    "encode",
    "end_of_turn_ids",
    "mask_html",
    "problems",
    "prompt_ids",
    "prompt_text",
    "show_mask",
]

PROBE = "ftlabprobe"  # stands for an answer, to see what a template puts after it
HELLO = {"role": "user", "content": "hello"}


@dataclass(frozen=True)
class Encoded:
    """One record as a model sees it."""

    input_ids: list[int]
    """The tokens of prompt and completion."""
    loss_mask: list[int]
    """1 where the token carries loss, else 0; as long as `input_ids`."""
    truncated: bool
    """Whether `max_length` cut off the end, and with it the token that ends the turn."""

    @property
    def supervised(self) -> int:
        """How many tokens carry loss."""
        return sum(self.loss_mask)


def prompt_text(tokenizer: Any, messages: Sequence[dict[str, str]]) -> str:
    """Return the text that the model is given, up to where its answer begins.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses these messages.
    """
    return _render(tokenizer, messages, True)


def prompt_ids(tokenizer: Any, messages: Sequence[dict[str, str]]) -> list[int]:
    """Return the tokens of `prompt_text`, with the special tokens that it has and no others.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses these messages.
    """
    return _tokens(tokenizer, prompt_text(tokenizer, messages))


def encode(tokenizer: Any, record: "Record", *, max_length: int | None = None) -> Encoded:
    """Return a record's tokens, with a mask of those that carry loss.

    The first tokens are exactly `prompt_ids(tokenizer, record.messages)`, so that training and
    generation see the same prompt. The last is the one that ends the turn: what a template puts
    behind it, often a newline, is cut off. A template that ends no turn gets the tokenizer's eos.

    Args:
        tokenizer: a fast tokenizer with a chat template.
        record: the example.
        max_length: most tokens; a longer record is cut at its end and says so in `truncated`.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses the messages, or writes the prompt otherwise when the
            answer is there, so that no mask can be right.
        ConfigError: `max_length` is below 1.
    """
    if max_length is not None and max_length < 1:
        raise ConfigError(f"max_length must be at least 1, got {max_length}.")
    prompt = _render(tokenizer, record.messages, True)
    full = _render(tokenizer, _answered(record.messages, record.completion), False)
    if not full.startswith(prompt):
        raise DataError(_rewritten(prompt, full))
    begin = _tokens(tokenizer, prompt)
    ids = _tokens(tokenizer, full)
    if ids[: len(begin)] != begin:
        ids = _joined(tokenizer, begin, full[len(prompt) :], ids)
    ids = _ended(tokenizer, ids, len(begin))
    mask = [0] * len(begin) + [1] * (len(ids) - len(begin))
    if max_length is None or len(ids) <= max_length:
        return Encoded(ids, mask, False)
    return Encoded(ids[:max_length], mask[:max_length], True)


def _answered(messages: Sequence[dict[str, str]], answer: str) -> list[dict[str, str]]:
    return [*messages, {"role": "assistant", "content": answer}]


def _render(tokenizer: Any, messages: Sequence[dict[str, str]], ask: bool) -> str:
    """Render messages as text; `ask` adds the words that open the assistant's turn."""
    from jinja2.exceptions import TemplateError

    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "This tokenizer has no chat template, so nothing says how a conversation is written "
            "for its model. Take the instruct version, or set tokenizer.chat_template."
        )
    try:
        return tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=False, add_generation_prompt=ask
        )
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        cure = (
            " Put the system text at the start of the first user message."
            if messages[0]["role"] == "system"
            else ""
        )
        raise DataError(
            f"The chat template refuses these messages ({roles}): {error}.{cure}"
        ) from None


def _tokens(tokenizer: Any, text: str) -> list[int]:
    """Tokenise text that has its special tokens already: adding them here would double the BOS."""
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _rewritten(prompt: str, full: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(prompt, full)) if a != b), len(full))  # noqa: B905
    return (
        "The chat template writes the prompt otherwise once the answer is there, so there is no "
        f"telling which tokens are the answer's. The prompt goes on with {prompt[at : at + 40]!r} "
        f"where the conversation has {full[at : at + 40]!r}. Templates do so when they drop a "
        "system message or reasoning; leave that out of the record, or set a simpler "
        "tokenizer.chat_template."
    )


def _joined(tokenizer: Any, begin: list[int], rest: str, ids: list[int]) -> list[int]:
    """Tokenise prompt and answer apart, where one token would reach over their boundary.

    At generation time the prompt stands alone, so its tokens are what training must show.
    """
    apart = begin + _tokens(tokenizer, rest)
    if _decode(tokenizer, apart) != _decode(tokenizer, ids):
        raise DataError(
            "The tokens of the prompt change when the answer follows it, and cannot be split "
            f"without changing the text. The answer begins with {rest[:20]!r}; change its first "
            "characters, or the end of the template's generation prompt."
        )
    return apart


def _ended(tokenizer: Any, ids: list[int], begin: int) -> list[int]:
    """Cut the tokens after the one that ends the turn, or add that token if there is none."""
    turn = _turn(tokenizer)
    if turn.end is None:
        eos = tokenizer.eos_token_id
        return ids if eos is None or ids[-1] == eos else [*ids, eos]
    last = len(ids) - 1 - len(turn.after)
    if last < begin or ids[last] != turn.end:  # the end depends on the answer: take its last one
        last = max((i for i in range(begin, len(ids)) if ids[i] == turn.end), default=-1)
        if last < 0:
            return [*ids, turn.end]
    return ids[: last + 1]


# How a turn ends, found by rendering one.


class _Turn(NamedTuple):
    """The special token that ends a turn, if there is one, and the tokens behind it."""

    end: int | None
    after: list[int]


_turns: "WeakKeyDictionary[Any, tuple[str, _Turn]]" = WeakKeyDictionary()


def _turn(tokenizer: Any) -> _Turn:
    """Render an answer, and look at what the template puts after it; remembered by template."""
    key = f"{tokenizer.chat_template}{tokenizer.eos_token}{len(tokenizer)}"
    known = _turns.get(tokenizer)
    if known is None or known[0] != key:
        tail = _render(tokenizer, _answered([HELLO], PROBE), False).rpartition(PROBE)[2]
        ids = _tokens(tokenizer, tail)
        at = next((i for i, token in enumerate(ids) if token in _special(tokenizer)), None)
        turn = _Turn(None, []) if at is None else _Turn(ids[at], ids[at + 1 :])
        known = _turns[tokenizer] = (key, turn)
    return known[1]


def _special(tokenizer: Any) -> set[int]:
    """Return the ids of all special tokens, those outside the named roles included."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    named = set(tokenizer.all_special_ids)
    return named | {token for token, entry in added.items() if entry.special}


def end_of_turn_ids(tokenizer: Any) -> list[int]:
    """Return the tokens at which generation stops: what ends an assistant's turn, and eos.

    The first is what the chat template writes after an answer (such as <|im_end|>, <|eot_id|>,
    <end_of_turn> or </s>).

    Raises:
        ModelError: there is neither, so that nothing would ever stop an answer.
    """
    found = [_turn(tokenizer).end] if getattr(tokenizer, "chat_template", None) else []
    found.append(tokenizer.eos_token_id)
    ids = list(dict.fromkeys(token for token in found if token is not None))
    if not ids:
        raise ModelError(
            "Nothing ends a turn: the chat template writes no special token after an answer, and "
            "the tokenizer has no eos token. Set tokenizer.eos_token."
        )
    return ids


def problems(tokenizer: Any) -> list[str]:
    """Return what is wrong or unusual with a tokenizer for fine-tuning, in plain words."""
    found = []
    pad, eos = tokenizer.pad_token, tokenizer.eos_token
    if eos is None:
        found.append("There is no eos token, so generation stops only at the template's end.")
    if pad is None:
        found.append("There is no pad token, so examples cannot be batched.")
    elif pad == eos:
        found.append(
            f"The pad token is the eos token ({eos}): a trainer that masks padding masks the stop "
            "token too, and the tuned model never stops."
        )
    if not getattr(tokenizer, "chat_template", None):
        return [*found, "There is no chat template: this is a base model's tokenizer."]
    turn = _turn(tokenizer)
    if turn.end is None:
        found.append(
            "The template ends an assistant's turn with no special token; eos is added instead."
        )
    elif turn.end != tokenizer.eos_token_id:
        token = tokenizer.convert_ids_to_tokens(turn.end)
        found.append(
            f"An assistant's turn ends with {token}, but eos is {eos}: generation that stops at "
            f"eos alone runs on."
        )
    found += _system_problems(tokenizer)
    if not re.search(r"\{%-?\s*generation\s*-?%\}", str(tokenizer.chat_template)):
        found.append(
            "The template has no {% generation %} markers, so TRL's assistant_only_loss cannot "
            "find the answers; prompt and completion can."
        )
    text = prompt_text(tokenizer, [HELLO])
    bos = tokenizer.bos_token_id
    if bos is not None and tokenizer(text)["input_ids"][:2] == [bos, bos]:
        found.append(
            f"The template writes {tokenizer.bos_token} and the tokenizer adds another: tokenise "
            "rendered text with add_special_tokens=False."
        )
    return found


def _system_problems(tokenizer: Any) -> list[str]:
    """Say whether a system message is refused, lost, or moved when the answer follows."""
    asked = [{"role": "system", "content": PROBE}, HELLO]
    try:
        prompt = prompt_text(tokenizer, asked)
    except DataError:
        return ["The template refuses a system message: put its text in the first user message."]
    if PROBE not in prompt:
        return ["The template drops a system message without a word."]
    if not _render(tokenizer, _answered(asked, "hi"), False).startswith(prompt):
        return [
            "The template moves or drops a system message once the answer is there, so records "
            "with one cannot be masked: put its text in the first user message."
        ]
    return []


# Showing the mask.

LOSS = "background:rgba(0,114,178,0.28);font-weight:bold;text-decoration:underline;"
PLAIN = "background:rgba(128,128,128,0.14);"
SPECIAL = "border:1px dashed rgba(128,128,128,0.9);"
"""The CSS of a token that carries loss, of one that does not, and what a special one adds.

JupyterLab drops `currentColor` from a notebook that it does not trust yet, but no rgba()."""


class _Piece(NamedTuple):
    """Some tokens that make whole characters together."""

    text: str
    ids: list[int]
    loss: bool
    special: bool


def _decode(tokenizer: Any, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _pieces(tokenizer: Any, encoded: Encoded) -> list[_Piece]:
    """Split tokens into the smallest runs that decode to whole characters."""
    special, pieces = _special(tokenizer), []
    before: list[int] = []
    run: list[int] = []
    pairs = list(zip(encoded.input_ids, encoded.loss_mask, strict=True))
    for i, (token, loss) in enumerate(pairs):
        run.append(token)
        # Decoded behind the run before it, because some tokenizers drop a leading space.
        text = _decode(tokenizer, before + run)[len(_decode(tokenizer, before)) :]
        goes_on = i + 1 < len(pairs) and pairs[i + 1][1] == loss
        if text.endswith("\N{REPLACEMENT CHARACTER}") and goes_on:
            continue
        pieces.append(_Piece(text, run, bool(loss), token in special))
        before, run = run, []
    return pieces


def show_mask(tokenizer: Any, encoded: Encoded) -> "Text":
    """Return the tokens for a terminal: those that carry loss are bold and underlined.

    Neighbouring tokens alternate in shade, special tokens are in reverse, a newline shows as ↵.

    >>> from rich import print                                                 # doctest: +SKIP
    >>> print(show_mask(tokenizer, encode(tokenizer, record)))                 # doctest: +SKIP
    """
    from rich.text import Text

    out = Text()
    for number, piece in enumerate(_pieces(tokenizer, encoded)):
        if piece.loss:
            style = "bold underline " + ("bright_blue" if number % 2 else "blue")
        else:
            style = "none" if number % 2 else "dim"
        out.append(visible(piece.text), style + (" reverse" if piece.special else ""))
    out.append(f"\n{_counted(encoded)}", "italic")
    return out


def mask_html(tokenizer: Any, encoded: Encoded) -> str:
    """Return the tokens as HTML that needs nothing else, for light and dark pages.

    Tokens that carry loss are on blue, bold and underlined; special tokens have a dashed border; a
    newline shows as ↵; the number of a token shows when the mouse is on it.
    """
    tokens = []
    for piece in _pieces(tokenizer, encoded):
        style = (LOSS if piece.loss else PLAIN) + (SPECIAL if piece.special else "")
        shown = visible(piece.text)
        title = f"{'loss' if piece.loss else 'no loss'}, token " + ", ".join(map(str, piece.ids))
        tokens.append(span(shown.rstrip("\n"), style, title))
        tokens.append("\n" * (len(shown) - len(shown.rstrip("\n"))))
    legend = " ".join(
        [span("carries loss", LOSS), span("no loss", PLAIN), span("special token", SPECIAL)]
    )
    return (
        '<div style="color:inherit;line-height:1.7">'
        '<pre style="color:inherit;background:transparent;white-space:pre-wrap;line-height:1.7;'
        f'overflow-wrap:anywhere">{"".join(tokens)}</pre>'
        f"<div>{legend} {html.escape(_counted(encoded))}</div></div>"
    )


def span(text: str, style: str, title: str = "") -> str:
    """Return text as an HTML span in a style of the mask's view; `title` shows under the mouse."""
    base = "padding:1px 1px;margin:0 1px 0 0;border-radius:3px;"
    told = f' title="{html.escape(title)}"' if title else ""
    return f'<span style="{base}{style}"{told}>{html.escape(text)}</span>'


def visible(text: str) -> str:
    """Return text whose line ends and tabs can be seen."""
    return text.replace("\r", "␍").replace("\t", "⇥").replace("\n", "↵\n")


def _counted(encoded: Encoded) -> str:
    cut = ". Cut at max_length: the end of the turn is missing" if encoded.truncated else ""
    return f"{encoded.supervised} of {len(encoded.input_ids)} tokens carry loss{cut}."
