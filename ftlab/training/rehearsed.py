"""Models of a rehearsal in place of training, for a class that has no time to wait.

`ftlab rehearse` runs a lesson beforehand with FTLAB_REHEARSING set to a folder, and `sft.train`
keeps there what it trains. In class one visible flag takes the kept models instead:

    FTLAB_REHEARSED=1              those in runs/rehearsal, here or in a folder above
    FTLAB_REHEARSED=some/folder    those in this folder

Set it before Jupyter starts, or in any cell of a lesson: `%env FTLAB_REHEARSED=1`. Each time a
kept model is taken, the output says so, with the day and the seconds of the rehearsal. A run is
known by a hash of its model, data, options and seed; one that was not rehearsed is trained as
usual, and the output says that too. A lesson with a training loop of its own puts it under
`rehearsable`, and the same holds for it.
"""

import functools
import hashlib
import inspect
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import CodeType
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


Loop = Callable[..., tuple[Any, list[float]]]


def rehearsable(base: str, *, seed: int = 0) -> Callable[[Loop], Loop]:
    """Return a decorator for a lesson's own training loop; it does nothing but at rehearsals.

    The loop is a function with the arguments `rows`, `collate` (makes a batch of rows), `model`
    (None is the base) and `after` (what looks at the model on its way, or None), with any numbers
    besides. It returns the model, tuned in place, and the loss of each step. A run is known by its
    first weights, the batch that all rows make, the numbers, the seed, and the loop's own code.

    Args:
        base: the model that the loop starts from when it is given none.
        seed: of the loop's order of rows.
    """

    def decorate(loop: Loop) -> Loop:
        @functools.wraps(loop)
        def run(*given: Any, **options: Any) -> tuple[Any, list[float]]:
            if not asked():
                return loop(*given, **options)
            from ftlab import models

            bound = inspect.signature(loop).bind(*given, **options)
            bound.apply_defaults()
            how = bound.arguments
            model, tokenizer = models.load(base)
            model = how["model"] = model if how["model"] is None else how["model"]
            batch = how["collate"](how["rows"])
            left_out = ("rows", "collate", "model", "after")
            settings = {k: v for k, v in how.items() if k not in left_out}
            settings |= {
                "seed": seed, "base_model": survival.identity(model), "data": _data(batch),
                "loop": hashlib.sha256(_code(loop.__code__)).hexdigest(),  # type: ignore[attr-defined]
            }  # fmt: skip
            key = key_of(settings)
            if folder := find(key):
                survival.restore(model, folder)
                return model.eval(), [step["loss"] for step in summary_of(folder)["history"]]
            begun = time.perf_counter()
            model, losses = loop(**how)
            seconds = round(time.perf_counter() - begun, 2)
            keep(_run(model, tokenizer, settings, losses, seconds), key, how["after"] is not None)
            return model, losses

        return run

    return decorate


def _data(batch: Mapping[str, Any]) -> str:
    """Return a hash of a batch: the rows, and what a collator makes of them."""
    digest = hashlib.sha256()
    for name in sorted(batch):
        digest.update(f"{name} {tuple(batch[name].shape)}".encode())
        digest.update(batch[name].cpu().numpy().tobytes())
    return digest.hexdigest()


def _code(code: CodeType) -> bytes:
    """Return what a function's code does, wherever it was defined."""
    consts = (_code(c) if isinstance(c, CodeType) else repr(c).encode() for c in code.co_consts)
    return b"\0".join([code.co_code, repr(code.co_names).encode(), *consts])


def _run(
    model: Any, tokenizer: Any, settings: dict[str, Any], losses: list[float], seconds: float
) -> "Run":
    """Return a loop's outcome in the form that is kept."""
    from ftlab.training.run import Run

    history = [{"step": float(step), "loss": loss} for step, loss in enumerate(losses, 1)]
    size = sum(weight.numel() for weight in model.parameters())
    return Run(
        model, tokenizer, {"loop": settings}, history, len(losses), seconds, size, size, 0, 0
    )
