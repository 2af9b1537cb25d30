"""Write a mended copy of a data file, and a list of what was done to which line.

    line 4   {"role": "User", ...}                mended: unknown_role
    line 7   {oops                                dropped: broken_json
    line 9   "Here is the test:\\nimport ..."      mended: preamble

Only what can be mended without judgement is mended; the rest is in the report on the copy. The
input is never touched.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ftlab.curation.checks_content import announced, unscramble
from ftlab.curation.checks_private import hidden, secret
from ftlab.curation.checks_repeats import same
from ftlab.curation.checks_structure import diagnose, extra_keys, is_array, parse, read_lines
from ftlab.curation.findings import Notes
from ftlab.errors import ConfigError, DataError
from ftlab.files import write_text
from ftlab.records import KEYS, ROLES, Record, format_of, from_row, write

__all__ = ["Change", "Mended", "fix"]

BIGGEST = 256_000_000  # bytes of a JSON array, which must be read whole


@dataclass(frozen=True)
class Change:
    """One kind of change."""

    done: str
    """"dropped: " or "mended: ", and the name of the check."""
    count: int
    """In how many lines."""
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
    """The one format of the copy."""
    records: int
    """Records in the copy."""
    changes: list[Change]
    """What was done, by name."""


def fix(
    path: str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False
) -> Mended:
    """Write a mended copy of a JSONL file, in the format of its records (messages if mixed).

    Args:
        path: the file; it is only read.
        out: the copy to write; the list of changes goes to the same name with ".changes.json".
        overwrite: replace files that exist.

    Raises:
        ConfigError: `out` is `path`.
        DataError: `path` cannot be read or has no record that can be kept, or `out` exists.
    """
    if Path(path).resolve() == Path(out).resolve():
        raise ConfigError(f"{path} is never changed in place: choose another file to write.")
    log = Path(f"{os.fspath(out)}.changes.json")
    if log.exists() and not overwrite:
        raise DataError(f"{log} exists already. Choose another name, or ask for overwriting.")
    formats = {format_of(row) for _, row in _rows(path, Notes()) if isinstance(row, dict)}
    formats.discard(None)
    format = formats.pop() if len(formats) == 1 else "messages"
    done = Notes()
    kept = 0

    def records() -> Iterator[Record]:
        nonlocal kept
        known: set[int] = set()
        for line, row in _rows(path, done):
            record = _mended(line, row, done, known)
            if record is not None:
                kept += 1
                yield record
        if not kept:
            raise DataError(f"{path} has no record that can be kept; nothing was written.")

    write(out, records(), format=format or "messages", overwrite=overwrite)
    changes = [Change(check, len(lines), tuple(lines)) for check, lines in sorted(done.items())]
    result = Mended(os.fspath(out), os.fspath(log), format or "messages", kept, changes)
    write_text(log, json.dumps(asdict(result), indent=1) + "\n", overwrite=True)
    return result


def _rows(path: str | os.PathLike[str], done: Notes) -> Iterator[tuple[int, Any]]:
    """Yield what the JSON of each line holds; put down what is done to the file."""
    if Path(path).is_file() and is_array(path):
        if Path(path).stat().st_size > BIGGEST:
            raise DataError(f"{path} is a JSON array too large to read whole; use: jq -c '.[]'.")
        try:
            items = json.loads(Path(path).read_bytes().decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} starts as a JSON array, and is broken: {error}.") from None
        done.add("mended: json_array", None)
        yield from enumerate(items, start=1)
        return
    faults = Notes()
    for line, text in read_lines(path, faults, guess=True):
        try:
            yield line, parse(text)
        except DataError:
            done.add("dropped: broken_json", line)
    if faults.lines("not_utf8") and not faults.read:
        raise DataError(f"{path} is UTF-16. Save it as UTF-8 and try again.")
    for check, verb in (
        ("not_utf8", "mended"), ("bom", "mended"), ("blank_lines", "dropped"),
        ("huge_line", "dropped"),
    ):  # fmt: skip
        for line in faults.lines(check):
            done.add(f"{verb}: {check}", line)


def _mended(line: int, row: Any, done: Notes, known: set[int]) -> Record | None:
    """Return the record of a row, mended; None, with the reason put down, if it is dropped."""
    row = _named_roles(line, row, done)
    try:
        record = from_row(row)
    except DataError:
        for check in sorted(diagnose(row)) or ["bad_record"]:
            done.add(f"dropped: {check}", line)
        return None
    text = "\n".join([*(turn["content"] for turn in record.messages), record.completion])
    if secret(text) is not None:
        done.add("dropped: secrets", line)
        return None
    if (answer := announced(record.completion)) is not None:
        record = Record(record.messages, answer, record.meta)
        done.add("mended: preamble", line)
    for check, change in (("mojibake", unscramble), ("hidden_text", hidden)):
        turns = tuple({**turn, "content": change(turn["content"])} for turn in record.messages)
        changed = Record(turns, change(record.completion), record.meta)
        if changed != record:
            done.add(f"mended: {check}", line)
            record = changed
    number = same(*(f"{t['role']}\n{t['content']}" for t in record.messages), record.completion)
    if number in known:
        done.add("dropped: exact_duplicates", line)
        return None
    known.add(number)
    if extra_keys(row) - (row.keys() - KEYS[format_of(row) or "messages"]):
        done.add("mended: extra_keys", line)
    return record


def _named_roles(line: int, row: Any, done: Notes) -> Any:
    """Return a row whose roles differ from known ones in capitals and spaces no more."""
    if not isinstance(row, dict) or format_of(row) == "cohere":  # whose roles have capitals
        return row
    row, changed = dict(row), False
    for name in ("messages", "conversations", "prompt", "completion"):
        if not isinstance(row.get(name), list):
            continue
        turns = []
        for turn in row[name]:
            key = "role" if isinstance(turn, dict) and "role" in turn else "from"
            role = turn.get(key) if isinstance(turn, dict) else None
            if isinstance(role, str) and role not in ROLES and role.strip().lower() in ROLES:
                turn, changed = {**turn, key: role.strip().lower()}, True
            turns.append(turn)
        row[name] = turns
    if changed:
        done.add("mended: unknown_role", line)
    return row
