"""What practitioners say, and what the lessons measured of it: `claims.record(42, gap)`.

One line in a lesson decides a claim by its rule in `data/claims.yaml`:

    rule: {of: "Tuned minus base, in F1", none: holds, large: not seen here, margin: 0.2}

`none` is the verdict where the interval holds zero, `large` where all of it lies beyond the margin,
and between the two the claim *depends*. A rule with `below` gives that verdict where all of the
interval lies under zero. The cell shows two lines, and its output carries the same as data, from
which `python scripts/claims_page.py` makes `notebooks/claims.md`: nobody types a figure into it.

>>> from ftlab.evaluation.intervals import Interval
>>> rule = {"of": "a gap", "none": "holds", "large": "not seen here", "margin": 0.2}
>>> [decide(rule, Interval(v, v - 0.1, v + 0.1)) for v in (0.0, 0.2, 0.5)]
['holds', 'depends', 'not seen here']
>>> decide({**rule, "below": "not seen here"}, Interval(-0.1, -0.15, -0.05))
'not seen here'
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ftlab.display import box, display, in_notebook
from ftlab.errors import ConfigError
from ftlab.files import read_data

if TYPE_CHECKING:
    from ftlab.evaluation.intervals import Interval

__all__ = ["KIND", "Claim", "Entry", "all_claims", "decide", "record"]

KIND = "application/vnd.ftlab.claim+json"
TONES = {"holds": "right", "depends": "note", "not seen here": "wrong"}


@dataclass(frozen=True)
class Claim:
    """One thing that practitioners say."""

    number: int
    lesson: str
    said_by: tuple[str, ...]
    claim: str
    takes: str = ""
    """What a test, or a fuller one, would need that the course has not got."""
    rule: dict[str, Any] | None = None


@dataclass(frozen=True)
class Entry:
    """What a lesson measured of a claim."""

    number: int
    verdict: str
    figure: str
    """What was measured: `of` in the rule."""
    value: float
    interval: tuple[float, float]
    lesson: str = ""
    """The notebook's name; read from where it lies."""
    section: str = ""
    """The heading that it stands under."""
    cell: int | None = None
    """The cell's number as the notebook shows it."""

    def __str__(self) -> str:
        return "{}: {:.3g} [{:.3g}, {:.3g}]".format(self.figure, self.value, *self.interval)


@cache
def all_claims() -> dict[int, Claim]:
    """Return all claims by number."""
    return {row["number"]: Claim(**row) for row in read_data("claims.yaml")}


def decide(rule: dict[str, Any], gap: "Interval") -> str:
    """Return a rule's verdict on a difference."""
    if gap.covers_zero:
        return rule["none"]
    if gap.high < 0 and "below" in rule:
        return rule["below"]
    return rule["large"] if min(abs(gap.low), abs(gap.high)) > rule["margin"] else "depends"


def record(number: int, gap: "Interval") -> None:
    """Decide a claim by its rule, show it, and keep it for the page of claims.

    Args:
        number: of the claim in `data/claims.yaml`.
        gap: the measured difference with its interval.

    Raises:
        ConfigError: there is no such claim, or it has no rule.
    """
    claim = all_claims().get(number)
    if claim is None or claim.rule is None:
        ruled = ", ".join(str(c.number) for c in all_claims().values() if c.rule)
        raise ConfigError(f"Claim {number} has no rule in data/claims.yaml. With a rule: {ruled}.")
    limits = (float(gap.low), float(gap.high))
    entry = Entry(number, decide(claim.rule, gap), claim.rule["of"], float(gap.value), limits)
    text = f"Claim {number}: {claim.claim}\n{entry.verdict.capitalize()}. {entry}"
    if not in_notebook():
        print(text)
        return
    data = {name: getattr(entry, name) for name in ("number", "verdict", "figure", "value")}
    data["interval"] = limits
    display({"text/plain": text, "text/html": box(text, TONES[entry.verdict]), KIND: data})
