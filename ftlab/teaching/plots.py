"""The course's pictures of lessons and verdicts, on the base of `ftlab.pictures`.

>>> course_map("00")
Course map: 14 lessons in 6 groups, 00 "First fine-tune" highlighted.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from ftlab.errors import raise_unknown
from ftlab.pictures import GREY, PALETTE, Picture, new_axes, style

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
    hatches = ("", "//", "..", "xx")
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
                    hatch=hatches[index % 4], edgecolor="white", label=name if row == 0 else None,
                )  # fmt: skip
                reach = [[max(0, value - low)], [max(0, high - value)]]
                axes.errorbar(value, y, xerr=reach, color="black", capsize=4, linewidth=1.6)
                axes.text(max(value, high), y, f"  {value:.2f}", va="center", fontsize=12)
                told.append(f"{metric} {name} {value:.2f} ({low:.2f} to {high:.2f})")
        axes.set_yticks(range(len(chosen)), [metric.replace("_", " ") for metric in chosen])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlim=(0, 1.12), xlabel="share (0 to 1), with 95 % intervals")
        asked = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        axes.set_title(textwrap.fill(f"{asked} on {verdict['n']} held-out examples", 50))
        figure.legend(loc="outside lower center", ncols=min(3, len(names)))
    return Picture(figure, f"Bars with intervals: {'; '.join(told)}.")
