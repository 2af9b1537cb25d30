"""The process that trains the service's jobs, one after the other.

    python -m ftlab.serving.worker --data DIR
    accelerate launch --num_processes 2 -m ftlab.serving.worker --data DIR

It is the one that holds DIR/worker.lock, so a job is never run twice. Killed at any moment and
started again, it goes on with the job that was running, from its newest whole checkpoint.
"""

import argparse
import csv
import ctypes
import hashlib
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

from openai.types import Model
from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint
from transformers import TrainerCallback

from ftlab.errors import FtlabError
from ftlab.files import read_text
from ftlab.hardware import profile
from ftlab.serving.jobs import preferences
from ftlab.serving.store import OPEN, ORGANIZATION, STATUS, UNDER_WAY, Store, Stored, now

PATIENCE = 10  # starts of a job without a step between them, before it is given up
OBJECTIVES = {"supervised": "sft", "dpo": "dpo"}
POLL = 0.2  # seconds between two looks at the queue, and at whether a job was cancelled


class Reporter(TrainerCallback):
    """Tells the store of each step and checkpoint; both may have been told before a kill."""

    def __init__(self, store: Store, job: Stored) -> None:
        self.store, self.job, self.folder = store, job, store.folder / "models"
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
        with self.store.transaction():
            if (job := self.store.running(self.job.id)) is None:  # cancelled a moment ago
                return
            text = f"Step {step}/{self.total}: {message}"
            self.store.tell(job.id, key, text, data=told)
            end = job.body["estimated_finish"] if left is None else now() + left
            self.store.change(job, own={"starts": 0}, estimated_finish=end)

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
        asked = f"{self.job.own['name']}:ckpt-step-{step}"
        checkpoint = FineTuningJobCheckpoint.model_validate({
            "id": f"ftckpt_{hashlib.sha256(asked.encode()).hexdigest()[:24]}",
            "object": "fine_tuning.job.checkpoint", "created_at": now(),
            "fine_tuned_model_checkpoint": asked, "fine_tuning_job_id": self.job.id,
            "metrics": {"step": step, **self.losses}, "step_number": step,
        })  # fmt: skip
        with self.store.transaction():
            if self.store.running(self.job.id) is not None:
                self.store.add("checkpoint", self.job.owner, checkpoint, self.job.id, folder=name)
                text = f"Checkpoint created at step {step}"
                self.store.tell(self.job.id, f"checkpoint {step}", text)


def work(store: Store, job: Stored) -> None:
    """Train a job's model and keep it; what goes wrong with its rows or settings ends the job."""
    from ftlab import data
    from ftlab.training.finetune import finetune

    body, out = job.body, store.folder / "models" / job.id
    try:
        if not (out / "training.json").exists():  # else it was killed between the last two lines
            kind = body["method"]["type"]
            settings = dict(body["method"][kind]["hyperparameters"])
            read = preferences if kind == "dpo" else data.read
            rows, held_out = read(store.path_of(body["training_file"])), body["validation_file"]
            tuned = job.own["folder"] and store.folder / "models" / job.own["folder"]
            beta = {"beta": settings["beta"]} if kind == "dpo" else {}
            finetune(
                rows, out, model=tuned or job.own["base"], objective=OBJECTIVES[kind],
                epochs=settings["n_epochs"], batch_size=settings["batch_size"], seed=body["seed"],
                rate_multiplier=settings["learning_rate_multiplier"], resume=True,
                eval_rows=read(store.path_of(held_out)) if held_out else None,
                layers="upper-half" if profile().device == "cpu" else "all",
                callbacks=[Reporter(store, job)], include_num_input_tokens_seen="non_padding",
                **beta,
            )  # fmt: skip
        if os.environ.get("RANK", "0") == "0":
            _finish(store, job, out)
    except FtlabError as error:
        told = {"code": "invalid_training_data", "message": str(error), "param": None}
        store.end_job(job.id, "failed", f"The job failed: {error}", level="error", error=told)
    except Exception as error:  # the next job is not to suffer from it
        # Without the error's text, which may quote rows: a log is not the owner's alone.
        lines = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__)).format()
        print(f"{job.id} failed: {type(error).__name__}\n{''.join(lines)}", file=sys.stderr)
        told = {"code": "server_error", "message": f"{type(error).__name__}: {error}"[:500]}
        message = "The job failed because of an error of the service."
        store.end_job(job.id, "failed", message, level="error", error=told | {"param": None})


def _finish(store: Store, job: Stored, out: Path) -> None:
    """Put down that a job succeeded, with its model and its results, all at once."""
    summary = json.loads(read_text(out / "training.json"))
    handle, part = tempfile.mkstemp(dir=store.folder / "models", prefix=".")
    with os.fdopen(handle, "w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["step", "train_loss", "full_valid_loss"])
        valid = {line["step"]: line["eval_loss"] for line in summary["evals"]}
        for line in summary["history"]:
            table.writerow([line["step"], line["loss"], valid.get(line["step"], "")])
    name = job.own["name"]
    with store.transaction():
        if (job_now := store.running(job.id)) is None:
            Path(part).unlink()
            return
        results = store.add_file(job.owner, Path(part), "step_metrics.csv", "fine-tune-results")
        model = Model(id=name, object="model", created=now(), owned_by=ORGANIZATION)
        store.add("model", job.owner, model, job.id, folder=job.id)
        store.change(
            job_now, status="succeeded", finished_at=now(), estimated_finish=None,
            fine_tuned_model=name, trained_tokens=summary["total_tokens"],
            result_files=[results["id"]],
        )  # fmt: skip
        store.tell(job.id, "model", f"New fine-tuned model created: {name}")
        store.tell(job.id, "end", "The job has successfully completed")
    shutil.rmtree(Path(f"{out}-checkpoints"), ignore_errors=True)


def claim(store: Store) -> Stored | None:
    """Take the job that was running when the last worker ended, or the oldest that waits.

    Only the holder of the lock may ask.
    """
    with store.transaction():
        # Of several, the one that runs: no second one is taken while it is there.
        found = sorted(
            store.find("job", None, UNDER_WAY), key=lambda j: j.body["status"] != "running"
        )
        if not found:
            return None
        job = found[0]
        if job.own["starts"] < PATIENCE:
            taken = {"starts": job.own["starts"] + 1, "launch": _launch()}
            store.change(job, own=taken, status="running")
            store.tell(job.id, "started", "Fine-tuning job started")
            return store.get("job", job.id)
    error = {"code": "server_error", "message": "Out of memory, or killed from outside?"}
    text = f"The worker ended {PATIENCE} times without one more step."
    store.end_job(job.id, "failed", text, level="error", error=error | {"param": None})
    return None


def _launch() -> str:
    """Return what the processes of one `accelerate launch` have in common."""
    return f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"


def _joined(store: Store, done: set[str]) -> Stored | None:
    """Return the job that the first process of this launch has taken, if it is a new one."""
    running = store.find("job", None, f"{STATUS} = 'running'")
    mine = (job for job in running if job.own["launch"] == _launch() and job.id not in done)
    return next(mine, None)


def _tidy(store: Store) -> None:
    """Remove what jobs that are over, or nobody, have left."""
    over = {job.id for job in store.find("job") if job.body["status"] not in OPEN}
    kept = {one.own["folder"] for kind in ("model", "checkpoint") for one in store.find(kind)}
    for place in (store.folder / "models").iterdir():
        job = place.name.removesuffix("-checkpoints").split("-step-")[0]
        if place.name.startswith(".") or (job in over and place.name not in kept):
            shutil.rmtree(place) if place.is_dir() else place.unlink()


def _train_apart(store: Store, job: Stored, child: bool) -> None:
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


def _train_here(store: Store, job: Stored) -> None:
    """Train in this process, one of several of `accelerate launch`; end it if that is cancelled."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL):
            if _cancelled(store, job):
                os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    work(store, job)
    over.set()


def _cancelled(store: Store, job: Stored) -> bool:
    found = store.get("job", job.id)
    return found is None or found.body["status"] == "cancelled"


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
        store.drop(over)
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
            if options.once and (first or store.get("fact", over)):
                store.add("fact", "", {"id": over})  # the other processes of this launch end too
                return
            _pause(options.child)
        elif alone:
            _train_apart(store, job, options.child)
        else:
            _train_here(store, job)
            done.add(job.id)


if __name__ == "__main__":
    main()
