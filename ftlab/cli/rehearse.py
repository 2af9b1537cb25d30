"""The command for the day before the class: rehearse."""

from pathlib import Path
from typing import Annotated

import typer


def rehearse(
    only: Annotated[
        list[str] | None, typer.Option(help="A lesson, as in 05; repeatable. All by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the outputs.")] = Path("runs/rehearsal"),
    notebooks: Annotated[Path, typer.Option(help="Folder of the lessons.")] = Path("notebooks"),
) -> None:
    """Run lessons beforehand on this machine: their time and their errors."""
    from rich.console import Console

    from ftlab.teaching import time_lessons

    console, done = Console(), []
    for path in time_lessons.lessons(notebooks, only or ()):
        print(path.stem)
        done.append(time_lessons.rehearse(path, out))
    console.print(time_lessons.table(done))
    errors = [cell for cells in done for cell in cells if cell["error"]]
    for cell in errors:
        print(f"{cell['lesson']}, cell {cell['cell']} ({cell['heading']}): {cell['error']}")
    print(f"takes: the cells alone, without reading and talking. The outputs are in {out}.")
    if errors:
        raise typer.Exit(1)
