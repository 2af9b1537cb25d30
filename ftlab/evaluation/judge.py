"""A judge behind an endpoint: verdicts asked for, read strictly, and compared with the truth.

A judge is asked for 1 or 0, or for A or B, on the first line of its reply. Whatever stands there
otherwise is in no format and counts as no verdict (None), never as a "no". Pairs are asked in both
orders: a judge that changes its mind when the answers change places has seen no difference
(position bias: Zheng et al. 2023, https://arxiv.org/abs/2306.05685).

>>> first_line("1\\nAll tests pass.", ("0", "1")), first_line("**A**", ("A", "B"))
('1', 'A')
>>> first_line("I would say 1", ("0", "1")) is None
True
>>> print(kappa([1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 1]))
0.33 [-0.40, 0.81]
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ftlab.errors import ConfigError
from ftlab.evaluation.intervals import UNKNOWN, Interval, wilson_interval

__all__ = ["ask_all", "first_line", "judge_each", "judge_pairs", "kappa", "refuses"]


def first_line(reply: str, words: Sequence[str]) -> str | None:
    """Return which of `words` the first line of a reply is, None if it is none of them.

    Asterisks, quotes and a full stop around the word are format, not content, and are taken off.
    """
    line = reply.strip().split("\n")[0].strip(" \t\r*_`\"'.")
    return line if line in words else None


def ask_all(client: Any, model: str, prompts: Sequence[str], *, max_tokens: int = 100) -> list[str]:
    """Return a model's greedy replies to prompts, in their order; eight are under way at a time.

    Args:
        client: an `openai.OpenAI`.
        model: the judge's name there.
        prompts: a user's message each.
        max_tokens: most tokens in a reply.

    Raises:
        openai.APIError: the endpoint refuses, or cannot be reached.
    """

    def reply(prompt: str) -> str:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], max_tokens=max_tokens,
            temperature=0,
        )  # fmt: skip
        return answer.choices[0].message.content or ""

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(reply, prompts))


def judge_each(
    client: Any, model: str, prompts: Sequence[str], *, max_tokens: int = 100
) -> list[int | None]:
    """Return a judge's verdict on each prompt: 1, 0, or None where it gave none.

    The arguments and errors are those of `ask_all`; each prompt asks for 1 or 0 on the first line.
    """
    replies = ask_all(client, model, prompts, max_tokens=max_tokens)
    verdicts = [first_line(reply, ("0", "1")) for reply in replies]
    return [None if verdict is None else int(verdict) for verdict in verdicts]


def judge_pairs(
    client: Any, model: str, pairs: Sequence[tuple[str, str]], *, max_tokens: int = 100
) -> list[str | None]:
    """Return which answer of each pair a judge prefers, asked in both orders; see `ask_all`.

    A pair is two prompts that ask for A or B on the first line: one with the two answers in order,
    one with them swapped.

    Returns:
        "A" or "B" as in the first prompt of a pair; "tie" where the preferred *place* stayed the
        same, so that the place decided; None where one of the two replies gave no verdict.
    """
    prompts = [prompt for pair in pairs for prompt in pair]
    if len(prompts) != 2 * len(pairs):
        raise ConfigError(
            "Each pair holds two prompts: one with the answers in order, one swapped."
        )
    replies = ask_all(client, model, prompts, max_tokens=max_tokens)
    read = [first_line(reply, ("A", "B")) for reply in replies]
    return [_preferred(first, second) for first, second in zip(read[::2], read[1::2], strict=True)]


def _preferred(first: str | None, swapped: str | None) -> str | None:
    if first is None or swapped is None:
        return None
    return "tie" if first == swapped else first


def kappa(a: Sequence[Hashable], b: Sequence[Hashable]) -> Interval:
    """Return Cohen's kappa of two raters: agreement beyond chance, 1 at most, 0 by chance.

    Items that either left without a verdict (None) are not counted; unknown where none is left, or
    both always gave one same verdict. The interval is Wilson's for the share of agreement, the
    agreement by chance taken as known (A Coefficient of Agreement for Nominal Scales, 1960).

    Raises:
        ConfigError: the two have different lengths.
    """
    if len(a) != len(b):
        raise ConfigError(
            f"{len(a)} verdicts against {len(b)}: give both raters' on the same items."
        )
    both = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    n = len(both)
    first, second = Counter(x for x, _ in both), Counter(y for _, y in both)
    chance = sum(first[verdict] * second[verdict] for verdict in first) / n**2 if n else 1.0
    if chance == 1:
        return UNKNOWN
    agreed = wilson_interval(sum(x == y for x, y in both), n)
    beyond = [(share - chance) / (1 - chance) for share in agreed[:3]]
    return Interval(beyond[0], beyond[1], beyond[2])


# Whether an answer refuses: a fine-tune that wins on its metric may have learned to.

_APOLOGY = r"(?:i['’]?m|i am|we are|we['’]re) (?:very |so |truly )?(?:sorry|afraid)"
_CANNOT = (
    r"(?:i|we) (?:can['’]?t|cannot|can not|won['’]?t|will not|am (?:un|not )able to|"
    r"['’]?m (?:un|not )able to|(?:must|have to) (?:decline|refuse))"
)
_REFUSAL = re.compile(
    rf"^\W*(?:{_APOLOGY}|sorry\b|as an ai\b|(?:unfortunately|regrettably),? {_CANNOT}|{_CANNOT})",
    re.IGNORECASE,
)


def refuses(text: str) -> bool:
    """Whether an answer opens as refusals do; a rough sign, made of English phrases.

    >>> refuses("Unfortunately, I cannot do that."), refuses("I can do that.")
    (True, False)
    """
    return bool(_REFUSAL.match(text))
