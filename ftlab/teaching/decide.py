"""Whether to fine-tune: what it costs and saves, and ten questions that lead to a recommendation.

Money of a month, for prompts and answers of so many tokens:

    calls * (tokens in * input price + tokens out * output price) / 1,000,000 + upkeep

A fine-tune pays back after training / (money of a month before - money of a month after) months;
never, where it saves nothing.

>>> cheap = TokenPrice(input=0.1, output=0.4)
>>> bill = break_even(100_000, 1000, 100, 50, base=cheap, tuned=cheap, training=18.0)
>>> round(bill.saved, 2), round(bill.months, 2)
(9.0, 2.0)
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ftlab.errors import ConfigError, raise_unknown
from ftlab.evaluation.costs import TokenPrice
from ftlab.files import read_data

__all__ = [
    "CASES",
    "CHOICES",
    "QUESTIONS",
    "Advice",
    "BreakEven",
    "Case",
    "break_even",
    "decide",
    "monthly",
]


@dataclass(frozen=True)
class BreakEven:
    """What a month costs with either prompt, and when the training is paid back."""

    before: float
    after: float
    training: float

    @property
    def saved(self) -> float:
        """Money saved each month; below zero, it costs more."""
        return self.before - self.after

    @property
    def months(self) -> float:
        """Months until the training is paid back; infinite where nothing is saved."""
        if self.saved <= 0:
            return math.inf
        return self.training / self.saved

    def __str__(self) -> str:
        bills = f"{self.before:,.2f} a month before, {self.after:,.2f} after"
        if self.saved <= 0:
            return f"{bills}: it never pays"
        return f"{bills}: pays back after {self.months:,.1f} months"


def monthly(
    calls: float, tokens_in: float, tokens_out: float, price: TokenPrice, upkeep: float = 0.0
) -> float:
    """Return what a month of calls costs.

    Args:
        calls: calls a month.
        tokens_in: tokens of a prompt.
        tokens_out: tokens of an answer.
        price: of a million tokens, in and out.
        upkeep: money a month beside the calls, such as a machine of one's own.

    Raises:
        ConfigError: a figure is below zero, or is no number.
    """
    given = {"calls": calls, "tokens_in": tokens_in, "tokens_out": tokens_out, "upkeep": upkeep}
    wrong = [f"{name}={value}" for name, value in given.items() if not 0 <= value < math.inf]
    if wrong:
        raise ConfigError(f"Counts and money are zero or more; got {', '.join(wrong)}.")
    return calls * (tokens_in * price.input + tokens_out * price.output) / 1_000_000 + upkeep


def break_even(
    calls: float,
    long_prompt: float,
    short_prompt: float,
    answer: float,
    *,
    base: TokenPrice,
    tuned: TokenPrice,
    training: float,
    upkeep: float = 0.0,
) -> BreakEven:
    """Compare a base with a long prompt to a tuned model with a short one.

    Args:
        calls: calls a month.
        long_prompt: tokens of the prompt that the base needs.
        short_prompt: tokens of the prompt that the tuned model needs.
        answer: tokens of an answer, the same for both.
        base: the base's price of a million tokens.
        tuned: the tuned model's.
        training: money that the fine-tune costs once: examples, training, evaluation.
        upkeep: money a month that only the tuned model costs.

    Raises:
        ConfigError: a figure is below zero, or is no number.
    """
    if not 0 <= training < math.inf:
        raise ConfigError(f"The training's cost is zero or more, not {training}.")
    return BreakEven(
        monthly(calls, long_prompt, answer, base),
        monthly(calls, short_prompt, answer, tuned, upkeep),
        training,
    )


QUESTIONS: dict[str, str] = read_data("lessons/decide.yaml")["questions"]
"""The ten questions, each to be answered with yes (True) or no (False)."""

CHOICES = ("no model", "prompt", "retrieval", "fine-tune", "fine-tune and retrieval", "not yet")


@dataclass(frozen=True)
class Advice:
    """A recommendation and what it rests on."""

    choice: str
    """One of `CHOICES`."""
    reasons: tuple[str, ...]

    @property
    def tune(self) -> bool:
        """Whether it is to fine-tune."""
        return self.choice.startswith("fine-tune")

    def __str__(self) -> str:
        head = self.choice if self.tune else f"{self.choice} (do not fine-tune)"
        return "\n".join([head.capitalize(), *(f"  - {reason}" for reason in self.reasons)])


def decide(answers: Mapping[str, bool]) -> Advice:
    """Return a recommendation from the answers to the ten questions.

    Args:
        answers: key of `QUESTIONS` -> yes or no; all ten.

    Raises:
        ConfigError: a question is unknown, left out, or not answered with True or False.

    >>> yes = dict.fromkeys(QUESTIONS, True)
    >>> decide(yes).choice, decide(yes | {"program": False, "measured": False}).choice
    ('no model', 'not yet')
    """
    for key in answers:
        if key not in QUESTIONS:
            raise_unknown("question", str(key), QUESTIONS)
    open_ones = [key for key in QUESTIONS if not isinstance(answers.get(key), bool)]
    if open_ones:
        raise ConfigError(
            f"Answer every question with True or False; these have none: {', '.join(open_ones)}."
        )
    if answers["program"]:
        return Advice("no model", ("A program is cheaper, faster, and right each time.",))
    if not answers["measured"]:
        reason = "Without held-out examples nobody will know whether it helped. Make them first."
        return Advice("not yet", (reason,))
    if not answers["prompted"]:
        reason = "A prompt is tried in an afternoon, and you need it as the opponent anyway."
        return Advice("prompt", (reason,))
    if answers["satisfied"] and not answers["pays"]:
        reason = "The prompt is good enough, and a shorter one would not pay the training back."
        return Advice("prompt", (reason,))
    return _weigh(answers)


def _weigh(answers: Mapping[str, bool]) -> Advice:
    """Decide where a prompt was tried and is not enough, or too expensive."""
    reasons = []
    if answers["facts"]:
        reasons.append("Facts belong in the prompt: look them up, and put them there.")
    grounds = []
    if answers["pattern"] and not answers["satisfied"]:
        grounds.append("A pattern that the prompt does not hold is what examples teach.")
    if answers["pattern"] and answers["shown"]:
        grounds.append("What is easier shown than described is learned from examples.")
    if answers["pattern"] and answers["pays"]:
        grounds.append("The shorter prompt pays the training back.")
    if not grounds:
        if answers["facts"]:
            reasons.append("No pattern is wanted that a fine-tune could teach.")
            return Advice("retrieval", tuple(reasons))
        reason = "No pattern is wanted: a better prompt, or a stronger base, is what can help."
        return Advice("prompt", (reason,))
    if not answers["examples"]:
        missing = "There are grounds to tune, and no examples to tune on. Collect them first."
        return Advice("retrieval" if answers["facts"] else "not yet", (*reasons, missing))
    if not answers["narrow"]:
        grounds.append(
            "Beware: it will be asked other things, and a tuned model is brittle there. Send "
            "only this task to it."
        )
    choice = "fine-tune and retrieval" if answers["facts"] else "fine-tune"
    return Advice(choice, (*reasons, *grounds))


@dataclass(frozen=True)
class Case:
    """A request as it comes, and how one would answer the ten questions for it."""

    name: str
    request: str
    yes: tuple[str, ...]
    """The questions answered with yes."""

    @property
    def answers(self) -> dict[str, bool]:
        """All ten answers."""
        return {key: key in self.yes for key in QUESTIONS}


CASES = tuple(Case(**row) for row in read_data("lessons/decide.yaml")["cases"])
"""Six requests, each of which ends in another of `CHOICES`."""
