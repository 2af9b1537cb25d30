"""The course's pictures of lessons and verdicts, on the base of `ftlab.pictures`.

>>> course_map("00")
Course map: nine lessons in five groups, 00 "First fine-tune" highlighted.
"""

import math
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftlab.display import in_notebook
from ftlab.errors import raise_unknown
from ftlab.pictures import GREY, PALETTE, Picture, loss_curve, new_axes, style

if TYPE_CHECKING:
    pass

LESSONS = {
    "00": "First fine-tune",
    "01": "Prompt or tune?",
    "02": "Choosing a base",
    "03": "What the trainer does",
    "04": "LoRA and QLoRA",
    "05": "Making data",
    "06": "Judging data",
    "07": "Judging answers",
    "12": "Break it on purpose",
}
GROUPS = (
    ("What is\nfine-tuning?", ("00",)),
    ("Should I, and\nwhich model?", ("01", "02")),
    ("What happens\nin training?", ("03", "04")),
    ("What should it\nlearn from?", ("05", "06")),
    ("Did it help, and\nhow does it fail?", ("07", "12")),
)


def bars(
    values: Mapping[str, float], *, title: str, xlabel: str, highlight: Sequence[str] = ()
) -> Picture:
    """Draw one bar a name, its value written beside it: a count as a whole number."""
    said = {name: f"{v:,}" if isinstance(v, int) else f"{v:.2f}" for name, v in values.items()}
    with style():
        figure, axes = new_axes(height=1.2 + 0.45 * len(values))
        colours = [PALETTE[1] if name in highlight else PALETTE[0] for name in values]
        axes.barh(list(values), list(values.values()), color=colours, height=0.6)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.15)
        for row, name in enumerate(values):
            side = "right" if values[name] < 0 else "left"  # of the bar's end, outside it
            axes.text(values[name], row, f" {said[name]} ", va="center", ha=side, fontsize=12)
        axes.set(title=title, xlabel=xlabel)
    told = ", ".join(f"{name} {value}" for name, value in said.items())
    return Picture(figure, f"Bars, {xlabel}: {told}.")


def course_map(current: str = "00") -> Picture:
    """Draw the nine lessons, grouped by the question each answers.

    Args:
        current: the lesson to highlight, as in "00".
    """
    from matplotlib.patches import FancyBboxPatch

    if current not in LESSONS:
        raise_unknown("lesson", str(current), LESSONS)
    with style():
        figure, axes = new_axes(width=12, height=3.9)
        axes.set_axis_off()
        axes.set(xlim=(-0.05, len(GROUPS) - 0.05), ylim=(-0.05, 2.75))
        for column, (question, lessons) in enumerate(GROUPS):
            axes.text(column + 0.44, 2.72, question, ha="center", va="top", fontsize=13, color=GREY)
            for row, lesson in enumerate(lessons):
                here = lesson == current
                y = (0.65 if len(lessons) == 1 else 1.25) - 1.2 * row
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
                axes.text(middle, y + 0.2, LESSONS[lesson], ha="center", color=ink, fontsize=11)
            if column:
                axes.annotate(
                    "", xy=(column + 0.03, 1.08), xytext=(column - 0.15, 1.08),
                    arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.8},
                )  # fmt: skip
    alt = f'Course map: nine lessons in five groups, {current} "{LESSONS[current]}" highlighted.'
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


class LiveCurve:
    """A loss curve that grows while a run trains, and stays as one picture when it is done.

    A notebook redraws one output in place, a terminal gets a line now and then. It can be a
    trainer's callback, and closes itself as a context manager:

        with LiveCurve("First fine-tune") as curve:
            run = train(model, tokenizer, records, on_step=curve.on_step)
    """

    def __init__(self, title: str = "Training loss", *, every: float | None = None):
        self.title = title
        # Least seconds between two drawings, which must not fill a terminal. A notebook on a slow
        # machine waits for up to four times as long, so that drawing does not slow the training.
        self.every = every if every is not None else 1.5 if in_notebook() else 5.0
        self.history: list[dict[str, float]] = []
        self._total: int | None = None
        self._handle: Any = None
        self._last = -math.inf
        self._pause = self.every
        self._drawn = 0  # how much of the history has been shown

    def on_step(self, step: int, total: int, loss: float, eta_seconds: float | None = None) -> None:
        """Take a step from a trainer that also tells how many there are."""
        self._total = total
        self.update(step, loss, eta_seconds)

    def update(self, step: int, loss: float, eta_seconds: float | None = None) -> None:
        """Take one step's loss (nats per token) and the seconds left, when they are known."""
        self.history.append({"step": step, "loss": loss})
        now = time.monotonic()
        if now - self._last < self._pause:
            return
        self._last = now
        self._draw(_left(eta_seconds))
        took = time.monotonic() - now
        self._pause = min(max(self.every, 20 * took), 4 * self.every)

    def close(self) -> None:
        """Draw the curve a last time, without the time left."""
        if self.history and (in_notebook() or self._drawn < len(self.history)):
            self._draw("")

    def __enter__(self) -> "LiveCurve":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, left: str) -> None:
        self._drawn = len(self.history)
        if not in_notebook():
            last = self.history[-1]
            of = f"/{self._total}" if self._total else ""
            print(f"step {last['step']}{of}  loss {last['loss']:.3f}{left}", flush=True)
            return
        from IPython.display import display

        title = self.title + left
        picture = loss_curve(self.history, title=title, total=self._total)
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


def _left(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 90:
        return f", about {max(1, round(seconds))} s left"
    return f", about {round(seconds / 60)} min left"
