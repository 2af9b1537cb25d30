"""What became of each function, in a table and in words; and two models on the same functions."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.agents.functions import Function
from ftlab.errors import ConfigError
from ftlab.evaluation import report
from ftlab.evaluation.intervals import Interval, bootstrap
from ftlab.evaluation.power import pairs
from ftlab.tasks import Ratio, total

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class Outcome:
    """One function: what the model proposed, and what that is worth."""

    function: Function
    file: Path  # where its tests go
    proposed: int = 0  # different tests that the model wrote, or calls that it proposed
    tests: dict[str, str] = field(default_factory=dict)
    """Name -> source of each test that passes and keeps the standards."""
    failed: dict[str, str] = field(default_factory=dict)  # test, or call -> why it was not taken
    repaired: int = 0  # tests that pass only since the model saw them fail
    killed: int = 0
    mutants: int = 0
    lines: int = 0  # of the `statements` of the function, those that its tests run
    statements: int = 0
    untested: list[str] = field(default_factory=list)  # what is not tested, in words
    imports: set[str] = field(default_factory=set, repr=False)
    messages: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name

    @property
    def passed(self) -> int:
        """How many tests pass."""
        return len(self.tests)


FIGURES: dict[str, Callable[[Outcome], Ratio]] = {
    "share of functions with a test": lambda one: Ratio(float(one.passed > 0), 1),
    "share of proposals that hold": lambda one: Ratio(
        max(0, one.proposed - len(one.failed)), one.proposed
    ),
    "share of lines run": lambda one: Ratio(one.lines, one.statements),
    "share of mutants killed": lambda one: Ratio(one.killed, one.mutants),
}


@dataclass
class Report:
    """What a run of the agent came to."""

    model: str
    expect: str
    functions: list[Outcome] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """File, or function of a file -> why no tests of it were asked for."""
    files: dict[Path, str] = field(default_factory=dict)  # test file -> what was done
    diff: str = ""  # all changes, as a unified diff
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every function that was found has a test that passes."""
        faulty = any(not why.startswith("has no public") for why in self.left_out.values())
        return not faulty and all(one.passed for one in self.functions)

    def table(self) -> "Table":
        """Return a line for each function, and the sums."""
        from rich import box
        from rich.table import Table

        made = Table(
            title=f"{self.model}, --expect {self.expect}", box=box.SIMPLE, title_justify="left",
            padding=(0, 1), show_footer=True,
        )  # fmt: skip
        rows: list[tuple[Any, ...]] = [
            (f"{one.function.module}.{one.name}", one.proposed, one.passed, one.repaired,
             one.lines, one.statements, one.killed, one.mutants)
            for one in self.functions
        ]  # fmt: skip
        sums = ["", *(sum(row[at] for row in rows) for at in range(1, 8))]
        shown = [(*map(str, r[:4]), f"{r[4]}/{r[5]}", f"{r[6]}/{r[7]}") for r in (*rows, sums)]
        heads = ("function", "proposed", "pass", "repaired", "lines run", "mutants killed")
        for number, (head, foot) in enumerate(zip(heads, shown.pop(), strict=True)):
            made.add_column(head, foot, justify="right" if number else "left", overflow="fold")
        for row in shown:
            made.add_row(*row)
        return made

    def words(self, most: int = 3) -> list[str]:
        """Say what is not tested: a line for each function, with at most so many reasons."""
        lines = [f"{what} {why}" for what, why in self.left_out.items()]
        for one in self.functions:
            more = len(one.untested) - most
            some = [*one.untested[:most], *([f"and {more} more"] if more > 0 else [])]
            if some:
                place = f"{one.function.path}:{one.function.line}"
                lines.append(f"{place} {one.name}: {'; '.join(some)}")
        return lines

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=96)
        console.print(self.table())
        done = [f"{path}: {what}" for path, what in self.files.items()]
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return "\n".join([text.rstrip(), "", *self.words(), *self.notes, *done])


def compare(report_a: Report, report_b: Report) -> list[str]:
    """Say how the second run differs from the first, figure by figure, with paired intervals.

    Raises:
        ConfigError: they have no function in common.
    """
    there = {(one.function.path, one.name): one for one in report_a.functions}
    both = [(there[key], one) for one in report_b.functions
            if (key := (one.function.path, one.name)) in there]  # fmt: skip
    if not both:
        raise ConfigError("The two reports have no function in common. Run both on the same files.")
    names = [report_a.model, report_b.model]
    if names[0] == names[1]:
        names = [f"{names[0]} (first)", f"{names[1]} (second)"]
    lines = []
    for figure, of in FIGURES.items():
        scores = {name: [of(pair[side]) for pair in both] for side, name in enumerate(names)}
        if not all(total(row).den for row in scores.values()):
            lines.append(f"{figure}: one of the two has no case of it.")
            continue
        known: dict[str, Interval | None] = {
            name: bootstrap([r.num for r in row], [r.den for r in row])
            for name, row in scores.items()
        }
        said = report.sentence(figure, len(both), known, pairs(scores))
        lines.append(said.replace(" held-out ", " ").replace("example", "function"))
    return lines
