"""Which exercises and quiz questions a learner has done: in one local file, sent nowhere.

    {"00.1": {"passed": true, "tries": 2}, "quiz 00.3": {"passed": true, "tries": 1}}

It lies in the user's data folder, or where `FTLAB_PROGRESS` says; `FTLAB_PROGRESS=off` keeps none,
and neither does a run under pytest, which executes the notebooks as a test. On Colab, whose disk
goes with the session, name a file on your drive. A learner who wants to
show it exports it under a name (`ftlab progress --name Ada --export ada.json`); an instructor makes
a page of a folder of such files (`ftlab board FOLDER`). There is no account and no server.

A file that is damaged, or that cannot be written, loses what is in it and never stops a lesson.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from ftlab.errors import DataError, FtlabError
from ftlab.files import read_text, write_text

__all__ = ["KIND", "Done", "done", "export", "note", "path", "understood"]

Done = dict[str, dict[str, Any]]
KIND = "ftlab progress"
WAIT = 2.0  # seconds for another notebook that writes the same file


def path() -> Path | None:
    """Return where progress is kept; None where none is."""
    told = os.environ.get("FTLAB_PROGRESS")
    if told:
        return None if told == "off" else Path(told).expanduser()
    if "PYTEST_VERSION" in os.environ:  # also in a kernel that pytest started
        return None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "ftlab" / "progress.json"


def done() -> Done:
    """Return what has been tried: {"00.1": {"passed": True, "tries": 2}}; empty when nothing."""
    with contextlib.suppress(FtlabError, ValueError, RuntimeError, RecursionError):
        where = path()
        return understood(json.loads(read_text(where))) if where else {}
    return {}


def note(item: str, *, passed: bool, tried: bool = True) -> None:
    """Note a try at an exercise ("00.1") or a question ("quiz 00.3"); a pass stays a pass."""
    with contextlib.suppress(FtlabError, OSError, RuntimeError):
        where = path()
        if where is None:
            return
        with _alone(where):
            known = done()
            before = known.get(item, {"passed": False, "tries": 0})
            known[item] = {"passed": passed or before["passed"], "tries": before["tries"] + tried}
            write_text(where, json.dumps(known, indent=2, sort_keys=True) + "\n", overwrite=True)


def export(file: str | os.PathLike[str], name: str) -> Path:
    """Write the progress with the learner's name to a file, to hand in.

    Raises:
        DataError: there is no name, nothing is done yet, or the file exists.
    """
    name = " ".join(name.split())
    known = done()
    if not name or not known:
        raise DataError(
            "Nothing to export: no exercise or question was tried yet." if name else
            "An export needs a name. Give one: ftlab progress --name Ada --export ada.json"
        )  # fmt: skip
    told = {"kind": KIND, "name": name, "done": known}
    return write_text(file, json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def understood(told: Any) -> Done:
    """Return what can be understood of a file's content, whatever it is."""
    if not isinstance(told, dict):
        return {}
    return {
        name: {
            "passed": value.get("passed") is True,
            "tries": value["tries"] if type(value.get("tries")) is int else 0,
        }
        for name, value in told.items()
        if isinstance(value, dict)
    }


@contextlib.contextmanager
def _alone(where: Path) -> Any:
    """Let two notebooks write one after the other."""
    from filelock import FileLock

    where.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(where.with_name(f".{where.name}.lock"), timeout=WAIT):
        yield
