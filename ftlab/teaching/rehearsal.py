"""Rehearse lessons on the machine of the talk: what takes how long, and what fails.

    runs/rehearsal/05/05_sft_with_trl.ipynb   the lesson as it ran
    runs/rehearsal/05/cells.json              seconds of each cell, errors, versions

A lesson's folder is written whole or not at all, so a Ctrl-C keeps the lessons that are done and
what was there before. One that was rehearsed with the same cells, package, versions and machine is
not run again.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import DataError, MissingExtraError, raise_unknown
from ftlab.files import read_text, sha256, write_text
from ftlab.hardware import profile, versions

if TYPE_CHECKING:
    from nbformat import NotebookNode
    from rich.table import Table

CELLS = "cells.json"
SLOWEST = 3
SHOWN = 3  # errors of a lesson
LIMIT = 1800  # seconds that one cell may take
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def lessons(root: Path, only: Sequence[str] = ()) -> list[Path]:
    """Return the notebooks of the lessons asked for, in their order; of all when none is named.

    Raises:
        DataError: the folder holds no lessons.
        ConfigError: there is no such lesson.
    """
    files = {path.name[:2]: path for path in sorted(root.glob("[0-9][0-9]_*.ipynb"))}
    if not files:
        raise DataError(
            f"There are no lessons in {root}. Run this in a clone of the course, or name the "
            "folder: --notebooks FOLDER."
        )
    for lesson in only:
        if lesson not in files:
            raise_unknown("lesson", lesson, files)
    return [path for name, path in files.items() if name in (only or files)]


def open_notebook(path: Path) -> "NotebookNode":
    """Read a notebook.

    Raises:
        DataError: it cannot be read, or is none.
        MissingExtraError: nbformat is not installed.
    """
    try:
        import nbformat
    except ImportError as error:
        raise MissingExtraError("Notebooks need nbformat: pip install 'ftlab[dev]'") from error
    try:
        return nbformat.reads(read_text(path), as_version=4)
    except nbformat.reader.NotJSONError as error:
        raise DataError(f"{path} is not a notebook. Build it again.") from error


def conditions(notebook: "NotebookNode") -> dict[str, Any]:
    """Return what a rehearsal depends on: the cells, the package, the versions, the machine."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    machine = profile()
    kept = ("name", "device", "gpu", "dtype", "threads", "default_model", "batch_size", "examples")
    package = hashlib.sha256()
    for file in sorted(Path(__file__).resolve().parents[1].rglob("*.py")):
        package.update(sha256(file).encode())
    return {
        "source": hashlib.sha256(code.encode()).hexdigest(),
        "package": package.hexdigest(),
        "versions": versions(),
        "profile": {name: getattr(machine, name) for name in kept},
    }


def read(folder: Path) -> dict[str, Any] | None:
    """Return what the rehearsal in a lesson's folder found; None where there is none."""
    try:
        told = json.loads(read_text(folder / CELLS))
    except (DataError, ValueError):
        return None
    return told if isinstance(told, dict) and "cells" in told else None


def rehearse(
    notebook: Path,
    out: Path,
    *,
    again: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run a lesson from top to bottom in a kernel of its own; keep what it made under `out`.

    Args:
        notebook: a lesson's `NN_name.ipynb`; it stays as it is.
        out: the folder of all rehearsals; the lesson's own is `out/NN`.
        again: also where it was rehearsed with the same cells, versions and machine.
        say: called with a line at the start and at each section.

    Returns:
        What `cells.json` holds; "new" says whether the lesson was run now.

    Raises:
        DataError: the notebook cannot be read, or `out/NN` holds something else.
        MissingExtraError: nbclient is not installed.
    """
    try:
        import nbclient  # noqa: F401
        import nbformat
    except ImportError as error:
        message = "Rehearsing needs nbclient and a kernel: pip install 'ftlab[dev]'"
        raise MissingExtraError(message) from error

    lesson, folder = notebook.name[:2], out / notebook.name[:2]
    made = open_notebook(notebook)
    same, before = conditions(made), read(folder)
    if before is None and folder.exists():
        raise DataError(f"{folder} is there and holds no rehearsal. Choose another --out.")
    if before and not again and all(before.get(key) == same[key] for key in same):
        say(f"{lesson}: rehearsed on {before['on']}, and nothing has changed since")
        return before | {"new": False}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=f".{lesson}-") as part:
        new = Path(part).resolve() / "new"
        new.mkdir()
        begun = datetime.now().strftime("%Y-%m-%d %H:%M")
        cells, errors = _run(made, notebook.parent, new, before, say)
        told: dict[str, Any] = {"lesson": lesson, "notebook": notebook.name, "on": begun, **same}
        told |= {"seconds": round(sum(cell["seconds"] for cell in cells), 2), "cells": cells}
        told |= {"errors": errors}
        write_text(new / notebook.name, nbformat.writes(made) + "\n")
        write_text(new / CELLS, json.dumps(told, indent=1) + "\n")
        if folder.exists():
            folder.rename(Path(part) / "old")
        new.rename(folder)
    return told | {"new": True}


def _run(
    notebook: "NotebookNode",
    folder: Path,
    new: Path,
    before: dict[str, Any] | None,
    say: Callable[[str], None],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run every cell, in place; return the seconds of each and the errors."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    from ftlab.teaching.build import clean

    client = NotebookClient(
        notebook, timeout=LIMIT, kernel_name="python3", allow_errors=True, record_timing=False,
        coalesce_streams=True, resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    cells: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    heading, told = "", ""
    due = before["seconds"] if before and not before["errors"] else None
    environment = os.environ | {"FTLAB_PROGRESS": str(new / "progress.json")}  # nobody's own
    log = (new / "kernel.log").open("w", encoding="utf-8")
    with log, client.setup_kernel(env=environment, stderr=log):
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                found = re.findall(r"^##+ (.+)$", cell.source, flags=re.M)
                heading = found[-1] if found else heading
                continue
            if heading != told:
                told, spent = heading, sum(one["seconds"] for one in cells)
                left = f", about {_clock(max(0.0, due - spent))} left" if due else ""
                of = f"cell {index + 1} of {len(notebook.cells)}"
                say(f"  {of}, after {_clock(spent)}{left}: {heading}")
            where = {"cell": index + 1, "heading": heading}
            begun, wrong = time.perf_counter(), []
            try:
                client.execute_cell(cell, index)
            except CellTimeoutError:
                wrong = [f"It took longer than {LIMIT} s."]
            except DeadKernelError:
                wrong = ["The kernel died. Was there enough memory? kernel.log may say more."]
            seconds = round(time.perf_counter() - begun, 2)
            first = next((line for line in cell.source.splitlines() if line[:1] not in "#"), "")
            cells.append(where | {"first_line": first, "seconds": seconds})
            errors += [where | {"error": text} for text in wrong or _errors(cell)]
            if wrong:
                break
    (new / "progress.json").unlink(missing_ok=True)
    clean(notebook)
    return cells, errors


def _errors(cell: "NotebookNode") -> Iterable[str]:
    """Return the errors that a cell's outputs hold, as Python's last line says them."""
    for output in cell.outputs:
        if output.output_type == "error":
            yield COLOUR.sub("", f"{output.ename}: {output.evalue}")


def verdict(told: dict[str, Any], minutes: float) -> str:
    """Say whether a lesson fits, counting nothing but the time that its cells take."""
    if told["errors"]:
        return "fails"
    return "fits" if told["seconds"] <= 60 * minutes else "too long"


def table(all_told: Sequence[dict[str, Any]], minutes: float) -> "Table":
    """Return a row for each lesson: its time, the slowest cells, whether it fits."""
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    for column in ("lesson", "takes", "slowest cells", f"in {minutes:g} minutes?"):
        shown.add_column(column, no_wrap=column != "slowest cells")
    for told in all_told:
        slowest = sorted(told["cells"], key=lambda cell: -cell["seconds"])[:SLOWEST]
        lines = [f"{c['seconds']:.0f} s, cell {c['cell']}, {c['heading']}" for c in slowest]
        shown.add_row(
            told["lesson"], _clock(told["seconds"]), "\n".join(lines), verdict(told, minutes)
        )
    return shown


def error_lines(all_told: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each error: the lesson, the cell, its heading, the text.

    After the first ones, a lesson's errors mostly follow from them and are only counted.
    """
    lines = []
    for told in all_told:
        for e in told["errors"][:SHOWN]:
            lines.append(f"{told['lesson']}, cell {e['cell']} ({e['heading']}): {e['error']}")
        if more := len(told["errors"][SHOWN:]):
            lines.append(f"{told['lesson']}: and {more} more, which may follow; see {CELLS}")
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
