"""Curves of training: several runs together, and several measures of one run.

>>> print(lines({"a": [(0, 2.0), (9, 1.0)]}, title="A run", xlabel="step", ylabel="loss").alt)
Lines over step, loss: a from 2.00 to 1.00, lowest 1.00 at 9.
"""

from collections.abc import Mapping, Sequence

from ftlab.pictures import PALETTE, Picture, new_axes, style

__all__ = ["lines"]

DASHES = ("-", "--", ":", "-.")
MARKERS = "osD^v"


def lines(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    top: float | None = None,
) -> Picture:
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
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return Picture(figure, f"Lines over {xlabel}, {ylabel}: {'; '.join(told)}.")
