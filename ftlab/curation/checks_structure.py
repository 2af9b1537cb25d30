"""Read a data file line by line, whatever is wrong with it, and name what is wrong.

    {"messages": [{"role": "User", "content": ""}]}     unknown_role, empty_content, no_assistant

Nothing stops the reading: where `data.read` raises, a line is put down under its faults.
"""

import codecs
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ftlab.curation.findings import Notes
from ftlab.data import Row
from ftlab.errors import DataError
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


def row_of(parsed: Any, line: int, notes: Notes) -> Row | None:
    """Return the row of a line's object; None, with its faults put down, when it is none."""
    row, faults = examine(parsed)
    for check, reason in dict(reversed(faults)).items():  # of each check the first reason
        notes.add(check, line, f"For example: {reason}.")
    if faults:
        return None
    if unknown := extra_keys(parsed):
        notes.add("extra_keys", line, f"For example: {', '.join(sorted(unknown)[:5])}.")
    return row
