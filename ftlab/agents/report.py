"""What became of each function, in a table and in words; and two models on the same functions."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ftlab.agents.functions import Function
from ftlab.errors import ConfigError
from ftlab.evaluation import words
from ftlab.evaluation.intervals import Interval, bootstrap
from ftlab.evaluation.pairs import pairs
from ftlab.tasks import Ratio, total

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class Outcome:
    """One function: what the model proposed, and what that is worth."""

    function: Function
    proposed: int = 0
    """Different tests that the model wrote, or calls that it proposed."""
    tests: dict[str, str] = field(default_factory=dict)
    """Name -> source of each test that passes and keeps the standards."""
    failed: dict[str, str] = field(default_factory=dict)
    """Name -> why a test was not taken."""
    repaired: int = 0
    """Tests that pass only since the model saw them fail."""
    killed: int = 0
    mutants: int = 0
    lines: int = 0
    """Lines of the function that its tests run."""
    statements: int = 0
    untested: list[str] = field(default_factory=list)
    """What is not tested, in words."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.name

    @property
    def passed(self) -> int:
        """How many tests pass."""
        return len(self.tests)


FIGURES: dict[str, Callable[[Outcome], Ratio]] = {
    "functions with a test": lambda one: Ratio(float(one.passed > 0), 1),
    "proposed that passes": lambda one: Ratio(one.passed, one.passed + len(one.failed)),
    "lines run": lambda one: Ratio(one.lines, one.statements),
    "mutants killed": lambda one: Ratio(one.killed, one.mutants),
}


@dataclass
class Report:
    """What a run of the agent came to."""

    model: str
    expect: str
    functions: list[Outcome] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)
    """File -> why its functions were not asked for, or not all."""
    files: dict[Path, str] = field(default_factory=dict)
    """Test file -> what was done, or would be."""
    diff: str = ""
    """All changes as one unified diff."""
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every function that was found has a test that passes."""
        faulty = any(not why.startswith("has no public function") for why in self.left_out.values())
        return not faulty and all(one.passed for one in self.functions)

    def figures(self) -> dict[str, Interval]:
        """Return the shares over all functions, with their bootstrap intervals over functions."""
        rows = {name: [of(one) for one in self.functions] for name, of in FIGURES.items()}
        return {name: bootstrap([r.num for r in row], [r.den for r in row])
                for name, row in rows.items() if row}  # fmt: skip

    def table(self) -> "Table":
        """Return one line for each function, and the sums."""
        from rich import box
        from rich.table import Table

        made = Table(
            title=f"{self.model}, expected values by {self.expect}", box=box.SIMPLE,
            title_justify="left", padding=(0, 1), show_footer=True,
        )  # fmt: skip
        ones = self.functions
        sums = [total(FIGURES[name](one) for one in ones) for name in FIGURES]
        feet = ["", sum(o.proposed for o in ones), sum(o.passed for o in ones),
                sum(o.repaired for o in ones),
                *(f"{r.num:.0f}/{r.den:.0f}" for r in sums[2:])]  # fmt: skip
        heads = ("function", "proposed", "pass", "repaired", "lines", "mutants killed")
        for head, foot in zip(heads, feet, strict=True):
            side = "left" if head == "function" else "right"
            made.add_column(head, str(foot), justify=side, overflow="fold")  # type: ignore[arg-type]
        for one in ones:
            made.add_row(
                f"{one.function.module}.{one.name}", str(one.proposed), str(one.passed),
                str(one.repaired), f"{one.lines}/{one.statements}", f"{one.killed}/{one.mutants}",
            )  # fmt: skip
        return made

    def words(self, most: int = 3) -> list[str]:
        """Say what is not tested: a line for each function, with at most so many reasons."""
        lines = [f"{path}: {why}" for path, why in self.left_out.items()]
        for one in self.functions:
            some = one.untested[:most]
            if more := len(one.untested) - len(some):
                some.append(f"and {more} more")
            lines += [
                f"{one.function.path}:{one.function.line} {one.name}: {'; '.join(some)}"
            ] * bool(some)
        return lines

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=96)
        console.print(self.table())
        lines = [
            *self.words(),
            *self.notes,
            *(f"{path}: {what}" for path, what in self.files.items()),
        ]
        return console.file.getvalue() + "\n".join(lines)  # type: ignore[attr-defined]


def compare(report_a: Report, report_b: Report) -> list[str]:
    """Say how two runs differ on the same functions, figure by figure, with paired intervals.

    Args:
        report_a: of the baseline.
        report_b: of what is compared with it.

    Raises:
        ConfigError: they have no function in common.
    """
    key = lambda one: (one.function.path, one.name)
    there = {key(one): one for one in report_a.functions}
    both = [(there[key(one)], one) for one in report_b.functions if key(one) in there]
    if not both:
        raise ConfigError("The two reports have no function in common. Run both on the same files.")
    names = _names(report_a, report_b)
    lines = []
    for figure, of in FIGURES.items():
        scores = {name: [of(pair[side]) for pair in both] for side, name in enumerate(names)}
        if not all(total(row).den for row in scores.values()):
            lines.append(f"{figure}: nothing to compare, one of the two has no case of it.")
            continue
        known: dict[str, Interval | None] = {
            name: bootstrap([r.num for r in row], [r.den for r in row])
            for name, row in scores.items()
        }
        said = words.sentence(figure, len(both), known, pairs(scores))
        lines.append(said.replace(" held-out ", " ").replace("example", "function"))
    return lines


def _names(*reports: Report) -> Sequence[str]:
    names = [report.model for report in reports]
    if len(set(names)) < len(names):
        names = [f"{report.model} ({report.expect})" for report in reports]
    if len(set(names)) < len(names):
        names = [f"{name} {letter}" for name, letter in zip(names, "ab", strict=False)]
    return names
