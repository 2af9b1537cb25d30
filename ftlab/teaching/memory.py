"""Sliders for the estimate of a fine-tune: move one, and see what fills the memory.

In a notebook the sliders are live. A notebook that was saved, or a terminal, shows the picture or
the table that they started with.

>>> from ftlab.training.estimate import estimate
>>> start = estimate("ftlab-1m", "full", length=16, batch_size=2, gpu="T4")
>>> bar(start).startswith("<div")
True
"""

import html
import importlib.util
from dataclasses import dataclass
from typing import Any

from ftlab.errors import FtlabError
from ftlab.teaching.plots import GREY, NINE
from ftlab.teaching.show import in_notebook, live
from ftlab.training import methods
from ftlab.training.estimate import Estimate, estimate, size_text
from ftlab.training.gpus import Table, table

HERE = "this machine"
PARTS = (
    "weights", "optimiser", "gradients", "activations", "quantised", "adapters", "casts", "logits",
    "fragmentation",
)  # fmt: skip
COLOURS = dict(zip(PARTS, NINE, strict=True))


def bar(made: Estimate) -> str:
    """Return an estimate as HTML: a bar against the device's memory, a legend, the table."""
    whole = max(made.total, made.capacity or 0)
    shown = {name: size for name, size in made.parts.items() if size}
    bars = "".join(
        f'<div title="{name}: {size_text(size)}" '
        f'style="width:{100 * size / whole:.2f}%;background:{COLOURS[name]}"></div>'
        for name, size in shown.items()
    )
    marks = " ".join(
        '<span style="white-space:nowrap"><span style="display:inline-block;width:0.8em;height:'
        f'0.8em;border:1px solid {GREY};background:{COLOURS[name]}"></span> {name}</span>'
        for name in shown
    )
    said = f"{size_text(made.total)} of {size_text(whole)}"
    return (
        f'<div role="img" aria-label="{said}" style="display:flex;height:1.6em;'
        f'border:1px solid {GREY};max-width:60em">{bars}</div>'
        f"<div>{marks}</div><pre>{html.escape(str(made))}</pre>"
    )


@dataclass(frozen=True)
class Sliders:
    """The choices to start with; the last line of a cell shows them."""

    model: Any
    start: dict[str, Any]
    gpus: Table

    def made(self, **choices: Any) -> Estimate:
        """Return the estimate of some choices; the others are as at the start."""
        return estimate(self.model, gpus=self.gpus, **(self.start | choices))

    def __repr__(self) -> str:
        return str(self.made())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Give a notebook all three forms; it takes the richest that it can draw."""
        made = self.made()
        bundle = {"text/plain": str(made), "text/html": bar(made)}
        if in_notebook() and importlib.util.find_spec("ipywidgets"):
            bundle.update(live(self.widget()))
        return bundle

    def widget(self) -> Any:
        """Return the choices, and below them what they take, as one ipywidgets box."""
        import ipywidgets

        start = self.start
        wide: dict[str, Any] = {"style": {"description_width": "9em"}}
        late = wide | {"continuous_update": False}
        lengths = sorted({64, 128, 256, 512, 1024, 2048, 4096, 8192, start["length"]})
        batches = sorted({1, 2, 4, 8, 16, 32, 64, start["batch_size"]})
        ranks = sorted({1, 2, 4, 8, 16, 32, 64, 128, 256, start["rank"]})
        choices = {
            "method": ipywidgets.Dropdown(
                options=methods.METHODS, value=start["method"], description="method", **wide
            ),
            "gpu": ipywidgets.Dropdown(
                options=[HERE, *self.gpus.gpus], value=start["gpu"] or HERE, description="device",
                **wide,
            ),
            "length": ipywidgets.SelectionSlider(
                options=lengths, value=start["length"], description="tokens a record", **late
            ),
            "batch_size": ipywidgets.SelectionSlider(
                options=batches, value=start["batch_size"], description="records a step", **late
            ),
            "rank": ipywidgets.SelectionSlider(
                options=ranks, value=start["rank"], description="rank", **late
            ),
            "gradient_checkpointing": ipywidgets.Checkbox(
                value=start["gradient_checkpointing"], description="checkpointing", **wide
            ),
        }  # fmt: skip
        shown = ipywidgets.HTML()

        def show(*_: Any) -> None:
            how = {name: choice.value for name, choice in choices.items()}
            how["gpu"] = None if how["gpu"] == HERE else how["gpu"]
            try:
                shown.value = bar(self.made(**how))
            except FtlabError as error:
                shown.value = f"<pre>{html.escape(str(error))}</pre>"

        for choice in choices.values():
            choice.observe(show, names="value")
        show()
        return ipywidgets.VBox([*choices.values(), shown])


def sliders(
    model: Any,
    *,
    method: str = "lora",
    length: int = 512,
    batch_size: int = 8,
    rank: int = 32,
    gradient_checkpointing: bool = False,
    gpu: str | None = None,
    records: int = 1000,
    gpus: Table | None = None,
) -> Sliders:
    """Return sliders for the estimate; as the last line of a notebook cell they are shown.

    Args:
        model: as for `ftlab.training.estimate.estimate`; no weights are read.
        method: where the choice of method starts.
        length: where the slider of tokens in a record starts.
        batch_size: where the slider of records in a step starts.
        rank: where the slider of an adapter's rank starts.
        gradient_checkpointing: whether it is on at the start.
        gpu: a name in the table; by default this machine.
        records: in the training set, for time and money.
        gpus: another table of GPUs.
    """
    start = {
        "method": method, "length": length, "batch_size": batch_size, "rank": rank,
        "gradient_checkpointing": gradient_checkpointing, "gpu": gpu, "records": records,
    }  # fmt: skip
    return Sliders(model, start, gpus or table())
