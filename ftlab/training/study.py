"""What a sweep keeps: its trials and repeats, in an Optuna study on SQLite, in a folder of its own.

A study is of one model, method, task and data; another's is refused by name. It outlives its
process: a trial that a kill has cut off is asked again when the study is opened.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, DataError, MissingExtraError

__all__ = ["Repeat", "Study", "Sweep", "Trial"]

UNPRUNED = 4  # trials that are never pruned: there is no median before
JUDGED = 2  # quarters before a trial may be pruned: a high rate shows its worth late


@dataclass(frozen=True)
class Trial:
    """One configuration and what came of it."""

    number: int
    """Its place in the study, from 0."""
    params: dict[str, Any]
    state: str
    """complete, pruned, failed, or stopped (by you or the budget: it comes again)."""
    loss: float | None
    """On the held-out records, at the end; nats per supervised token."""
    quarters: dict[int, float]
    """The same after each quarter of its run that it reached."""
    seconds: float
    why: str = ""
    """Of a failure."""


@dataclass(frozen=True)
class Repeat:
    """A configuration trained again with a fresh seed."""

    number: int
    """Of the trial that it repeats."""
    seed: int
    loss: float | None
    """On the records that the search looked at; None if training failed."""
    test_loss: float | None
    """On the records that it never saw."""
    seconds: float


@dataclass(frozen=True)
class Sweep:
    """All trials and repeats of a study."""

    settings: dict[str, Any]
    trials: list[Trial]
    repeats: list[Repeat] = field(default_factory=list)
    minutes: float = 0.0
    """Spent so far, in all calls together."""
    stopped: str = "complete"
    """complete, budget (before all repeats were made) or interrupted."""

    @property
    def default(self) -> Trial:
        """The trial of the default configuration."""
        same = [t for t in self.trials if t.params == self.settings["default"]]
        return next((t for t in same if t.loss is not None), same[-1])

    @property
    def finalists(self) -> list[Trial]:
        """The default, and the best few others by the search's held-out loss."""
        others = [t for t in self.trials if t.loss is not None and t is not self.default]
        others.sort(key=lambda t: (t.loss, t.number))
        return [self.default, *others[: self.settings["finalists"]]]

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        numbers = {"default": self.default.number, "finalists": [t.number for t in self.finalists]}
        return asdict(self) | numbers


class Study:
    """An Optuna study in a folder, with what else is kept of a sweep."""

    def __init__(
        self, folder: Path, settings: dict[str, Any], budget: float, say: Callable[[str], None]
    ) -> None:
        self.folder, self.settings, self.budget, self.say = folder, settings, budget, say
        self.asked = False  # to stop
        self.optuna: Any = None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the study, or begin it; let no other process in."""
        from filelock import FileLock, Timeout

        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError(
                "A sweep needs Optuna. Install it: pip install 'ftlab[sweep]'"
            ) from error
        from sqlalchemy import URL
        from sqlalchemy.exc import SQLAlchemyError

        folder, file = self.folder, self.folder / "study.db"
        known = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        if (folder.exists() and not folder.is_dir()) or (known - {".lock"} and not file.exists()):
            raise DataError(f"{folder} is not an empty folder, nor one of a sweep.")
        lock = FileLock(folder / ".lock")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            raise ConfigError(f"Another sweep is running in {folder}. Wait for it.") from None
        except OSError as error:
            raise DataError(f"Could not write {folder}: {error.strerror or error}.") from None
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        url = URL.create("sqlite", database=str(file.absolute())).render_as_string()
        storage = None
        try:
            storage = optuna.storages.RDBStorage(url)
            self.optuna = optuna.create_study(
                study_name="sweep", storage=storage, load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(UNPRUNED, n_warmup_steps=JUDGED),
            )  # fmt: skip
            self._same()
            self._mend()
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            why = str(error.__cause__ or error).split("\n")[0]
            raise DataError(
                f"{file} cannot be read or written ({why}). Free some space, or choose another "
                "folder."
            ) from error
        finally:
            if storage is not None:
                storage.remove_session()
                storage.engine.dispose()
            lock.release()

    def _same(self) -> None:
        """Refuse a study of something else; take up one that was begun."""
        before = self.optuna.user_attrs.get("settings")
        if before is None:
            self.optuna.set_user_attr("settings", self.settings)
            return
        differ = [
            f"{key} was {_short(before.get(key))}, is {_short(self.settings[key])}"
            for key in self.settings
            if before.get(key) != self.settings[key]
        ]
        if differ:
            raise ConfigError(
                f"The sweep in {self.folder} is of something else: {'; '.join(differ)}. Take the "
                "same settings and data to go on with it, or another folder to start afresh."
            )

    def _mend(self) -> None:
        """Ask first for the default, and for a trial that a kill has cut off."""
        from optuna.trial import TrialState

        for trial in self.optuna.get_trials(states=(TrialState.RUNNING,)):
            self.optuna.enqueue_trial(trial.params)
            self.optuna.tell(trial.number, state=TrialState.FAIL)
        if not self.optuna.trials:
            self.optuna.enqueue_trial(self.settings["default"])

    def trials(self) -> list[Trial]:
        """Return the trials that were begun."""
        from optuna.trial import TrialState

        names = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
        return [
            Trial(
                t.number, t.params,
                "stopped" if "stopped" in t.user_attrs or "seconds" not in t.user_attrs
                else names.get(t.state, "failed"),
                t.value if t.state == TrialState.COMPLETE else None,
                dict(t.intermediate_values), t.user_attrs.get("seconds", 0.0),
                t.user_attrs.get("why", ""),
            )
            for t in self.optuna.trials if t.state.is_finished()
        ]  # fmt: skip

    def ended(self) -> int:
        """Return how many trials came to an end of their own."""
        return sum(trial.state != "stopped" for trial in self.trials())

    def repeats(self) -> list[Repeat]:
        """Return the repeats, in the order they were made."""
        return [Repeat(**row) for row in self.optuna.user_attrs.get("repeats", [])]

    def keep(self, repeat: Repeat) -> None:
        """Write down a repeat."""
        self.optuna.set_user_attr("repeats", [*map(asdict, self.repeats()), asdict(repeat)])

    def spent(self) -> float:
        """Return the seconds that trials and repeats took, in all calls."""
        return sum(t.seconds for t in self.trials()) + sum(r.seconds for r in self.repeats())

    def result(self, finalists: int, stopped: str = "complete") -> Sweep:
        """Return what there is."""
        return Sweep(
            self.settings | {"finalists": finalists}, self.trials(), self.repeats(),
            round(self.spent() / 60, 2), stopped,
        )  # fmt: skip


def _short(value: Any) -> str:
    return f"{value[:8]}…" if isinstance(value, str) and len(value) == 64 else str(value)
