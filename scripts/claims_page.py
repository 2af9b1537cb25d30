"""Write the page of claims, `notebooks/claims.md`, from what the lessons recorded when they ran.

python scripts/claims_page.py            writes notebooks/claims.md
python scripts/claims_page.py --check    exit 1 when the page is not what the lessons say
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftlab.errors import DataError
from ftlab.files import read_text, write_text
from ftlab.teaching import claims


def read(notebook: Path) -> list[claims.Entry]:
    """Return what an executed notebook recorded, in its order."""
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
            kept = output.get("data", {}).get(claims.KIND)
            if kept:
                where: dict[str, Any] = {"lesson": notebook.stem, "section": section,
                                         "cell": cell.get("execution_count")}  # fmt: skip
                found.append(claims.Entry(**{**kept, "interval": tuple(kept["interval"]), **where}))
    return found


def page(notebooks: Sequence[Path]) -> str:
    """Return the ledger as Markdown: a claim with a row for each time that it was measured."""
    entries: dict[int, list[claims.Entry]] = {number: [] for number in claims.all_claims()}
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
        "of it on small models. This page is made by `python scripts/claims_page.py` from what "
        "the lessons recorded when they ran; nobody typed a figure into it. *Not seen here* is "
        "about these models and these data, not about all. Figures in square brackets are 95 % "
        "intervals.",
        "",
        f"{measured} of {len(entries)} claims are measured.",
        "",
        "| | claim | said in | lesson | measured | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for number, claim in claims.all_claims().items():
        said = f"| {number} | {_cell(claim.claim)} | {'; '.join(claim.said_by)} "
        if not entries[number]:
            lines.append(f"{said}| {claim.lesson} | {_cell(_missing(claim))} | – |")
        for entry in entries[number]:
            where = f"[{entry.lesson[:2]}]({entry.lesson}.ipynb), {_cell(entry.section)}"
            where += f", In [{entry.cell}]" if entry.cell else ""
            told = f"{str(entry)[0].upper()}{str(entry)[1:]}."
            if claim.takes and entry is entries[number][-1]:
                told += f" A fuller test would take {claim.takes}"
            lines.append(f"{said}| {where} | {_cell(told)} | **{entry.verdict}** |")
            said = "| | | "  # once for a claim
    return "\n".join(lines) + "\n"


def _missing(claim: claims.Claim) -> str:
    return f"Not measured. It would take {claim.takes}" if claim.takes else "Not measured yet."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python scripts/claims_page.py", description="Write the page of claims."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    parser.add_argument("--root", type=Path, default=Path("notebooks"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    notebooks = sorted(options.root.glob("[0-9][0-9]_*.ipynb"))
    text, target = page(notebooks), options.root / "claims.md"
    if not options.check:
        print(f"wrote {write_text(target, text, overwrite=True)}")
    elif not target.exists() or read_text(target) != text:
        print(f"{target} is stale. Run `python scripts/claims_page.py`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
