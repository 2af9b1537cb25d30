"""Pictures of how sure a figure is: the draws of a bootstrap, and differences about zero.

>>> print(gaps({"few examples": (0.1, -0.1, 0.3)}, xlabel="difference in F1").alt)
Differences with 95 % intervals, difference in F1: few examples 0.10 (-0.10 to 0.30), zero inside.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ftlab.pictures import GREY, PALETTE, Picture, new_axes, style

__all__ = ["draws", "gaps"]


def draws(
    values: Sequence[float], low: float, high: float, *, title: str, xlabel: str
) -> Picture:  # fmt: skip
    """Draw how often a bootstrap came to which figure, and the interval that holds most of them.

    Args:
        values: the figure of each draw.
        low: where the interval begins.
        high: where it ends.
        title: what stands above the picture.
        xlabel: the figure's name and unit.
    """
    with style():
        figure, axes = new_axes()
        each = Counter(round(value, 9) for value in values)
        if len(each) <= 40:  # as of twenty answers: one bar for each figure there is
            spots = sorted(each)
            width = 0.8 * min((b - a for a, b in pairwise(spots)), default=0.1)
            axes.bar(spots, [each[spot] for spot in spots], width=width, color=PALETTE[4])
            top = max(each.values())
        else:
            top = max(axes.hist(values, bins=40, color=PALETTE[4])[0])
        axes.axvspan(low, high, color=PALETTE[0], alpha=0.12)
        for edge in (low, high):
            axes.axvline(edge, color=PALETTE[0], linestyle="--")
        middle = {"ha": "center", "va": "bottom", "color": PALETTE[0], "fontsize": 12}
        axes.text((low + high) / 2, top * 1.02, "the middle 95 %", **middle)
        axes.set_ylim(top=top * 1.15)
        axes.set(title=title, xlabel=xlabel, ylabel="draws")
    return Picture(
        figure, f"Histogram of {len(values)} draws, {xlabel}: 95 % lie in {low:.2f} to {high:.2f}."
    )


def gaps(rows: Mapping[str, Sequence[float]], *, xlabel: str, title: str = "") -> Picture:
    """Draw differences with their intervals about the line of no difference.

    Args:
        rows: name -> (value, low, high), or an `Interval`.
        xlabel: whose difference, and its unit.
        title: what stands above the picture.
    """
    told = []
    with style():
        figure, axes = new_axes(height=1.5 + 0.5 * len(rows))
        for row, (name, (value, low, high, *_)) in enumerate(rows.items()):
            inside = low <= 0 <= high
            axes.errorbar(
                value, row, xerr=[[value - low], [high - value]], capsize=5, markersize=8,
                fmt="o" if inside else "s", color=GREY if inside else PALETTE[0],
            )  # fmt: skip
            told.append(
                f"{name} {value:.2f} ({low:.2f} to {high:.2f}), zero "
                f"{'inside' if inside else 'outside'}"
            )
        axes.axvline(0, color="black", linewidth=1.4)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set(title=title, xlabel=f"{xlabel} (grey circle: zero is inside)")
    return Picture(figure, f"Differences with 95 % intervals, {xlabel}: {'; '.join(told)}.")
