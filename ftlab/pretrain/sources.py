"""The documents that the base models read, cleaned, deduplicated, and split by whole document.

Four kinds: `prose` (public-domain books), `speeches` (public-domain addresses), `python` (the
standard library and permissively licensed packages as installed) and `docs` (the English of those
packages: their docstrings and project descriptions, unwrapped into paragraphs). A document is

    {"source": "python", "title": "rich/align.py", "licence": "MIT", "split": "heldout", "text": …}

What the lessons evaluate on never enters: `LESSONS_ONLY` names those parts of the standard
library, and Jane Austen's novels are simply not among the inputs.
"""

import ast
import hashlib
import importlib.metadata
import inspect
import json
import lzma
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ftlab.errors import DataError

HELD_OUT_BOOKS = (
    "The Time Machine",
    "The Scarlet Letter",
    "Dubliners",
    "The Awakening",
    "The Thirty-Nine Steps",
    "A Christmas Carol",
)
HELD_OUT_SPEECHES = (
    "1789-Washington.txt",
    "1865-Lincoln.txt",
    "1933-Roosevelt.txt",
    "1961-Kennedy.txt",
    "1984-Reagan.txt",
    "2004-GWBush.txt",
)
HELD_OUT_PACKAGES = ("rich", "httpx", "werkzeug")
LESSONS_ONLY = (
    "pydoc_data", "unittest", "statistics", "json", "email", "logging", "concurrent",
    "textwrap", "fractions", "calendar", "argparse",
)  # fmt: skip
PERMISSIVE = re.compile(r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|HPND)\b", re.I)
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|GNU|MPL|Mozilla|EUPL|CDDL)", re.I)
SKIPPED_FOLDERS = re.compile(
    r"(^|/)(tests?|testing|_vendor|vendor|idlelib|lib2to3|turtledemo)(/|$)"
)
PACKAGE_LIMIT = 2_500_000  # characters, so that no one package sets the style
FILE_LIMITS = (400, 150_000)
ASCII = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "—": "--", "–": "-", "…": "...",
     "\u00a0": " ", "\u200b": "", "\ufeff": "", "ﬁ": "fi", "ﬂ": "fl", "\t": "    "}
)  # fmt: skip


def clean(text: str) -> str:
    """Normalise quotes, dashes, spaces and blank lines."""
    text = text.translate(ASCII).replace("\r\n", "\n")
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def books(path: Path, source: str, held_out: Iterable[str]) -> Iterator[dict]:
    """Read one `.jsonl.xz` of {title, author, year, text} documents."""
    if not path.exists():
        raise DataError(f"{path} does not exist. Name the file of {source} with --{source}.")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            book = json.loads(line)
            text = re.sub(r"(?<!\w)[_*]+|[_*]+(?!\w)", "", clean(book["text"]))
            yield {
                "source": source,
                "title": book["title"],
                "licence": "public domain",
                "split": "heldout" if book["title"] in set(held_out) else "train",
                "text": text,
            }


def licences() -> dict[str, tuple[str, str, str]]:
    """Return {top-level module: (distribution, version, licence)} for permissive packages."""
    found = {}
    for module, names in importlib.metadata.packages_distributions().items():
        metadata: Any = importlib.metadata.metadata(names[0])
        classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License")]
        short = (metadata.get("License-Expression") or metadata.get("License") or "")[:80]
        licence = " ".join([short, *classifiers])
        if PERMISSIVE.search(licence) and not COPYLEFT.search(licence):
            name = (
                short.split("\n")[0].replace("UNKNOWN", "")
                or classifiers[-1].split("::")[-1].strip()
            )
            found[module] = (names[0], metadata["Version"], name)
    return found


def python_files() -> Iterator[dict]:
    """Yield the source files of the standard library and of the permissive packages."""
    standard = Path(sysconfig.get_path("stdlib"))
    version = ".".join(map(str, sys.version_info[:3]))
    roots = [
        (entry.stem, entry, "PSF-2.0", f"python {version}")
        for entry in sorted(standard.iterdir())
        if entry.suffix == ".py" or (entry / "__init__.py").exists()
    ]
    site = Path(sysconfig.get_path("purelib"))
    for module, (distribution, number, licence) in sorted(licences().items()):
        folder = site / module
        if (folder / "__init__.py").exists() and module != "ftlab":
            roots.append((module, folder, licence, f"{distribution} {number}"))
    for module, root, licence, package in roots:
        if module in LESSONS_ONLY:
            continue
        size = 0
        files = [root] if root.is_file() else root.rglob("*.py")
        # by hash, so that a capped package gives a sample of all its parts
        for file in sorted(files, key=lambda f: hashlib.sha256(f.name.encode()).digest()):
            title = file.relative_to(root.parent).as_posix()
            if SKIPPED_FOLDERS.search(title) or size > PACKAGE_LIMIT:
                continue
            text = file.read_text(encoding="utf-8", errors="replace")
            longest = max(map(len, text.splitlines()), default=0)
            if not FILE_LIMITS[0] <= len(text) <= FILE_LIMITS[1] or longest > 400:
                continue
            size += len(text)
            yield {
                "source": "python",
                "title": title,
                "licence": licence,
                "package": package,
                "split": "heldout" if module in HELD_OUT_PACKAGES else "train",
                "text": clean(text),
            }


def english_of(document: dict) -> dict | None:
    """Gather the prose paragraphs of a Python file's docstrings, unwrapped."""
    try:
        tree = ast.parse(document["text"])
    except (SyntaxError, ValueError):
        return None
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    paragraphs = []
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        paragraphs += prose_paragraphs(text or "")
    if sum(map(len, paragraphs)) < 300:
        return None
    return document | {"source": "docs", "text": "\n\n".join(paragraphs)}


def prose_paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a docstring or description that read as English."""
    good = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = block.splitlines()
        if any(line.startswith((" ", ">>>", "|", "=", "-", "#", "*", "..", ":")) for line in lines):
            continue
        paragraph = " ".join(" ".join(lines).split())
        letters = sum(c.isalpha() or c.isspace() for c in paragraph)
        if len(paragraph) > 50 and paragraph[-1] in ".:!?" and letters > 0.9 * len(paragraph):
            good.append(paragraph)
    return good


def descriptions() -> Iterator[dict]:
    """Yield the project descriptions that permissive packages carry in their metadata."""
    for distribution, version, licence in sorted(set(licences().values())):
        metadata: Any = importlib.metadata.metadata(distribution)
        paragraphs = prose_paragraphs(clean(str(metadata.get_payload() or "")))
        held_out = distribution.lower() in HELD_OUT_PACKAGES
        if sum(map(len, paragraphs)) > 300 and not held_out:
            yield {
                "source": "docs",
                "title": f"{distribution} description",
                "licence": licence,
                "package": f"{distribution} {version}",
                "split": "train",
                "text": "\n\n".join(paragraphs),
            }


def deduplicated(documents: Iterable[dict], *, limit: float = 0.5) -> Iterator[dict]:
    """Drop a document when more than `limit` of its lines or sentences were seen before.

    Put the held-out documents first: a training copy of one of them is then dropped too.
    """
    seen: set[int] = set()
    for document in documents:
        units = re.split(r"\n|(?<=[.!?]) ", document["text"])
        keys = [hash(" ".join(u.lower().split())) for u in units if len(u) > 25]
        if keys and sum(k in seen for k in keys) > limit * len(keys):
            continue
        seen.update(keys)
        yield document


def collect(prose: Path, speeches: Path) -> list[dict]:
    """Return all documents, held-out ones first, deduplicated within each source."""
    python = list(python_files())
    docs = [d for d in map(english_of, python) if d] + list(descriptions())
    result: list[dict] = []
    for group in (
        list(books(prose, "prose", HELD_OUT_BOOKS)),
        list(books(speeches, "speeches", HELD_OUT_SPEECHES)),
        python,
        docs,
    ):
        group.sort(key=lambda d: d["split"] != "heldout")
        result += deduplicated(group)
    return result
