"""Sliders for the estimate: move one, and see what fills the memory.

>>> box = sliders("ftlab-1m", gpu="T4")
>>> "together" in box.children[-1].value
True
"""

import html
from typing import Any

from ftlab.errors import FtlabError
from ftlab.training import methods
from ftlab.training.estimate import Estimate, Table, estimate, table

# Okabe and Ito's colours, told apart by the colour-blind.
COLOURS = {
    "weights": "#0072b2", "quantised": "#56b4e9", "adapters": "#009e73", "optimiser": "#e69f00",
    "gradients": "#d55e00", "activations": "#cc79a7", "casts": "#999999", "logits": "#f0e442",
    "fragmentation": "#555555",
}  # fmt: skip


def picture(made: Estimate) -> str:
    """Return an estimate as HTML: a bar against the device's memory, and the figures as text."""
    whole = max(made.total, made.capacity or 0)
    bars = "".join(
        f'<div title="{name}" style="width:{100 * size / whole:.2f}%;background:{COLOURS[name]}">'
        "</div>"
        for name, size in made.parts.items()
    )
    marks = " ".join(
        f'<span><span style="color:{COLOURS[name]}">■</span> {name}</span>'
        for name, size in made.parts.items()
        if size
    )
    return (
        '<div style="display:flex;height:1.4em;border:1px solid #555;max-width:60em">'
        f"{bars}</div><div>{marks}</div><pre>{html.escape(str(made))}</pre>"
    )


def sliders(
    model: Any,
    *,
    method: str = "lora",
    length: int = 512,
    batch_size: int = 8,
    gpu: str | None = None,
    records: int = 1000,
    gpus: Table | None = None,
) -> Any:
    """Return an ipywidgets box with the choices and, below them, what they take.

    Args:
        model: as for `ftlab.training.estimate.estimate`; no weights are read.
        method: where the choice of method starts.
        length: where the slider of tokens in a record starts.
        batch_size: where the slider of records in a step starts.
        gpu: a name in the table; by default this machine.
        records: in the training set.
        gpus: another table of GPUs.
    """
    import ipywidgets

    gpus = gpus or table()
    here = "this machine"
    wide: dict[str, Any] = {"style": {"description_width": "9em"}, "continuous_update": False}
    plain: dict[str, Any] = {"style": wide["style"]}
    steps = sorted({64, 128, 256, 512, 1024, 2048, 4096, 8192, length})
    batches = sorted({1, 2, 4, 8, 16, 32, 64, batch_size})
    choices = {
        "method": ipywidgets.Dropdown(
            options=methods.METHODS, value=method, description="method", **plain
        ),
        "gpu": ipywidgets.Dropdown(
            options=[here, *gpus.gpus], value=gpu or here, description="device", **plain
        ),
        "length": ipywidgets.SelectionSlider(
            options=steps, value=length, description="tokens a record", **wide
        ),
        "batch_size": ipywidgets.SelectionSlider(
            options=batches, value=batch_size, description="records a step", **wide
        ),
        "rank": ipywidgets.SelectionSlider(
            options=[1, 2, 4, 8, 16, 32, 64, 128, 256], value=32, description="rank", **wide
        ),
        "checkpointing": ipywidgets.Checkbox(description="checkpointing", **plain),
    }
    shown = ipywidgets.HTML()

    def show(*_: Any) -> None:
        how = {name: choice.value for name, choice in choices.items()}
        how["gpu"] = None if how["gpu"] == here else how["gpu"]
        try:
            shown.value = picture(estimate(model, records=records, gpus=gpus, **how))
        except FtlabError as error:
            shown.value = f"<pre>{html.escape(str(error))}</pre>"

    for choice in choices.values():
        choice.observe(show, names="value")
    show()
    return ipywidgets.VBox([*choices.values(), shown])
