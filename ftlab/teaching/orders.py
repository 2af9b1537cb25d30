"""A shop's orders, and four ways of answering them: one pattern at each of four levels.

The orders are the same for all four, so that a difference between two tuned models is a difference
of the pattern and of nothing else. Each pattern can be checked by a program:

    structure   lines "name: value", in a fixed order
    paragraph   a greeting, a sentence, a sign-off
    sentence    it ends as it began, in capitals
    style       clipped: no sentence has more than three words

>>> record = orders("sentence", 1, seed=0)[0]
>>> in_form("sentence", data.answer(record)), in_form("sentence", "Friday it is.")
(True, False)
"""

import random
import re
from collections.abc import Collection, Sequence
from types import SimpleNamespace

from ftlab import data
from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import read_data

__all__ = [
    "INSTRUCTIONS",
    "LEVELS",
    "TICKET",
    "elsewhere",
    "in_form",
    "kept",
    "orders",
]

LEVELS = ("structure", "paragraph", "sentence", "style")
LISTS = SimpleNamespace(**read_data("lessons/orders.yaml"))
INSTRUCTIONS: dict[str, str] = LISTS.instructions
"""How one would ask for each pattern in words."""
TICKET = re.compile(r"^ticket: (\d{3})$", re.M)
FORMS = {
    "structure": re.compile(r"name: .+\ncount: .+\nitem: .+\nday: .+\nticket: \d{3}"),
    "paragraph": re.compile(r"Dear \w+,\n\n[^\n]+\.\n\nKind regards,\nThe shop"),
}


def orders(
    level: str, n: int, seed: int, *, apart_from: Collection[data.Row] = ()
) -> list[data.Row]:
    """Make `n` different orders with their answers in one pattern.

    The orders depend on `n` and `seed` alone: the same for every level. Their tickets are drawn,
    and nothing in the order says them.

    Args:
        level: which pattern, see `LEVELS`.
        n: how many, up to 2,000.
        seed: of the drawing.
        apart_from: records whose messages must not come again.

    Raises:
        ConfigError: no such level, or `n` out of range.
    """
    if level not in LEVELS:
        raise_unknown("level", level, LEVELS)
    if not 1 <= n <= 2000:
        raise ConfigError(f"From 1 to 2,000 orders can be made, not {n}.")
    rng = random.Random(f"orders {seed}")
    known = {data.prompt(record)[-1]["content"] for record in apart_from}
    made: dict[str, data.Row] = {}
    while len(made) < n:
        day = rng.choice(LISTS.days)
        detail = {
            "name": rng.choice(LISTS.names),
            "n": str(rng.randint(2, 9)),
            "colour": rng.choice(LISTS.colours),
            "things": rng.choice(LISTS.things),
            "day": day,
        }
        text, which, ticket = rng.choice(LISTS.asked), rng.random(), str(rng.randint(100, 999))
        text = text.format(**detail)
        forms = LISTS.answered[level]
        answer = forms[int(which * len(forms))].format(**detail, DAY=day.upper(), ticket=ticket)
        if level == "style":
            answer = re.sub(r"(^|[.?] )([a-z])", lambda m: m[1] + m[2].upper(), answer)
        if text not in known:
            made[text] = data.example(text, answer, **detail)
    return list(made.values())


def elsewhere(n: int, seed: int) -> list[data.Row]:
    """Make `n` different messages that are no orders; nothing is wanted of them but no order."""
    rng = random.Random(f"elsewhere {seed}")
    most = 150
    if not 1 <= n <= most:
        raise ConfigError(f"From 1 to {most} messages can be made, not {n}.")
    made: dict[str, data.Row] = {}
    while len(made) < n:
        text = rng.choice(LISTS.elsewhere).format(
            name=rng.choice(LISTS.names),
            things=rng.choice(LISTS.things),
            day=rng.choice(LISTS.days),
        )
        made[text] = data.example(text, "That is no order.")
    return list(made.values())


def in_form(level: str, answer: str) -> bool:
    """Say whether an answer follows the pattern, whatever it says.

    >>> in_form("style", "Lamps? Yes. Two. By Friday.")
    True
    """
    if level not in LEVELS:
        raise_unknown("level", level, LEVELS)
    text = answer.strip()
    if level in FORMS:
        return FORMS[level].fullmatch(text) is not None
    if level == "sentence":
        words = re.findall(r"\w+", text)
        return len(words) > 2 and "\n" not in text and words[-1] == words[0].upper() != words[0]
    sentences = [part for part in re.split(r"[.?!]", text) if part.strip()]
    return len(sentences) > 2 and all(len(part.split()) <= 3 for part in sentences)


def kept(records: Sequence[data.Row], answers: Sequence[str]) -> float:
    """Return the share of the order's details, of those that the wanted answer has, that came.

    >>> record = data.example("2 red hats for Anna, Friday.", "Two.", name="Anna", day="Friday")
    >>> kept([data.example("…", "Anna, Friday", **data.meta(record))], ["Anna, on Monday"])
    0.5
    """
    wanted = got = 0
    for record, answer in zip(records, answers, strict=True):
        said = set(re.findall(r"\w+", answer.lower()))
        asked = set(re.findall(r"\w+", data.answer(record).lower()))
        details = {str(value).lower() for value in data.meta(record).values()} & asked
        wanted += len(details)
        got += len(details & said)
    return got / wanted if wanted else 0.0
