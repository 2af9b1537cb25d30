"""Pictures in one style, legible on a projector and without telling red from green.

Every function returns a `Picture`: a notebook shows it, and it carries a sentence that says what is
to be seen, for those who cannot see it and for a saved notebook read as text.

>>> picture = loss_curve([{"step": 1, "loss": 3.0}, {"step": 9, "loss": 1.5}])
>>> print(picture.alt)
Loss curve over 9 steps, from 3.00 to 1.50.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008): told apart with any kind of colour vision. The
# first three also differ in lightness, so that they survive a pale projector and a grey print.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
GREY = "#5f6368"
NINE = (*PALETTE, "#F0E442", GREY)  # for parts that lie side by side
MARKERS = "osD^v"


@dataclass(frozen=True)
class Picture:
    """A drawn figure, and a sentence that says what it shows."""

    figure: "Figure"
    alt: str

    def png(self) -> bytes:
        """Return the picture as PNG, the same bytes for the same figure."""
        stream = io.BytesIO()
        with style():
            self.figure.savefig(stream, format="png", metadata={"Software": None})
        return stream.getvalue()

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        import base64
        import html

        # An image tag, for it alone takes the alternative text along: JupyterLab, nbconvert and
        # the site have no place for one beside a bare PNG.
        data = base64.b64encode(self.png()).decode("ascii")
        alt = html.escape(self.alt)
        tag = f'<img alt="{alt}" src="data:image/png;base64,{data}" style="max-width:100%">'
        return {"text/html": tag, "text/plain": self.alt}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the course's style: `with style(): …`."""
    import matplotlib
    from cycler import cycler

    settings: Any = {
        "figure.figsize": (8, 4),
        "figure.dpi": 100,
        "savefig.dpi": 100,
        "figure.facecolor": "white",  # on a dark page a picture is a white card, with a margin
        "figure.constrained_layout.w_pad": 0.12,
        "figure.constrained_layout.h_pad": 0.1,
        "axes.prop_cycle": cycler(color=PALETTE),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#dddddd",
        "axes.titlesize": 15,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 13,
        "xtick.labelsize": 12,
        "ytick.labelsize": 12,
        "legend.fontsize": 12,
        "legend.frameon": False,
        "lines.linewidth": 2.2,
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
    }
    with matplotlib.rc_context(settings):
        yield


def loss_curve(
    history: Sequence[Mapping[str, float]],
    *,
    title: str = "Training loss",
    total: int | None = None,
    unit: str = "nats per token",
) -> Picture:
    """Draw the loss of a run, each step and smoothed.

    Args:
        history: dicts with "step", and "loss" or "eval_loss".
        title: what stands above the picture.
        total: steps of the whole run, when it is still going.
        unit: of the losses.
    """
    points, held_out = (
        [(row["step"], row[key]) for row in history if math.isfinite(row.get(key, math.nan))]
        for key in ("loss", "eval_loss")
    )
    steps = [step for step, _ in points]
    losses = [loss for _, loss in points]
    with style():
        figure, axes = new_axes()
        axes.plot(steps, losses, color=PALETTE[4], linewidth=1, alpha=0.8, label="each step")
        if len(points) > 1:
            axes.plot(steps, smoothed(losses), color=PALETTE[0], label="smoothed")
        if held_out:
            axes.plot(*zip(*held_out, strict=True), "o--", color=PALETTE[1], label="held out")
        if total:
            axes.set_xlim(0, total)
        axes.set_ylim(bottom=0)
        axes.set(title=title, xlabel="optimiser step", ylabel=f"loss ({unit})")
        axes.legend()
    if not points:
        return Picture(figure, "Loss curve without a step yet.")
    alt = f"Loss curve over {steps[-1]} steps, from {losses[0]:.2f} to {losses[-1]:.2f}"
    if held_out:
        alt += f"; held-out loss {held_out[-1][1]:.2f}"
    return Picture(figure, alt + ".")


def new_axes(width: float = 8, height: float = 4) -> tuple["Figure", Any]:
    """Make a figure outside pyplot, so that no notebook shows it a second time by itself."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def smoothed(losses: Sequence[float], keep: float = 0.9) -> list[float]:
    """Return an exponential moving average that starts without a bias towards zero."""
    total = weight = 0.0
    smooth = []
    for loss in losses:
        total = keep * total + (1 - keep) * loss
        weight = keep * weight + (1 - keep)
        smooth.append(total / weight)
    return smooth
