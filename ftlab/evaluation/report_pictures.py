"""The pictures of `verdict.html`, as SVG: the figures, and the differences from the baseline.

They are narrow, so that their text stays legible on a phone; a table beside each has the figures.
"""

import itertools
from html import escape
from typing import Any

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart by colour-blind readers; pictures also say everything in words."""

_LEFT, _WIDTH, _BAR, _GAP = 120, 250, 14, 16


def bars(verdict: dict[str, Any], metrics: list[str]) -> str:
    """Return bars with their intervals: each metric for each system."""
    systems = verdict["systems"]
    figures = [row[m] for row in systems.values() for m in metrics if row[m]["value"] is not None]
    if not figures:
        return ""
    top = max(1.0, *(figure["high"] for figure in figures))

    def at(value: float) -> float:
        return round(_LEFT + _WIDTH * min(max(value, 0.0), top) / top, 1)

    parts = []
    y = 8
    for metric in metrics:
        weight = ' font-weight="600"' if metric == verdict["headline"] else ""
        middle = y + _BAR * len(systems) / 2 + 4
        parts.append(f'<text x="0" y="{middle}"{weight}>{escape(metric)}</text>')
        for row, colour in zip(systems.values(), itertools.cycle(COLOURS), strict=False):
            figure = row[metric]
            if figure["value"] is not None:
                end, low, high = at(figure["value"]), at(figure["low"]), at(figure["high"])
                line = y + _BAR / 2 - 1
                parts.append(
                    f'<rect x="{_LEFT}" y="{y}" width="{round(end - _LEFT, 1)}" '
                    f'height="{_BAR - 2}" fill="{colour}"/>{_whisker(low, high, line)}'
                )
            y += _BAR
        y += _GAP
    ticks = "".join(_tick(at(top * k / 4), y, f"{top * k / 4:.2f}") for k in range(5))
    y += 30
    keys = ""
    for name, colour in zip(systems, itertools.cycle(COLOURS), strict=False):
        keys += f'<rect x="0" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        keys += f'<text x="16" y="{y}">{escape(shorten(name))}</text>'
        y += 16
    return _svg(
        "picture",
        y,
        "Bars: each metric for each system, with its 95 % interval. The table below has the "
        "figures.",
        ticks + "".join(parts) + keys,
    )


def gaps(verdict: dict[str, Any]) -> str:
    """Return the differences on the headline from the baseline, around a line at zero."""
    baseline = next(iter(verdict["systems"]))
    rows = [p for p in verdict.get("pairs", []) if p["a"] == baseline]
    rows = [pair for pair in rows if pair["difference"]["value"] is not None]
    if not rows:
        return ""
    ends = [pair["difference"][end] for pair in rows for end in ("low", "high")]
    low, high = min(0.0, *ends), max(0.0, *ends)
    span = (high - low) or 1.0

    def at(value: float) -> float:
        return round(15 + 370 * (value - low) / span, 1)

    parts = []
    y = 8
    for pair in rows:
        gap = pair["difference"]
        parts.append(f'<text class="over" x="15" y="{y + 6}">{escape(shorten(pair["b"]))}</text>')
        parts.append(_whisker(at(gap["low"]), at(gap["high"]), y + 17))
        parts.append(f'<circle cx="{at(gap["value"])}" cy="{y + 17}" r="4.5" fill="{COLOURS[0]}"/>')
        y += 36
    zero = f'<path d="M{at(0)} 2V{y - 4}" stroke="currentColor" stroke-dasharray="4 3"/>'
    marks = {round(low, 2): at(low), 0.0: at(0), round(high, 2): at(high)}
    # A label too near to another would overprint it; zero stays.
    kept = {v: x for v, x in marks.items() if v == 0 or abs(x - at(0)) > 45}
    ticks = "".join(
        f'<text x="{x}" y="{y + 10}" text-anchor="{_anchor(x)}">{value:+.2f}</text>'
        for value, x in kept.items()
    )
    return _svg(
        "gaps",
        y + 18,
        f"Differences from {baseline} on {verdict['headline']}, with 95 % intervals; left of the "
        "dashed line is worse. The table below has the figures.",
        zero + "".join(parts) + ticks,
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


def _whisker(low: float, high: float, y: float) -> str:
    return (
        f'<path d="M{low} {y}H{high}M{low} {y - 3}v6M{high} {y - 3}v6" stroke="currentColor" '
        'stroke-width="1.5"/>'
    )


def _tick(x: float, y: float, text: str) -> str:
    return (
        f'<text x="{x}" y="{y + 10}" text-anchor="middle">{text}</text>'
        f'<path d="M{x} 4V{y - 4}" stroke="currentColor" opacity=".2"/>'
    )


def _svg(name: str, height: float, title: str, inside: str) -> str:
    return (
        f'<svg viewBox="0 0 400 {height}" role="img" aria-labelledby="{name}" font-size="12">'
        f'<title id="{name}">{escape(title)}</title>{inside}</svg>'
    )
