"""The process that trains the service's jobs, one after the other.

    python -m ftlab.serving.worker --data DIR
    accelerate launch --num_processes 2 -m ftlab.serving.worker --data DIR

It is the one that holds DIR/worker.lock, so a job is never run twice. Killed at any moment and
started again, it goes on with the job that was running, from its newest whole checkpoint.
"""

import argparse
import csv
import ctypes
import json
import os
import select
import shutil
import signal
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
from ftlab.serving.store import Store, job_of
from ftlab.serving.uploads import preferences

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
        if state.is_world_process_zero:
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
        if state.is_world_process_zero:
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
            assert job.method is not None
            dpo = job.method.type == "dpo"
            chosen = job.method.dpo if dpo else job.method.supervised
            settings: Any = chosen.hyperparameters if chosen else None
            read = preferences if dpo else data.read
            rows, held_out = read(store.path_of(job.training_file)), job.validation_file
            eval_rows = read(store.path_of(held_out)) if held_out else None
            tuned = plan["folder"] and store.folder / "models" / plan["folder"]
            finetune(
                rows, out, model=tuned or plan["base"], objective="dpo" if dpo else "sft",
                epochs=settings.n_epochs, batch_size=settings.batch_size, seed=job.seed,
                rate_multiplier=settings.learning_rate_multiplier, eval_rows=eval_rows, resume=True,
                layers="upper-half" if profile().device == "cpu" else "all",
                callbacks=[Reporter(store, job, plan["name"])],
                include_num_input_tokens_seen="non_padding",
                **({"beta": settings.beta} if dpo else {}),
            )  # fmt: skip
        if os.environ.get("RANK", "0") == "0":
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
            owner, Path(part), "step_metrics.csv", "fine-tune-results", None, db
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
            sql = "update jobs set starts = starts + 1, launch = ? where id = ?"
            db.execute(sql, (_launch(), found["id"]))
            store.tell(db, found["id"], "started", "Fine-tuning job started")
            return store.job(found["id"])
    error = {"code": "server_error", "message": "Out of memory, or killed from outside?"}
    text = f"The worker ended {PATIENCE} times without one more step."
    store.end_job(found["id"], "failed", text, level="error", error=error | {"param": None})
    return None


def _launch() -> str:
    """Return what the processes of one `accelerate launch` have in common."""
    return f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"


def _joined(store: Store, done: set[str]) -> FineTuningJob | None:
    """Return the job that the first process of this launch has taken, if it is a new one."""
    sql = "select * from jobs where status = 'running' and launch = ?"
    found = store.row(sql, _launch())
    return job_of(found) if found is not None and found["id"] not in done else None


def _tidy(store: Store) -> None:
    """Remove what jobs that are over, or nobody, have left."""
    over = {row["id"] for row in store.rows("select id from jobs where status in ('failed', "
                                            "'cancelled', 'succeeded')")}  # fmt: skip
    kept = {row["folder"] for row in store.rows("select folder from models")}
    for place in (store.folder / "models").iterdir():
        job = place.name.removesuffix("-checkpoints").split("-step-")[0]
        if place.name.startswith(".") or (job in over and place.name not in kept):
            shutil.rmtree(place) if place.is_dir() else place.unlink()


def _train_apart(store: Store, job: FineTuningJob, child: bool) -> None:
    """Train in a fork of this process, which has imported all that takes seconds.

    A cancelled job's process is killed, for a step may take longer than two seconds. One that was
    killed otherwise, as for want of memory, leaves its job to be taken again.
    """
    pid = os.fork()
    if not pid:
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with its parent
            work(Store(store.folder), job)  # a connection to SQLite is not for two processes
        finally:
            os._exit(0)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        _pause(child)
        if _cancelled(store, job):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return _tidy(store)


def _train_here(store: Store, job: FineTuningJob) -> None:
    """Train in this process, one of several of `accelerate launch`; end it if that is cancelled."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL):
            if _cancelled(store, job):
                os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    work(store, job)
    over.set()


def _cancelled(store: Store, job: FineTuningJob) -> bool:
    found = store.row("select status from jobs where id = ?", job.id)
    return found is None or found["status"] == "cancelled"


def _pause(child: bool) -> None:
    """Wait a moment; end when the service's process has ended, and with it what stdin is."""
    if child and select.select([sys.stdin], [], [], POLL)[0]:
        os._exit(0)
    if not child:
        time.sleep(POLL)


def main(arguments: list[str] | None = None) -> None:
    """Train jobs until the process is ended."""
    from filelock import FileLock

    parser = argparse.ArgumentParser(description="Train the jobs of ftlab serve.")
    parser.add_argument("--data", required=True, help="the service's folder")
    parser.add_argument("--once", action="store_true", help="end when nothing waits any more")
    parser.add_argument("--child", action="store_true", help="end when stdin does")
    options = parser.parse_args(arguments)
    store = Store(options.data)
    first, over = os.environ.get("RANK", "0") == "0", f"over {_launch()}"
    if first:
        store.forget(over)
    if hasattr(os, "nice"):
        os.nice(5)  # chat answers go first
    from trl import DPOTrainer, SFTTrainer  # noqa: F401  (takes seconds: before a job waits)

    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1 and sys.platform == "linux"
    lock = FileLock(store.folder / "worker.lock")
    if first:
        lock.acquire()
        _tidy(store)
    done: set[str] = set()
    while True:
        job = claim(store) if first else _joined(store, done)
        if job is None:
            if options.once and (first or store.row("select 1 from facts where name = ?", over)):
                store.fact(over, "1")  # the other processes of this launch end too
                return
            _pause(options.child)
        elif alone:
            _train_apart(store, job, options.child)
        else:
            _train_here(store, job)
            done.add(job.id)


if __name__ == "__main__":
    main()
