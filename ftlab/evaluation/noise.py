"""Did a sweep find better settings than the default, or only a lucky seed?

The best of twenty trials looks better than it is, for it was picked by the very figure that it is
praised for. So the search's own figures decide nothing here. The default and the best few were
trained again with seeds that the search never used, all on the same data; how far the runs of one
configuration lie apart is the noise, and a difference counts only where it stands out of it. The
same is asked of records that the search never looked at.

>>> gap([0.50, 0.54, 0.52], [0.40, 0.44, 0.42]).covers_zero
False
>>> gap([0.50, 0.54, 0.52], [0.49, 0.53, 0.54]).covers_zero
True
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import ConfigError
from ftlab.evaluation.intervals import UNKNOWN, Interval
from ftlab.training.study import Sweep, Trial
from ftlab.training.sweep import told

if TYPE_CHECKING:
    from ftlab.evaluation.compare import Verdict
    from ftlab.records import Record
    from ftlab.tasks import Task

__all__ = ["Judgement", "check", "gap", "judge", "markdown"]


@dataclass(frozen=True)
class Judgement:
    """What the repeats of a sweep show."""

    best: Trial | None
    """Of the others than the default, the one with the lowest mean loss over the fresh seeds."""
    seeds: list[int]
    """The fresh seeds that every finalist was trained with."""
    held_out: Interval
    """The best's mean loss less the default's, on the records that the search looked at."""
    test: Interval
    """The same on the records that it never saw."""
    noise: float
    """Standard deviation of the held-out loss between seeds of one configuration."""
    sentences: list[str] = field(default_factory=list)
    """The same in words."""


def gap(a: Sequence[float], b: Sequence[float], also: Sequence[Sequence[float]] = ()) -> Interval:
    """Return mean(b) - mean(a) with its 95 % interval, from runs with several seeds.

    Formula: difference ± t s √(1/len(a) + 1/len(b)), with s² the variance within groups, pooled
    over a, b and `also`, and t of as many degrees of freedom as runs less groups.
    Source: the two-sample t interval with a pooled variance (Student, The Probable Error of a Mean,
    1908); it takes the noise to be alike in all groups, which lets three seeds say something.

    Args:
        a: the figure of each seed's run of one configuration.
        b: of another.
        also: of further configurations, for the noise alone.

    Raises:
        ConfigError: no group has two runs.
    """
    from scipy.stats import t

    groups = [a, b, *also]
    free = sum(len(group) - 1 for group in groups)
    if free < 1 or min(map(len, groups)) < 1:
        raise ConfigError("The noise cannot be seen from one run of each. Give two seeds or more.")
    difference = statistics.fmean(b) - statistics.fmean(a)
    reach = float(t.ppf(0.975, free)) * _within(groups) * math.sqrt(1 / len(a) + 1 / len(b))
    return Interval(difference, difference - reach, difference + reach)


def _within(groups: Sequence[Sequence[float]]) -> float:
    """Return the standard deviation within groups, pooled."""
    squares = sum((x - statistics.fmean(group)) ** 2 for group in groups for x in group)
    return math.sqrt(squares / sum(len(group) - 1 for group in groups))


def judge(sweep: Sweep) -> Judgement:
    """Say whether the default lost, on data and seeds of its own."""
    default, others = sweep.default, sweep.finalists[1:]
    made = {(r.number, r.seed): r for r in sweep.repeats}
    rounds = [
        seed
        for seed in sorted({r.seed for r in sweep.repeats})
        if all((trial.number, seed) in made for trial in sweep.finalists)
    ]
    said = [_search(sweep)]
    if not others or not rounds:
        said.append(
            "Nothing was trained again with other seeds, so nothing is known of the noise: "
            "give the sweep more minutes before you believe it."
        )
        return Judgement(others[0] if others else None, [], UNKNOWN, UNKNOWN, math.nan, said)
    held: dict[int, list[Any]] = {}
    test: dict[int, list[Any]] = {}
    for trial in sweep.finalists:
        held[trial.number] = [made[trial.number, seed].loss for seed in rounds]
        test[trial.number] = [made[trial.number, seed].test_loss for seed in rounds]
    for number in [n for n, losses in held.items() if None in losses]:
        said.append(f"Trial {number} failed with another seed, so it is out.")
        held.pop(number)
        test.pop(number)
    left = [trial for trial in others if trial.number in held]
    if default.number not in held or not left:
        return Judgement(None, rounds, UNKNOWN, UNKNOWN, math.nan, said)
    best = min(left, key=lambda trial: statistics.fmean(held[trial.number]))
    if len(rounds) < 2:
        said.append(
            f"There was time for one fresh seed only: default {held[default.number][0]:.4f}, trial "
            f"{best.number} {held[best.number][0]:.4f}. One run of each says nothing of the noise."
        )
        return Judgement(best, rounds, UNKNOWN, UNKNOWN, math.nan, said)
    pair = (default.number, best.number)
    gaps = [
        gap(of[pair[0]], of[pair[1]], [x for n, x in of.items() if n not in pair])
        for of in (held, test)
    ]
    noise = _within(list(held.values()))
    said += [
        f"Trained again with {len(rounds)} fresh seeds on the same data, the default has a "
        f"held-out loss of {statistics.fmean(held[default.number]):.4f} and trial {best.number} "
        f"of {statistics.fmean(held[best.number]):.4f}; between seeds of one configuration it "
        f"varies by {noise:.4f} (standard deviation). {_finding(gaps[0], best)}",
        f"On the records that the search never saw: {statistics.fmean(test[default.number]):.4f} "
        f"against {statistics.fmean(test[best.number]):.4f}. {_finding(gaps[1], best)}",
    ]
    passes = [trial.params["epochs"] for trial in (best, default)]
    if passes[0] != passes[1]:
        said.append(
            f"Trial {best.number} reads the records {passes[0]} times, the default {passes[1]} "
            "times."
        )
    return Judgement(best, rounds, gaps[0], gaps[1], noise, said)


def _search(sweep: Sweep) -> str:
    """Say what the search found, by its own figures."""
    done = sorted(
        (t for t in sweep.trials if t.loss is not None), key=lambda t: (t.loss or 0, t.number)
    )
    counts = {state: sum(t.state == state for t in sweep.trials) for state in ("pruned", "failed")}
    place = next((i for i, t in enumerate(done, 1) if t is sweep.default), 0)
    text = (
        f"Search: {len(done)} trials ran to their end, {counts['pruned']} were pruned, "
        f"{counts['failed']} failed."
    )
    if not place:
        return f"{text} The default is not among them."
    if len(done) == 1:
        return f"{text} Only the default did."
    if place == 1:
        return (
            f"{text} None beat the default ({sweep.default.loss:.4f}); the next is trial "
            f"{done[1].number} ({done[1].loss:.4f})."
        )
    return (
        f"{text} The default came {place}. of {len(done)} with a held-out loss of "
        f"{sweep.default.loss:.4f}; the lowest is {done[0].loss:.4f} (trial {done[0].number}), "
        "which flatters it: it was picked for that figure."
    )


def _finding(gap: Interval, best: Trial) -> str:
    between = f"95 % interval {gap.low:+.4f} to {gap.high:+.4f}"
    if gap.covers_zero:
        return f"The difference of {gap.value:+.4f} is within the noise ({between})."
    who = f"The default lost to trial {best.number}" if gap.value < 0 else "The default won"
    return f"{who}, by {abs(gap.value):.4f} ({between})."


def check(
    sweep: Sweep,
    judgement: Judgement,
    task: "Task",
    test_records: "Sequence[Record]",
    folder: str | Path,
    **how: Any,
) -> "Verdict | None":
    """Let the default's model and the best's answer records that the search never saw.

    Args:
        sweep: the sweep.
        judgement: what `judge` said of it.
        task: how answers are marked.
        test_records: the sweep's own.
        folder: of the sweep, where its models are.
        how: `max_new_tokens`, `seed` and `say` of `ftlab.evaluation.contest.contest`.

    Returns:
        The verdict, the default first; None where the two models were not made.
    """
    from ftlab.evaluation.contest import contest
    from ftlab.evaluation.contestants import Contestant

    if judgement.best is None:
        return None
    names = {"default": sweep.default, f"trial {judgement.best.number}": judgement.best}
    places = {name: Path(folder, "models", f"trial-{t.number}") for name, t in names.items()}
    if not all(place.is_dir() for place in places.values()):
        return None
    lineup = [Contestant(name, str(place), kind="tuned") for name, place in places.items()]
    return contest(task, test_records, lineup, folder=Path(folder, "check"), **how)


def markdown(sweep: Sweep, judgement: Judgement, verdict: "Verdict | None" = None) -> str:
    """Return the report: what was found, then every trial."""
    again: dict[int, list[float]] = {}
    for repeat in sweep.repeats:
        if repeat.loss is not None:
            again.setdefault(repeat.number, []).append(repeat.loss)
    settings = sweep.settings
    lines = [
        f"# Sweep: {settings['task'] or 'records'}, {settings['model']}, {settings['method']}",
        "",
        *judgement.sentences,
        *([verdict.sentence] if verdict else []),
        "",
        f"{sweep.minutes:.1f} minutes for search and repeats"
        + {"budget": "; the budget ended before all repeats were made.",
           "interrupted": "; it was interrupted, and the same command goes on."}
        .get(sweep.stopped, "."),
        "",
        "| trial | configuration | state | held-out loss | fresh seeds | seconds |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    order = sorted(
        sweep.trials,
        key=lambda t: (t.loss is None, t.loss or 0, -max(t.quarters, default=0), t.number),
    )
    for trial in order:
        state = trial.state
        if state == "pruned":
            state = f"pruned at quarter {max(trial.quarters)}"
        measured = trial.loss if trial.loss is not None else trial.quarters.get(
            max(trial.quarters, default=0)
        )  # fmt: skip
        who = f"{trial.number} (default)" if trial is sweep.default else str(trial.number)
        lines.append(
            f"| {who} | {told(trial.params)} | {state} | "
            f"{'' if measured is None else f'{measured:.4f}'} | "
            f"{', '.join(f'{loss:.4f}' for loss in again.get(trial.number, []))} | "
            f"{trial.seconds:.0f} |"
        )
    failures = [f"Trial {t.number} failed: {t.why}" for t in sweep.trials if t.why]
    return "\n".join([*lines, *(["", *failures] if failures else []), ""])
