"""Write messages that nobody sent: people, firms, things, dates, and the slips of hurried hands.

    form      (Could|Can) you (please |)send us {quantity} {item}(, please|)?
    skeleton  Can you send us {quantity} {item}, please?
    message   Can you send us a dozen oak shelves, please?

A `Writer` picks forms and settles their choices (`ftlab.tasks.drawing` has the notation; "~" marks
what is held out for tests). That makes a skeleton, and the values go in last: so typing errors
never touch a value, and two messages of one skeleton are known to be siblings.

>>> writer = Writer(random.Random(0), new=False)
>>> writer.say(("Could you (please|kindly) send {item}?", "~May I have {item}?"))
'Could you kindly send {item}?'
>>> fill("{quantity} {item}", {"quantity": "two", "item": "lamps"})
'two lamps'
"""

import datetime
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ftlab import data
from ftlab.errors import raise_unknown
from ftlab.tasks import drawing
from ftlab.tasks.drawing import word_lists

KNOWN = "known phrasing"
"""The slice of test examples whose forms and values are those of training, newly combined."""
LONGEST = 620
"""Characters of prompt and completion together: about 350 tokens of the shipped tokenizer, which
spends one on each digit and two or three on a name."""


LISTS = word_lists("messages")


# Numbers, dates and plurals.


def spell(number: int) -> str:
    """Return a number from 0 to 999 in words.

    >>> spell(40), spell(124)
    ('forty', 'one hundred and twenty-four')
    """
    if number >= 100:
        rest = f" and {spell(number % 100)}" if number % 100 else ""
        return f"{LISTS.units[number // 100]} hundred{rest}"
    if number < 20:
        return LISTS.units[number]
    return LISTS.tens[number // 10 - 2] + (f"-{LISTS.units[number % 10]}" if number % 10 else "")


def ordinal(day: int) -> str:
    """Return a day of the month as 1st, 2nd, 3rd, 4th."""
    ending = "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def plural(item: str) -> str:
    """Return the plural of a thing of the list; all of them are regular."""
    return item + ("es" if item.endswith(("x", "ch", "sh", "s")) else "s")


# The day is before the month in figures: 07/03/2028 is in March.
DATE_STYLES: dict[str, Callable[[datetime.date], str]] = {
    "iso": lambda d: d.isoformat(),
    "slashes": lambda d: f"{d.day:02}/{d.month:02}/{d.year}",
    "dots": lambda d: f"{d.day}.{d.month}.{d.year}",
    "day month": lambda d: f"{d.day} {LISTS.months[d.month - 1]} {d.year}",
    "month day": lambda d: f"{LISTS.months[d.month - 1]} {d.day}, {d.year}",
    "ordinal": lambda d: f"the {ordinal(d.day)} of {LISTS.months[d.month - 1]} {d.year}",
    "short": lambda d: f"{d.day} {LISTS.months[d.month - 1][:3]} {d.year}",
    "month ordinal": lambda d: f"{LISTS.months[d.month - 1]} the {ordinal(d.day)}, {d.year}",
    "dashes": lambda d: f"{d.day:02}-{LISTS.months[d.month - 1][:3]}-{d.year}",
}
_STYLES = tuple(("~" if s in ("month ordinal", "dashes") else "") + s for s in DATE_STYLES)


# Writing.


@dataclass(frozen=True)
class Writer:
    """One message's source of choices; with `new` it also uses what is held out for tests."""

    rng: random.Random
    new: bool

    def chance(self, share: float) -> bool:
        """Return True in this share of draws."""
        return self.rng.random() < share

    def pick(self, forms: Sequence[str], *, sure: bool = False) -> str:
        """Pick from a pool: mostly what is held out when `new`, always so when `sure`."""
        held_out = self.new and (sure or self.chance(0.7))
        return self.rng.choice(drawing.open_to(forms, held_out) or drawing.open_to(forms, False))

    def say(self, forms: Sequence[str], *, sure: bool = False) -> str:
        """Pick a form and settle its choices."""
        return drawing.expand(self.pick(forms, sure=sure), self.rng)

    def person(self) -> str:
        """Return a given and a family name."""
        return f"{self.pick(LISTS.given)} {self.pick(LISTS.family)}"

    def firm(self) -> str:
        """Return the name of a firm."""
        return f"{self.pick(LISTS.coined)} {self.pick(LISTS.trades)}"

    def item(self) -> str:
        """Return a thing in the singular."""
        kind = f"{self.pick(LISTS.kinds)} " if self.chance(0.5) else ""
        return kind + self.pick(LISTS.items)

    def number(self, highest: int = 150) -> int:
        """Return a number of things; one in seven of the numbers is held out for tests."""
        while True:
            top = self.rng.choice((12, 30, highest))
            number = self.rng.randint(1, top)
            held_out = number % 7 == 3
            if not held_out or (self.new and self.chance(0.9)):
                return number

    def date(self) -> datetime.date:
        """Return a day of the years 2025 to 2030."""
        return datetime.date(2025, 1, 1) + datetime.timedelta(self.rng.randrange(6 * 365))

    def date_style(self) -> str:
        """Return the name of a style of writing dates."""
        return self.pick(_STYLES)

    def phone(self) -> str:
        """Return a telephone number as people write them."""
        return re.sub("#", lambda _: str(self.rng.randrange(10)), self.pick(LISTS.phones))

    def reference(self) -> str:
        """Return the number of an order or a ticket."""
        number = self.rng.randrange(10_000, 99_999)
        return self.rng.choice((f"{number}", f"#{number}", f"A-{number}", f"{number}/B"))


def fill(skeleton: str, values: Mapping[str, str]) -> str:
    """Put the values into the slots of a skeleton."""
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], skeleton)


ROUGH = ("typos", "lower case", "no punctuation", "shouting")


def _mistype(rng: random.Random, word: str) -> str:
    at = rng.randrange(1, len(word) - 2)
    slip = rng.randrange(4)
    if slip == 0:
        return word[:at] + word[at + 1 :]
    if slip == 1:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if slip == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + rng.choice("aeinorst") + word[at + 1 :]


def roughen(rng: random.Random, skeleton: str, how: str, *, rate: float = 0.12) -> str:
    """Spoil a skeleton as hurried people do; slots stay whole.

    Args:
        rng: the source of the slips.
        skeleton: text with slots.
        how: one of `ROUGH`.
        rate: share of the longer words that are mistyped, for "typos".

    Raises:
        ConfigError: there is no such way.
    """
    if how not in ROUGH:
        raise_unknown("roughness", how, ROUGH)

    def spoil(text: str) -> str:
        if how == "lower case":
            return text.lower()
        if how == "shouting":
            return text.upper()
        if how == "no punctuation":
            return re.sub(r"[.,;!?](?=\s|$)", "", text)
        return re.sub(
            r"[A-Za-z]{5,}",
            lambda m: _mistype(rng, m[0]) if rng.random() < rate else m[0],
            text,
        )

    return "".join(
        part if part.startswith("{") else spoil(part) for part in re.split(r"(\{\w+\})", skeleton)
    )


def capitalise(text: str) -> str:
    """Begin every line and sentence with a capital, as a tidy writer does."""
    return re.sub(r"(?:^|(?<=[.!?] )|(?<=\n))[a-z]", lambda m: m[0].upper(), text)


# Drawing records.


class Drawn(NamedTuple):
    """One message with its answer, before it becomes a record."""

    text: str
    skeleton: str
    completion: str
    difficulty: str
    form: str
    traits: tuple[str, ...]


def draw(
    compose: Callable[[Writer], Drawn], cue: str, n: int, seed: int, split: str, task: str
) -> list[data.Row]:
    """Make `n` records with different messages; a larger `n` with the same seed starts the same.

    A skeleton belongs to one split, so no test message is a training message with other values,
    whatever the seeds. Half of a test split has held-out phrasings and values besides.

    Raises:
        ConfigError: there is no such split, or `n` is not positive.
    """

    def make(rng: random.Random, new: bool, ours: Callable[[str], bool]) -> data.Row | None:
        # Try until one is ours, or the slices would not be of one size.
        while True:
            drawn = compose(Writer(rng, new))
            length = len(cue) + len(drawn.text) + len(drawn.completion)
            if length <= LONGEST and (new or ours(drawn.skeleton)):
                break
        return data.example(
            cue + drawn.text,
            drawn.completion,
            id=drawing.digest(drawn.text),
            slice=drawing.NEW if new else KNOWN,
            difficulty=drawn.difficulty,
            group=drawing.digest(drawn.skeleton),
            form=drawn.form,
            traits=list(drawn.traits),
        )

    return drawing.draw(make, n, seed, split, task)
