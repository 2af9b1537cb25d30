"""Chat templates: the text that a model sees, its tokens, and which of them carry loss.

    prompt    <|im_start|>user\\nSay hi<|im_end|>\\n<|im_start|>assistant\\n
    answer    Hi.<|im_end|>
    loss      0 for each token of the first line, 1 for each of the second

The mask covers what the assistant writes and the token that ends its turn, and nothing else.
Without that token in the loss a tuned model never stops; with the prompt in it, it learns to ask.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ftlab import rendering
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.masks import Encoded, mask_html, show_mask
from ftlab.rendering import HELLO, PROBE, Message, added_tokens, facts, render

__all__ = [
    "Encoded", "dropped", "empty_thought", "encode", "end_of_turn_ids", "mask_html",
    "opens_thought", "problems", "prompt_ids", "prompt_text", "removes_thoughts", "show_mask",
    "takes_system", "tokenizer_problems",
]  # fmt: skip


def prompt_text(
    tokenizer: Any, messages: Sequence[Message], tools: Any = None, **options: Any
) -> str:
    """Return the text that the model is given, up to where its answer begins.

    Args:
        tokenizer: a tokenizer with a chat template.
        messages: the conversation up to the answer.
        tools: the JSON schemas of functions that the model may call.
        options: what the template itself takes, such as `enable_thinking`.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses these messages.
    """
    return render(tokenizer, messages, tools, options, opening=True)[0]


def prompt_ids(
    tokenizer: Any, messages: Sequence[Message], tools: Any = None, **options: Any
) -> list[int]:
    """Return the tokens of `prompt_text`, with the special tokens that it has and no others.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses these messages.
    """
    return text_ids(tokenizer, [prompt_text(tokenizer, messages, tools, **options)])[0]


def encode(tokenizer: Any, row: Any, *, max_length: int | None = None) -> Encoded:
    """Return a row's tokens, with a mask of those that carry loss.

    Of `prompt` and `completion` the assistant's messages in the completion carry loss, and the
    first tokens are exactly `prompt_ids` of the prompt, unless the template makes that impossible
    (`problems` says so). Of `messages` every assistant message does whose `weight` is not 0. What
    a template writes behind the end of the last answer, often a newline, is cut off. A template
    that ends no turn gets the tokenizer's eos token.

    Args:
        tokenizer: a fast tokenizer with a chat template.
        row: the conversation; `tools` and `chat_template_kwargs` are given to the template.
        max_length: most tokens; a longer row is cut at its end and says so in `truncated`.

    Raises:
        ModelError: the tokenizer has no chat template.
        DataError: the template refuses the messages, or rewrites what stands before an answer, so
            that no mask can be right.
        ConfigError: `max_length` is below 1.
    """
    if max_length is not None and max_length < 1:
        raise ConfigError(f"max_length must be at least 1, got {max_length}.")
    text, learned = rendering.find(tokenizer, rendering.talk(row))
    ids, lengths = _tokenised(tokenizer, text, [place for span in learned for place in span])
    mask = [0] * len(ids)
    for begin, end in zip(lengths[::2], lengths[1::2], strict=True):
        mask[begin:end] = [1] * (end - begin)
    ends = end_of_turn_ids(tokenizer, required=False)
    if mask and mask[-1] and ends and ids[-1] not in added_tokens(tokenizer):
        ids, mask = [*ids, ends[0]], [*mask, 1]
    cut = max_length is not None and len(ids) > max_length
    return Encoded(ids[:max_length], mask[:max_length], cut)


def text_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Tokenise texts that have their special tokens already: adding them would double the BOS."""
    return tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []


def _tokenised(tokenizer: Any, text: str, places: list[int]) -> tuple[list[int], list[int]]:
    """Return the tokens of a text, and how many stand before each place in it.

    At generation a prompt stands alone, so its tokens are what training must show: where one
    token would reach over a place, the text is tokenised in parts.
    """
    cuts = [0, *places, len(text)]
    whole, *pieces = text_ids(tokenizer, [text, *(text[a:b] for a, b in itertools.pairwise(cuts))])
    joined = [token for piece in pieces for token in piece]
    lengths = [sum(map(len, pieces[: i + 1])) for i in range(len(places))]
    if joined == whole:
        return whole, lengths
    before = text_ids(tokenizer, [text[:place] for place in places])
    if all(whole[: len(part)] == part for part in before):  # only the parts begin otherwise
        return whole, [len(part) for part in before]
    if tokenizer.decode(joined) != tokenizer.decode(whole):
        raise DataError(
            "The tokens of the prompt change when the answer follows it, and cannot be split "
            f"without changing the text. The answer begins with {text[places[0] :][:20]!r}; change "
            "its first characters, or the end of the template's generation prompt."
        )
    return joined, lengths


def end_of_turn_ids(tokenizer: Any, *, required: bool = True) -> list[int]:
    """Return the tokens at which generation stops: what ends an assistant's turn, and eos.

    The first is what the chat template writes after an answer (such as <|im_end|>, <|eot_id|>,
    <end_of_turn> or </s>).

    Raises:
        ModelError: there is neither, so that nothing would ever stop an answer.
    """
    end = facts(tokenizer).end if getattr(tokenizer, "chat_template", None) else None
    found = [None if end is None else tokenizer.convert_tokens_to_ids(end), tokenizer.eos_token_id]
    ids = list(dict.fromkeys(token for token in found if token is not None))
    if not ids and required:
        raise ModelError(
            "Nothing ends a turn: the chat template writes no special token after an answer, and "
            "the tokenizer has no eos token. Set tokenizer.eos_token."
        )
    return ids


def tokenizer_problems(tokenizer: Any) -> dict[str, str]:
    """Return what is wrong or unusual with a tokenizer for fine-tuning: name -> plain words.

    The names are those of the doctor's checks, where it has one.
    """
    found = {}
    pad, eos = tokenizer.pad_token, tokenizer.eos_token
    if eos is None:
        found["no_eos"] = "There is no eos token, so generation stops only at the template's end."
    if pad is None:
        found["no_pad"] = "There is no pad token, so examples cannot be batched."
    elif pad == eos:
        found["pad_is_eos"] = (
            f"The pad token is the eos token ({eos}): a trainer that masks padding masks the stop "
            "token too, and the tuned model never stops."
        )
    if not getattr(tokenizer, "chat_template", None):
        return {**found, "no_template": "There is no chat template: this is a base model's "
                "tokenizer."}  # fmt: skip
    end = facts(tokenizer).end
    if end is None:
        found["no_end"] = (
            "The template ends an assistant's turn with no special token; eos is added instead."
        )
    elif end != eos:
        found["end_is_not_eos"] = (
            f"An assistant's turn ends with {end}, but eos is {eos}: generation that stops at "
            f"eos alone runs on."
        )
    found |= _marker_problems(tokenizer)
    text, bos = prompt_text(tokenizer, [HELLO]), tokenizer.bos_token_id
    if bos is not None and tokenizer(text)["input_ids"][:2] == [bos, bos]:
        found["double_bos"] = (
            f"The template writes {tokenizer.bos_token} and the tokenizer adds another: tokenise "
            "rendered text with add_special_tokens=False."
        )
    return found


def problems(tokenizer: Any, row: Mapping[str, Any]) -> list[str]:
    """Return what is wrong or unusual with a tokenizer for fine-tuning, in plain words.

    Args:
        tokenizer: a fast tokenizer.
        row: an example, to see what the template drops of it, and whether training and generation
            see the same prompt.
    """
    known = tokenizer_problems(tokenizer)
    found = list(known.values())
    if "no_template" in known:
        return found
    said = rendering.talk(row)
    try:
        text, _ = rendering.find(tokenizer, said)
    except DataError as error:
        return [*found, str(error)]
    if lost := rendering.missing(said, text):
        found.append(
            f"The template drops {', '.join(lost)}: the model never sees it. Put its text in a "
            "user message, or take a model whose template has a place for it."
        )
    if (carries := empty_thought(tokenizer, row)) is not None:
        found.append(
            "There is an empty thought before an answer, and it carries loss: the model learns not "
            'to think. Give the row "chat_template_kwargs": {"enable_thinking": false}, if the '
            "template knows it, and generate with the same; or write thoughts."
            if carries
            else "There is an empty thought before an answer; it is in the prompt, without loss."
        )
    if said.learned:
        prompt = said.prompt(tokenizer, said.learned[0])
        if not text.startswith(prompt):
            at = rendering.shared(prompt, text)
            found.append(
                f"At generation the prompt goes on with {prompt[at : at + 40]!r}, where this row "
                f"has {text[at : at + 40]!r}: the tuned model is asked in another way than it was "
                "taught. Put thoughts before the answer, or give the template the option that "
                "leaves them out."
            )
    return found


def dropped(tokenizer: Any, row: Mapping[str, Any]) -> list[str]:
    """Return what a template leaves out of a row: the tool f, a name, what the user says, ...

    Raises:
        DataError: the template refuses the row.
    """
    said = rendering.talk(row)
    return rendering.missing(said, rendering.find(tokenizer, said)[0])


def takes_system(tokenizer: Any) -> bool:
    """Return whether a template writes a system message, and the same with an answer behind it."""
    asked = [{"role": "system", "content": PROBE}, HELLO]
    try:
        said = {"prompt": asked, "completion": [{"role": "assistant", "content": "hi"}]}
        return not dropped(tokenizer, said)
    except DataError:
        return False


# Thoughts: what stands between <think> and </think> before an answer.

_EMPTY = re.compile(r"<think>\s*</think>")


def opens_thought(
    tokenizer: Any, messages: Sequence[Message] = (HELLO,), tools: Any = None, **options: Any
) -> bool:
    """Return whether the prompt ends within a thought, so that an answer begins in it."""
    if "<think>" not in str(tokenizer.chat_template):
        return False
    return prompt_text(tokenizer, messages, tools, **options).rstrip().endswith("<think>")


def removes_thoughts(tokenizer: Any) -> bool:
    """Return whether a template takes the thoughts out of all answers but the last."""
    thought = {"role": "assistant", "content": f"<think>\n{PROBE}\n</think>\n\nhi"}
    try:
        text, _ = render(tokenizer, [HELLO, thought, HELLO, {"role": "assistant", "content": "hi"}])
    except DataError:
        return False
    return PROBE not in text


def empty_thought(tokenizer: Any, row: Mapping[str, Any]) -> bool | None:
    """Return whether an empty thought in a row carries loss; None if there is none.

    Raises:
        DataError: the template refuses the row.
    """
    text, learned = rendering.find(tokenizer, rendering.talk(row))
    empty = [match.span() for match in _EMPTY.finditer(text)]
    return any(a < end and begin < b for a, b in empty for begin, end in learned) if empty else None


def _marker_problems(tokenizer: Any) -> dict[str, str]:
    from trl.chat_template_utils import is_chat_template_stop_token_trained

    marked = facts(tokenizer).marked
    if marked is None:
        return {"no_generation_markers": (
            "The template has no {% generation %} markers, and TRL has no training twin of it, so "
            "TRL's assistant_only_loss cannot find the answers; prompt and completion can."
        )}  # fmt: skip
    if facts(tokenizer).end and not is_chat_template_stop_token_trained(tokenizer, marked):
        return {"markers_without_end": (
            "The template's {% generation %} markers leave out the token that ends a turn: with "
            "TRL's assistant_only_loss the tuned model never stops."
        )}  # fmt: skip
    return {}
