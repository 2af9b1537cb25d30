"""Run a lesson beforehand on this machine: the seconds of each cell, and what fails.

What it trains is kept (`ftlab.training.kept`): with `FTLAB_KEPT` the lesson in class loads it.
"""

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from ftlab.files import read_text, write_text

LIMIT = 1800  # seconds that one cell may take
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def rehearse(notebook: Path, out: Path, *, kept: bool = False) -> list[dict[str, Any]]:
    """Run a lesson in a kernel of its own; print a line at each section and error.

    Args:
        notebook: a lesson's `NN_name.ipynb`; it stays as it is.
        out: folder for the lesson with its outputs; `out/trained/NN` has the trainings.
        kept: load the trainings that an earlier rehearsal kept.

    Returns:
        Of each cell of code: "cell" (from 1), "heading", "seconds", "error" (or "").
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    lesson = nbformat.reads(read_text(notebook), as_version=4)
    trained = (out / "trained" / notebook.name[:2]).resolve()
    if not kept:
        shutil.rmtree(trained, ignore_errors=True)
    client = NotebookClient(
        lesson, timeout=LIMIT, kernel_name="python3", allow_errors=True, record_timing=False,
        coalesce_streams=True, resources={"metadata": {"path": str(notebook.parent)}},
    )  # fmt: skip
    cells: list[dict[str, Any]] = []
    heading, begun, stopped = "", time.perf_counter(), ""
    # Progress is off: the learner's own stays as it is.
    environment = os.environ | {"FTLAB_PROGRESS": "off", "FTLAB_KEPT": str(trained)}
    with client.setup_kernel(env=environment):
        for index, cell in enumerate(lesson.cells):
            if cell.cell_type != "code":
                if headings := re.findall(r"^##+ (.+)$", cell.source, flags=re.M):
                    heading = headings[-1]
                    print(f"  after {_clock(time.perf_counter() - begun)}: {heading}")
                continue
            start = time.perf_counter()
            try:
                client.execute_cell(cell, index)
            except (CellTimeoutError, DeadKernelError) as error:
                stopped = f"{type(error).__name__}: over {LIMIT} s, or out of memory?"
            raised = [f"{o.ename}: {o.evalue}" for o in cell.outputs if o.output_type == "error"]
            told = stopped or COLOUR.sub("", "".join(raised))
            seconds = time.perf_counter() - start
            cells.append({"cell": index + 1, "heading": heading, "seconds": seconds, "error": told})
            if told:
                print(f"  cell {index + 1} ({heading}): {told}")
            if stopped:
                break
    write_text(out / notebook.name, nbformat.writes(lesson) + "\n", overwrite=True)
    return cells


def table(rehearsed: Mapping[str, Sequence[dict[str, Any]]]) -> Any:
    """Return a table with a row for each lesson: its time, its slowest cells, its errors."""
    from rich import box
    from rich.table import Table

    shown = Table("lesson", "takes", "slowest cells", "errors", box=box.SIMPLE)
    for lesson, cells in rehearsed.items():
        slowest = sorted(cells, key=lambda cell: -cell["seconds"])[:3]
        lines = [f"{c['seconds']:.0f} s, cell {c['cell']}, {c['heading']}" for c in slowest]
        takes, errors = sum(c["seconds"] for c in cells), sum(bool(c["error"]) for c in cells)
        shown.add_row(lesson, _clock(takes), "\n".join(lines), str(errors or "none"))
    return shown


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
