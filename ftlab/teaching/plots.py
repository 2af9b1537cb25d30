"""The course's pictures, on the base of `ftlab.pictures`: lessons, verdicts, doses, runs.

>>> course_map("00")
Course map: 14 lessons in 6 groups, 00 "First fine-tune" highlighted.
>>> lines({"a": [(0, 2.0), (9, 1.0)]}, title="A run", xlabel="step", ylabel="loss")
Lines over step, loss: a from 2.00 to 1.00, lowest 1.00 at 9.
>>> gaps({"few examples": (0.1, -0.1, 0.3)}, xlabel="difference in F1")
Differences with 95 % intervals, difference in F1: few examples 0.10 (-0.10 to 0.30), zero inside.
"""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ftlab.errors import raise_unknown
from ftlab.pictures import GREY, MARKERS, PALETTE, Picture, new_axes, style

HATCHES = ("", "//", "..", "xx")
DASHES = ("-", "--", ":", "-.")
BESIDE = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}  # a legend on the right
LESSONS = {
    "00": "First fine-tune",
    "01": "Prompt or tune?",
    "02": "Choosing a base",
    "03": "What the trainer does",
    "04": "LoRA and QLoRA",
    "05": "Making data",
    "06": "Judging data",
    "07": "Judging answers",
    "08": "The class project",
    "09": "Preferences",
    "10": "Rewards that a program can check",
    "11": "Shipping",
    "12": "Break it on purpose",
    "13": "Capstone",
}
GROUPS = (
    ("What is it, and\ndo I need it?", ("00", "01", "02")),
    ("What happens\nin training?", ("03", "04")),
    ("What should it\nlearn from?", ("05", "06")),
    ("Did it help, and\nhow is it used?", ("07", "08")),
    ("Can it learn from\njudgements?", ("09", "10")),
    ("How does it ship and\nfail? What is mine?", ("11", "12", "13")),
)


def course_map(current: str = "00") -> Picture:
    """Draw the lessons, grouped by the question each answers.

    Args:
        current: the lesson to highlight, as in "00".
    """
    from matplotlib.patches import FancyBboxPatch

    if current not in LESSONS:
        raise_unknown("lesson", str(current), LESSONS)
    with style():
        figure, axes = new_axes(width=14, height=4.6)
        axes.set_axis_off()
        axes.set(xlim=(-0.05, len(GROUPS) - 0.05), ylim=(-0.05, 3.7))
        for column, (question, lessons) in enumerate(GROUPS):
            axes.text(column + 0.44, 3.67, question, ha="center", va="top", fontsize=13, color=GREY)
            for row, lesson in enumerate(lessons):
                here = lesson == current
                y = 0.55 + 0.5 * len(lessons) - 1.0 * row
                face, ink = (PALETTE[0], "white") if here else ("#eef3f7", "black")
                axes.add_patch(
                    FancyBboxPatch(
                        (column + 0.04, y), 0.8, 0.85, boxstyle="round,pad=0,rounding_size=0.06",
                        facecolor=face, edgecolor=PALETTE[0], linewidth=2.5 if here else 1.2,
                    )
                )  # fmt: skip
                weight = "bold" if here else "normal"
                where = lesson + ("  (you are here)" if here else "")
                middle = column + 0.44
                axes.text(middle, y + 0.58, where, ha="center", color=ink, weight=weight)
                title = {"ha": "center", "va": "center", "color": ink, "fontsize": 11}
                axes.text(middle, y + 0.27, textwrap.fill(LESSONS[lesson], 21), **title)
            if column:
                axes.annotate(
                    "", xy=(column + 0.03, 1.48), xytext=(column - 0.15, 1.48),
                    arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.8},
                )  # fmt: skip
    counts = f"{len(LESSONS)} lessons in {len(GROUPS)} groups"
    alt = f'Course map: {counts}, {current} "{LESSONS[current]}" highlighted.'
    return Picture(figure, alt)


def interval_bars(verdict: Mapping[str, Any], *, metrics: Sequence[str] | None = None) -> Picture:
    """Draw each system's metrics with their intervals.

    Args:
        verdict: what `Verdict.to_json()` gives: `verdict["systems"][name][metric]` is a dict
            with "value", "low" and "high", shares from 0 to 1.
        metrics: which metrics to draw, in order; all of them by default.
    """
    systems = verdict["systems"]
    table = list(dict.fromkeys(metric for row in systems.values() for metric in row))
    chosen = list(metrics) if metrics is not None else table
    for metric in chosen:
        if metric not in table:
            raise_unknown("metric", metric, table)
    names = list(systems)
    told = []
    with style():
        figure, axes = new_axes(height=1.4 + 0.42 * len(chosen) * len(names))
        thick = 0.8 / len(names)
        for index, name in enumerate(names):
            for row, metric in enumerate(chosen):
                cell = systems[name].get(metric)
                if cell is None or cell["value"] is None:
                    continue
                value, low, high = cell["value"], cell["low"], cell["high"]
                y = row + (index - (len(names) - 1) / 2) * thick
                axes.barh(
                    y, value, height=thick * 0.9, color=PALETTE[(1, 0, 2, 3)[index % 4]],
                    hatch=HATCHES[index % 4], edgecolor="white", label=name if row == 0 else None,
                )  # fmt: skip
                reach = [[max(0, value - low)], [max(0, high - value)]]
                axes.errorbar(value, y, xerr=reach, color="black", capsize=4, linewidth=1.6)
                axes.text(max(value, high), y, f"  {value:.2f}", va="center", fontsize=12)
                told.append(f"{metric} {name} {_told(value, low, high)}")
        axes.set_yticks(range(len(chosen)), [metric.replace("_", " ") for metric in chosen])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlim=(0, 1.12), xlabel="share (0 to 1), with 95 % intervals")
        asked = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        axes.set_title(textwrap.fill(f"{asked} on {verdict['n']} held-out examples", 50))
        figure.legend(loc="outside lower center", ncols=min(3, len(names)))
    return Picture(figure, f"Bars with intervals: {'; '.join(told)}.")


def _told(value: float, low: float, high: float) -> str:
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def curves(
    points: Mapping[str, Mapping[float, Sequence[float]]], *, title: str, xlabel: str,
    ylabel: str = "share right", log: bool = False, lines: Mapping[str, float] | None = None,
) -> Picture:  # fmt: skip
    """Draw one curve a name, each point with its interval.

    Args:
        points: for each curve its points, x -> (value, low, high), or an `Interval`.
        title: what is to be seen.
        xlabel: what x is, with its unit.
        ylabel: what the figures are.
        log: a logarithmic x axis.
        lines: figures to draw across, by name, such as that of mere guessing.
    """
    told = []
    points = {name: dict(sorted(row.items())) for name, row in points.items()}
    places = sorted({x for row in points.values() for x in row})
    span = places[-1] - places[0] or 1
    with style():
        figure, axes = new_axes(height=4.4)
        for index, (name, row) in enumerate(points.items()):
            reach = [
                [max(0, value - low) for value, low, *_ in row.values()],
                [max(0, high - value) for value, _, high, *_ in row.values()],
            ]
            # Side by side, so that intervals at one place do not hide each other.
            step = (index - (len(points) - 1) / 2) * 0.03
            xs = [x * (1 + step) if log else x + step * span for x in row]
            axes.errorbar(
                xs, [value for value, *_ in row.values()], yerr=reach, label=name, capsize=4,
                color=PALETTE[index % len(PALETTE)], marker=MARKERS[index % len(MARKERS)],
            )  # fmt: skip
            shown = (f"{x:g} {_told(*found[:3])}" for x, found in row.items())
            told.append(f"{name}: {', '.join(shown)}")
        for (name, level), dash in zip((lines or {}).items(), ("--", ":", "-."), strict=False):
            axes.axhline(level, color=GREY, linestyle=dash, label=f"{name}: {level:.2f}")
            told.append(f"{name}: {level:.2f} across")
        if log:
            axes.set_xscale("log")
        axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.minorticks_off()
        axes.set(title=title, xlabel=xlabel, ylabel=f"{ylabel}, 95 % intervals", ylim=(0, 1))
        axes.legend(**BESIDE)
    return Picture(figure, f"Curves over {xlabel}, {ylabel}: {'; '.join(told)}.")


def groups(
    values: Mapping[str, Mapping[str, float]], *, title: str, xlabel: str = "share right"
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
        axes.legend(**BESIDE)
    told = "; ".join(
        f"{name}: " + ", ".join(f"{row} {value:.2f}" for row, value in column.items())
        for name, column in values.items()
    )
    return Picture(figure, f"Bars, {xlabel}: {told}.")


def lines(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, title: str, xlabel: str, ylabel: str,
    top: float | None = None,
) -> Picture:  # fmt: skip
    """Draw several curves in one picture.

    Args:
        curves: for each name its points (x, y), by x.
        title: what is to be seen.
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.
        top: where the y axis ends; what lies above is cut.
    """
    told = []
    with style():
        figure, axes = new_axes(width=9, height=4.4)
        for index, (name, points) in enumerate(curves.items()):
            xs, ys = [x for x, _ in points], [y for _, y in points]
            axes.plot(
                xs, ys, label=name,
                color=PALETTE[index % len(PALETTE)], linestyle=DASHES[index % len(DASHES)],
                marker=MARKERS[index % len(MARKERS)] if len(points) <= 25 else "",
            )  # fmt: skip
            low = min(points, key=lambda point: point[1])
            told.append(
                f"{name} from {ys[0]:.2f} to {ys[-1]:.2f}, lowest {low[1]:.2f} at {low[0]:g}"
            )
        axes.set_ylim(bottom=0, top=top)
        axes.xaxis.get_major_locator().set_params(integer=True)  # steps, epochs, records
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        axes.legend(**BESIDE)
    return Picture(figure, f"Lines over {xlabel}, {ylabel}: {'; '.join(told)}.")


def draws(values: Sequence[float], low: float, high: float, *, title: str, xlabel: str) -> Picture:
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
            where = "inside" if inside else "outside"
            told.append(f"{name} {_told(value, low, high)}, zero {where}")
        axes.axvline(0, color="black", linewidth=1.4)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set(title=title, xlabel=f"{xlabel} (grey circle: zero is inside)")
    return Picture(figure, f"Differences with 95 % intervals, {xlabel}: {'; '.join(told)}.")
