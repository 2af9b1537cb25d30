"""Read a data file line by line, whatever is wrong with it, and name what is wrong.

    {"messages": [{"role": "User", "content": ""}]}     unknown_role, empty_content, no_assistant

Nothing stops the reading: where `records.read` raises, a line is put down under its faults.

>>> sorted(diagnose({"messages": [{"role": "User", "content": ""}]}))
['empty_content', 'no_assistant', 'unknown_role']
"""

import codecs
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ftlab.curation.findings import Notes
from ftlab.errors import DataError
from ftlab.formats import plain
from ftlab.records import KEYS, ROLES, Record, format_of, from_row

__all__ = ["HUGE", "diagnose", "extra_keys", "is_array", "parse", "read_lines", "record_of"]

HUGE = 1_000_000
"""Bytes in the longest line that is examined."""
_PEEK = 1 << 16


def read_lines(
    path: str | os.PathLike[str], notes: Notes, *, guess: bool = False
) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of each line with text; put down the faults of the file.

    Args:
        path: the file.
        notes: where faults go.
        guess: yield lines that are not UTF-8 too, read as Windows-1252.

    Raises:
        DataError: the file is missing, a folder, or cannot be read.
    """
    try:
        stream = Path(path).open("rb")  # noqa: SIM115
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Check the spelling and the folder.") from None
    except OSError as error:
        raise DataError(f"Could not read {path}: {error.strerror or error}.") from error
    with stream:
        start = stream.read(4)
        stream.seek(0)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            notes.add("not_utf8", 1, "The whole file is UTF-16, so nothing else was examined.")
            return
        blank: list[int] = []
        for number, raw in enumerate(_raw_lines(stream), start=1):
            notes.read, notes.bytes = number, stream.tell()
            if number == 1 and raw is not None and raw.startswith(codecs.BOM_UTF8):
                notes.add("bom", 1)
                raw = raw[len(codecs.BOM_UTF8) :]
            if raw is None:
                notes.add("huge_line", number)
                continue
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
    """Return whether a file is one JSON array, over one line or many."""
    with Path(path).open("rb") as stream:
        head = stream.read(_PEEK).removeprefix(codecs.BOM_UTF8).lstrip()
    if not head.startswith(b"["):
        return False
    first, _, rest = head.partition(b"\n")
    try:
        json.loads(first)
    except ValueError:
        return True
    return not rest.strip()  # a list alone in its line, with other lines behind: one bad line


def parse(line: str) -> Any:
    """Return what the JSON of a line holds.

    Raises:
        DataError: it is not JSON; the text says why.
    """
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{error.msg} (column {error.colno}).") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{error}.") from None


def record_of(row: Any, line: int, notes: Notes) -> Record | None:
    """Return the record of a row; None, with its faults put down, when it is none."""
    try:
        record = from_row(row)
    except DataError as error:
        for check in diagnose(row) or {"bad_record"}:
            notes.add(check, line, f"For example: {error}.")
        return None
    if unknown := extra_keys(row):
        notes.add("extra_keys", line, f"For example: {', '.join(sorted(unknown)[:5])}.")
    return record


def diagnose(row: Any) -> set[str]:
    """Return the names of all structural faults of a row that is no record."""
    if not isinstance(row, dict):
        return {"not_an_object"}
    if format_of(row) is None:
        return {"unknown_format"}
    found, roles = set(), []
    for role, content, calls in _turns(row):
        if not isinstance(role, str) or role not in ROLES:
            found.add("unknown_role")
            role = str(role).strip().lower()  # to judge the order by what was meant
        roles.append(ROLES.get(role, role))
        if isinstance(content, list):
            texts = [part.get("text") if isinstance(part, dict) else None for part in content]
            words = [text for text in texts if isinstance(text, str)]
            content = "".join(words) if len(words) == len(texts) else None
        if calls or not isinstance(content, str) or not _encodes(content):
            found.add("not_text")
        elif not content.strip():
            found.add("empty_content")
    if not roles or roles[-1] != "assistant":
        found.add("no_assistant")
    rest = roles[1:] if roles[:1] == ["system"] else roles
    wanted = [("user", "assistant")[i % 2] for i in range(len(rest))]
    known = set(roles) <= {"system", "user", "assistant"}
    if known and (rest != wanted or rest == []) and roles:
        found.add("wrong_order")
    return found


def _turns(row: dict[str, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (role, content, tool calls) of each message of a row, however odd they are."""

    def side(value: Any, role: str) -> Iterator[tuple[Any, Any, Any]]:
        for item in value if isinstance(value, list) else [{"role": role, "content": value}]:
            if isinstance(item, Mapping):
                content = item.get("content", item.get("value"))
                yield item.get("role", item.get("from")), content, item.get("tool_calls")
            else:
                yield role, None, None

    format, row = format_of(row), plain(row)
    if row.get("system"):
        yield "system", row["system"], None
    if "messages" in row:
        yield from side(row["messages"], "user")
    elif format == "sharegpt":
        yield from side(row["conversations"], "user")
    elif format == "prompt_completion":
        yield from side(row["prompt"], "user")
        yield from side(row["completion"], "assistant")
    else:
        history = row.get("history") or []
        for pair in history if isinstance(history, list) else []:
            for role, text in zip(("user", "assistant"), pair, strict=False):
                yield role, text, None
        given = row.get("input") or ""
        asked = row["instruction"]
        both = isinstance(asked, str) and isinstance(given, str)
        yield "user", f"{asked}\n\n{given}" if both else None, None
        yield "assistant", row["output"], None


def _encodes(text: str) -> bool:
    """Return whether text has no half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def extra_keys(row: dict[str, Any]) -> set[str]:
    """Return the keys of a row, and of its messages, that its format does not know."""
    format = format_of(row)
    if format is None:
        return set()
    found = row.keys() - KEYS[format]
    for name in ("messages", "conversations", "prompt", "completion"):
        turns = row.get(name)
        for turn in turns if isinstance(turns, list) else ():
            if isinstance(turn, dict) and len(turn) > 2:
                found |= turn.keys() - {"role", "content", "from", "value", "weight"}
    return set(found)
