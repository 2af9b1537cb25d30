"""What was asked, answered and decided, on disk line by line, so that a killed run can go on.

    train.jsonl            the accepted records, each with the key of its request
    train.rejected.jsonl   what was turned down: {"request": key, "reason": ..., "answer": ...}
    train.journal.jsonl    first the settings, then each answer as it came: it is paid for

An answer is in the journal, flushed to the disk, before anyone judges it. So what a kill can cost
is a verdict, which is free to repeat. A line that a kill tore is mended when the files are opened:
only a last line can be torn, for each line is one write.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from ftlab.curation.teachers import Answer
from ftlab.errors import ConfigError, DataError
from ftlab.records import Record, from_row

__all__ = ["Journal", "Reject"]


@dataclass(frozen=True)
class Reject:
    """An answer that did not become a record."""

    request: str
    """The key of its request."""
    reason: str
    answer: str
    """As the teacher wrote it."""
    prompt: str
    """The last message of the request."""
    cleaned: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


class Journal:
    """The three files of one run, opened for appending; use it in a `with` statement.

    Args:
        out: where the accepted records go.
        settings: what must be the same for a run to go on with these files.

    Raises:
        DataError: `out` exists and no journal lies beside it, the journal is of a run with other
            settings, a line is broken, or a file cannot be written.
        ConfigError: another run has the files open.
    """

    def __init__(self, out: str | os.PathLike[str], settings: dict[str, Any]) -> None:
        from filelock import FileLock, Timeout

        self.out = Path(out)
        stem = self.out.name.removesuffix(".jsonl")
        self.rejects = self.out.with_name(f"{stem}.rejected.jsonl")
        self.journal = self.out.with_name(f"{stem}.journal.jsonl")
        self.answers: dict[str, Answer] = {}
        """Answers that were paid for, by the key of their request."""
        self.accepted: dict[str, Record] = {}
        self.rejected: dict[str, Reject] = {}
        self._settings = settings
        self._lock = Lock()
        self._streams: dict[Path, int] = {}
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"Could not make the folder {self.out.parent}: {error}.") from None
        if self.out.exists() and not self.journal.exists():
            raise DataError(
                f"{self.out} exists already, and no journal of a run that it could go on with. "
                "Choose another name."
            )
        self._alone = FileLock(self.out.with_name(f".{self.out.name}.lock"))
        try:
            self._alone.acquire(timeout=0)
        except Timeout:
            raise ConfigError(
                f"Another run is writing {self.out}. Wait for it, or end it."
            ) from None
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and let others have them."""
        for handle in self._streams.values():
            os.close(handle)
        self._streams = {}
        Path(self._alone.lock_file).unlink(missing_ok=True)
        self._alone.release()

    def answered(self, key: str, answer: Answer) -> None:
        """Keep an answer; it is on the disk when this returns."""
        self._append(self.journal, {"request": key, **asdict(answer)})
        self.answers[key] = answer

    def accept(self, key: str, record: Record) -> None:
        """Append an accepted record; its meta tells the key."""
        record = Record(record.messages, record.completion, {**record.meta, "request": key})
        answer = {"role": "assistant", "content": record.completion}
        try:
            self._append(self.out, {"messages": [*record.messages, answer], "meta": record.meta})
        except TypeError as error:
            raise DataError(f"The meta of a record cannot be written as JSON: {error}.") from None
        self.accepted[key] = record

    def reject(self, reject: Reject) -> None:
        """Append an answer that was turned down."""
        self._append(self.rejects, asdict(reject))
        self.rejected[reject.request] = reject

    def _append(self, path: Path, row: dict[str, Any]) -> None:
        """Append a line in one write, and flush it to the disk."""
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        try:
            with self._lock:
                if path not in self._streams:
                    how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
                    self._streams[path] = os.open(path, how, 0o644)
                handle = self._streams[path]
                while line:
                    line = line[os.write(handle, line) :]
                os.fsync(handle)
        except OSError as error:
            raise DataError(
                f"Could not write {path}: {error.strerror or error}. What was written is kept; "
                "free some space, and run the same again to go on."
            ) from None

    def _read(self) -> None:
        """Take up what earlier runs left; begin the journal if there were none."""
        rows = _lines(self.journal, dict)
        if not rows:
            self._append(self.journal, {"settings": self._settings})
            rows = [{"settings": self._settings}]
        had = rows[0].get("settings")
        if had != self._settings:
            had, now = had if isinstance(had, dict) else {}, self._settings
            names = sorted(name for name in {*had, *now} if had.get(name) != now.get(name))
            told = "; ".join(f"{n} was {had.get(n)!r} and is {now.get(n)!r}" for n in names)
            raise DataError(
                f"{self.out} was begun with other settings: {told}. Give the same again to go on "
                "with it, or choose another name."
            )
        for row in rows[1:]:
            key = row.pop("request")
            self.answers[key] = Answer(**row)
        for record in _lines(self.out, from_row):
            self.accepted[record.meta.get("request", "")] = record
        for row in _lines(self.rejects, dict):
            reject = Reject(**{**row, "cleaned": tuple(row["cleaned"])})
            self.rejected[reject.request] = reject


def _lines(path: Path, made: Callable[[Any], Any]) -> list[Any]:
    """Read a file of ours, after its last line was mended if a kill has torn it."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"Could not read {path}: {error.strerror or error}.") from None
    whole = raw.rfind(b"\n") + 1
    if tail := raw[whole:]:
        with path.open("r+b") as stream:
            try:
                json.loads(tail)  # all is there but the line's end
                stream.seek(0, os.SEEK_END)
                stream.write(b"\n")
            except ValueError:
                stream.truncate(whole)
                raw = raw[:whole]
    rows = []
    for number, line in enumerate(raw.splitlines(), start=1):
        try:
            rows.append(made(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{path}: line {number} is broken: {error}. Remove it, and run the same again."
            ) from None
    return rows
