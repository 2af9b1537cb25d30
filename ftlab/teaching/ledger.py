"""The claims ledger: what practitioners say, and what the lessons measured of it.

A lesson calls `record` in the cell that measured something. The cell shows one line, and its output
carries the same as data, so that the page is made of the notebooks as they ran, never typed:

    ledger.record(24, "holds", f"F1 is {f1:.2f} without the capitals it was trained with.", f1)
    python -m ftlab.teaching.ledger            writes notebooks/claims.md
    python -m ftlab.teaching.ledger --check    exit 1 when the page is not what the lessons say

The claims themselves are in `data/claims.yaml`, in our own words.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ftlab.display import box, display, in_notebook
from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import read_data, read_text, write_text

KIND = "application/vnd.ftlab.claim+json"
VERDICTS = ("holds", "depends", "not seen here")
TONES = {"holds": "right", "depends": "note", "not seen here": "wrong"}


@dataclass(frozen=True)
class Claim:
    """One thing that practitioners say."""

    number: int
    lesson: str
    said_by: tuple[str, ...]
    claim: str
    takes: str = ""
    """What a test, or a fuller one, would need that the course has not got."""
    rule: dict[str, Any] | None = None
    """How `ftlab.teaching.claims` decides it from a difference."""


@dataclass(frozen=True)
class Entry:
    """What a lesson measured of a claim."""

    number: int
    verdict: str
    figure: str
    """A sentence, with its figures in it; or a phrase, which is told with `value` behind it."""
    value: float | None = None
    interval: tuple[float, float] | None = None
    lesson: str = ""
    """The notebook's name; read from where it lies."""
    section: str = ""
    """The heading that it stands under."""
    cell: int | None = None
    """The cell's number as the notebook shows it."""

    def __str__(self) -> str:
        text = self.figure
        if text.endswith("."):
            return text
        if self.value is not None:
            text += f": {self.value:.3g}"
        if self.interval is not None:
            text += " [{:.3g}, {:.3g}]".format(*self.interval)
        return text


@cache
def claims() -> dict[int, Claim]:
    """Return all claims by number."""
    return {row["number"]: Claim(**row) for row in read_data("claims.yaml")}


def record(
    number: int,
    verdict: str,
    figure: str,
    value: float | None = None,
    *,
    interval: tuple[float, float] | None = None,
) -> None:
    """Show what this cell found out about a claim, and keep it for the ledger.

    Args:
        number: the claim's, see `claims`.
        verdict: "holds", "depends" or "not seen here"; computed by the cell, from its figures.
        figure: what was measured, as a sentence that can be understood without the lesson: its
            figures are formatted into it, intervals in square brackets. It ends with a full stop;
            without one it is a phrase, and `value` and `interval` are written behind it.
        value: the figure that decides, kept as data.
        interval: its 95 % interval, kept as data.

    Raises:
        ConfigError: there is no such claim or verdict, or no figure.
    """
    if number not in claims():
        raise_unknown("claim", str(number), [str(n) for n in claims()])
    if verdict not in VERDICTS:
        raise_unknown("verdict", verdict, VERDICTS)
    if not figure.strip():
        raise ConfigError(f"Claim {number} wants a figure: what was measured, in a sentence.")
    limits = (float(interval[0]), float(interval[1])) if interval is not None else None
    entry = Entry(number, verdict, figure, None if value is None else float(value), limits)
    text = f"Claim {number}: {claims()[number].claim}\n{verdict.capitalize()}. {entry}"
    if not in_notebook():
        print(text)
        return
    data = {k: v for k, v in asdict(entry).items() if k not in ("lesson", "section", "cell")}
    display({"text/plain": text, "text/html": box(text, TONES[verdict]), KIND: data})


def read(notebook: Path) -> list[Entry]:
    """Return what an executed notebook recorded, in its order."""
    import json

    try:
        cells = json.loads(read_text(notebook))["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{notebook} is not a notebook. Build it again.") from error
    found, section = [], ""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for line in "".join(cell["source"]).splitlines():
                section = line.lstrip("# ") if line.startswith("## ") else section
        for output in cell.get("outputs", []):
            kept = output.get("data", {}).get(KIND)
            if kept:
                limits = tuple(kept["interval"]) if kept["interval"] else None
                where: dict[str, Any] = {"lesson": notebook.stem, "section": section,
                                         "cell": cell.get("execution_count")}  # fmt: skip
                found.append(Entry(**{**kept, "interval": limits, **where}))
    return found


def page(notebooks: Sequence[Path]) -> str:
    """Return the ledger as Markdown: a claim with a row for each time that it was measured."""
    entries: dict[int, list[Entry]] = {number: [] for number in claims()}
    for notebook in notebooks:
        for entry in read(notebook):
            if entry.number not in entries:
                raise DataError(f"{notebook.name} records claim {entry.number}, which is unknown.")
            entries[entry.number].append(entry)
    measured = sum(map(bool, entries.values()))
    lines = [
        "# The claims ledger",
        "",
        "What practitioners say about fine-tuning, in our own words, and what the lessons measured "
        "of it on small models. This page is made by `python -m ftlab.teaching.ledger` from what "
        "the lessons recorded when they ran; nobody typed a figure into it. *Not seen here* is "
        "about these models and these data, not about all. Figures in square brackets are 95 % "
        "intervals.",
        "",
        f"{measured} of {len(entries)} claims are measured.",
        "",
        "| | claim | said in | lesson | measured | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for number, claim in claims().items():
        said = f"| {number} | {_cell(claim.claim)} | {'; '.join(claim.said_by)} "
        if not entries[number]:
            lines.append(f"{said}| {claim.lesson} | {_cell(_missing(claim))} | – |")
        for entry in entries[number]:
            where = f"[{entry.lesson[:2]}]({entry.lesson}.ipynb), {_cell(entry.section)}"
            where += f", In [{entry.cell}]" if entry.cell else ""
            told = _sentence(entry)
            if claim.takes and entry is entries[number][-1]:
                told += f" A fuller test would take {claim.takes}"
            lines.append(f"{said}| {where} | {_cell(told)} | **{entry.verdict}** |")
            said = "| | | "  # once for a claim
    return "\n".join(lines) + "\n"


def _sentence(entry: Entry) -> str:
    text = str(entry)
    return text if text.endswith(".") else f"{text[0].upper()}{text[1:]}."


def _missing(claim: Claim) -> str:
    return f"Not measured. It would take {claim.takes}" if claim.takes else "Not measured yet."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ftlab.teaching.ledger", description="Write the page of claims."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    parser.add_argument("--root", type=Path, default=Path("notebooks"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    notebooks = sorted(options.root.glob("[0-9][0-9]_*.ipynb"))
    text, target = page(notebooks), options.root / "claims.md"
    if not options.check:
        print(f"wrote {write_text(target, text, overwrite=True)}")
    elif not target.exists() or read_text(target) != text:
        print(f"{target} is stale. Run `python -m ftlab.teaching.ledger`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
