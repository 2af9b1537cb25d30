"""Pictures of weights: curves without intervals, levels under a histogram, and stacked parts.

>>> lines({"full": {0: 0.3, 1: 0.1}}, title="Moved", xlabel="layer", ylabel="share")
Lines over layer, share: full: 0 0.3, 1 0.1.
"""

from collections.abc import Mapping, Sequence

from ftlab.pictures import GREY, MARKERS, NINE, PALETTE, Picture, new_axes, style

__all__ = ["levels", "lines", "stacked"]

DASHES = ("-", "--", ":", "-.")


def lines(
    points: Mapping[str, Mapping[float, float]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    log: Sequence[str] = (),
    across: Mapping[str, float] | None = None,
) -> Picture:
    """Draw one line a name.

    Args:
        points: for each line its points, x to y.
        title: what is to be seen.
        xlabel: what x is, with its unit.
        ylabel: what y is, with its unit.
        log: the axes that are logarithmic, "x" and "y".
        across: values to draw across, by name.
    """
    places = sorted({x for row in points.values() for x in row})
    with style():
        figure, axes = new_axes()
        for index, (name, row) in enumerate(points.items()):
            axes.plot(
                list(row), list(row.values()), label=name, color=PALETTE[index % 4],
                marker=MARKERS[index % 5] if len(row) < 25 else "", linestyle=DASHES[index % 4],
            )  # fmt: skip
        for index, (name, level) in enumerate((across or {}).items()):
            axes.axhline(level, color=GREY, linestyle=DASHES[1 + index % 3], label=name)
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if "x" in log:
            axes.set_xscale("log")
        if "y" in log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
        else:
            axes.set_ylim(bottom=0)
        if len(places) < 12:
            axes.set_xticks(places, [f"{x:g}" for x in places])
            axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        if len(points) + len(across or {}) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    told = [f"{name}: {_few(row)}" for name, row in points.items()]
    told += [f"{name}: {level:.3g} across" for name, level in (across or {}).items()]
    return Picture(figure, f"Lines over {xlabel}, {ylabel}: {'; '.join(told)}.")


def _few(row: Mapping[float, float]) -> str:
    """Write a row's points; of a long row the first, the middle and the last."""
    items = list(row.items())
    if len(items) > 12:
        items = [items[0], items[len(items) // 2], items[-1]]
    return ", ".join(f"{x:g} {y:.3g}" for x, y in items)


def levels(values: Sequence[float], rows: Mapping[str, Sequence[float]], *, title: str) -> Picture:
    """Draw a histogram of weights between -1 and 1, and under it where levels lie.

    Args:
        values: weights, each as a part of its block's largest.
        rows: name -> the levels to be had.
        title: what is to be seen.
    """
    with style():
        figure, axes = new_axes(height=4.4)
        top = max(axes.hist(values, bins=80, range=(-1, 1), color=PALETTE[4])[0])
        for index, (name, row) in enumerate(rows.items()):
            height = -top * (0.09 + 0.13 * index)
            colour = PALETTE[index % 4]
            axes.plot(row, [height] * len(row), MARKERS[index], color=colour, label=name)
        axes.set(title=title, xlabel="weight, as a part of the largest in its block")
        axes.set(ylabel="weights", ylim=(-top * (0.05 + 0.15 * len(rows)), None))
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= top])
        axes.legend(loc="upper right")
    inner = sum(abs(value) < 0.5 for value in values) / len(values)
    told = "; ".join(f"{len(row)} levels of {name}" for name, row in rows.items())
    return Picture(
        figure,
        f"Histogram of {len(values):,} weights: {inner:.0%} lie nearer to 0 than half of their "
        f"block's largest. Under it {told}.",
    )


def stacked(rows: Mapping[str, Mapping[str, float]], *, title: str, xlabel: str) -> Picture:
    """Draw one bar a name, made of its parts.

    Args:
        rows: name -> part -> size.
        title: what is to be seen.
        xlabel: what the sizes are, with their unit.
    """
    parts = list(dict.fromkeys(part for row in rows.values() for part in row if row[part]))
    hatches = ("", "//", "..", "xx", "\\\\", "oo", "--")
    with style():
        figure, axes = new_axes(height=max(1.6 + 0.5 * len(rows), 0.7 + 0.29 * len(parts)))
        left = dict.fromkeys(rows, 0.0)
        for index, part in enumerate(parts):
            sizes = [row.get(part, 0.0) for row in rows.values()]
            axes.barh(
                list(rows), sizes, left=list(left.values()), height=0.6, label=part,
                color=NINE[index % 9], hatch=hatches[index % 7], edgecolor="white",
            )  # fmt: skip
            left = {name: left[name] + size for name, size in zip(rows, sizes, strict=True)}
        for row, total in enumerate(left.values()):
            axes.text(total, row, f" {_round(total)}", va="center", fontsize=12)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        # No margins: an empty part at the end of the longest bar would stop them.
        axes.set(title=title, xlabel=xlabel, xlim=(0, 1.2 * max(left.values())))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    told = "; ".join(
        f"{name} {_round(sum(row.values()))} ("
        + ", ".join(f"{part} {_round(size)}" for part, size in row.items() if size)
        + ")"
        for name, row in rows.items()
    )
    return Picture(figure, f"Stacked bars, {xlabel}: {told}.")


def _round(size: float) -> str:
    return f"{size:,.0f}" if size >= 100 else f"{size:.3g}"
