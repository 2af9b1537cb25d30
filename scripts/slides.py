"""Make slides of the lessons, as they ran, that need no network: `make slides`.

    python scripts/slides.py build/slides        every lesson
    python scripts/slides.py build/slides 00 03  two of them

A section begins a column of slides. In it each text begins a slide, and the code below it stands on
the same slide, with what it printed; more code gets a slide of its own.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ftlab.errors import FtlabError, MissingExtraError
from ftlab.files import write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]


def arrange(notebook: "NotebookNode") -> "NotebookNode":
    """Mark where slides begin; leave out the badge and the cell that installs on Colab.

    Args:
        notebook: it is changed in place, and returned.
    """
    cells, install = notebook.cells, 'if "google.colab" in sys.modules'
    notebook.cells = [cell for cell in cells if install not in cell.source]
    first = notebook.cells[0]
    first.source = "\n".join(li for li in first.source.splitlines() if not li.startswith("[![Open"))
    before = ""
    for cell in notebook.cells:
        below = cell.cell_type == "code" and before == "markdown"
        begins = not before or cell.source.startswith("## ")
        kind = "-" if below else "slide" if begins else "subslide"
        cell.metadata["slideshow"] = {"slide_type": kind}
        before = cell.cell_type
    return notebook


def deck(path: Path) -> str:
    """Return a lesson as a page of slides; reveal.js is looked for in `reveal/` beside it."""
    import nbformat
    from nbconvert import SlidesExporter

    exporter = SlidesExporter(
        template_name="slides", extra_template_basedirs=[str(ROOT / "scripts")],
        reveal_url_prefix="reveal", reveal_theme="white",
    )  # fmt: skip
    return exporter.from_notebook_node(arrange(nbformat.read(path, as_version=4)))[0]


def main() -> int:
    """Write the pages, and reveal.js beside them."""
    parser = argparse.ArgumentParser(description="Make slides of the lessons.")
    parser.add_argument("folder", type=Path, help="where they go")
    parser.add_argument("lesson", nargs="*", help="two digits, as in 00; all when none is given")
    options = parser.parse_args()
    try:
        try:
            import sphinx_revealjs
        except ImportError as error:
            raise MissingExtraError("Slides need reveal.js: pip install 'ftlab[site]'") from error
        source = Path(str(sphinx_revealjs.__file__)).parent / "_static" / "revealjs"
        shutil.copytree(source, options.folder / "reveal", dirs_exist_ok=True)
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            if not options.lesson or path.name[:2] in options.lesson:
                page = options.folder / f"{path.stem}.html"
                print(f"wrote {write_text(page, deck(path), overwrite=True) or page}")
    except FtlabError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
