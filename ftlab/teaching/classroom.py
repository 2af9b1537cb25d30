"""What a learner has done of all there is, and the same for a class: tables of exported files."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import DataError, FtlabError
from ftlab.files import read_text
from ftlab.teaching.exercises import exercises
from ftlab.teaching.progress import KIND, Done, understood
from ftlab.teaching.quizzes import lessons, quiz

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Learner", "class_csv", "class_table", "items", "own_table", "read_class"]

BIGGEST = 1_000_000  # bytes of an exported file; a real one has a few thousand


def items() -> dict[str, list[str]]:
    """Return lesson -> what there is to do in it: its exercises, then its questions."""
    found: dict[str, list[str]] = {lesson: [] for lesson in lessons()}
    for name in exercises():
        found.setdefault(name.split(".")[0], []).append(name)
    for lesson in lessons():
        found[lesson] += [f"quiz {lesson}.{n + 1}" for n in range(len(quiz(lesson).questions))]
    return dict(sorted(found.items()))


def own_table(known: Done) -> "Table":
    """Return a row for each lesson: what is done, and what is open."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for column in ("lesson", "exercises", "quiz", "open"):
        table.add_column(column)
    for lesson, names in items().items():
        left = [name for name in names if not known.get(name, {}).get("passed")]
        table.add_row(lesson, *_counts(names, known), ", ".join(left) or "nothing")
    return table


@dataclass(frozen=True)
class Learner:
    """What one exported file says."""

    name: str
    done: Done


def read_class(folder: str | os.PathLike[str]) -> tuple[list[Learner], list[str]]:
    """Read the exported files of a folder.

    Returns:
        The learners by name (of several files of one name each is told by its file), and a line
        for every JSON file that was passed over, with the reason.

    Raises:
        DataError: there is no such folder, or no exported file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Give the one that holds the exported files.")
    found: list[tuple[str, str, Done]] = []
    skipped = []
    for file in sorted(folder.glob("*.json")):
        try:
            if file.stat().st_size > BIGGEST:
                raise DataError("it is too big")
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
        Learner(f"{name} ({file})" if names.count(name.casefold()) > 1 else name, known)
        for name, file, known in found
    ]
    return sorted(learners, key=lambda learner: learner.name.casefold()), skipped


def class_table(learners: Sequence[Learner]) -> "Table":
    """Return a row for each learner: exercises and questions done, lesson by lesson."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE, caption="exercises · quiz questions passed", title_justify="left")
    lessons = items()
    table.add_column("learner", overflow="fold")
    for lesson in lessons:
        table.add_column(lesson, justify="right")
    for learner in learners:
        cells = [" · ".join(_counts(names, learner.done)) for names in lessons.values()]
        table.add_row(escape(learner.name), *cells)
    return table


def class_csv(learners: Sequence[Learner]) -> str:
    """Return a row for each learner and a column for each item: 1 passed, 0 tried, empty not."""
    names = [name for lesson in items().values() for name in lesson]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", *names])
    for learner in learners:
        # A spreadsheet would run a name that begins like a formula.
        shown = f"'{learner.name}" if learner.name[:1] in "=+-@" else learner.name
        cells = [int(learner.done[n]["passed"]) if n in learner.done else "" for n in names]
        writer.writerow([shown, *cells])
    return stream.getvalue()


def _counts(names: Sequence[str], known: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return "passed/all" of the exercises and of the questions among some items."""
    passed = {name for name in names if known.get(name, {}).get("passed")}
    quiz = {name for name in names if name.startswith("quiz ")}
    both = (set(names) - quiz, quiz)
    return [f"{len(passed & part)}/{len(part)}" for part in both]
