"""The process that trains the service's jobs, one after the other.

    python -m ftlab.serving.worker DIR

`ftlab serve` starts it, again whenever it ends, and it ends with its stdin. It is the one that
holds DIR/worker.lock, so a job is never run twice. Killed at any moment and started again, it goes
on with the job that was running, from its newest whole checkpoint.
"""

import csv
import json
import os
import shutil
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from openai.types.fine_tuning import FineTuningJob
from transformers import TrainerCallback

from ftlab.errors import FtlabError
from ftlab.files import read_text
from ftlab.hardware import profile
from ftlab.serving.store import Store

PATIENCE = 10  # starts of a job without a step between them, before it is given up
POLL = 0.2  # seconds between two looks at the queue, and at whether a job was cancelled


class Reporter(TrainerCallback):
    """Tells the store of each step and checkpoint; both may have been told before a kill."""

    def __init__(self, store: Store, job: FineTuningJob, name: str) -> None:
        self.store, self.job, self.name = store, job, name
        self.folder = store.folder / "models"
        self.losses: dict[str, float] = {}
        self._begin = (0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell again of what the checkpoint logged, and of the checkpoint itself."""
        self._begin = (state.global_step, time.monotonic())
        self.total = state.max_steps
        for logs in state.log_history:
            self._log(int(logs["step"]), logs)
        if state.global_step:
            self._save(Path(args.output_dir), state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Tell of a step's loss."""
        self._log(state.global_step, logs or {})

    def _log(self, step: int, logs: dict[str, float]) -> None:
        first, start = self._begin
        if "loss" not in logs and "eval_loss" not in logs:
            return
        each = (time.monotonic() - start) / max(1, step - first)
        left = round(each * (self.total - step)) if step > first else None
        told: dict[str, Any] = {"step": step, "total_steps": self.total, "eta_seconds": left}
        if "eval_loss" in logs:
            key, message = f"valid {step}", f"validation loss={logs['eval_loss']:.4f}"
            loss = {"full_valid_loss": logs["eval_loss"]}
        else:
            key, message = f"step {step}", f"training loss={logs['loss']:.4f}"
            loss = {"train_loss": logs["loss"]}
            told |= {"learning_rate": logs.get("learning_rate")}
            told |= {"train_tokens": logs.get("num_input_tokens_seen")}
        told, self.losses = told | loss, self.losses | loss
        with self.store.transaction() as db:
            if self.store.runs(self.job.id) is None:  # cancelled a moment ago
                return
            text = f"Step {step}/{self.total}: {message}"
            self.store.tell(db, self.job.id, key, text, data=told)
            db.execute("update jobs set starts = 0 where id = ?", (self.job.id,))
            if left is not None:
                self.store.change_job(db, self.job.id, estimated_finish=int(time.time()) + left)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the checkpoint's adapter as a model that can be asked."""
        self._save(Path(args.output_dir), state.global_step)

    def _save(self, checkpoints: Path, step: int) -> None:
        name = f"{self.job.id}-step-{step}"
        place, part = self.folder / name, self.folder / f".{name}"
        if not place.exists():
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            for file in (checkpoints / f"checkpoint-{step}").iterdir():
                if file.name.startswith(("adapter_", "tokenizer", "chat_template")):
                    shutil.copyfile(file, part / file.name)
            part.rename(place)
        metrics = {"step": step, **self.losses}
        with self.store.transaction() as db:
            if (owner := self.store.runs(self.job.id)) is None:
                return
            self.store.insert(
                db, "models", id=f"{self.name}:ckpt-step-{step}", owner=owner, job=self.job.id,
                folder=name, created_at=int(time.time()), step=step, metrics=json.dumps(metrics),
            )  # fmt: skip
            text = f"Checkpoint created at step {step}"
            self.store.tell(db, self.job.id, f"checkpoint {step}", text)


def work(store: Store, job: FineTuningJob) -> None:
    """Train a job's model and keep it; what goes wrong with its rows or settings ends the job."""
    from ftlab import data
    from ftlab.training.finetune import finetune

    out = store.folder / "models" / job.id
    held = store.row("select plan from jobs where id = ?", job.id)
    assert held is not None
    plan = json.loads(held["plan"])
    try:
        if not (out / "training.json").exists():  # else it was killed between the last two lines
            settings: Any = job.hyperparameters
            rows, held_out = data.read(store.path_of(job.training_file)), job.validation_file
            eval_rows = data.read(store.path_of(held_out)) if held_out else None
            tuned = plan["folder"] and store.folder / "models" / plan["folder"]
            finetune(
                rows, out, model=tuned or plan["base"],
                epochs=settings.n_epochs, batch_size=settings.batch_size, seed=job.seed,
                rate_multiplier=settings.learning_rate_multiplier, eval_rows=eval_rows, resume=True,
                layers="upper-half" if profile().device == "cpu" else "all",
                callbacks=[Reporter(store, job, plan["name"])],
                include_num_input_tokens_seen="non_padding",
            )  # fmt: skip
        _finish(store, job, out, plan["name"])
    except FtlabError as error:
        told = {"code": "invalid_training_data", "message": str(error), "param": None}
        store.end_job(job.id, "failed", f"The job failed: {error}", level="error", error=told)
    except Exception as error:  # the next job is not to suffer from it
        # Without the error's text, which may quote rows: a log is not the owner's alone.
        lines = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__)).format()
        print(f"{job.id} failed: {type(error).__name__}\n{''.join(lines)}", file=sys.stderr)
        told = {"code": "server_error", "message": f"{type(error).__name__}: {error}"[:500]}
        message = "The job failed because of an error of the service."
        store.end_job(job.id, "failed", message, level="error", error=told)


def _finish(store: Store, job: FineTuningJob, out: Path, name: str) -> None:
    """Put down that a job succeeded, with its model and its results, all at once."""
    summary = json.loads(read_text(out / "training.json"))
    handle, part = tempfile.mkstemp(dir=store.folder / "models", prefix=".")
    with os.fdopen(handle, "w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["step", "train_loss", "full_valid_loss"])
        valid = {line["step"]: line["eval_loss"] for line in summary["evals"]}
        for line in summary["history"]:
            table.writerow([line["step"], line["loss"], valid.get(line["step"], "")])
    with store.transaction() as db:
        if (owner := store.runs(job.id)) is None:
            Path(part).unlink()
            return
        results = store.add_file(
            owner, Path(part), "step_metrics.csv", "fine-tune-results", db
        )  # fmt: skip
        now = int(time.time())
        store.insert(db, "models", id=name, owner=owner, job=job.id, folder=job.id,
                     created_at=now)  # fmt: skip
        store.change_job(
            db, job.id, status="succeeded", finished_at=now, estimated_finish=None,
            fine_tuned_model=name, trained_tokens=summary["total_tokens"],
            result_files=[results.id],
        )  # fmt: skip
        store.tell(db, job.id, "model", f"New fine-tuned model created: {name}")
        store.tell(db, job.id, "end", "The job has successfully completed")
    shutil.rmtree(Path(f"{out}-checkpoints"), ignore_errors=True)


def claim(store: Store) -> FineTuningJob | None:
    """Take the job that was running when the last worker ended, or the oldest that waits.

    Only the holder of the lock may ask.
    """
    with store.transaction() as db:
        found = store.row(
            "select * from jobs where status in ('running', 'queued') "
            "order by status = 'running' desc, seq limit 1"
        )
        if found is None:
            return None
        if found["starts"] < PATIENCE:
            store.change_job(db, found["id"], status="running")
            db.execute("update jobs set starts = starts + 1 where id = ?", (found["id"],))
            store.tell(db, found["id"], "started", "Fine-tuning job started")
            return store.job(found["id"])
    error = {"code": "server_error", "message": "Out of memory, or killed from outside?"}
    text = f"The worker ended {PATIENCE} times without one more step."
    store.end_job(found["id"], "failed", text, level="error", error=error | {"param": None})
    return None


def _tidy(store: Store) -> None:
    """Remove what jobs that are over, or nobody, have left."""
    over = {row["id"] for row in store.rows("select id from jobs where status in ('failed', "
                                            "'cancelled', 'succeeded')")}  # fmt: skip
    kept = {row["folder"] for row in store.rows("select folder from models")}
    for place in (store.folder / "models").iterdir():
        job = place.name.removesuffix("-checkpoints").split("-step-")[0]
        if place.name.startswith(".") or (job in over and place.name not in kept):
            shutil.rmtree(place) if place.is_dir() else place.unlink()


def _watch(store: Store, job: FineTuningJob, over: threading.Event) -> None:
    """Begin this process anew when its job is cancelled: a step may take longer than a user."""
    while not over.wait(POLL):
        found = store.row("select status from jobs where id = ?", job.id)
        if found is None or found["status"] == "cancelled":
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Train jobs until the process is ended."""
    from filelock import FileLock

    threading.Thread(target=_end_with_stdin, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(max(0, 5 - os.nice(0)))  # chat answers go first
    from trl import SFTTrainer  # noqa: F401  (takes seconds: before a job waits)

    store = Store(sys.argv[1])
    with FileLock(store.folder / "worker.lock"):
        _tidy(store)
        while True:
            job = claim(store)
            if job is None:
                time.sleep(POLL)
                continue
            over = threading.Event()
            threading.Thread(target=_watch, args=(store, job, over), daemon=True).start()
            work(store, job)
            over.set()


if __name__ == "__main__":
    main()
