"""Models of a rehearsal in place of training, for a class that has no time to wait.

`ftlab rehearse` runs a lesson beforehand with FTLAB_REHEARSING set to a folder, and `sft.train`
keeps there what it trains. In class one visible flag takes the kept models instead:

    FTLAB_REHEARSED=1              those in runs/rehearsal, here or in a folder above
    FTLAB_REHEARSED=some/folder    those in this folder

Set it before Jupyter starts, or in any cell of a lesson: `%env FTLAB_REHEARSED=1`. Each time a
kept model is taken, the output says so, with the day and the seconds of the rehearsal. A run is
known by a hash of its model, data, options and seed; one that was not rehearsed is trained as
usual, and the output says that too.
"""

import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.training import processes, survival
from ftlab.training.folder import summary_of

if TYPE_CHECKING:
    from ftlab.training.run import Run

FLAG, KEEP = "FTLAB_REHEARSED", "FTLAB_REHEARSING"
USUAL = Path("runs", "rehearsal")
OFF = ("", "0")


def asked() -> bool:
    """Say whether this run is to be kept, or taken from a rehearsal if it is there."""
    alone = processes.count() == 1
    return alone and any(os.environ.get(name, "") not in OFF for name in (FLAG, KEEP))


def key_of(run: dict[str, Any]) -> str:
    """Return the name of a run, from all that makes it what it is.

    >>> key_of({"seed": 0, "records": 8}) == key_of({"records": 8, "seed": 0})
    True
    """
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:16]


def find(key: str) -> Path | None:
    """Return the folder of a rehearsed run; say in the output what is taken, or why none is."""
    value = os.environ.get(FLAG, "")
    if value in OFF or os.environ.get(KEEP):
        return None
    root = Path(value).expanduser()
    if value == "1":
        here = Path.cwd()
        root = next((p / USUAL for p in (here, *here.parents) if (p / USUAL).is_dir()), USUAL)
    folder = next((f.parent for f in root.glob(f"*/models/{key}/training.json")), None)
    if folder is None:
        where = "this run was not rehearsed" if root.is_dir() else f"there is no folder {value}"
        if value == "1" and not root.is_dir():
            where = f"there is no {USUAL.as_posix()} here or above; `ftlab rehearse` makes it"
        print(f"{FLAG}: {where}. Training now.", flush=True)
        return None
    told = summary_of(folder)
    about = told["about"]["rehearsed"]
    took = f"rehearsed on {about['on']}, took {told['seconds']:.0f} s there"
    if about["watched"]:
        print(f"{took}; trained now all the same: a cell looks at the model on its way.")
        return None
    print(f"{took}; not trained now.", flush=True)
    return folder


def recall(
    folder: Path, trainer: Any, watch: Any, on_step: Callable[..., None] | None
) -> dict[str, Any]:
    """Put a rehearsed run's weights and history in the place of training; return its summary."""
    told = summary_of(folder)
    survival.restore(trainer.model, folder)
    watch.history, watch.evals = told["history"], told["evals"]
    trainer.state.global_step = told["steps"]
    for entry in told["history"] if on_step else ():
        on_step(int(entry["step"]), told["steps"], entry["loss"], 0.0)  # type: ignore[misc]
    return told


def keep(run: "Run", key: str, watched: bool) -> None:
    """Keep a run where a rehearsal asks for it."""
    root = os.environ.get(KEEP, "")
    if root in OFF or (Path(root) / key).exists():
        return
    now = datetime.now().strftime("%Y-%m-%d %H:%M")
    about = {"on": now, "machine": platform.node(), "watched": watched}
    replace(run, about=run.about | {"rehearsed": about}).save(Path(root) / key)


def noticing(model: Any, on_step: Callable[..., None]) -> tuple[Callable[..., None], list[bool]]:
    """Return a callback that also notices whether it makes the model compute.

    One that does wants the model as it is at that step, which a kept model cannot give.
    """
    looked: list[bool] = []

    def noticed(*args: Any) -> None:
        words = model.get_input_embeddings()
        hook = words.register_forward_pre_hook(lambda *_: looked.append(True))
        try:
            on_step(*args)
        finally:
            hook.remove()

    return noticed, looked
