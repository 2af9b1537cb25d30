"""Whether to fine-tune: what it costs and saves, and ten questions that lead to a recommendation.

Money of a month, for prompts and answers of so many tokens:

    calls * (tokens in * input price + tokens out * output price) / 1,000,000 + upkeep

A fine-tune pays back after training / (money of a month before - money of a month after) months;
never, where it saves nothing. `Calculator` and `Helper` are panels of sliders and ticks where
widgets can be drawn, and elsewhere a text that says the same for the figures they were made with.

>>> cheap = TokenPrice(input=0.1, output=0.4)
>>> bill = Calculator(100_000, 1000, 100, 50, base=cheap, tuned=cheap, training=18.0).bill()
>>> round(bill.saved, 2), round(bill.months, 2)
(9.0, 2.0)
>>> print(Helper(("program",)))
No model (do not fine-tune)
  - A program is cheaper, faster, and right each time.
"""

import html
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ftlab.display import Panel, box
from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import read_data

__all__ = [
    "CASES", "CHOICES", "PRICES", "QUESTIONS", "Advice", "BreakEven", "Calculator", "Case",
    "Helper", "TokenPrice", "decide",
]  # fmt: skip

WORDS = read_data("lessons/decide.yaml")
QUESTIONS: dict[str, str] = WORDS["questions"]
"""The ten questions, each to be answered with yes (True) or no (False)."""


class TokenPrice(NamedTuple):
    """What a million tokens cost."""

    input: float
    output: float


PRICES = {name: TokenPrice(**row) for name, row in WORDS["prices"].items()}
"""Examples in USD, of a base and of a tuned model; no provider's offer."""
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
        answers: key of `QUESTIONS` -> yes (True) or no; what is left out is no.

    Raises:
        ConfigError: there is no such question.

    >>> yes = dict.fromkeys(QUESTIONS, True)
    >>> decide(yes).choice, decide(yes | {"program": False, "measured": False}).choice
    ('no model', 'not yet')
    """
    for key in answers:
        if key not in QUESTIONS:
            raise_unknown("question", str(key), QUESTIONS)
    yes, why = {key for key, answer in answers.items() if answer}, WORDS["reasons"]
    if "program" in yes:
        return Advice("no model", (why["program"],))
    if "measured" not in yes:
        return Advice("not yet", (why["unmeasured"],))
    if "prompted" not in yes:
        return Advice("prompt", (why["unprompted"],))
    if "satisfied" in yes and "pays" not in yes:
        return Advice("prompt", (why["enough"],))
    facts = [why["facts"]] if "facts" in yes else []
    found = {"pattern": "satisfied" not in yes, "shown": "shown" in yes, "pays": "pays" in yes}
    grounds = [why[reason] for reason, holds in found.items() if holds and "pattern" in yes]
    if not grounds and facts:
        return Advice("retrieval", (*facts, why["facts alone"]))
    if not grounds:
        return Advice("prompt", (why["no pattern"],))
    if "examples" not in yes:
        return Advice("retrieval" if facts else "not yet", (*facts, why["no examples"]))
    wide = [] if "narrow" in yes else [why["wide"]]
    return Advice("fine-tune and retrieval" if facts else "fine-tune", (*facts, *grounds, *wide))


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


def _follow(controls: dict[str, Any], page: Callable[[dict[str, Any]], str]) -> Any:
    """Return the controls with a page below them, drawn anew from their values at each move."""
    import ipywidgets

    def drawn() -> str:
        return page({name: control.value for name, control in controls.items()})

    told = ipywidgets.HTML(drawn())
    for control in controls.values():
        control.layout = ipywidgets.Layout(width="auto", max_width="50em")
        control.observe(lambda _: setattr(told, "value", drawn()), names="value")
    return ipywidgets.VBox([*controls.values(), told])


@dataclass(frozen=True, repr=False)
class Calculator(Panel):
    """Sliders for the break-even; what it starts with is what a saved notebook shows.

    Calls are a month's; the prompts, one of a base and one of a tuned model, and the answer are in
    tokens; the training is paid once, and the upkeep each month for the tuned model alone.
    """

    calls: float = 100_000
    long_prompt: float = 1500
    short_prompt: float = 150
    answer: float = 60
    training: float = 200.0
    upkeep: float = 0.0
    base: TokenPrice = PRICES["base"]
    tuned: TokenPrice = PRICES["tuned"]

    def bill(self) -> BreakEven:
        """Work out the bill for these figures.

        Raises:
            ConfigError: a figure is below zero, or is no number.
        """
        given = {name: getattr(self, name) for name in SLIDERS if name != "times"}
        if wrong := [f"{n}={value}" for n, value in given.items() if not 0 <= value < math.inf]:
            raise ConfigError(f"Counts and money are zero or more; got {', '.join(wrong)}.")

        def month(tokens: float, price: TokenPrice) -> float:
            return self.calls * (tokens * price.input + self.answer * price.output) / 1_000_000

        after = month(self.short_prompt, self.tuned) + self.upkeep
        return BreakEven(month(self.long_prompt, self.base), after, self.training)

    def priced(self, read: float, times: float) -> "Calculator":
        """Return the same calls at other prices, the tokens written in step with those read.

        Args:
            read: price of a million tokens that the base reads; both models' prices move with it.
            times: how many times as much a token costs that the tuned model reads.
        """

        def scaled(price: TokenPrice, wanted: float) -> TokenPrice:
            return TokenPrice(input=wanted, output=price.output * wanted / price.input)

        return replace(self, base=scaled(self.base, read), tuned=scaled(self.tuned, read * times))

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

        def page(moved: dict[str, Any]) -> str:
            times = moved.pop("times")
            now = replace(self, **moved | {"calls": round(moved["calls"])})
            return now.priced(self.base.input, times).page()

        begin = {name: getattr(self, name, 0) for name in SLIDERS}
        begin["times"] = self.tuned.input / self.base.input
        sliders = {
            name: getattr(ipywidgets, f"{kind}Slider")(
                value=begin[name], min=low, max=high, step=step, description=what,
                readout_format=shown, style={"description_width": "17em"},
            )
            for name, (kind, low, high, step, shown, what) in SLIDERS.items()
        }  # fmt: skip
        return _follow(sliders, page)


SLIDERS = {  # kind, lowest, highest (of a FloatLog, powers of ten), step, how it is shown, meaning
    "calls": ("FloatLog", 2, 8, 0.1, ",.0f", "calls a month"),
    "long_prompt": ("Int", 0, 8000, 50, "d", "tokens of the long prompt"),
    "short_prompt": ("Int", 0, 8000, 50, "d", "tokens of the short prompt"),
    "answer": ("Int", 0, 2000, 10, "d", "tokens of an answer"),
    "training": ("Float", 0, 5000, 5, ".2f", "the training, once"),
    "upkeep": ("Float", 0, 2000, 5, ".2f", "upkeep a month"),
    "times": ("Float", 0.1, 10, 0.1, ".1f", "a tuned token costs, times that"),
}


@dataclass(frozen=True, repr=False)
class Helper(Panel):
    """The ten questions as ticks, those of `yes` ticked at the start, and what they lead to."""

    yes: tuple[str, ...] = ()

    def advice(self) -> Advice:
        """Return the recommendation for what is ticked."""
        return decide(dict.fromkeys(self.yes, True))

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

        ticks = {
            key: ipywidgets.Checkbox(key in self.yes, description=text, indent=False)
            for key, text in QUESTIONS.items()
        }
        return _follow(ticks, lambda ticked: Helper(tuple(k for k in ticked if ticked[k]))._box())
