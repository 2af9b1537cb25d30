"""Runs that survive: checkpoints, going on after a kill, early stopping, failures in words.

A run with `checkpoints=FOLDER` keeps there

    run.json         the settings and hashes that make the run what it is
    checkpoint-40/   a plain folder that `models.load` opens: weights or adapter,
                     tokenizer, training.json; and what going on needs: optimiser, schedule, RNG
    .part/           one that is being written; renamed when whole, so a kill leaves no half of one

The same call on the same records goes on from the newest one, and on a CPU in float32 ends with the
weights, to the bit, of a run that was never stopped. What transformers' Trainer restores (weights,
optimiser, schedule, generators, batches already seen) is left to it; the order of the records
follows from the seed and the epoch.
"""

import contextlib
import hashlib
import json
import logging
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import ConfigError, DataError, TrainingError
from ftlab.files import write_text
from ftlab.training import predict, processes
from ftlab.training.estimate import Plan

if TYPE_CHECKING:
    from ftlab.training.run import Run

log = logging.getLogger("ftlab")

SECONDS = 600.0  # between checkpoints inside an epoch, where no number of steps was asked for
RISE = 0.02  # of the held-out loss over its lowest: more than the last digits, less than a flaw
MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu")
GONE = ("connection closed by peer", "connection reset by peer", "remote process exited")


class _Done(Exception):
    """Raised inside the trainer where the checkpoint that was opened is already the end."""


def identity(model: Any) -> str:
    """Return a hash of the model's shapes and of the first thousand numbers of each weight."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().flatten()[:1000].cpu().float().numpy().tobytes())
    return digest.hexdigest()


def newest(folder: str | Path) -> Path | None:
    """Return the checkpoint with the highest step in a folder, if there is one."""
    found = [p for p in Path(folder).glob("checkpoint-*") if p.name[11:].isdecimal()]
    return max(found, key=lambda p: int(p.name[11:]), default=None)


def begin(folder: str | Path, run: dict[str, Any]) -> Path | None:
    """Open a folder of checkpoints for a run: return the newest, None where the run is new.

    Args:
        folder: made if missing.
        run: what makes the run what it is; it must be the same for the run to go on.

    Raises:
        ConfigError: the folder's checkpoints are of another run; the message says what differs.
        DataError: the folder holds other things, or cannot be written.
    """
    folder = Path(folder)
    run = json.loads(json.dumps(run))
    card = folder / "run.json"
    if not card.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} is not an empty folder, nor one of checkpoints.")
        write_text(card, json.dumps(run, indent=1))
        return None
    try:
        before = json.loads(card.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{card} cannot be read ({error}). Choose another folder.") from None
    differ = [
        f"{key.replace('_', ' ')} was {_short(before.get(key))}, is {_short(run.get(key))}"
        for key in sorted(before.keys() | run.keys())
        if before.get(key) != run.get(key)
    ]
    if differ:
        raise ConfigError(
            f"The checkpoints in {folder} are of another run: {'; '.join(differ)}. Take the same "
            "settings and data to go on, or another folder (or remove this one) to start afresh."
        )
    shutil.rmtree(folder / ".part", ignore_errors=True)
    return newest(folder)


def _short(value: Any) -> str:
    return f"{value[:8]}…" if isinstance(value, str) and len(value) == 64 else str(value)


def best(evals: list[dict[str, float]]) -> int:
    """Return the step of the lowest held-out loss, the first if there are several.

    >>> best([{"step": 10, "eval_loss": 2.0}, {"step": 20, "eval_loss": 1.5}])
    20
    """
    return int(min(evals, key=lambda e: (_number(e["eval_loss"]), e["step"]))["step"])


def _number(loss: float) -> float:
    return math.inf if math.isnan(loss) else loss


def _fruitless(evals: list[dict[str, float]]) -> int:
    """Return how many evaluations there were since the best."""
    return sum(e["step"] > best(evals) for e in evals)


def watch(
    settings: dict[str, Any],
    *,
    root: Path | None = None,
    lasting: bool = True,
    save_every: int | None = None,
    keep: int = 2,
    early_stopping: int | None = None,
    on_step: Callable[[int, int, float, float], None] | None = None,
) -> Any:
    """Return the trainer's callback: history, progress, when to save, when to stop.

    Args:
        settings: of the run, for messages and for each checkpoint's training.json.
        root: the folder of checkpoints; None keeps none.
        lasting: whether the folder is there after the run, so that the user may go on from it.
        save_every: steps between checkpoints; one comes at each epoch's end anyway.
        keep: how many of the newest to keep; the best is kept besides.
        early_stopping: evaluations without improvement before the end.
        on_step: called with (step, steps, loss, seconds left).
    """
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        """Keep the history, tell the caller, say when to save and when to stop."""

        def __init__(self) -> None:
            self.history: list[dict[str, float]] = []
            self.evals: list[dict[str, float]] = []
            self.step, self.first, self.total = 0, 0, 0
            self.begun = self.saved = time.perf_counter()
            self.earlier = 0.0  # seconds that the run took before it was stopped
            self.asked = False  # to stop
            self.root, self.lasting, self.keep = root, lasting, keep
            self.best_kept = early_stopping is not None
            self.settings = settings

        def seconds(self) -> float:
            return self.earlier + time.perf_counter() - self.begun

        def kept(self) -> str:
            """Say what is on disk."""
            last = newest(root) if root and lasting else None
            if last:
                return f"{last} is whole: the same call goes on from there."
            return "The model in memory holds what was learned so far; nothing was written."

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.step = self.first = state.global_step
            self.total, self.begun = state.max_steps, time.perf_counter()
            self.saved = self.begun
            for entry in state.log_history:  # of a run that goes on
                self._note(entry["step"], entry)
            if self.step >= self.total or self._enough():
                raise _Done

        def _note(self, step: int, logs: dict[str, float]) -> None:
            if "eval_loss" in logs:
                self.evals.append({"step": step, "eval_loss": logs["eval_loss"]})
            elif "loss" in logs:
                rate = float(logs.get("learning_rate", 0.0))
                loss = float(logs["loss"])
                self.history.append({"step": step, "loss": loss, "learning_rate": rate})

        def _enough(self) -> bool:
            return bool(early_stopping and self.evals and _fruitless(self.evals) >= early_stopping)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            self._note(state.global_step, logs or {})
            if not logs or "loss" not in logs:
                return
            self.step, loss = state.global_step, float(logs["loss"])
            if not math.isfinite(loss):
                raise not_a_number(self, f"The loss is {loss} at step {self.step}")
            spent = (time.perf_counter() - self.begun) / (self.step - self.first)
            if on_step:
                on_step(self.step, self.total, loss, spent * (self.total - self.step))

        def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if self._enough():
                control.should_training_stop = True

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if root is None or float(state.epoch).is_integer():
                return  # an epoch's end is saved once its held-out loss is known
            late = save_every is None and time.perf_counter() - self.saved > SECONDS
            due = save_every is not None and state.global_step % save_every == 0
            if processes.any_of(late or due or self.asked):
                control.should_save = state.global_step < self.total

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_save = root is not None

    return Watch()


def not_a_number(watch: Any, what: str) -> TrainingError:
    """Return the error for a loss or a weight that is no longer a number."""
    text = (
        f"{what}. Lower the learning rate ({watch.settings['learning_rate']}), or train in float32."
    )
    last = newest(watch.root) if watch.root and watch.lasting else None
    if last:
        text += f" {last} is from before that; another rate is another run, with its own folder."
    return TrainingError(text)


@contextlib.contextmanager
def saving(trainer: Any, watch: Any) -> Iterator[None]:
    """Write a checkpoint whole or not at all, around the trainer's own writing of it.

    Raises:
        TrainingError: the disk is full or cannot be written, or a weight is no number; the
            checkpoints from before stay as they are.
        KeyboardInterrupt: the checkpoint is there, and the user had asked to stop.
    """
    import torch
    from safetensors import SafetensorError

    step = trainer.state.global_step
    moving = (p for p in trainer.model.parameters() if p.requires_grad)
    if not all(torch.isfinite(p).all() for p in moving):
        raise not_a_number(watch, f"Weights are no numbers after step {step}")
    part, wrong = watch.root / ".part", None
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        wrong = error
    whole = not processes.any_of(wrong is not None)
    if whole and processes.first():
        try:
            folder = part / f"checkpoint-{step}"
            told = {"settings": watch.settings, "steps": step, "seconds": round(watch.seconds(), 2)}
            told |= {"history": watch.history, "evals": watch.evals}
            (folder / "training.json").write_text(json.dumps(told, indent=1), "utf-8")
            folder.rename(watch.root / folder.name)
            _rotate(watch, part)
        except OSError as error:
            wrong = error
    if processes.any_of(wrong is not None):
        if processes.first():
            shutil.rmtree(part, ignore_errors=True)
        why = getattr(wrong, "strerror", None) or str(wrong).strip().split("\n")[0]
        free = shutil.disk_usage(watch.root).free / 1e9
        raise TrainingError(
            f"The checkpoint of step {step} could not be written to {watch.root}: "
            f"{why if wrong else 'another process says why'} "
            f"({free:.1f} GB are free there). Free some space. {watch.kept()}"
        ) from wrong
    watch.saved = time.perf_counter()
    if processes.any_of(watch.asked):
        raise KeyboardInterrupt


def _rotate(watch: Any, part: Path) -> None:
    """Drop old checkpoints, by way of `.part` so that none is ever seen half gone."""
    found = sorted(watch.root.glob("checkpoint-*"), key=lambda p: int(p.name[11:]))
    spare = f"checkpoint-{best(watch.evals)}" if watch.best_kept and watch.evals else ""
    for old in found[: -watch.keep]:
        if old.name != spare:
            old.rename(part / old.name)
    shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def explained(watch: Any, model: Any, plan: Plan) -> Iterator[None]:
    """Turn what can stop a run into one message, and let Ctrl-C wait for a checkpoint.

    The first Ctrl-C (or SIGTERM, which machines on loan send before they go) ends the run after the
    step it is in, with a checkpoint; the second ends it at once.

    Raises:
        TrainingError: the run was stopped, another of its processes ended, or there was not enough
            memory.
    """
    try:
        with _gently(watch):
            yield
    except _Done:
        pass
    except KeyboardInterrupt:
        raise TrainingError(
            f"Stopped by you at step {watch.step} of {watch.total}. {watch.kept()}"
        ) from None
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if processes.count() > 1 and any(sign in text for sign in GONE):
            raise TrainingError(
                f"Another process of this run ended at step {watch.step + 1} of {watch.total}; "
                f"what it or the launcher says shows why. {watch.kept()}"
            ) from error
        if not (isinstance(error, MemoryError) or any(sign in text for sign in MEMORY)):
            raise
        raise TrainingError(
            f"Out of memory at step {watch.step + 1} of {watch.total} on {model.device}. "
            f"{predict.instead(model.config, plan)} {watch.kept() if watch.step else ''}".strip()
        ) from error


@contextlib.contextmanager
def _gently(watch: Any) -> Iterator[None]:
    """Let the first signal ask, and the second interrupt; only where going on is possible."""

    def ask() -> None:
        if watch.asked:
            raise KeyboardInterrupt
        watch.asked = True
        if processes.first():
            log.warning("Stopping after this step, with a checkpoint. Once more to stop at once.")

    with signalled(ask) if watch.root and watch.lasting else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def signalled(ask: Callable[[], None]) -> Iterator[None]:
    """Call `ask` at Ctrl-C and at SIGTERM, in the main thread; elsewhere signals stay as they are.

    Example: `with signalled(lambda: print("stopping")): ...`
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *_: ask())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def restore(model: Any, checkpoint: Path) -> None:
    """Put a checkpoint's weights, or its adapter's, into a model in place."""
    from safetensors.torch import load_file

    if hasattr(model, "peft_config"):
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, load_file(checkpoint / "adapter_model.safetensors"))
        return
    for file in sorted(checkpoint.glob("model*.safetensors")):  # tied weights are stored once
        model.load_state_dict(load_file(file), strict=False)


def remark(run: "Run") -> str:
    """Say in words what the losses show: learned by heart, still learning, or level.

    Args:
        run: its `evals` are read, and its `history` for the training loss at the same steps.

    Returns:
        One or two sentences.
    """
    evals = run.evals
    if not evals:
        return (
            "No held-out loss was measured, so overfitting cannot be seen. Give eval_records that "
            "are not trained on."
        )
    if len(evals) == 1:
        return f"The held-out loss was {evals[0]['eval_loss']:.3f}; one value shows no trend."
    low = next(e for e in evals if e["step"] == best(evals))
    last, low_loss = evals[-1]["eval_loss"], low["eval_loss"]
    if last > low_loss * (1 + RISE):
        length = evals[0]["step"]
        before, after = (_level(run.history, e["step"], length) for e in (low, evals[-1]))
        told = f"from {low_loss:.3f} at step {low['step']:.0f} to {last:.3f} at the end"
        if after < before:
            return (
                f"Overfitting: the held-out loss rose {told}, while the training loss fell from "
                f"{before:.3f} to {after:.3f}; what was learned after step {low['step']:.0f} is "
                "these records by heart. early_stopping=1 keeps the best weights; more records, "
                "fewer epochs or a lower rate help further."
            )
        return (
            f"The held-out loss rose {told}, and the training loss rose too ({before:.3f} to "
            f"{after:.3f}): this is not overfitting but a rate that is too high. Lower it."
        )
    if evals[-1] is low and last < evals[-2]["eval_loss"] * (1 - RISE):
        return (
            f"The held-out loss still fell at the end ({evals[-2]['eval_loss']:.3f} to "
            f"{last:.3f}): more epochs may help."
        )
    return (
        f"The held-out loss is level ({low_loss:.3f} at its lowest, {last:.3f} at the end): more "
        "epochs would gain little."
    )


def _level(history: list[dict[str, float]], step: float, length: float) -> float:
    """Return the mean training loss over the `length` steps that end at `step`."""
    losses = [h["loss"] for h in history if step - length < h["step"] <= step]
    return sum(losses) / len(losses) if losses else math.nan
