"""The pictures of `verdict.html`, as SVG: dots with their intervals, one to a line.

They are narrow, so that their text stays legible on a phone; a table beside each has the figures.
"""

from collections.abc import Sequence
from html import escape
from typing import Any

COLOUR = "#0072b2"  # Okabe and Ito's blue
_LEFT, _WIDTH, _LINE = 15, 370, 36


def figures(verdict: dict[str, Any], metrics: list[str]) -> str:
    """Return a picture of each metric for each system."""
    rows = [(f"{metric}: {name}", row[metric]) for metric in metrics
            for name, row in verdict["systems"].items()]  # fmt: skip
    title = "Each metric for each system, with its 95 % interval. The table below has the figures."
    return _dots("picture", title, rows, 1.0)


def gaps(verdict: dict[str, Any]) -> str:
    """Return a picture of the differences on the headline from the baseline, around zero."""
    baseline = next(iter(verdict["systems"]))
    rows = [(pair["b"], pair["difference"]) for pair in verdict["pairs"] if pair["a"] == baseline]
    title = (
        f"Differences from {baseline} on {verdict['headline']}, with 95 % intervals; left of the "
        "dashed line is worse. The table below has the figures."
    )
    return _dots("gaps", title, rows, 0.0)


def _dots(name: str, title: str, rows: Sequence[tuple[str, dict[str, Any]]], least: float) -> str:
    """Return lines of a label, a dot and its interval, over an axis from 0 to `least` or beyond."""
    known = [(label, figure) for label, figure in rows if figure["value"] is not None]
    if not known:
        return ""
    ends = [figure[end] for _, figure in known for end in ("low", "high")]
    low, high = min(0.0, *ends), max(least, *ends)
    span = (high - low) or 1.0
    at = lambda value: round(_LEFT + _WIDTH * (value - low) / span, 1)
    parts, y = "", 8
    for label, figure in known:
        left, middle, right = (at(figure[part]) for part in ("low", "value", "high"))
        parts += (
            f'<text class="over" x="{_LEFT}" y="{y + 6}">{escape(shorten(label))}</text>'
            f'<path d="M{left} {y + 17}H{right}M{left} {y + 14}v6M{right} {y + 14}v6" '
            f'stroke="currentColor" stroke-width="1.5"/>'
            f'<circle cx="{middle}" cy="{y + 17}" r="4.5" fill="{COLOUR}"/>'
        )
        y += _LINE
    zero = f'<path d="M{at(0)} 2V{y - 4}" stroke="currentColor" stroke-dasharray="4 3"/>'
    marks = {round(low, 2): at(low), 0.0: at(0), round(high, 2): at(high)}
    sign = "+" if least == 0 else ""
    # A label too near to another would overprint it; zero stays.
    ticks = "".join(
        f'<text x="{x}" y="{y + 10}" text-anchor="{_anchor(x)}">{value:{sign}.2f}</text>'
        for value, x in marks.items() if value == 0 or abs(x - at(0)) > 45
    )  # fmt: skip
    return (
        f'<svg viewBox="0 0 400 {y + 18}" role="img" aria-labelledby="{name}" font-size="12">'
        f'<title id="{name}">{escape(title)}</title>{zero}{parts}{ticks}</svg>'
    )


def shorten(name: str, most: int = 44) -> str:
    """Return a name that fits a picture, its middle left out if need be.

    >>> shorten("a" * 30 + "b" * 30, 9)
    'aaaa…bbbb'
    """
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def _anchor(x: float) -> str:
    """Keep a label at an edge inside the picture."""
    return "start" if x < 30 else "end" if x > 370 else "middle"
