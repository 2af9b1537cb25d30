"""The course as a site: `make site` writes it to build/site from what is committed.

The sources stay where they are: the pages below are read in place, so that the links between them
are the same here and in the repository. Nothing is run: lessons show
their committed outputs.
"""

import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

REPOSITORY = "https://github.com/ftlab-course/ftlab"
SOLVED = "build/solutions"
# The groups of the menu, and the pages of each.
PAGES = {
    "Lessons": ["notebooks/*.ipynb"],
    "What was measured": ["notebooks/claims.md"],
    "Guides": ["docs/**/*.md"],
    "Data and models": [
        "data/*.md", "data/recorded/*.md", "data/models/*.md", "data/models/*/README.md",
        "data/tasks/*.md",
    ],
    "The repository": ["configs/accelerate/README.md", "CONTRIBUTING.md", "CHANGELOG.md"],
}  # fmt: skip


def pages(group: str) -> list[str]:
    """Return the pages of a group, as paths from the root."""
    found = [path for glob in PAGES[group] for path in sorted(ROOT.glob(glob))]
    return [path.relative_to(ROOT).as_posix() for path in dict.fromkeys(found)]


project = "ftlab"
author = "the authors of ftlab"
project_copyright = author + ", Apache-2.0"
extensions = ["myst_nb", "sphinx_copybutton"]
root_doc = "README"
include_patterns = [root_doc + ".md", *(page for group in PAGES for page in pages(group))]
nb_execution_mode = "off"
myst_heading_anchors = 4
# The ledger reads a form of output that no browser shows.
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type"]

html_theme = "furo"
html_title = "ftlab: fine-tuning, proved"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"source_repository": REPOSITORY, "source_branch": "main"}


def outside(text: str, folder: Path) -> str:
    """Return a page whose links to folders lead to the repository, which shows their files."""

    def link(match: re.Match[str]) -> str:
        place = (folder / match[1]).resolve()
        if not place.is_dir():
            return match[0]
        return f"]({REPOSITORY}/tree/main/{place.relative_to(ROOT).as_posix()})"

    return re.sub(r"\]\(([\w./-]+)\)", link, text)


def name_solutions(app: object) -> None:
    """Copy the solved lessons under names of their own: both are downloaded into one folder."""
    (ROOT / SOLVED).mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "notebooks" / "solutions").glob("*.ipynb"):
        shutil.copyfile(path, ROOT / SOLVED / f"{path.stem}_solutions.ipynb")


def prepare(app: object, name: str, content: list[str]) -> None:
    """Give the home page the menu, and each lesson its downloads, before they are parsed."""
    if (ROOT / f"{name}.md").exists():
        content[0] = outside(content[0], (ROOT / name).parent)
        solved = r"\[([^]]+)\]\([./]*notebooks/solutions/(\w+)\.ipynb\)"
        content[0] = re.sub(solved, rf"{{download}}`\1 </{SOLVED}/\2_solutions.ipynb>`", content[0])
    if name == root_doc:
        for group in PAGES:
            listed = "\n".join(f"/{page}" for page in pages(group))
            if listed:
                content[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {group}\n\n{listed}\n```\n"
    elif name.startswith("notebooks/") and content[0].lstrip().startswith("{"):
        notebook = json.loads(content[0])
        stem = name.removeprefix("notebooks/")
        notebook["cells"][0]["source"] = "".join(notebook["cells"][0]["source"]) + (
            f"\n\nDownload {{download}}`this lesson <{stem}.ipynb>` or "
            f"{{download}}`the same with its solutions </{SOLVED}/{stem}_solutions.ipynb>`."
        )
        content[0] = json.dumps(notebook)


def finish(app: object, exception: Exception | None) -> None:
    """Put the home page where a browser looks for it."""
    if exception is None:
        site = Path(app.outdir)  # type: ignore[attr-defined]
        shutil.copyfile(site / f"{root_doc}.html", site / "index.html")


def setup(app: object) -> None:
    """Let Sphinx call what is above."""
    app.connect("builder-inited", name_solutions)  # type: ignore[attr-defined]
    app.connect("source-read", prepare)  # type: ignore[attr-defined]
    app.connect("build-finished", finish)  # type: ignore[attr-defined]
