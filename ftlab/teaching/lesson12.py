"""Lesson 12, Break it on purpose: its exercises, as data, and what it breaks.

>>> [exercise.id for exercise in EXERCISES]
['12.1', '12.2', '12.3', '12.4', '12.5']
>>> with_bos()("<s> hello")["input_ids"]
[0, 0, 4]
"""

import functools
import json
import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from ftlab import data
from ftlab.errors import DataError
from ftlab.files import data_path, read_text
from ftlab.teaching.exercises import exercise
from ftlab.teaching.lesson03 import kept


def tickets(n: int, kinds: Sequence[str], split: str = "train") -> "list[data.Row]":
    """Return short support tickets to sort by kind, one word, as many of each kind.

    Args:
        n: how many; a larger `n` starts the same.
        kinds: what they are about; see `data/lessons/short_tickets.jsonl`.
        split: "train" or "test".

    Raises:
        DataError: there are fewer.
    """
    each = -(-n // len(kinds))
    found = {kind: [r for r in _short(split) if data.answer(r) == kind][:each] for kind in kinds}
    if any(len(records) < each for records in found.values()):
        raise DataError(f"There are fewer than {each} short tickets of each of {', '.join(kinds)}.")
    return [record for row in zip(*found.values(), strict=True) for record in row][:n]


@functools.cache
def _short(split: str) -> "list[data.Row]":
    """Return the short plain tickets of a split."""
    rows = map(json.loads, read_text(data_path("lessons/short_tickets.jsonl")).splitlines())
    return [data.example(row["text"], row["kind"]) for row in rows if row["split"] == split]


def with_bos() -> Any:
    """Return a tokenizer of eight words that, like Llama's or Gemma's, puts a BOS before any text.

    Its chat template writes the BOS too, as theirs do.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<s>", "</s>", "user:", "bot:", "hello", "there", "good", "day"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="</s>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %} {{ 'user:' if m.role == 'user' else 'bot:' }} "
        "{{ m.content }}{% if m.role == 'assistant' %} </s>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %} bot:{% endif %}"
    )
    return tokenizer


def servers(tokenizer: Any) -> "dict[str, Callable[[Sequence[dict[str, str]]], str]]":
    """Return four servers: each makes the text that it lets a model continue of some messages.

    Server A doubles the first token of the model's own prompt: by the tokenizer's BOS where there
    is one, which tokenising the text adds, and else by writing that token twice. The others have
    forms of their own.
    """
    from ftlab import templates

    def doubled(messages: Sequence[dict[str, str]]) -> str:
        text = templates.prompt_text(tokenizer, messages)
        first, *_ = templates.prompt_ids(tokenizer, messages)
        by_itself = tokenizer(text)["input_ids"][:2] == [first, first]
        return text if by_itself else str(tokenizer.decode([first])) + text

    forms = {
        "server B": "### Instruction:\n{}\n\n### Response:\n",
        "server C": "{}",
        "server D": "User: {}\nBot:",
    }
    made = {
        name: lambda m, form=form: form.format(m[-1]["content"]) for name, form in forms.items()
    }
    return {"server A": doubled, **made}


# The solutions and the mistakes, as functions.


def _labels(ids: list[int], prompt: int) -> list[int]:
    return [-100] * prompt + ids[prompt:]


def _cut(rows: list[tuple[int, int]], most: int) -> list[int]:
    return [sum(p + a > most for p, a in rows), sum(p >= most for p, _ in rows)]


def _positions(lengths: list[int]) -> list[int]:
    return [k for length in lengths for k in range(length)]


def _best(losses: list[float], patience: int) -> int:
    return kept(losses, patience) + 1


def _first_rise(losses: list[float], patience: int) -> int:
    rises = (i for i in range(1, len(losses)) if losses[i] > losses[i - 1])
    return next(rises, len(losses))


def _stopped(losses: list[float], patience: int) -> int:
    best = _best(losses, patience)
    return min(best + patience, len(losses))


def _old(new: int, share: float) -> int:
    return round(new * share / (1 - share))


EXERCISES = (
    exercise(
        "12.1",
        solution=_labels,
        cases=(([5, 6, 7, 8, 3], 3), ([2, 9, 4, 3], 2), ([2, 9, 4, 11, 12, 3], 1)),
        mistakes={
            "it is the other way round": lambda ids, prompt: (
                ids[:prompt] + [-100] * (len(ids) - prompt)
            ),
            "the prompt carries loss as well": lambda ids, prompt: list(ids),
            "the end carries no loss": lambda ids, prompt: (
                [-100] * prompt + ids[prompt:-1] + [-100]
            ),
            "it is shifted already": lambda ids, prompt: [*_labels(ids, prompt)[1:], -100],
            "the answer's first token is masked": lambda ids, prompt: (
                [-100] * (prompt + 1) + ids[prompt + 1 :]
            ),
        },
    ),
    exercise(
        "12.2",
        solution=_cut,
        cases=(
            ([(10, 5), (12, 4), (20, 2), (16, 1), (15, 1)], 16),
            ([(3, 3), (7, 1)], 8),
            ([(30, 4), (40, 4), (8, 20), (24, 8)], 28),
        ),
        mistakes={
            "a row that just fits counts as cut": lambda rows, most: [
                sum(p + a >= most for p, a in rows),
                sum(p >= most for p, _ in rows),
            ],
            "it looks at the prompts alone": lambda rows, most: [
                sum(p > most for p, _ in rows),
                _cut(rows, most)[1],
            ],
            "an answer of no token is not yet gone": lambda rows, most: [
                _cut(rows, most)[0],
                sum(p > most for p, _ in rows),
            ],
            "what is gone is not counted as cut": lambda rows, most: [
                _cut(rows, most)[0] - _cut(rows, most)[1],
                _cut(rows, most)[1],
            ],
            "it counts tokens": lambda rows, most: [
                sum(max(0, p + a - most) for p, a in rows),
                sum(p >= most for p, _ in rows),
            ],
        },
    ),
    exercise(
        "12.3",
        solution=_positions,
        cases=(([3, 2],), ([1, 4, 2],), ([5],)),
        mistakes={
            "it counts on through the row": lambda lengths: list(range(sum(lengths))),
            "it begins at 1": lambda lengths: [k + 1 for k in _positions(lengths)],
            "it numbers the records": lambda lengths: [
                i for i, length in enumerate(lengths) for _ in range(length)
            ],
            "it gives where each record begins": lambda lengths: [0, *accumulate(lengths)][
                : len(lengths)
            ],
        },
    ),
    exercise(
        "12.4",
        solution=_best,
        cases=(
            ([1.2, 0.8, 0.6, 0.7, 0.9, 0.5], 2),
            ([1.2, 0.8, 0.9, 0.7, 0.8, 0.9, 1.0], 2),
            ([0.9, 0.8, 0.7, 0.6], 3),
            ([0.5, 0.6, 0.4, 0.3, 0.9], 1),
        ),
        mistakes={
            "it counts from 0": lambda losses, patience: _best(losses, patience) - 1,
            "it keeps the last": lambda losses, patience: len(losses),
            "it keeps the one where it stopped": _stopped,
            "it has no patience": _first_rise,
            "it knows the future": lambda losses, patience: losses.index(min(losses)) + 1,
        },
    ),
    exercise(
        "12.5",
        solution=_old,
        cases=((120, 0.25), (1000, 0.2), (60, 0.5), (90, 0.1), (80, 0)),
        mistakes={
            "it takes the share of the new ones": lambda new, share: round(new * share),
            "it counts them all": lambda new, share: new + _old(new, share),
            "share and rest are swapped": lambda new, share: (
                math.inf if share == 0 else round(new * (1 - share) / share)
            ),
        },
    ),
)
