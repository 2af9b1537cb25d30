"""Run a lesson beforehand on this machine: the seconds of each cell, and what fails.

What it trains is kept (`ftlab.training.kept`): with `FTLAB_KEPT` the lesson in class loads it.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import DataError, MissingExtraError, raise_unknown
from ftlab.files import read_text, write_text

if TYPE_CHECKING:
    from rich.table import Table

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
        raise DataError(f"There are no lessons in {root}. Name their folder: --notebooks FOLDER.")
    for lesson in only:
        if lesson not in files:
            raise_unknown("lesson", lesson, files)
    return [path for name, path in files.items() if name in (only or files)]


def rehearse(
    notebook: Path, out: Path, *, kept: bool = False, say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Run a lesson in a kernel of its own; keep it as it ran, and what it trained, in `out`.

    Args:
        notebook: a lesson's `NN_name.ipynb`; it stays as it is.
        out: folder for the lesson with its outputs; `out/trained/NN` has the trainings.
        kept: load the trainings that an earlier rehearsal kept.
        say: called with a line at each section.

    Returns:
        Of each cell of code: "lesson", "cell" (from 1), "heading", "seconds", "error" (or "").

    Raises:
        DataError: the notebook cannot be read.
        MissingExtraError: nbclient is not installed.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellTimeoutError, DeadKernelError
    except ImportError as error:
        raise MissingExtraError("Rehearsing needs nbclient: pip install 'ftlab[dev]'") from error
    try:
        lesson = nbformat.reads(read_text(notebook), as_version=4)
    except nbformat.reader.NotJSONError as error:
        raise DataError(f"{notebook} is not a notebook. Build it again.") from error
    trained = (out / "trained" / notebook.name[:2]).resolve()
    if not kept:
        shutil.rmtree(trained, ignore_errors=True)
    client = NotebookClient(
        lesson, timeout=LIMIT, kernel_name="python3", allow_errors=True, record_timing=False,
        coalesce_streams=True, resources={"metadata": {"path": str(notebook.parent)}},
    )  # fmt: skip
    cells: list[dict[str, Any]] = []
    heading, begun = "", time.perf_counter()
    # Progress is off: the learner's own stays as it is.
    environment = os.environ | {"FTLAB_PROGRESS": "off", "FTLAB_KEPT": str(trained)}
    with client.setup_kernel(env=environment):
        for index, cell in enumerate(lesson.cells):
            if cell.cell_type != "code":
                if headings := re.findall(r"^##+ (.+)$", cell.source, flags=re.M):
                    heading = headings[-1]
                    say(f"  after {clock(time.perf_counter() - begun)}: {heading}")
                continue
            start, stopped = time.perf_counter(), ""
            try:
                client.execute_cell(cell, index)
            except CellTimeoutError:
                stopped = f"It took longer than {LIMIT} s."
            except DeadKernelError:
                stopped = "The kernel died. Was there enough memory?"
            raised = [o for o in cell.outputs if o.output_type == "error"]
            told = stopped or "".join(f"{o.ename}: {o.evalue}" for o in raised)
            row = {"lesson": notebook.name[:2], "cell": index + 1, "heading": heading}
            seconds = time.perf_counter() - start
            cells.append({**row, "seconds": seconds, "error": COLOUR.sub("", told)})
            if stopped:
                break
    write_text(out / notebook.name, nbformat.writes(lesson) + "\n", overwrite=True)
    return cells


def table(rehearsed: Sequence[Sequence[dict[str, Any]]]) -> "Table":
    """Return a row for each lesson: its time, its slowest cells, its errors."""
    from rich import box
    from rich.table import Table

    shown = Table("lesson", "takes", "slowest cells", "errors", box=box.SIMPLE)
    for cells in rehearsed:
        slowest = sorted(cells, key=lambda cell: -cell["seconds"])[:3]
        lines = [f"{c['seconds']:.0f} s, cell {c['cell']}, {c['heading']}" for c in slowest]
        takes, errors = sum(c["seconds"] for c in cells), sum(bool(c["error"]) for c in cells)
        shown.add_row(cells[0]["lesson"], clock(takes), "\n".join(lines), str(errors or "none"))
    return shown


def clock(seconds: float) -> str:
    """Return minutes and seconds, as in 2:10."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
