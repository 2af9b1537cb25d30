"""Build the notebooks, each from one source file.

    python scripts/build_lessons.py               every lesson, outputs kept where code is unchanged
    python scripts/build_lessons.py 00 --execute  lesson 00, run from top to bottom
    python scripts/build_lessons.py --check       exit 1 when a notebook is not what its source says

`notebooks/source/NN_name.py`, in jupytext's percent format, gives the learner's notebook
`notebooks/NN_name.ipynb` and, with the solutions in, `notebooks/solutions/NN_name.ipynb`.
An exercise holds its solution and its stub side by side; the stub's lines are comments:

    def mean(numbers):
        # solution:
        return sum(numbers) / len(numbers)
        # stub:
        # ...
        # end

The result is the same bytes for the same source: cell ids come from the cells' text, and neither
widget state nor times nor versions are kept.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import DataError, FtlabError, MissingExtraError, raise_unknown
from ftlab.files import read_text, write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

SOLUTION, STUB, END = "# solution:", "# stub:", "# end"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
LIVE = "application/vnd.jupyter.widget-view+json"
EMPTY = ("", "\n", "Output()")
# Before exercises that run alone. TRL sets an option of transformers by the name that it had.
BEGIN = """import math
import warnings

from ftlab import check

warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)"""
SOLVED_NOTE = "> This is lesson {lesson} with the solutions in. Try the exercises first."


def choose(text: str, *, solved: bool, where: str = "cell") -> str:
    """Return an exercise's code with its solution, or with its stub.

    Args:
        text: the code of a cell, with or without exercises in it.
        solved: True for the solution, False for the stub.
        where: what a message calls this cell.

    Raises:
        DataError: the markers are incomplete or out of order.

    >>> code = "def f(x):\\n  # solution:\\n  return 2 * x\\n  # stub:\\n  # ...\\n  # end"
    >>> print(choose(code, solved=False))
    def f(x):
      ...
    """
    kept, part = [], ""
    order = {SOLUTION: ("", "solution"), STUB: ("solution", "stub"), END: ("stub", "")}
    for number, line in enumerate(text.splitlines(), 1):
        marker = line.strip()
        if marker in order:
            before, after = order[marker]
            if part != before:
                raise DataError(
                    f"{where}, line {number}: {marker!r} is out of place; an exercise is written "
                    f"{SOLUTION!r}, {STUB!r}, {END!r}, in this order."
                )
            part = after
            continue
        if part == "stub":
            if marker and not marker.startswith("#"):
                raise DataError(f"{where}, line {number}: a line of a stub is a comment ('# …').")
            indent = line[: len(line) - len(line.lstrip())]
            bare = marker[2:] if marker.startswith("# ") else marker[1:]
            if not solved:
                kept.append((indent + bare).rstrip())
        elif not part or solved:
            kept.append(line)
    if part:
        raise DataError(f"{where}: an exercise has no {END!r}.")
    return "\n".join(kept)


def make(source: str, *, lesson: str, solved: bool = False) -> "NotebookNode":
    """Make a notebook, not yet executed, of a source in percent format."""
    import nbformat

    try:
        import jupytext
    except ImportError as error:
        message = "Building notebooks needs jupytext: pip install 'ftlab[dev]'"
        raise MissingExtraError(message) from error

    parsed = jupytext.reads(source, fmt="py:percent")
    if solved:
        note = nbformat.v4.new_markdown_cell(SOLVED_NOTE.format(lesson=lesson))
        parsed.cells.insert(1, note)
    used: set[str] = set()
    cells = []
    for index, cell in enumerate(parsed.cells):
        text = cell.source
        if cell.cell_type == "code":
            text = choose(text, solved=solved, where=f"lesson {lesson}, cell {index + 1}")
        elif solved:  # a folder deeper, with the other solutions beside it
            text = re.sub(r"\]\((?=\.\./|claims\.md)", "](../", text)
        tags = list(cell.metadata.get("tags", []))
        fresh: dict[str, Any] = {
            "cell_type": cell.cell_type,
            "id": _cell_id(cell.cell_type + text, used),
            "metadata": {"tags": tags} if tags else {},
            "source": text,
        }
        if cell.cell_type == "code":
            fresh |= {"execution_count": None, "outputs": []}
        cells.append(fresh)
    whole = {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}
    return nbformat.from_dict(whole)


def keep_outputs(fresh: "NotebookNode", old: "NotebookNode") -> bool:
    """Carry the old outputs over when the code is the same, cell by cell; say whether it was."""
    new_code = [cell for cell in fresh.cells if cell.cell_type == "code"]
    old_code = [cell for cell in old.cells if cell.cell_type == "code"]
    if [cell.source for cell in new_code] != [cell.source for cell in old_code]:
        return False
    for new, before in zip(new_code, old_code, strict=True):
        new.outputs, new.execution_count = before.outputs, before.execution_count
    return True


def execute(notebook: "NotebookNode", folder: Path, *, timeout: int = 1800) -> None:
    """Run a notebook in place, in a fresh kernel, and clean what it leaves.

    Args:
        notebook: it gets the outputs.
        folder: the kernel's working folder.
        timeout: seconds that one cell may take.
    """
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    with tempfile.TemporaryDirectory() as home:
        # The progress of whoever builds is not the learner's.
        own = {"FTLAB_PROGRESS": str(Path(home, "progress.json"))}
        client.execute(env={**os.environ, **own})
    clean(notebook)


def clean(notebook: "NotebookNode") -> None:
    """Take away what must not be committed: widget state, times, versions, live widget views."""
    import nbformat

    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
        for output in cell.get("outputs", []):
            if "data" in output:
                # Without its kernel a live widget is an error message; the text beside it is not.
                output.data.pop(LIVE, None)
                if output.data.get("text/plain") in EMPTY:
                    output.data.clear()  # a progress bar that is gone
            if "metadata" in output:
                output.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("data", True)]


def differences(notebook: "NotebookNode", wanted: "NotebookNode") -> list[str]:
    """Say where a notebook's cells, apart from outputs, differ from what they should be."""
    found = []
    keys = ("cell_type", "source", "id", "metadata")
    for number, (got, want) in enumerate(zip(notebook.cells, wanted.cells, strict=False), 1):
        found += [f"cell {number}: {key} differs" for key in keys if got.get(key) != want[key]]
    if len(notebook.cells) != len(wanted.cells):
        found.append(f"{len(notebook.cells)} cells, where the source has {len(wanted.cells)}")
    if notebook.metadata != wanted.metadata:
        found.append("the notebook's metadata differ")
    return found


def sources(root: Path, lessons: Sequence[str] = ()) -> list[Path]:
    """Return the source files of the lessons asked for; of all when none is named."""
    files = {path.name[:2]: path for path in sorted((root / "source").glob("[0-9][0-9]_*.py"))}
    if not files:
        raise DataError(f"No lesson sources in {root / 'source'}. Run this from the repository.")
    for lesson in lessons:
        if lesson not in files:
            raise_unknown("lesson", lesson, files)
    return [files[lesson] for lesson in (lessons or files)]


def build(source: Path, *, run: bool = False) -> list[Path]:
    """Write a lesson's two notebooks; return their paths."""
    import nbformat

    number, root = source.name[:2], source.parent.parent
    text = read_text(source)
    lesson, solved = (make(text, lesson=number, solved=answers) for answers in (False, True))
    paths = [_target(source, solved=answers) for answers in (False, True)]
    if run:
        execute(lesson, root)
    elif paths[0].exists():
        keep_outputs(lesson, _read(paths[0]))
    kept = paths[1].exists() and keep_outputs(solved, _read(paths[1]))
    if run or not (kept and any(cell.get("outputs") for cell in solved.cells)):
        solve(solved, lesson, root)
    for notebook, path in zip((lesson, solved), paths, strict=True):
        nbformat.validate(notebook)
        write_text(path, nbformat.writes(notebook) + "\n", overwrite=True)
    return paths


def solve(solved: "NotebookNode", lesson: "NotebookNode", folder: Path) -> None:
    """Give the solutions the lesson's outputs, and run what differs: the exercises, which need
    nothing that comes before them."""
    import nbformat

    code = [[cell for cell in made.cells if cell.cell_type == "code"] for made in (solved, lesson)]
    pairs = [pair for pair in zip(*code, strict=True) if pair[1].execution_count]
    answered = [mine for mine, theirs in pairs if mine.source != theirs.source]
    begin = nbformat.v4.new_code_cell(BEGIN)
    alone = nbformat.v4.new_notebook(cells=[begin, *answered])
    if answered:
        execute(alone, folder)
    for mine, theirs in pairs:
        mine.execution_count = theirs.execution_count
        if mine.source == theirs.source:
            mine.outputs = theirs.outputs


def stale(source: Path) -> list[str]:
    """Say what in a lesson's committed notebooks is not what the source says."""
    found = []
    text = read_text(source)
    for solved in (False, True):
        path = _target(source, solved=solved)
        if not path.exists():
            found.append(f"{path}: missing")
            continue
        wanted = make(text, lesson=source.name[:2], solved=solved)
        found += [f"{path}: {difference}" for difference in differences(_read(path), wanted)]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python scripts/build_lessons.py",
        description="Build the notebooks from their sources.",
    )
    parser.add_argument("lesson", nargs="*", help="two digits, as in 00; all when none is given")
    parser.add_argument("--execute", action="store_true", help="run the lessons, keep the outputs")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when stale")
    parser.add_argument("--root", type=Path, default=Path("notebooks"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        found = []
        for source in sources(options.root, options.lesson):
            if options.check:
                found += stale(source)
            else:
                for path in build(source, run=options.execute):
                    print(f"wrote {path}")
    except FtlabError as error:
        print(error, file=sys.stderr)
        return 2
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("Run `python scripts/build_lessons.py` and commit the notebooks.", file=sys.stderr)
    return 1 if found else 0


def _target(source: Path, *, solved: bool) -> Path:
    root = source.parent.parent
    return (root / "solutions" if solved else root) / f"{source.stem}.ipynb"


def _read(path: Path) -> "NotebookNode":
    import nbformat

    try:
        return nbformat.reads(read_text(path), as_version=4)
    except nbformat.reader.NotJSONError as error:
        message = f"{path} is not a notebook. Delete it and build it again."
        raise DataError(message) from error


def _cell_id(text: str, used: set[str]) -> str:
    """Return an id that stays when cells around it change; repeated text gets a number."""
    stem = hashlib.sha256(text.encode()).hexdigest()[:10]
    name, number = stem, 1
    while name in used:
        number += 1
        name = f"{stem}-{number}"
    used.add(name)
    return name


if __name__ == "__main__":
    sys.exit(main())
