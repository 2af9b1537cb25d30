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

from ftlab import data
from ftlab.curation.checks_content import announced, unscramble
from ftlab.curation.checks_private import hidden, secret
from ftlab.curation.checks_repeats import same, spoken
from ftlab.curation.checks_structure import is_array, read_lines
from ftlab.curation.findings import Notes
from ftlab.errors import ConfigError, DataError
from ftlab.files import read_text, write_text
from ftlab.formats import KEYS, ROLES, NotJsonError, examine, extra_keys, format_of, loads, of_repr

BIGGEST = 256_000_000  # bytes of a JSON array, which must be read whole


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
    lines = [row for _, row in _rows(path, Notes()) if isinstance(row, dict)]
    formats = {"messages" if row.get("tools") else format_of(row) for row in lines} - {None}
    format = formats.pop() if len(formats) == 1 else "messages"
    done = Notes()
    kept = 0

    def records() -> Iterator[data.Row]:
        nonlocal kept
        known: set[int] = set()
        for line, row in _rows(path, done):
            record = _mended(line, row, done, known)
            if record is not None:
                kept += 1
                yield record
        if not kept:
            raise DataError(f"{path} has no record that can be kept; nothing was written.")

    data.write(out, records(), format=format or "messages", overwrite=overwrite)
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
    for check in sorted({check for check, _ in faults}):
        done.add(f"dropped: {check}", line)
    if faults:
        return None
    if secret("\n".join(turn["content"] for turn in data.conversation(row))) is not None:
        done.add("dropped: secrets", line)
        return None
    if (answer := announced(data.answer(row))) is not None:
        side = "messages" if "messages" in row else "completion"
        row = {**row, side: [*row[side][:-1], {**row[side][-1], "content": answer}]}
        done.add("mended: preamble", line)
    for check, change in (("mojibake", unscramble), ("hidden_text", hidden)):
        changed = dict(row)
        for side in row.keys() & {"messages", "prompt", "completion"}:
            changed[side] = [{**turn, "content": change(turn["content"])} for turn in row[side]]
        if changed != row:
            done.add(f"mended: {check}", line)
            row = changed
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
