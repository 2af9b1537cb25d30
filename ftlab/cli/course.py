"""Commands of a class: progress, rehearse."""

from pathlib import Path
from typing import Annotated

import typer

from ftlab.errors import ConfigError


def progress(
    name: Annotated[str, typer.Option(help="Yours, for --export.")] = "",
    export: Annotated[Path | None, typer.Option(help="New JSON file to hand in.")] = None,
    merge: Annotated[
        Path | None, typer.Option(help="Folder of exported files: a table of the class.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="With --merge: also a new CSV file.")] = None,
) -> None:
    """Show which exercises and quiz questions are done; they are kept in a local file."""
    from rich.console import Console

    from ftlab.files import write_text
    from ftlab.teaching import classroom
    from ftlab.teaching import progress as own

    if (csv and not merge) or (merge and export) or (name and not export):
        raise ConfigError(
            "--csv goes with --merge, --name with --export, and --merge without --export. "
            "A learner: ftlab progress --name Ada --export ada.json. "
            "An instructor: ftlab progress --merge FOLDER --csv class.csv."
        )
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    if merge:
        learners, skipped = classroom.read_class(merge)
        console.print(classroom.class_table(learners))
        for line in skipped:
            say(f"passed over {line}")
        if csv:
            say(f"Saved in {write_text(csv, classroom.class_csv(learners))}.")
    elif export:
        say(f"Saved in {own.export(export, name)}. It holds what you tried, and the name.")
    else:
        console.print(classroom.own_table(own.done()))
        where = own.path()
        say(f"Kept in {where}; sent nowhere." if where else "Progress is off: nothing is kept.")


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
