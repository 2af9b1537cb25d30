"""The command for the day before the class: rehearse."""

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(rehearse)


def rehearse(
    only: Annotated[
        list[str] | None, typer.Option(help="A lesson, as in 05; repeatable. All by default.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0, help="That a lesson's cells may take in class.")
    ] = 10,
    again: Annotated[
        bool, typer.Option("--again", help="Also lessons that nothing has changed for.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for times and outputs.")] = Path(
        "runs/rehearsal"
    ),
    notebooks: Annotated[Path, typer.Option(help="Folder of the lessons.")] = Path("notebooks"),
) -> None:
    """Run lessons beforehand on this machine: their time and their errors."""
    from rich.console import Console

    from ftlab.teaching import rehearsal

    console, done, stopped = Console(), [], False

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    for path in rehearsal.lessons(notebooks, only or ()):
        say(path.stem)
        try:
            done.append(rehearsal.rehearse(path, out, again=again, say=say))
        except KeyboardInterrupt:
            stopped = True
            break
    if done:
        console.print(rehearsal.table(done, minutes))
    errors = rehearsal.error_lines(done)
    for line in errors:
        say(line)
    if done:
        say(f"takes: the cells alone, without reading and talking. All of it is in {out}.")
    if stopped:
        say("Stopped by you. The lessons above are kept; the same command goes on.")
        raise typer.Exit(130)
    if errors:
        raise typer.Exit(1)
