"""Pictures of what a property of the data does: curves over doses or sizes, and groups of bars.

>>> from ftlab.evaluation.intervals import Interval
>>> points = {"seed 0": {50: Interval(0.2, 0.1, 0.3), 100: Interval(0.5, 0.4, 0.6)}}
>>> curves(points, title="More records", xlabel="records")
Curves over records, share right: seed 0: 50 0.20 (0.10 to 0.30), 100 0.50 (0.40 to 0.60).
"""

from collections.abc import Mapping

from ftlab.evaluation.intervals import Interval
from ftlab.pictures import GREY, MARKERS, PALETTE, Picture, new_axes, style

__all__ = ["curves", "groups"]

HATCHES = ("", "//", "..", "xx")


def curves(
    points: Mapping[str, Mapping[float, Interval]],
    *,
    title: str,
    xlabel: str,
    ylabel: str = "share right",
    log: bool = False,
    lines: Mapping[str, float] | None = None,
) -> Picture:
    """Draw one curve a name, each point with its interval.

    Args:
        points: for each curve its points, x to figure.
        title: what is to be seen.
        xlabel: what x is, with its unit.
        ylabel: what the figures are.
        log: a logarithmic x axis.
        lines: figures to draw across, by name, such as that of mere guessing.
    """
    told = []
    places = sorted({x for row in points.values() for x in row})
    with style():
        figure, axes = new_axes(height=4.4)
        for index, (name, row) in enumerate(points.items()):
            values = list(row.values())
            reach = [
                [max(0, v.value - v.low) for v in values],
                [max(0, v.high - v.value) for v in values],
            ]
            # Side by side, so that intervals at one place do not hide each other.
            step = (index - (len(points) - 1) / 2) * 0.03
            span = places[-1] - places[0] or 1
            xs = [x * (1 + step) if log else x + step * span for x in row]
            axes.errorbar(
                xs, [v.value for v in values], yerr=reach, label=name, capsize=4,
                color=PALETTE[index % len(PALETTE)], marker=MARKERS[index % len(MARKERS)],
            )  # fmt: skip
            shown = (f"{x:g} {v.value:.2f} ({v.low:.2f} to {v.high:.2f})" for x, v in row.items())
            told.append(f"{name}: {', '.join(shown)}")
        for (name, level), dash in zip((lines or {}).items(), ("--", ":", "-."), strict=False):
            axes.axhline(level, color=GREY, linestyle=dash, label=f"{name}: {level:.2f}")
            told.append(f"{name}: {level:.2f} across")
        if log:
            axes.set_xscale("log")
        axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.minorticks_off()
        axes.set(title=title, xlabel=xlabel, ylabel=f"{ylabel}, 95 % intervals", ylim=(0, 1))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return Picture(figure, f"Curves over {xlabel}, {ylabel}: {'; '.join(told)}.")


def groups(
    values: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    xlabel: str = "share right",
) -> Picture:
    """Draw groups of bars: for each row one bar a name.

    Args:
        values: for each name (a colour) its figure in each row, shares from 0 to 1.
        title: what is to be seen.
        xlabel: what the figures are.
    """
    rows = list(dict.fromkeys(row for column in values.values() for row in column))
    thick = 0.8 / len(values)
    with style():
        figure, axes = new_axes(height=1.4 + 0.26 * len(rows) * len(values))
        for index, (name, column) in enumerate(values.items()):
            shift = (index - (len(values) - 1) / 2) * thick
            axes.barh(
                [rows.index(row) + shift for row in column], list(column.values()),
                height=thick * 0.9, color=PALETTE[index % len(PALETTE)], label=name,
                hatch=HATCHES[index % 4], edgecolor="white",
            )  # fmt: skip
            for row, value in column.items():
                axes.text(value, rows.index(row) + shift, f" {value:.2f}", va="center", fontsize=10)
        axes.set_yticks(range(len(rows)), rows)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(title=title, xlabel=xlabel, xlim=(0, 1.1))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    told = "; ".join(
        f"{name}: " + ", ".join(f"{row} {value:.2f}" for row, value in column.items())
        for name, column in values.items()
    )
    return Picture(figure, f"Bars, {xlabel}: {told}.")
