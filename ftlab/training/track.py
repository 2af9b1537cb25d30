"""A run's record in MLflow: settings, curves, data hash, adapter, and later the verdict.

    ftlab train mine.jsonl --out runs/mine --track                 # into runs/mlflow.db
    ftlab train … --tracking-uri http://our-server:5000            # any tracking URI of MLflow
    ftlab compare --tuned runs/mine … --track                      # the verdict joins that run

To look at what was recorded: `pip install mlflow`, then `mlflow ui --backend-store-uri
sqlite:///runs/mlflow.db`. A store that cannot be reached stops a run before its first step, and
never after it: what could not be recorded stands in the folder's training.json all the same.
"""

import contextlib
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import MissingExtraError, TrainingError
from ftlab.training.folder import contestants_of, summary_of

if TYPE_CHECKING:
    from ftlab.training.run import Run

__all__ = ["DEFAULT", "Tracked", "add_verdict", "tracking"]

log = logging.getLogger("ftlab")

DEFAULT = "sqlite:///runs/mlflow.db"
EXPERIMENT = "ftlab"
SECONDS = 2.0  # between two writings while a model trains
QUIET = {  # for this process, where the user has not said otherwise
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # a dead server must not hold up a training run
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Tracked:
    """A run that is open in a tracking store; `tracking` opens and closes it."""

    def __init__(self, client: Any, run_id: str, uri: str) -> None:
        self.client, self.run_id = client, run_id
        self.about = {"uri": _bare(uri), "experiment": EXPERIMENT, "run": run_id}
        """What training.json keeps, so that a verdict finds the run."""
        self._waiting: list[tuple[str, float, int]] = []
        self._seen: set[int] = set()
        self._last = time.monotonic()
        self._down = False

    def on_step(self, step: int, steps: int, loss: float, left: float) -> None:
        """Record a step's loss, soon; never raise."""
        self._waiting.append(("loss", loss, step))
        self._seen.add(step)
        if self._down or time.monotonic() - self._last < SECONDS:
            return
        try:
            self._write()
        except Exception as error:  # whatever it is, the training matters more
            self._down = True
            log.warning("The tracking store failed: %s Training goes on.", _line(error))

    def finish(self, run: "Run", folder: str | os.PathLike[str]) -> str:
        """Record a saved run: settings, the rest of the curves, and the adapter.

        Args:
            run: what was trained.
            folder: where it was saved.

        Returns:
            A line that says what was recorded, or why not; a failure is not raised.
        """
        folder = Path(folder)
        for entry in run.history:
            if int(entry["step"]) not in self._seen:  # before a run went on
                self._waiting.append(("loss", entry["loss"], int(entry["step"])))
            self._waiting.append(("learning_rate", entry["learning_rate"], int(entry["step"])))
        self._waiting += [("eval_loss", e["eval_loss"], int(e["step"])) for e in run.evals]
        end = {name: getattr(run, name) for name in ("seconds", "parameters", "trainable")}
        self._waiting += [(name, float(value), run.steps) for name, value in end.items()]
        try:
            from mlflow.entities import Param

            about = summary_of(folder).get("about", {})
            told = {**run.settings, "base": about.get("base"), "folder": folder.name}
            told["rounds"] = 1 + len(about.get("parents", []))
            params = [Param(key, str(value)) for key, value in told.items() if value is not None]
            self.client.log_batch(self.run_id, params=params)
            self._write()
            for name in ("training.json", "README.md"):
                self.client.log_artifact(self.run_id, str(folder / name))
            if (folder / "adapter_config.json").exists():  # small; a whole model stays where it is
                self.client.log_artifacts(self.run_id, str(folder), "adapter")
        except Exception as error:
            return (
                f"Not all of it could be recorded in {self.about['uri']}: {_line(error)} "
                f"{folder} holds everything."
            )
        return f"Recorded as run {self.run_id} in {self.about['uri']}."

    def _write(self) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        while self._waiting:
            part = self._waiting[:500]
            metrics = [Metric(name, value, now, step) for name, value, step in part]
            self.client.log_batch(self.run_id, metrics=metrics)
            del self._waiting[:500]
        self._last = time.monotonic()


@contextlib.contextmanager
def tracking(name: str, uri: str | None = None) -> Iterator[Tracked]:
    """Open a run in a tracking store for the length of a `with` block.

    Args:
        name: of the run: its folder's.
        uri: where: sqlite:///FILE, http://SERVER, or what else MLflow takes. By default
            what MLFLOW_TRACKING_URI says, else a file in `runs`.

    Raises:
        MissingExtraError: mlflow is not installed.
        TrainingError: the store cannot be reached; nothing has been trained yet.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT
    try:
        client = _client(uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            place = _file(uri)
            beside = str(place.parent.resolve() / "mlartifacts") if place else None
            number = client.create_experiment(EXPERIMENT, artifact_location=beside)
        else:
            number = found.experiment_id
        tracked = Tracked(client, client.create_run(number, run_name=name).info.run_id, uri)
    except MissingExtraError:
        raise
    except Exception as error:
        raise TrainingError(
            f"The tracking store {_bare(uri)} cannot be used: {_line(error)} Nothing was trained. "
            f"Start the server, write another --tracking-uri (such as {DEFAULT}), or leave "
            "tracking out."
        ) from error
    state = "FAILED"
    try:
        yield tracked
        state = "FINISHED"
    finally:
        with contextlib.suppress(Exception):
            client.set_terminated(tracked.run_id, state)


def add_verdict(
    folder: str | os.PathLike[str],
    verdict: Mapping[str, Any],
    files: Iterable[Path] = (),
    *,
    uri: str | None = None,
) -> str:
    """Join a verdict to the run that trained a folder's model.

    Args:
        folder: the tuned folder; its training.json names the run.
        verdict: `Verdict.to_json()`, or what `verdict.json` holds.
        files: to keep with the run, such as verdict.json and verdict.html.
        uri: the store, where it is no longer the one that training.json names.

    Returns:
        A line that says what was recorded, or why not; a failure is not raised.

    Raises:
        MissingExtraError: mlflow is not installed.
    """
    known = summary_of(folder).get("about", {}).get("track")
    if not known:
        return f"{folder} was not trained with --track, so its verdict joins no run."
    uri, task = uri or known["uri"], verdict["task"]
    try:
        client = _client(uri)
        for name in contestants_of(verdict, os.fspath(folder))[:1]:
            for kind in ("contestants", "differences"):
                for metric, figure in verdict[kind][name].items():
                    for part in ("value", "low", "high"):
                        key = f"{task}.{metric}{'.gain' * (kind == 'differences')}.{part}"
                        if figure[part] is not None:
                            client.log_metric(known["run"], key, figure[part])
        client.set_tag(known["run"], f"verdict.{task}", verdict["sentence"])
        for file in files:
            client.log_artifact(known["run"], str(file), f"verdict/{task}")
    except MissingExtraError:
        raise
    except Exception as error:
        return f"The verdict could not be recorded in {_bare(uri)}: {_line(error)}"
    return f"The verdict has joined run {known['run']} in {_bare(uri)}."


def _client(uri: str) -> Any:
    """Return MLflow's client for a store; the folder of a database file is made."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient

        if uri.partition(":")[0].startswith("sqlite"):
            import alembic  # noqa: F401  # MLflow asks for both only once it opens a database
            import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Tracking needs MLflow, which is not installed: pip install 'ftlab[track]'"
        ) from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if place := _file(uri):
        place.parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri)


def _file(uri: str) -> Path | None:
    """Return the file of a database of SQLite.

    >>> _file("sqlite:///runs/mlflow.db").as_posix()
    'runs/mlflow.db'
    """
    return Path(uri.partition(":///")[2]) if uri.startswith("sqlite:///") else None


def _bare(uri: str) -> str:
    """Leave the user and the password out of an address.

    >>> _bare("https://me:secret@our-server:5000/x")
    'https://our-server:5000/x'
    """
    return re.sub(r"(?<=://)[^/@]*@", "", uri)


def _line(error: Exception) -> str:
    """Return an error's first line, without passwords."""
    line = _bare((str(error).strip().splitlines() or [type(error).__name__])[0])
    return f"{line[:160]}…" if len(line) > 160 else line.rstrip(".") + "."
