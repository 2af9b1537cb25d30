"""Commands of a class: progress, rehearse, capstone new, check and review, board."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option


def progress(
    name: str = Option("", help="Yours, for --export."),
    export: Path | None = Option(None, help="New JSON file to hand in."),
) -> None:
    """Show which exercises and quiz questions are done; they are kept in a local file."""
    from rich.console import Console

    from ftlab.teaching import progress as own
    from ftlab.teaching.board import progress_table

    console = Console()
    if export:
        told = f"Saved in {own.export(export, name)}. It holds what you tried, and the name."
    else:
        console.print(progress_table(own.done()))
        where = own.path()
        told = f"Kept in {where}; sent nowhere." if where else "Progress is off: nothing is kept."
    console.print(told, markup=False, highlight=False, soft_wrap=True)


def rehearse(
    only: list[str] | None = Option(None, help="A lesson, as in 05; repeatable. All by default."),
    out: Path = Option(Path("runs/rehearsal"), help="Folder for the outputs."),
    notebooks: Path = Option(Path("notebooks"), help="Folder of the lessons."),
    kept: bool = Option(False, "--kept", help="Load what the last rehearsal trained."),
) -> None:
    """Run lessons beforehand on this machine: their time and errors; keep what they train."""
    from rich.console import Console

    from ftlab.errors import DataError
    from ftlab.teaching import time_lessons

    done = {}
    for path in sorted(notebooks.glob("[0-9][0-9]_*.ipynb")):
        if not only or path.name[:2] in only:
            print(path.stem)
            done[path.name[:2]] = time_lessons.rehearse(path, out, kept=kept)
    if not done:
        raise DataError(f"No such lesson in {notebooks}. Name their folder: --notebooks FOLDER.")
    Console().print(time_lessons.table(done))
    print(f"These are the cells alone, without talking. The outputs are in {out}. In class:")
    print(f"FTLAB_KEPT={(out / 'trained').resolve()} jupyter lab   # loads what was trained")
    if any(cell["error"] for cells in done.values() for cell in cells):
        raise typer.Exit(1)


Folder = Annotated[Path, Argument(help="The capstone's folder.")]
capstone = typer.Typer(no_args_is_help=True, help="A capstone: its form, and what is missing.")


@capstone.command()
def new(folder: Folder) -> None:
    """Write an empty proposal into a new folder."""
    from ftlab.teaching import capstone as own

    print(f"Fill in {own.new(folder)}, and then: ftlab capstone check {folder}")


@capstone.command()
def check(folder: Folder) -> None:
    """Say step by step what is done and what is missing; exit code 1 while something is."""
    from rich.console import Console

    from ftlab.teaching import capstone as own

    steps = own.check(folder)
    Console().print(own.table(steps))
    if not all(step.done for step in steps):
        raise typer.Exit(1)


@capstone.command()
def review(folder: Folder, name: str = Option(..., help="Yours.")) -> None:
    """Write an empty review by the rubric into the folder."""
    import re

    from ftlab.files import write_text
    from ftlab.teaching import capstone as own

    file = re.sub(r"\W+", "-", name.strip().lower()).strip("-") or "review"
    path = write_text(folder / "reviews" / f"{file}.yaml", own.review_form(name.replace('"', "'")))
    print(f"Fill in {path}: 0, 1 or 2 for each line, and why.")


def board(
    folders: list[Path] = Argument(..., help="Capstone folders, or a class's folder."),
    out: Path = Option(Path("board.html"), help="The HTML page; it is replaced."),
) -> None:
    """Make one page of a class's verdicts and progress, which needs no network."""
    from ftlab.files import write_text
    from ftlab.teaching.board import board as page_of

    text, skipped = page_of(folders)
    for line in skipped:
        print(f"passed over {line}")
    print(f"Saved in {write_text(out, text, overwrite=True)}.")
