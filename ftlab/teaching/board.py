"""The board of a class: one page of all verdicts and of everyone's progress, without a network."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import DataError, FtlabError
from ftlab.files import data_path, read_text
from ftlab.teaching import capstone
from ftlab.teaching.exercises import exercises
from ftlab.teaching.progress import KIND, Done, understood
from ftlab.teaching.quizzes import lessons, quiz

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["board", "items", "progress_table", "read_class"]


def board(folders: Sequence[str | os.PathLike[str]]) -> tuple[str, list[str]]:
    """Return one HTML page of a class's capstones and progress, and what was passed over.

    Args:
        folders: capstone folders, or folders that hold them; exported progress files
            (`ftlab progress --export`) beside them are read too.

    Raises:
        DataError: none of them holds a proposal or an exported file.
    """
    import jinja2

    rows, learners, skipped = [], [], []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder. Give capstone folders, or one of a class.")
        for place in sorted({path.parent for path in folder.rglob("proposal.yaml")}):
            rows.append(_row(place))
        if any(folder.glob("*.json")):
            try:
                found, passed = read_class(folder)
                learners += found
                skipped += passed
            except DataError as error:
                skipped.append(str(error))
    if not rows and not learners:
        raise DataError("There is no proposal.yaml and no exported progress in these folders.")
    all_items = items()
    done = [(name, [sum(bool(known.get(n, {}).get("passed")) for n in names)
                    for names in all_items.values()]) for name, known in learners]  # fmt: skip
    page = read_text(data_path("report/board.html"))
    template = jinja2.Environment(autoescape=True).from_string(page)
    text = template.render(
        rows=rows,
        learners=done,
        lessons=list(all_items),
        of=[len(names) for names in all_items.values()],
    )
    return text, skipped


def _row(folder: Path) -> dict[str, Any]:
    """Return what the board shows of one capstone."""
    steps = capstone.check(folder)
    row: dict[str, Any] = {"folder": folder.name, "steps": steps, "bars": []}
    try:
        form = capstone.form_of(folder)
        row |= {name: form.get(name) for name in ("author", "title", "measure", "tuned")}
        verdict = capstone.verdict_of(folder)
        row["bars"] = [
            (name, *(figures[form["measure"]][part] for part in ("value", "low", "high")))
            for name, figures in verdict["systems"].items()
        ]
        row["sentence"], row["decision"] = verdict["sentence"], capstone.decided(folder)[0]
    except (FtlabError, OSError, KeyError, TypeError):
        pass  # the steps say what is missing
    return row


def items() -> dict[str, list[str]]:
    """Return lesson -> what there is to do in it: its exercises, then its questions."""
    found: dict[str, list[str]] = {lesson: [] for lesson in lessons()}
    for name in exercises():
        found.setdefault(name.split(".")[0], []).append(name)
    for lesson in lessons():
        found[lesson] += [f"quiz {lesson}.{n + 1}" for n in range(len(quiz(lesson).questions))]
    return dict(sorted(found.items()))


def progress_table(known: Done) -> "Table":
    """Return a row for each lesson: what is done, and what is open."""
    from rich import box
    from rich.table import Table

    table = Table("lesson", "exercises", "quiz", "open", box=box.SIMPLE)
    for lesson, names in items().items():
        passed = {name for name in names if known.get(name, {}).get("passed")}
        asked = {name for name in names if name.startswith("quiz ")}
        counts = [f"{len(passed & part)}/{len(part)}" for part in (set(names) - asked, asked)]
        left = [name for name in names if name not in passed]
        table.add_row(lesson, *counts, ", ".join(left) or "nothing")
    return table


def read_class(folder: str | os.PathLike[str]) -> tuple[list[tuple[str, Done]], list[str]]:
    """Read the exported files of a folder.

    Returns:
        Each learner's name and progress, by name (of several files of one name each is told by its
        file), and a line for every JSON file that was passed over, with the reason.

    Raises:
        DataError: there is no exported file in it.
    """
    found: list[tuple[str, str, Done]] = []
    skipped = []
    for file in sorted(Path(folder).glob("*.json")):
        try:
            told = json.loads(read_text(file))
            if not (isinstance(told, dict) and told.get("kind") == KIND):
                raise DataError("it was not made by `ftlab progress --export`")
            name = " ".join(str(told.get("name") or file.stem).split())[:80]
            found.append((name, file.name, understood(told.get("done"))))
        except (FtlabError, OSError, ValueError, RecursionError) as error:
            skipped.append(f"{file.name}: {error}")
    if not found:
        more = "".join(f"\n  {line}" for line in skipped)
        raise DataError(f"{folder} holds no file of `ftlab progress --export`.{more}")
    names = [name.casefold() for name, _, _ in found]
    learners = [
        (f"{name} ({file})" if names.count(name.casefold()) > 1 else name, known)
        for name, file, known in found
    ]
    return sorted(learners, key=lambda learner: learner[0].casefold()), skipped
