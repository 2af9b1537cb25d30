"""Search for better settings than the defaults, within a budget of minutes, and repeat the best.

The first trial is the default configuration, so that the search can lose to it. The others are
drawn by Optuna's TPE sampler (Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011)
around it; one that is worse than the median of the earlier ones at the same quarter of its own run
is pruned there. All trials read the same records in the order of one seed. Then the default and the
best few are trained again with seeds that the search never used: how far these lie apart is noise.

    study.db    every trial, in SQLite; `optuna-dashboard sqlite:///study.db` opens it too
    models/     the default and the best few, of the first fresh seed

Ctrl-C, a kill or the end of the budget loses the trial that was running, no other; the same call
goes on, and begins with that trial. What the figures mean is said in `ftlab.evaluation.sweep`.
"""

import gc
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, TrainingError, raise_unknown
from ftlab.records import Record, fingerprint
from ftlab.training import held_out, methods, sft, survival
from ftlab.training.study import Repeat, Study, Sweep, Trial

__all__ = ["Repeat", "Space", "Sweep", "Trial", "defaults", "sweep"]

SEARCH = 0.6  # of the budget; the rest is for the repeats
QUARTERS = 4  # of its own run after which a trial is measured, and may be pruned
RANDOM = 6  # trials before the sampler learns from the earlier ones


@dataclass(frozen=True)
class Space:
    """Where to look. The rate is drawn log-uniformly, by `factor` to both sides of the default."""

    factor: float = 10.0
    ranks: tuple[int, ...] = (8, 16, 32, 64)
    """Of adapters; other methods have none."""
    batch_sizes: tuple[int, ...] = (4, 8, 16, 32)
    max_epochs: int = 6

    def __post_init__(self) -> None:
        default = defaults("lora")
        wrong = [
            f"{name} must hold the default {default[key]} and positive numbers, got {values}"
            for name, key, values in (
                ("ranks", "rank", self.ranks),
                ("batch_sizes", "batch_size", self.batch_sizes),
            )
            if default[key] not in values or min(values) < 1
        ]
        if not self.factor > 1:
            wrong.append(f"factor must be above 1, got {self.factor:g}")
        if self.max_epochs < default["epochs"]:
            wrong.append(
                f"max_epochs must be at least the default {default['epochs']}, "
                f"got {self.max_epochs}"
            )
        if wrong:
            raise ConfigError("; ".join(wrong) + ".")

    def suggest(self, trial: Any, method: str) -> dict[str, Any]:
        """Let an Optuna trial pick one configuration."""
        rate = methods.LEARNING_RATES[method]
        low, high = rate / self.factor, rate * self.factor
        picked = {"learning_rate": trial.suggest_float("learning_rate", low, high, log=True)}
        if method in methods.ADAPTERS:
            picked["rank"] = trial.suggest_categorical("rank", list(self.ranks))
        picked["epochs"] = trial.suggest_int("epochs", 1, self.max_epochs)
        picked["batch_size"] = trial.suggest_categorical("batch_size", list(self.batch_sizes))
        return picked


class _Stop(Exception):
    """The running trial is to end: by the user, or for want of time."""


def defaults(method: str) -> dict[str, Any]:
    """Return what `sft.train` takes when nothing is said.

    >>> defaults("lora")
    {'learning_rate': 0.002, 'rank': 32, 'epochs': 3, 'batch_size': 8}
    """
    rank = {"rank": 32} if method in methods.ADAPTERS else {}
    return {"learning_rate": methods.LEARNING_RATES[method], **rank, "epochs": 3, "batch_size": 8}


def sweep(
    load: Callable[[], tuple[Any, Any]],
    folder: str | Path,
    train_records: Sequence[Record],
    held_out_records: Sequence[Record],
    test_records: Sequence[Record],
    *,
    minutes: float,
    model: str,
    method: str = "lora",
    task: str = "",
    space: Space | None = None,
    trials: int | None = None,
    finalists: int = 2,
    seeds: int = 3,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Sweep:
    """Search within a budget, then train the default and the best few with fresh seeds.

    Args:
        load: returns the base model, loaded afresh, and its tokenizer.
        folder: of the study; new, empty, or that of the same study, which goes on.
        train_records: what every trial learns from.
        held_out_records: what the search looks at.
        test_records: what it never looks at; the repeats are measured on them too.
        minutes: most time for search and repeats, in all calls on this folder together.
        model: the base's name, by which a study of another is refused.
        method: one of `methods.METHODS`.
        task: its name, if there is one, for the same.
        space: where to look.
        trials: end the search after so many trials, if the budget lasts.
        finalists: how many of the best, the default aside, are trained again.
        seeds: fresh seeds for each.
        seed: of the trials and of the sampler.
        say: called with each line of progress.

    Raises:
        ConfigError: a value out of range, a study of something else, one that another process has
            open, or a budget too short for the default alone.
        DataError: the folder holds other things, or a record cannot be trained on.
        MissingExtraError: Optuna is not installed.
        TrainingError: the default configuration itself fails.
    """
    if method not in methods.METHODS:
        raise_unknown("method", method, methods.METHODS)
    wrong = [
        f"{name} must be positive, got {value}"
        for name, value in (("minutes", minutes), ("trials", 1 if trials is None else trials),
                            ("finalists", finalists), ("seeds", seeds))
        if not value > 0
    ]  # fmt: skip
    if wrong:
        raise ConfigError("; ".join(wrong) + ".")
    space = space or Space()
    base, _ = load()
    settings = {
        "model": model, "weights": survival.identity(base), "method": method, "task": task,
        "training data": fingerprint(list(train_records)),
        "held-out data": fingerprint(list(held_out_records)),
        "test data": fingerprint(list(test_records)), "seed": seed, "space": asdict(space),
        "default": defaults(method),
    }  # fmt: skip
    del base
    study = Study(Path(folder), json.loads(json.dumps(settings)), minutes * 60, say)
    stopped = "complete"
    with study.opened(), _gently(study):
        try:
            _search(study, load, train_records, held_out_records, space, method, seed, trials)
            if not _repeat(
                study, load, study.result(finalists).finalists, range(seed + 1, seed + 1 + seeds),
                train_records, held_out_records, test_records, method,
            ):  # fmt: skip
                stopped = "budget"
        except _Stop:
            stopped = "interrupted"
        return study.result(finalists, stopped)


def _search(
    study: Study,
    load: Callable[[], tuple[Any, Any]],
    train_records: Sequence[Record],
    held_out_records: Sequence[Record],
    space: Space,
    method: str,
    seed: int,
    most: int | None,
) -> None:
    """Run trials until the search's share of the budget is spent."""
    import optuna

    share = SEARCH * study.budget
    default = study.settings["default"]
    while (before := study.spent()) < share and (most is None or study.ended() < most):
        # A seed of its own for each draw: a study that goes on draws what it would have drawn.
        study.optuna.sampler = optuna.samplers.TPESampler(
            seed=1000 * seed + study.ended(), n_startup_trials=RANDOM
        )
        trial = study.optuna.ask()
        number, params = trial.number, space.suggest(trial, method)
        first = params == default
        begun, failed = time.perf_counter(), ""
        study.say(
            f"trial {number}: {told(params)}{', the default' if first else ''} "
            f"({_minutes(share - before)} left to search)"
        )

        def look(quarter: int, loss: float, trial: Any = trial, first: bool = first) -> None:
            if not math.isfinite(loss):
                raise TrainingError(f"The held-out loss is {loss} after quarter {quarter}.")
            trial.report(loss, quarter)
            if quarter < QUARTERS and not first and trial.should_prune():
                raise optuna.TrialPruned

        def tick(
            step: int,
            left: float,
            first: bool = first,
            begun: float = begun,
            before: float = before,
        ) -> None:
            spent = time.perf_counter() - begun
            if first and step >= 3 and spent + left > study.budget / 4:
                raise ConfigError(
                    f"The default alone takes about {_minutes(spent + left)}, and a search needs "
                    f"ten times that. Give --minutes {math.ceil((spent + left) / 6)}, fewer "
                    "records, or a smaller model."
                )
            if not first and step >= 3 and before + spent + left > 1.1 * share:
                raise _Stop("the search's share of the budget ends before it would")

        state, value = optuna.trial.TrialState.FAIL, None
        try:
            value = _train(
                study, load, train_records, held_out_records, params, method, seed, look, tick
            )[1]
            state = optuna.trial.TrialState.COMPLETE
            study.say(f"trial {number}: held-out loss {value:.4f}")
        except optuna.TrialPruned:
            state = optuna.trial.TrialState.PRUNED
            study.say(f"trial {number}: pruned")
        except TrainingError as error:
            failed = str(error)
            trial.set_user_attr("why", failed)
            study.say(f"trial {number}: failed, {failed}")
        except BaseException as reason:  # nothing that this trial is to blame for: it comes again
            trial.set_user_attr("stopped", str(reason))
            study.optuna.enqueue_trial(params)
            if study.asked or not isinstance(reason, _Stop):
                raise
            study.say(f"trial {number}: stopped, {reason}")
            return
        finally:
            trial.set_user_attr("seconds", round(time.perf_counter() - begun, 2))
            study.optuna.tell(trial, value, state=state)
        if failed and first:
            study.optuna.enqueue_trial(params)
            raise TrainingError(f"The default configuration itself fails: {failed}")


def _repeat(
    study: Study,
    load: Callable[[], tuple[Any, Any]],
    finalists: Sequence[Trial],
    seeds: range,
    train_records: Sequence[Record],
    held_out_records: Sequence[Record],
    test_records: Sequence[Record],
    method: str,
) -> bool:
    """Train each finalist with each fresh seed, seed by seed; return whether there was time."""
    done = {(repeat.number, repeat.seed) for repeat in study.repeats()}
    for seed in seeds:
        missing = [trial for trial in finalists if (trial.number, seed) not in done]
        if study.spent() + sum(trial.seconds for trial in missing) > study.budget:
            return False
        for trial in missing:
            number = trial.number
            begun = time.perf_counter()
            study.say(f"trial {number} again, seed {seed}")
            try:
                run, loss = _train(
                    study, load, train_records, held_out_records, trial.params, method, seed,
                    lambda quarter, loss: None, lambda step, left: None,
                )  # fmt: skip
            except TrainingError as error:
                study.say(f"trial {number}, seed {seed}: failed, {error}")
                study.keep(Repeat(number, seed, None, None, round(time.perf_counter() - begun, 2)))
                continue
            test_loss = held_out.loss(run.model, run.tokenizer, test_records)
            place = study.folder / "models" / f"trial-{number}"
            if seed == seeds[0] and not place.exists():
                run.save(place)
            seconds = round(time.perf_counter() - begun, 2)
            study.keep(Repeat(number, seed, loss, test_loss, seconds))
            study.say(f"trial {number}, seed {seed}: held-out loss {loss:.4f}")
    return True


def _train(
    study: Study,
    load: Callable[[], tuple[Any, Any]],
    train_records: Sequence[Record],
    held_out_records: Sequence[Record],
    params: dict[str, Any],
    method: str,
    seed: int,
    look: Callable[[int, float], None],
    tick: Callable[[int, float], None],
) -> tuple[sft.Run, float]:
    """Train once; measure after each quarter, and let Ctrl-C and the caller's rules end it."""
    gc.collect()  # what an earlier trial held, also one that ran out of memory
    model, tokenizer = load()
    last = math.nan

    def on_step(step: int, steps: int, loss: float, left: float) -> None:
        nonlocal last
        if study.asked:
            raise _Stop("as you asked")
        tick(step, left)
        quarters = range(1, QUARTERS + 1)
        if ended := [q for q in quarters if step == math.ceil(steps * q / QUARTERS)]:
            last = held_out.loss(model, tokenizer, held_out_records)
            look(max(ended), last)  # several end in one step where there are fewer than four

    try:
        run = sft.train(
            model, tokenizer, train_records, method=method, seed=seed, on_step=on_step, **params
        )
    except TrainingError as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # a second Ctrl-C
            study.asked = True
            raise _Stop("as you asked") from None
        raise
    return run, last


@contextmanager
def _gently(study: Study) -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) end the sweep after the step it is in."""

    def ask() -> None:
        if study.asked:
            raise KeyboardInterrupt
        study.asked = True
        study.say("stopping after this step; once more to stop at once")

    with survival.signalled(ask):
        yield


def told(params: dict[str, Any]) -> str:
    """Write a configuration in a line.

    >>> told(defaults("full"))
    'rate 1.0e-03, epochs 3, batch 8'
    """
    short = {"learning_rate": "rate", "batch_size": "batch"}
    return ", ".join(
        f"{short.get(name, name)} {value:.1e}" if isinstance(value, float) else
        f"{short.get(name, name)} {value}"
        for name, value in params.items()
    )  # fmt: skip


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
