"""Whether to fine-tune: what it costs and saves, and ten questions that lead to a recommendation.

Money of a month, for prompts and answers of so many tokens:

    calls * (tokens in * input price + tokens out * output price) / 1,000,000 + upkeep

A fine-tune pays back after training / (money of a month before - money of a month after) months;
never, where it saves nothing. `Calculator` and `Helper` are panels of sliders and ticks where
widgets can be drawn, and elsewhere a text that says the same for the figures they were made with.

>>> cheap = TokenPrice(input=0.1, output=0.4)
>>> bill = break_even(100_000, 1000, 100, 50, base=cheap, tuned=cheap, training=18.0)
>>> round(bill.saved, 2), round(bill.months, 2)
(9.0, 2.0)
>>> print(Helper(("program",)))
No model (do not fine-tune)
  - A program is cheaper, faster, and right each time.
"""

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ftlab.display import Panel, box
from ftlab.errors import ConfigError, raise_unknown
from ftlab.evaluation.costs import TokenPrice, prices
from ftlab.files import read_data

__all__ = ["CASES", "CHOICES", "QUESTIONS", "Advice", "BreakEven", "Calculator", "Case", "Helper",
           "break_even", "decide", "monthly"]  # fmt: skip

WORDS = read_data("lessons/decide.yaml")
QUESTIONS: dict[str, str] = WORDS["questions"]
"""The ten questions, each to be answered with yes (True) or no (False)."""
CHOICES = ("no model", "prompt", "retrieval", "fine-tune", "fine-tune and retrieval", "not yet")


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
        return self.training / self.saved if self.saved > 0 else math.inf

    def __str__(self) -> str:
        end = f"pays back after {self.months:,.1f} months" if self.saved > 0 else "it never pays"
        return f"{self.before:,.2f} a month before, {self.after:,.2f} after: {end}"


def monthly(
    calls: float, tokens_in: float, tokens_out: float, price: TokenPrice, upkeep: float = 0.0
) -> float:
    """Return what a month costs: its calls, and upkeep such as a machine of one's own.

    Raises:
        ConfigError: a figure is below zero, or is no number.
    """
    given = {"calls": calls, "tokens_in": tokens_in, "tokens_out": tokens_out, "upkeep": upkeep}
    wrong = [f"{name}={value}" for name, value in given.items() if not 0 <= value < math.inf]
    if wrong:
        raise ConfigError(f"Counts and money are zero or more; got {', '.join(wrong)}.")
    return calls * (tokens_in * price.input + tokens_out * price.output) / 1_000_000 + upkeep


def break_even(
    calls: float, long_prompt: float, short_prompt: float, answer: float, *,
    base: TokenPrice, tuned: TokenPrice, training: float, upkeep: float = 0.0,
) -> BreakEven:  # fmt: skip
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
    before = monthly(calls, long_prompt, answer, base)
    return BreakEven(before, monthly(calls, short_prompt, answer, tuned, upkeep), training)


@dataclass(frozen=True)
class Advice:
    """A recommendation, one of `CHOICES`, and what it rests on."""

    choice: str
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
    if open_ones := [key for key in QUESTIONS if not isinstance(answers.get(key), bool)]:
        raise ConfigError(
            f"Answer every question with True or False; these have none: {', '.join(open_ones)}."
        )
    yes, why = {key for key, answer in answers.items() if answer}, WORDS["reasons"]
    for choice, reason, holds in (
        ("no model", "program", "program" in yes),
        ("not yet", "unmeasured", "measured" not in yes),
        ("prompt", "unprompted", "prompted" not in yes),
        ("prompt", "enough", "satisfied" in yes and "pays" not in yes),
    ):
        if holds:
            return Advice(choice, (why[reason],))
    facts = [why["facts"]] if "facts" in yes else []
    grounds = [
        why[reason]
        for reason, holds in (
            ("pattern", "satisfied" not in yes), ("shown", "shown" in yes), ("pays", "pays" in yes)
        )
        if holds and "pattern" in yes
    ]  # fmt: skip
    if not grounds:
        found = (*facts, why["facts alone"]) if facts else (why["no pattern"],)
        return Advice("retrieval" if facts else "prompt", found)
    if "examples" not in yes:
        return Advice("retrieval" if facts else "not yet", (*facts, why["no examples"]))
    wide = [] if "narrow" in yes else [why["wide"]]
    choice = "fine-tune and retrieval" if facts else "fine-tune"
    return Advice(choice, (*facts, *grounds, *wide))


@dataclass(frozen=True)
class Case:
    """A request as it comes, and the questions that one would answer with yes for it."""

    name: str
    request: str
    yes: tuple[str, ...]

    @property
    def answers(self) -> dict[str, bool]:
        """All ten answers."""
        return {key: key in self.yes for key in QUESTIONS}


CASES = tuple(Case(**row) for row in WORDS["cases"])
"""Six requests, each of which ends in another of `CHOICES`."""


def _follow(controls: list[Any], page: Any) -> Any:
    """Return the controls with `page()` below them, drawn anew whenever one is moved."""
    import ipywidgets

    told = ipywidgets.HTML(page(), layout=controls[0].layout)
    for control in controls:
        control.observe(lambda _: setattr(told, "value", page()), names="value")
    return ipywidgets.VBox([*controls, told])


@dataclass(frozen=True, repr=False)
class Calculator(Panel):
    """Sliders for the break-even; what it starts with is what a saved notebook shows."""

    calls: int = 100_000
    long_prompt: int = 1500
    short_prompt: int = 150
    answer: int = 60
    training: float = 200.0
    upkeep: float = 0.0
    base: TokenPrice = field(default_factory=lambda: prices().per_million_tokens["base"])
    tuned: TokenPrice = field(default_factory=lambda: prices().per_million_tokens["tuned"])

    def bill(self) -> BreakEven:
        """Work out the bill for these figures."""
        return break_even(
            self.calls, self.long_prompt, self.short_prompt, self.answer, base=self.base,
            tuned=self.tuned, training=self.training, upkeep=self.upkeep,
        )  # fmt: skip

    def priced(self, read: float, times: float) -> "Calculator":
        """Return the same calls at other prices, the tokens written in step with those read.

        Args:
            read: price of a million tokens that the base reads; both models' prices move with it.
            times: how many times as much a token costs that the tuned model reads.
        """

        def scaled(price: TokenPrice, factor: float) -> TokenPrice:
            return TokenPrice(input=price.input * factor, output=price.output * factor)

        return replace(
            self, base=scaled(self.base, read / self.base.input),
            tuned=scaled(self.tuned, read * times / self.tuned.input),
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{self.calls:,} calls a month, prompts of {self.long_prompt:,} or "
            f"{self.short_prompt:,} tokens, answers of {self.answer:,}; training "
            f"{self.training:,.2f}, upkeep {self.upkeep:,.2f} a month; a million tokens cost "
            f"{self.base.input:.2f} in and {self.base.output:.2f} out, tuned "
            f"{self.tuned.input:.2f} and {self.tuned.output:.2f}\n{self.bill()}"
        )

    def page(self) -> str:
        """Return the bill in a box."""
        return box(str(self), "right" if self.bill().saved > 0 else "note")

    def widget(self) -> Any:
        """Return the sliders, with the bill below them."""
        import ipywidgets

        rows: dict[str, tuple[str, float, float, float, float, str]] = {
            "calls": ("FloatLog", self.calls, 2, 8, 0.1, "calls a month"),
            "long_prompt": ("Int", self.long_prompt, 0, 8000, 50, "tokens of the long prompt"),
            "short_prompt": ("Int", self.short_prompt, 0, 8000, 50, "tokens of the short prompt"),
            "answer": ("Int", self.answer, 0, 2000, 10, "tokens of an answer"),
            "training": ("Float", self.training, 0, 5000, 5, "the training, once"),
            "upkeep": ("Float", self.upkeep, 0, 2000, 5, "upkeep a month"),
        }
        if self.base.input and self.tuned.input:  # what costs nothing cannot be scaled
            read, times = self.base.input, self.tuned.input / self.base.input
            low, high = min(-2, math.log10(read)), max(2, math.log10(read))
            rows["read"] = ("FloatLog", read, low, high, 0.05, "price of a million tokens read")
            what = "a tuned token costs, times that"
            rows["times"] = ("Float", times, min(0.5, times), max(10, times), 0.1, what)
        wide = ipywidgets.Layout(width="auto", max_width="44em")
        formats = {"calls": ",.0f", "read": ",.2f", "times": ".1f"}
        sliders = {
            name: getattr(ipywidgets, f"{kind}Slider")(
                value=value, min=low, max=high, step=step, description=what, layout=wide,
                style={"description_width": "17em"},
                **({"readout_format": formats[name]} if name in formats else {}),
            )
            for name, (kind, value, low, high, step, what) in rows.items()
        }  # fmt: skip

        def page() -> str:
            moved = {name: slider.value for name, slider in sliders.items()}
            price = {name: moved.pop(name) for name in ("read", "times") if name in moved}
            now = replace(self, **(moved | {"calls": round(moved["calls"])}))
            return (now.priced(**price) if price else now).page()

        return _follow(list(sliders.values()), page)


@dataclass(frozen=True, repr=False)
class Helper(Panel):
    """The ten questions as ticks, those of `yes` ticked at the start, and what they lead to."""

    yes: tuple[str, ...] = ()

    def advice(self) -> Advice:
        """Return the recommendation for what is ticked."""
        return decide({**dict.fromkeys(QUESTIONS, False), **dict.fromkeys(self.yes, True)})

    def __str__(self) -> str:
        return str(self.advice())

    def _box(self) -> str:
        return box(str(self), "right" if self.advice().tune else "note")

    def page(self) -> str:
        """Return the questions with their ticks, and the recommendation."""
        rows = "".join(
            f"<li>{'☑' if key in self.yes else '☐'} {html.escape(text)}</li>"
            for key, text in QUESTIONS.items()
        )
        return f"<ul style='list-style:none;padding-left:0.5em'>{rows}</ul>{self._box()}"

    def widget(self) -> Any:
        """Return the ticks, with the recommendation below them."""
        import ipywidgets

        wide = ipywidgets.Layout(width="auto", max_width="60em")
        ticks = {
            key: ipywidgets.Checkbox(key in self.yes, description=text, indent=False, layout=wide)
            for key, text in QUESTIONS.items()
        }

        def page() -> str:
            return Helper(tuple(key for key, tick in ticks.items() if tick.value))._box()

        return _follow(list(ticks.values()), page)
