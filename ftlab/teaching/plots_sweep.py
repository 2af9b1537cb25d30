"""Pictures of a sweep: which settings went with which loss, and what each minute bought.

Both take what `Sweep.to_json()` gives.
"""

import math
from collections.abc import Mapping
from typing import Any

from ftlab.teaching.plots import GREY, PALETTE, Picture, _axes, style

__all__ = ["minutes", "parallel"]

NAMES = {"learning_rate": "learning rate", "batch_size": "batch", "loss": "held-out loss"}


def parallel(sweep: Mapping[str, Any], *, title: str = "Settings and their loss") -> Picture:
    """Draw every trial as a line across its settings, to its held-out loss (low is good)."""
    done = [t for t in sweep["trials"] if t["loss"] is not None]
    cut = [t for t in sweep["trials"] if t["loss"] is None and t["state"] in ("pruned", "failed")]
    keys = list(sweep["settings"]["default"])
    best = min(done, key=lambda t: t["loss"], default=None)
    with style():
        figure, axes = _axes(width=10, height=4.6)
        spans = {
            key: sorted({t["params"][key] for t in [*done, *cut] if key in t["params"]})
            for key in keys
        }
        losses = [t["loss"] for t in done] or [0.0]
        for trial in [*cut, *done]:
            heights = [_height(trial["params"].get(key), spans[key]) for key in keys]
            if trial["loss"] is not None:
                heights.append(_height(trial["loss"], [min(losses), max(losses)], log=False))
            default = trial["number"] == sweep["default"]
            look: dict[str, Any] = {"color": PALETTE[4], "linewidth": 1.4, "alpha": 0.8}
            if trial["loss"] is None:
                look = {"color": GREY, "linewidth": 0.8, "linestyle": ":"}
            if best is not None and trial is best:
                look = {"color": PALETTE[0], "linewidth": 3, "label": f"lowest: {trial['number']}"}
            if default:
                look = {"color": PALETTE[1], "linewidth": 3, "linestyle": "--"}
                look["label"] = "default" + (", the lowest" if trial is best else "")
            axes.plot(range(len(heights)), heights, marker="o", markersize=4, **look)
        if cut:
            axes.plot([], [], color=GREY, linestyle=":", label="pruned or failed")
        for place, key in enumerate([*keys, "loss"]):
            axes.axvline(place, color="black", linewidth=1)
            values = spans.get(key, sorted({min(losses), max(losses)}))
            shown = values if len(values) <= 6 else [values[0], values[-1]]
            for value in shown:
                text = f"{value:.4g}" if isinstance(value, float) else str(value)
                at = _height(value, values, log=key != "loss")
                axes.text(place + 0.04, at, text, va="center", fontsize=11)
        axes.set_xticks(range(len(keys) + 1), [NAMES.get(key, key) for key in [*keys, "loss"]])
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False)
        axes.set(title=title, xlim=(-0.1, len(keys) + 0.45))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)
    lowest = f"; the lowest is trial {best['number']} at {best['loss']:.4f}" if best else ""
    return Picture(
        figure,
        f"Parallel coordinates of {len(done)} trials by {', '.join(keys)} and held-out loss"
        f"{lowest}; {len(cut)} were pruned or failed.",
    )


def minutes(sweep: Mapping[str, Any], *, title: str = "What each minute bought") -> Picture:
    """Draw each trial's held-out loss at the minute it ended, and the lowest so far."""
    spent, lowest = 0.0, math.inf
    points, cut, line = [], [], []
    for trial in sweep["trials"]:
        spent += trial["seconds"] / 60
        if trial["loss"] is not None:
            points.append((spent, trial["loss"], trial["number"]))
            lowest = min(lowest, trial["loss"])
        elif trial["quarters"]:
            cut.append((spent, list(trial["quarters"].values())[-1]))
        if lowest < math.inf:
            line.append((spent, lowest))
    with style():
        figure, axes = _axes()
        if line:
            axes.step(*zip(*line, strict=True), where="post", color=PALETTE[0], label="lowest yet")
        if cut:
            axes.plot(*zip(*cut, strict=True), "x", color=GREY, label="pruned, at its last quarter")
        others = [p[:2] for p in points if p[2] != sweep["default"]]
        if others:
            axes.plot(*zip(*others, strict=True), "o", color=PALETTE[4], label="trial")
        for at, loss, number in points:
            if number == sweep["default"]:
                axes.plot(at, loss, "s", color=PALETTE[1], markersize=9, label="default")
                axes.axhline(loss, color=PALETTE[1], linestyle="--", linewidth=1)
        axes.set(title=title, xlabel="minutes of the search", ylabel="held-out loss (nats)")
        axes.set_xlim(left=0)
        axes.legend()
    told = f"from {line[0][1]:.4f} to {line[-1][1]:.4f}" if line else "without a whole trial yet"
    return Picture(figure, f"Lowest held-out loss over {spent:.1f} minutes of search, {told}.")


def _height(value: float | None, values: list[float], *, log: bool = True) -> float:
    """Return where a value stands between the lowest (0) and the highest (1)."""
    low, high = values[0], values[-1]
    if value is None or low == high:
        return 0.5
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low)
