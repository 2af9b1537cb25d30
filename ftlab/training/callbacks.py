"""What a trainer shows while it trains: lines in a terminal, a growing curve in a notebook.

    trainer = SFTTrainer(model, args=args, …, callbacks=[LiveCurve("First fine-tune")])

Both keep what the trainer logged in `history`. transformers prints each log as a dict of its own;
`quiet(trainer)` takes that away.
"""

import math
import time
from typing import Any

from transformers.trainer_callback import PrinterCallback, TrainerCallback

from ftlab.display import in_notebook
from ftlab.pictures import Picture, loss_curve


class ProgressLines(TrainerCallback):
    """A line every few seconds: step, loss, and the time that is left.

    Attributes:
        history: what was logged, one dict each with "step", and "loss" or "eval_loss" among others.
    """

    def __init__(self, *, every: float = 5.0):
        """Take the least seconds between two lines."""
        self.every = every
        self.history: list[dict[str, float]] = []
        self._last = -math.inf
        self._shown = 0  # how much of the history has been shown
        self._begin: tuple[int, float] = (0, 0.0)  # the step and the time that this run began at
        self._over = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock; a run that goes on keeps what the checkpoint logged."""
        self.history = [dict(line) for line in state.log_history]
        self._begin = (state.global_step, time.monotonic())
        self._last, self._shown, self._over = -math.inf, len(self.history), False

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """Keep a log, and show it when the last one was shown long enough ago."""
        if not state.is_world_process_zero or not logs or not {"loss", "eval_loss"} & set(logs):
            return
        self.history.append({"step": state.global_step, **logs})
        now, steps = time.monotonic(), state.max_steps - state.global_step
        if now - self._last >= self.every and not self._over:
            first, start = self._begin
            each = (now - start) / max(1, state.global_step - first)
            self._show(state.max_steps, left(each * steps) if steps else "")
            self._last = time.monotonic()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Show the end; what is logged later, by `evaluate`, is kept and not shown."""
        self._over = True
        if state.is_world_process_zero and self._shown < len(self.history):
            self._show(state.max_steps, "")

    def _show(self, total: int, time_left: str) -> None:
        self._shown = len(self.history)
        line = self.history[-1]
        names = {"loss": "loss", "eval_loss": "held-out loss"}
        losses = [f"{names[name]} {line[name]:.3f}" for name in names if name in line]
        print(f"step {line['step']}/{total}  {'  '.join(losses)}{time_left}", flush=True)


class LiveCurve(ProgressLines):
    """A loss curve that grows in a notebook and stays as one picture; in a terminal, lines."""

    def __init__(self, title: str = "Training loss", *, every: float | None = None):
        """Take the picture's title, and the least seconds between two drawings."""
        # A saved notebook keeps every drawing as a message, and nbval loses some where there are
        # thousands: one in two seconds is enough for the eye.
        super().__init__(every=every if every is not None else 2.0 if in_notebook() else 5.0)
        self.title, self.unit = title, "nats per token"
        self._handle: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Start a new picture."""
        super().on_train_begin(args, state, control, **more)
        self._handle = None
        if type(args).__name__ in ("DPOConfig", "RewardConfig"):
            self.unit = "nats per pair"

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Draw the whole curve."""
        if in_notebook():
            self._shown = 0  # the last drawing may say how long is left
        super().on_train_end(args, state, control, **more)

    def _show(self, total: int, time_left: str) -> None:
        if not in_notebook():
            super()._show(total, time_left)
            return
        from IPython.display import display

        self._shown = len(self.history)
        picture = self.picture(total, time_left)
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def picture(self, total: int | None = None, note: str = "") -> Picture:
        """Draw the losses so far, of `total` steps; the note stands behind the title."""
        return loss_curve(self.history, title=self.title + note, total=total, unit=self.unit)


def quiet(trainer: Any) -> None:
    """Take away, in place, the dict that transformers prints where a callback of ours shows it."""
    if any(isinstance(one, ProgressLines) for one in trainer.callback_handler.callbacks):
        trainer.remove_callback(PrinterCallback)


def left(seconds: float) -> str:
    """Return how long something goes on, as the end of a line."""
    if seconds < 90:
        return f", about {max(0, round(seconds))} s left"
    return f", about {round(seconds / 60)} min left"
