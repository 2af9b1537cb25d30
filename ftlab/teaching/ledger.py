"""The claims ledger: what practitioners say, and what the lessons measured of it.

A lesson calls `record` in the cell that measured something. The cell shows one line, and its output
carries the same as data, so that the page is made of the notebooks as they ran, never typed:

    ledger.record(24, "holds", f"F1 is {f1:.2f} without the capitals it was trained with.", f1)
    python scripts/claims_page.py            writes notebooks/claims.md
    python scripts/claims_page.py --check    exit 1 when the page is not what the lessons say

The claims themselves are in `data/claims.yaml`, in our own words.
"""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from ftlab.display import box, display, in_notebook
from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import read_data

KIND = "application/vnd.ftlab.claim+json"
VERDICTS = ("holds", "depends", "not seen here")
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
    """How `ftlab.teaching.claims` decides it from a difference."""


@dataclass(frozen=True)
class Entry:
    """What a lesson measured of a claim."""

    number: int
    verdict: str
    figure: str
    """A sentence, with its figures in it; or a phrase, which is told with `value` behind it."""
    value: float | None = None
    interval: tuple[float, float] | None = None
    lesson: str = ""
    """The notebook's name; read from where it lies."""
    section: str = ""
    """The heading that it stands under."""
    cell: int | None = None
    """The cell's number as the notebook shows it."""

    def __str__(self) -> str:
        text = self.figure
        if text.endswith("."):
            return text
        if self.value is not None:
            text += f": {self.value:.3g}"
        if self.interval is not None:
            text += " [{:.3g}, {:.3g}]".format(*self.interval)
        return text


@cache
def claims() -> dict[int, Claim]:
    """Return all claims by number."""
    return {row["number"]: Claim(**row) for row in read_data("claims.yaml")}


def record(
    number: int,
    verdict: str,
    figure: str,
    value: float | None = None,
    *,
    interval: tuple[float, float] | None = None,
) -> None:
    """Show what this cell found out about a claim, and keep it for the ledger.

    Args:
        number: the claim's, see `claims`.
        verdict: "holds", "depends" or "not seen here"; computed by the cell, from its figures.
        figure: what was measured, as a sentence that can be understood without the lesson: its
            figures are formatted into it, intervals in square brackets. It ends with a full stop;
            without one it is a phrase, and `value` and `interval` are written behind it.
        value: the figure that decides, kept as data.
        interval: its 95 % interval, kept as data.

    Raises:
        ConfigError: there is no such claim or verdict, or no figure.
    """
    if number not in claims():
        raise_unknown("claim", str(number), [str(n) for n in claims()])
    if verdict not in VERDICTS:
        raise_unknown("verdict", verdict, VERDICTS)
    if not figure.strip():
        raise ConfigError(f"Claim {number} wants a figure: what was measured, in a sentence.")
    limits = (float(interval[0]), float(interval[1])) if interval is not None else None
    entry = Entry(number, verdict, figure, None if value is None else float(value), limits)
    text = f"Claim {number}: {claims()[number].claim}\n{verdict.capitalize()}. {entry}"
    if not in_notebook():
        print(text)
        return
    data = {k: v for k, v in asdict(entry).items() if k not in ("lesson", "section", "cell")}
    display({"text/plain": text, "text/html": box(text, TONES[verdict]), KIND: data})
