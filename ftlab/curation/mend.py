"""Read a data file line by line, whatever is wrong with it; and write a mended copy.

    line 4   {"role": "User", ...}                mended: unknown_role
    line 7   {oops                                dropped: broken_json
    line 9   "Here is the test:\\nimport ..."      mended: preamble

Nothing stops the reading: where `data.read` raises, a line is put down under its faults. Only what
can be mended without judgement is mended; the rest is in the report on the copy.
"""

import codecs
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftlab import data
from ftlab.curation.checks_content import announced, unscramble
from ftlab.curation.checks_private import hidden, keys
from ftlab.curation.findings import CHECKS, Notes
from ftlab.curation.near_duplicates import same, spoken
from ftlab.errors import ConfigError, DataError
from ftlab.files import foreign, utf16
from ftlab.formats import SHAREGPT, NotJsonError, examine, format_of, loads, of_repr, unread

HUGE = 1_000_000
"""Bytes in the longest line that is examined."""
SIDES = ("messages", "prompt", "completion")
_PEEK = 1 << 16


def read_lines(
    path: str | os.PathLike[str], notes: Notes, *, guess: bool = False
) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of each line with text; put down the faults of the file in notes.

    With `guess`, what is not UTF-8 is decoded: UTF-16 as a file, other bytes as Windows-1252.

    Raises:
        DataError: the file is missing, a folder, or cannot be read.
    """
    with data.opened(path) as file:
        head = file.read(_PEEK)
        file.seek(0)
        if data.is_table(path):
            try:
                known = f"Its columns: {', '.join(data.columns(path))}."
            except DataError as error:
                known = str(error)
            notes.add("other_file", None, f"It is a table: {data.TABLE}. {known}")
            return
        if head.startswith(b"PAR1"):
            for notes.read, text in data.lines(path):
                yield notes.read, text
            return
        stream: Any = file
        if guess and (encoding := utf16(head)):
            notes.add("not_utf8")
            text = file.read().decode(encoding, "replace")
            stream = io.BytesIO(text.removeprefix("\ufeff").encode())
            head = stream.getvalue()[:_PEEK]
        elif kind := foreign(head):
            notes.add("other_file", None, f"It is {kind}.")
            return
        if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
            notes.add("json_array")
            return
        if b"\r" in head and b"\n" not in head.rstrip():
            notes.add("carriage_returns_alone")
            stream = io.BytesIO(stream.read().replace(b"\r", b"\n"))
        blank: list[int] = []
        for number, line in enumerate(stream, start=1):
            notes.read, notes.bytes = number, file.tell()
            if len(line) > HUGE:
                notes.add("huge_line", number)
                continue
            raw = line.rstrip(b"\r\n")
            if number == 1 and raw.startswith(codecs.BOM_UTF8):
                notes.add("bom", 1)
                raw = raw[len(codecs.BOM_UTF8) :]
            if not raw.strip():
                blank.append(number)
                continue
            for empty in blank:  # blank lines at the end of a file are no fault
                notes.add("blank_lines", empty)
            blank.clear()
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError as error:
                notes.add("not_utf8", number, f"For example byte {raw[error.start]:#04x}.")
                if guess:
                    yield number, raw.decode("cp1252", "replace")


@dataclass(frozen=True)
class Change:
    """One kind of change: "dropped: " or "mended: " and the name of the check."""

    done: str
    lines: tuple[int, ...]
    """The lines of the input; none where it concerns the whole file."""


@dataclass(frozen=True)
class Mended:
    """What `fix` did."""

    path: str
    """The mended copy."""
    format: str
    records: int
    changes: list[Change]


def fix(
    path: str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False
) -> Mended:
    """Write a mended copy of a JSONL file, in the format of its records (messages if mixed).

    Raises:
        ConfigError: `out` is `path`, which is only read.
        DataError: `path` cannot be read or has no record that can be kept, or `out` exists.
    """
    if Path(path).resolve() == Path(out).resolve():
        raise ConfigError(f"{path} is never changed in place: choose another file to write.")
    done, known, kept, formats = Notes(), set[int](), list[data.Row](), set[str]()
    for line, parsed in _rows(path, done):
        if (row := _mended(line, parsed, done, known)) is not None:
            kept.append(row)
            formats.add("messages" if row.get("tools") else format_of(parsed) or "messages")
    if not kept:
        raise DataError(f"{path} has no record that can be kept; nothing was written.")
    format = formats.pop() if len(formats) == 1 else "messages"
    data.write(out, kept, format=format, overwrite=overwrite)
    changes = [Change(check, done.lines(check)) for check in sorted(done.checks())]
    return Mended(os.fspath(out), format, len(kept), changes)


def _rows(path: str | os.PathLike[str], done: Notes) -> Iterator[tuple[int, Any]]:
    """Yield what the JSON of each line holds; put down what is done to the file."""
    faults = Notes()
    for line, text in read_lines(path, faults, guess=True):
        try:
            yield line, loads(text)
        except NotJsonError as error:
            meant = of_repr(text) if error.check == "python_repr" else None
            done.add(f"{'dropped' if meant is None else 'mended'}: {error.check}", line)
            if meant is not None:
                yield line, meant
    for check in faults.checks():
        if check in ("other_file", "json_array"):
            cure = faults.detail(check) or f"It is one array: {CHECKS[check].mend}"
            raise DataError(f"{path} cannot be mended. {cure}")
        verb = "dropped" if check in ("blank_lines", "huge_line") else "mended"
        for number in faults.lines(check) or (None,):
            done.add(f"{verb}: {check}", number)


def _mended(line: int, parsed: Any, done: Notes, known: set[int]) -> data.Row | None:
    """Return the row of a line, mended; None, with the reason put down, if it is dropped."""
    row, faults = examine(parsed)
    dropped, turns = {check for check, _ in faults}, row.get("messages", [])
    if any(turn["role"] == "assistant" for turn in turns) and turns[-1]["role"] == "user":
        turns.pop()  # what nobody answered
        dropped.discard("no_assistant")
        done.add("mended: no_assistant", line)
    if "unknown_role" in dropped and all(
        turn["role"] in SHAREGPT for side in SIDES for turn in row.get(side, [])
    ):
        dropped.discard("unknown_role")  # of capitals or spaces alone: the row has them right
        done.add("mended: unknown_role", line)
    if not dropped and any(keys("\n".join(turn["content"] for turn in data.conversation(row)))):
        dropped = {"secrets"}
    for check in dropped:
        done.add(f"dropped: {check}", line)
    if dropped:
        return None
    if (answer := announced(data.answer(row))) is not None:
        side = "messages" if "messages" in row else "completion"
        row[side][-1]["content"] = answer
        done.add("mended: preamble", line)
    for check, change in (("mojibake", unscramble), ("hidden_text", hidden)):
        for turn in (turn for side in SIDES for turn in row.get(side, [])):
            if (better := change(turn["content"])) != turn["content"]:
                turn["content"] = better
                done.add(f"mended: {check}", line)
    number = same(*spoken(row))
    if number in known:
        done.add("dropped: exact_duplicates", line)
        return None
    known.add(number)
    if unread(parsed):
        done.add("mended: extra_keys", line)
    return row
