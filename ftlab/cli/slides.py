"""The command that makes a lesson's slides: slides."""

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(slides)


def slides(
    lesson: Annotated[str, typer.Argument(help="Two digits, as in 00.")],
    out: Annotated[Path | None, typer.Option(help="By default slides-NN.html.")] = None,
    notebooks: Annotated[
        Path, typer.Option(help="Folder of the lesson; runs/rehearsal/NN has yours.")
    ] = Path("notebooks"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file.")] = False,
) -> None:
    """Make slides of a lesson: one HTML file, to be turned with the arrow keys, without a network.

    Cells tagged slide-skip are left out.
    """
    from ftlab.files import write_text
    from ftlab.teaching import rehearsal
    from ftlab.teaching import slides as room

    (path,) = rehearsal.lessons(notebooks, [lesson])
    page = room.page(rehearsal.open_notebook(path), lesson)
    print(write_text(out or Path(f"slides-{lesson}.html"), page, overwrite=overwrite))
