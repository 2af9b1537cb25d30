"""What the doctor found: findings, the notes they grow from, and the report of them all.

>>> notes = Notes()
>>> notes.add("blank_lines", 2)
>>> report = Report("a.jsonl", 3, 2, notes.findings())
>>> report.exit_code(strict=True), report.findings[0].severity
(0, 'note')
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ftlab.files import read_data

if TYPE_CHECKING:
    from rich.console import Group

SHOWN = 10  # lines named in the table; the JSON has them all
SEVERITIES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


class Check(NamedTuple):
    """One kind of fault: how bad, what it is, why it hurts, how to mend it."""

    severity: str
    what: str
    why: str
    mend: str


CHECKS = {name: Check(**row) for name, row in read_data("doctor.yaml").items()}
"""Every check, by name; the order is that of the report within a severity."""


@dataclass(frozen=True)
class Finding:
    """One check that fired."""

    check: str
    """The name of the check, a key of `CHECKS`."""
    severity: str
    count: int
    """How many lines it concerns; 1 where it concerns the file."""
    lines: tuple[int, ...]
    """All of them, from 1, sorted; empty where the fault is not in a line."""
    others: tuple[int, ...]
    """For a repetition or a leak: the line that each repeats, in this or the evaluation file."""
    what: str
    detail: str
    """What is particular to this file: an example, figures; may be empty."""
    why: str
    mend: str


def counted(kinds: Mapping[str, int]) -> str:
    """Return kinds with their counts, as the detail of a check."""
    return f"By records: {', '.join(f'{kind} {n:,}' for kind, n in kinds.items())}."


class Notes:
    """Where each check fired, collected line by line; becomes findings at the end."""

    def __init__(self) -> None:
        self.read = self.bytes = 0  # lines so far, and what is in them
        self._lines: dict[str, dict[int, int]] = {}  # check -> line -> the line it is like, or 0
        self._details: dict[str, str] = {}

    def add(self, check: str, line: int | None = None, detail: str = "", *, like: int = 0) -> None:
        """Note that a check fired in a line, None for the file; the first detail is kept."""
        self._details.setdefault(check, detail)
        lines = self._lines.setdefault(check, {})
        if line is not None:
            lines.setdefault(line, like)

    def tell(self, check: str, detail: str) -> None:
        """Put another detail in place of the first."""
        self._details[check] = detail

    def detail(self, check: str) -> str | None:
        """Return the detail of a check, None if it did not fire."""
        return self._details.get(check)

    def lines(self, check: str) -> tuple[int, ...]:
        """Return the lines in which a check fired, sorted."""
        return tuple(sorted(self._lines.get(check, ())))

    def checks(self) -> list[str]:
        """Return the checks that fired."""
        return list(self._lines)

    def findings(self) -> list[Finding]:
        """Return one finding for each check that fired."""
        found = []
        for check, detail in self._details.items():
            severity, what, why, mend = CHECKS[check]
            lines, likes = self.lines(check), self._lines[check]
            others = tuple(likes[line] for line in lines if likes[line])
            found.append(Finding(
                check, severity, len(lines) or 1, lines, others, what, detail, why, mend
            ))  # fmt: skip
        return found


@dataclass(frozen=True)
class Report:
    """What the doctor found in one file; findings are sorted, errors first."""

    path: str
    lines: int
    """Lines in the file."""
    records: int
    """Lines that are records."""
    findings: list[Finding]
    facts: dict[str, Any] = field(default_factory=dict)
    """Figures that are no faults: formats, labels, lengths, supervised share, seconds."""

    def __post_init__(self) -> None:
        order = [*SEVERITIES, *CHECKS]
        self.findings.sort(key=lambda f: (order.index(f.severity), order.index(f.check)))

    def of(self, check: str) -> Finding | None:
        """Return the finding of a check, None when it was silent."""
        return next((f for f in self.findings if f.check == check), None)

    def count(self, severity: str) -> int:
        """Return how many findings have this severity."""
        return sum(f.severity == severity for f in self.findings)

    def exit_code(self, *, strict: bool = False) -> int:
        """Return 2 with errors, 1 with warnings if `strict`, else 0."""
        return 2 if self.count("error") else int(strict and self.count("warning") > 0)

    def to_json(self) -> str:
        """Return the whole report, every line number included, in ASCII: any console prints it."""
        return json.dumps({**asdict(self), "exit_code": self.exit_code()})

    def table(self) -> "Group":
        """Return the report for a terminal or a notebook: print it with rich."""
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        title = Text(f"{self.path}: {self.records:,} records in {self.lines:,} lines", "bold")
        facts = Text("  ".join(f"{k} {_figure(v)}" for k, v in self.facts.items()), "dim")
        if not self.findings:
            return Group(title, facts, Text("Nothing found.", "green"))
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        table.add_column("check", no_wrap=True)
        table.add_column("count", justify="right")
        table.add_column("what, and where")
        table.add_column("why it hurts, and how to mend it")
        for found in self.findings:
            what = "\n".join(filter(None, [found.what, _where(found), found.detail]))
            check = Text(f"{found.severity}\n{found.check}", SEVERITIES[found.severity])
            why = Text(f"{found.why}\n→ {found.mend}")
            table.add_row(check, Text(f"{found.count:,}"), Text(what), why)
        counts = [f"{self.count(s)} {s}{'s' * (self.count(s) != 1)}" for s in SEVERITIES]
        return Group(title, facts, table, Text(", ".join(counts), "bold"))


def _where(found: Finding) -> str:
    """Name the first lines; a repetition as "12 (like 3)"."""
    names = [str(line) for line in found.lines[:SHOWN]]
    if found.others:
        names = [f"{a} (like {b})" for a, b in zip(names, found.others, strict=False)]
    more = f", and {len(found.lines) - SHOWN:,} more" if len(found.lines) > SHOWN else ""
    return ("line " if len(names) == 1 else "lines ") + ", ".join(names) + more if names else ""


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{k}={_figure(v)}" for k, v in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)
