"""Read a data file line by line, whatever is wrong with it, and name what is wrong.

    {"messages": [{"role": "User", "content": ""}]}     unknown_role, empty_content, no_assistant

Nothing stops the reading: where `data.read` raises, a line is put down under its faults.
"""

import codecs
import io
import json
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from ftlab import data
from ftlab.curation.findings import Notes
from ftlab.errors import DataError
from ftlab.files import foreign, utf16
from ftlab.formats import examine, extra_keys

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
        guess: decode what is not UTF-8: UTF-16 as a file, other bytes of a line as Windows-1252.

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


def row_of(parsed: Any, line: int, notes: Notes) -> data.Row | None:
    """Return the row of a line's object; None, with its faults put down, when it is none."""
    row, faults = examine(parsed)
    for check, reason in dict(reversed(faults)).items():  # of each check the first reason
        notes.add(check, line, f"For example: {reason}.")
    if faults:
        return None
    if unknown := extra_keys(parsed):
        notes.add("extra_keys", line, f"For example: {', '.join(sorted(unknown)[:5])}.")
    return row
