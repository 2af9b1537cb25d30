"""Two panels to play with: the break-even of a fine-tune, and the ten questions.

Each is sliders or ticks where widgets can be drawn. In a terminal, or in a saved notebook that is
only looked at, it is a text that says the same for the figures it was made with.

>>> print(Helper(("program",)))
No model (do not fine-tune)
  - A program is cheaper, faster, and right each time.
"""

import html
import importlib.util
import math
from dataclasses import dataclass, field, replace
from typing import Any

from ftlab.display import box, in_notebook, live
from ftlab.evaluation.costs import TokenPrice, prices
from ftlab.teaching.decide import QUESTIONS, Advice, BreakEven, break_even, decide

__all__ = ["Calculator", "Helper"]


def _example(kind: str) -> TokenPrice:
    return prices().per_million_tokens[kind]


def _scaled(price: TokenPrice, factor: float) -> TokenPrice:
    return TokenPrice(input=price.input * factor, output=price.output * factor)


@dataclass(frozen=True)
class Calculator:
    """Sliders for the break-even; what it starts with is what a saved notebook shows."""

    calls: int = 100_000
    long_prompt: int = 1500
    short_prompt: int = 150
    answer: int = 60
    training: float = 200.0
    upkeep: float = 0.0
    base: TokenPrice = field(default_factory=lambda: _example("base"))
    tuned: TokenPrice = field(default_factory=lambda: _example("tuned"))

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
        return replace(
            self, base=_scaled(self.base, read / self.base.input),
            tuned=_scaled(self.tuned, read * times / self.tuned.input),
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{self.calls:,} calls a month, prompts of {self.long_prompt:,} or "
            f"{self.short_prompt:,} tokens, answers of {self.answer:,}; training "
            f"{self.training:,.2f}, upkeep {self.upkeep:,.2f} a month; a million tokens cost "
            f"{self.base.input:.2f} in and {self.base.output:.2f} out, tuned "
            f"{self.tuned.input:.2f} and {self.tuned.output:.2f}\n{self.bill()}"
        )

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return _bundle(self, box(str(self), _tone(self.bill().saved > 0)))

    def widget(self) -> Any:
        """Return the sliders, with the bill below them."""
        import ipywidgets

        wide = ipywidgets.Layout(width="auto", max_width="44em")

        def slider(kind: str, value: float, low: float, high: float, what: str, **more: Any) -> Any:
            return getattr(ipywidgets, f"{kind}Slider")(
                value=value, min=low, max=high, description=what, layout=wide,
                style={"description_width": "17em"}, **more,
            )  # fmt: skip

        priced = {}
        if self.base.input and self.tuned.input:  # what costs nothing cannot be scaled
            digits, times = math.log10(self.base.input), self.tuned.input / self.base.input
            priced = {
                "read": slider("FloatLog", self.base.input, min(-2, digits), max(2, digits),
                               "price of a million tokens read", step=0.05,
                               readout_format=",.2f"),
                "times": slider("Float", times, min(0.5, times), max(10, times),
                                "a tuned token costs, times that", step=0.1,
                                readout_format=".1f"),
            }  # fmt: skip
        sliders = {
            "calls": slider("FloatLog", self.calls, 2, 8, "calls a month", step=0.1,
                            readout_format=",.0f"),
            "long_prompt": slider("Int", self.long_prompt, 0, 8000, "tokens of the long prompt",
                                  step=50),
            "short_prompt": slider("Int", self.short_prompt, 0, 8000, "tokens of the short prompt",
                                   step=50),
            "answer": slider("Int", self.answer, 0, 2000, "tokens of an answer", step=10),
            "training": slider("Float", self.training, 0, 5000, "the training, once", step=5),
            "upkeep": slider("Float", self.upkeep, 0, 2000, "upkeep a month", step=5),
        }  # fmt: skip
        verdict = ipywidgets.HTML(layout=wide)

        def show(_: Any = None) -> None:
            moved = {name: slider.value for name, slider in sliders.items()}
            now = replace(self, **(moved | {"calls": round(moved["calls"])}))
            if priced:
                now = now.priced(**{name: slider.value for name, slider in priced.items()})
            verdict.value = box(str(now), _tone(now.bill().saved > 0))

        shown = [*sliders.values(), *priced.values()]
        for one in shown:
            one.observe(show, names="value")
        show()
        return ipywidgets.VBox([*shown, verdict])


@dataclass(frozen=True)
class Helper:
    """The ten questions as ticks, and the recommendation below them.

    Args:
        yes: the questions that are ticked at the start.
    """

    yes: tuple[str, ...] = ()

    def advice(self) -> Advice:
        """Return the recommendation for what is ticked."""
        return decide({**dict.fromkeys(QUESTIONS, False), **dict.fromkeys(self.yes, True)})

    def __str__(self) -> str:
        return str(self.advice())

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        rows = "".join(
            f"<li>{'☑' if key in self.yes else '☐'} {html.escape(text)}</li>"
            for key, text in QUESTIONS.items()
        )
        listed = f"<ul style='list-style:none;padding-left:0.5em'>{rows}</ul>"
        return _bundle(self, listed + box(str(self), _tone(self.advice().tune)))

    def widget(self) -> Any:
        """Return the ticks, with the recommendation below them."""
        import ipywidgets

        wide = ipywidgets.Layout(width="auto", max_width="60em")
        ticks = {
            key: ipywidgets.Checkbox(key in self.yes, description=text, indent=False, layout=wide)
            for key, text in QUESTIONS.items()
        }
        verdict = ipywidgets.HTML(layout=wide)

        def show(_: Any = None) -> None:
            now = Helper(tuple(key for key, tick in ticks.items() if tick.value))
            verdict.value = box(str(now), _tone(now.advice().tune))

        for tick in ticks.values():
            tick.observe(show, names="value")
        show()
        return ipywidgets.VBox([*ticks.values(), verdict])


def _tone(good: bool) -> str:
    return "right" if good else "note"


def _bundle(panel: Calculator | Helper, page: str) -> dict[str, Any]:
    """Give a notebook the text, the page and, where it can be drawn, the live panel."""
    bundle = {"text/plain": str(panel), "text/html": page}
    if in_notebook() and importlib.util.find_spec("ipywidgets"):
        bundle.update(live(panel.widget()))
    return bundle
