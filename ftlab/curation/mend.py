"""Read a data file line by line, whatever is wrong with it; and write a mended copy.

    line 4   {"role": "User", ...}                mended: unknown_role
    line 7   {oops                                dropped: broken_json
    line 9   "Here is the test:\\nimport ..."      mended: preamble

Nothing stops the reading: where `data.read` raises, a line is put down under its faults. Only what
can be mended without judgement is mended; the rest is in the report on the copy.
"""

import codecs
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ftlab import data
from ftlab.curation.checks_content import announced, unscramble
from ftlab.curation.checks_private import hidden, secret
from ftlab.curation.findings import Notes
from ftlab.curation.near_duplicates import same, spoken
from ftlab.errors import ConfigError, DataError
from ftlab.files import foreign, read_text, utf16, write_text
from ftlab.formats import KEYS, ROLES, NotJsonError, examine, extra_keys, format_of, loads, of_repr

HUGE = 1_000_000
"""Bytes in the longest line that is examined."""
BIGGEST = 256_000_000  # bytes of a JSON array, which must be read whole
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
            notes.add("not_utf8", None)
            text = file.read().decode(encoding, "replace")
            stream = io.BytesIO(text.removeprefix("\ufeff").encode())
            head = stream.getvalue()[:_PEEK]
        elif kind := foreign(head):
            notes.add("other_file", None, f"It is {kind}.")
            return
        if b"\r" in head and b"\n" not in head.rstrip():
            notes.add("carriage_returns_alone", None)
            stream = io.BytesIO(stream.read().replace(b"\r", b"\n"))
        blank: list[int] = []
        for number, raw in enumerate(_raw_lines(stream), start=1):
            notes.read, notes.bytes = number, file.tell()
            if raw is None:
                notes.add("huge_line", number)
                continue
            if number == 1 and raw.startswith(codecs.BOM_UTF8):
                notes.add("bom", 1)
                raw = raw[len(codecs.BOM_UTF8) :]
            if not raw.strip():
                blank.append(number)
                continue
            for line in blank:  # blank lines at the end of a file are no fault
                notes.add("blank_lines", line)
            blank.clear()
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError as error:
                notes.add("not_utf8", number, f"For example byte {raw[error.start]:#04x}.")
                if guess:
                    yield number, raw.decode("cp1252", "replace")


def _raw_lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield lines of bytes without their end; None for one that is too long to hold."""
    while line := stream.readline(HUGE + 1):
        if line.endswith(b"\n") or len(line) <= HUGE:
            yield line.rstrip(b"\r\n")
            continue
        while (more := stream.readline(_PEEK)) and not more.endswith(b"\n"):
            pass
        yield None


def is_array(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is there, and one JSON array, over one line or many."""
    if not Path(path).is_file():
        return False
    with data.opened(path) as stream:
        head = stream.read(_PEEK).removeprefix(codecs.BOM_UTF8).lstrip()
    if not head.startswith(b"[") or foreign(head):
        return False
    first, _, rest = head.partition(b"\n")
    try:
        json.loads(first)
    except ValueError:
        return True
    return not rest.strip()  # a list alone in its line, with other lines behind: one bad line


@dataclass(frozen=True)
class Change:
    """One kind of change: "dropped: " or "mended: " and the name of the check."""

    done: str
    count: int
    lines: tuple[int, ...]
    """The lines of the input; those of an array's items where it was one."""


@dataclass(frozen=True)
class Mended:
    """What `fix` did."""

    path: str
    """The mended copy."""
    changes_path: str
    """The list of changes, as JSON, beside it."""
    format: str
    records: int
    changes: list[Change]


def fix(
    path: str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False
) -> Mended:
    """Write a mended copy of a JSONL file, in the format of its records (messages if mixed).

    The list of changes goes to the same name with ".changes.json"; `overwrite` replaces both.

    Raises:
        ConfigError: `out` is `path`, which is only read.
        DataError: `path` cannot be read or has no record that can be kept, or `out` exists.
    """
    if Path(path).resolve() == Path(out).resolve():
        raise ConfigError(f"{path} is never changed in place: choose another file to write.")
    log = Path(f"{os.fspath(out)}.changes.json")
    if log.exists() and not overwrite:
        raise DataError(f"{log} exists already. Choose another name, or ask for overwriting.")
    lines = [row for _, row in _rows(path, Notes()) if isinstance(row, dict)]
    formats = {"messages" if row.get("tools") else format_of(row) for row in lines} - {None}
    format = (formats.pop() if len(formats) == 1 else None) or "messages"
    done, known = Notes(), set[int]()
    mended = (_mended(line, row, done, known) for line, row in _rows(path, done))
    kept = [record for record in mended if record is not None]
    if not kept:
        raise DataError(f"{path} has no record that can be kept; nothing was written.")
    data.write(out, kept, format=format, overwrite=overwrite)
    changes = [Change(check, len(lines), tuple(lines)) for check, lines in sorted(done.items())]
    result = Mended(os.fspath(out), os.fspath(log), format, len(kept), changes)
    write_text(log, json.dumps(asdict(result), indent=1) + "\n", overwrite=True)
    return result


def _rows(path: str | os.PathLike[str], done: Notes) -> Iterator[tuple[int, Any]]:
    """Yield what the JSON of each line holds; put down what is done to the file."""
    if is_array(path):
        if Path(path).stat().st_size > BIGGEST:
            raise DataError(f"{path} is a JSON array too large to read whole; use: jq -c '.[]'.")
        try:
            items = loads(read_text(path))
        except DataError as error:
            raise DataError(f"{path} starts as a JSON array, and is broken: {error}.") from None
        done.add("mended: json_array", None)
        yield from enumerate(items, start=1)
        return
    faults = Notes()
    for line, text in read_lines(path, faults, guess=True):
        try:
            yield line, loads(text)
        except NotJsonError as error:
            meant = of_repr(text) if error.check == "python_repr" else None
            done.add(f"{'dropped' if meant is None else 'mended'}: {error.check}", line)
            if meant is not None:
                yield line, meant
    if (kind := faults.detail("other_file")) is not None:
        raise DataError(f"{path} cannot be mended. {kind}")
    for check, lines in faults.items():
        verb = "dropped" if check in ("blank_lines", "huge_line") else "mended"
        for number in lines or (None,):
            done.add(f"{verb}: {check}", number)


def _mended(line: int, parsed: Any, done: Notes, known: set[int]) -> data.Row | None:
    """Return the row of a line, mended; None, with the reason put down, if it is dropped."""
    parsed = _turned(line, parsed, done)
    row, faults = examine(parsed)
    dropped = sorted({check for check, _ in faults})
    if not faults and secret("\n".join(turn["content"] for turn in data.conversation(row))):
        dropped = ["secrets"]
    for check in dropped:
        done.add(f"dropped: {check}", line)
    if dropped:
        return None
    if (answer := announced(data.answer(row))) is not None:
        side = "messages" if "messages" in row else "completion"
        row = {**row, side: [*row[side][:-1], {**row[side][-1], "content": answer}]}
        done.add("mended: preamble", line)
    for check, change in (("mojibake", unscramble), ("hidden_text", hidden)):
        sides = {
            side: [{**turn, "content": change(turn["content"])} for turn in row[side]]
            for side in row.keys() & {"messages", "prompt", "completion"}
        }
        if any(sides[side] != row[side] for side in sides):
            done.add(f"mended: {check}", line)
            row = {**row, **sides}
    number = same(*spoken(row))
    if number in known:
        done.add("dropped: exact_duplicates", line)
        return None
    known.add(number)
    if extra_keys(parsed) - (parsed.keys() - KEYS[format_of(parsed) or "messages"]):
        done.add("mended: extra_keys", line)
    return row


def _turned(line: int, row: Any, done: Notes) -> Any:
    """Return a row with roles as they are known, and without user turns behind its last answer."""
    row = dict(row) if isinstance(row, dict) else row
    for name in ("messages", "conversations", "prompt", "completion"):
        turns = row.get(name) if isinstance(row, dict) else None
        if not isinstance(turns, list):
            continue
        roles = []
        for at, turn in enumerate(turns := list(turns)):
            key = "role" if isinstance(turn, dict) and "role" in turn else "from"
            role = turn.get(key) if isinstance(turn, dict) else None
            if isinstance(role, str) and role not in ROLES and role.strip().lower() in ROLES:
                role = role.strip().lower()
                turns[at] = {**turn, key: role}
                done.add("mended: unknown_role", line)
            roles.append(ROLES.get(str(role)))
        if name in ("messages", "conversations") and "assistant" in roles and roles[-1] == "user":
            turns = turns[: len(roles) - roles[::-1].index("assistant")]
            done.add("mended: no_assistant", line)
        row[name] = turns
    return row
