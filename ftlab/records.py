"""The record: messages in, the completion wanted; and the files it comes from and goes to.

    {"messages": [{"role": "user", "content": "Capital of France?"},
                  {"role": "assistant", "content": "Paris."}], "meta": {"id": "fr-1"}}

A line may be in any of the formats of `ftlab.formats`, and a file may mix them; columns of a table,
CSV or JSONL, can be made records too.

>>> record = Record.of("Capital of France?", "Paris.", id="fr-1")
>>> record.messages
({'role': 'user', 'content': 'Capital of France?'},)
>>> to_trl(record)["completion"]
[{'role': 'assistant', 'content': 'Paris.'}]
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import read_text, writing
from ftlab.formats import FORMATS, KEYS, ROLES, UPLOADS, check, format_of, row_of, text, turns_of

__all__ = [
    "FORMATS",
    "KEYS",
    "ROLES",
    "Record",
    "columns",
    "fingerprint",
    "format_of",
    "from_row",
    "is_table",
    "read",
    "read_table",
    "to_trl",
    "write",
]

SHOWN = 10  # bad lines listed in one message; the rest are counted


@dataclass(frozen=True)
class Record:
    """One training example.

    Raises:
        DataError: the messages are not an optional system message, then turns of user and
            assistant that end with the user; or a text is not a string.
    """

    messages: tuple[dict[str, str], ...]
    """What goes in: each message has a `role` and a `content`."""
    completion: str
    """The assistant's text that is wanted."""
    meta: dict[str, Any] = field(default_factory=dict)
    """What is known about it: id, slice, group, source."""

    def __post_init__(self) -> None:
        turns = check(self.messages, "messages")
        if not turns:
            raise DataError("there are no messages")
        rest = turns[1:] if turns[0]["role"] == "system" else turns
        wanted = [("user", "assistant")[i % 2] for i in range(len(rest))]
        if [turn["role"] for turn in rest] != wanted or len(rest) % 2 == 0:
            raise DataError(
                "the turns before the completion must be user, assistant, ..., user, after at most "
                f"one system message; got {', '.join(turn['role'] for turn in turns)}"
            )
        text(self.completion, "the completion")
        if not isinstance(self.meta, dict):
            raise DataError(f"meta must be an object, got {type(self.meta).__name__}")
        object.__setattr__(self, "messages", tuple(turns))

    @classmethod
    def of(cls, user: str, completion: str, *, system: str | None = None, **meta: Any) -> "Record":
        """Make a record of one turn; further keywords become its `meta`."""
        turns = [] if system is None else [{"role": "system", "content": system}]
        return cls((*turns, {"role": "user", "content": user}), completion, meta)


# Reading.


def read(path: str | os.PathLike[str]) -> list[Record]:
    """Read a JSONL file whose lines are in any of the formats; blank lines are skipped.

    Keys that a format does not know are kept in the record's `meta`.

    Raises:
        DataError: the file cannot be read, holds no record, or has bad lines; the message lists
            the bad lines by number.
    """
    return _gather(path, _lines(path), lambda line: from_row(_json(line)))


def read_table(
    path: str | os.PathLike[str], *, input: str, output: str, system: str | None = None
) -> list[Record]:
    """Read chosen columns of a CSV, TSV or JSONL file as records of one turn.

    The other columns are kept in `meta`. A value that is no text, such as an object in a JSONL
    line, becomes its JSON: that is what a model would be taught to write.

    Args:
        path: the file; one that ends in .csv or .tsv has a first line that names the columns.
        input: the column that the user says.
        output: the column that is wanted of the model.
        system: a text for the system message of every record, such as the instruction.

    Raises:
        ConfigError: `input` and `output` are the same.
        DataError: as `read`; or a column is not there.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("text,label\\nWhere is my card?,card_arrival\\n")
    >>> read_table(path, input="text", output="label")[0].completion
    'card_arrival'
    """
    if input == output:
        raise ConfigError(f"Input and output are the same column, {input!r}; choose two.")

    def record(line: Any) -> Record:
        row = _json(line) if isinstance(line, str) else line
        if not isinstance(row, dict):
            what = f"{len(row)} cells" if isinstance(row, list) else type(row).__name__
            raise DataError(f"a row with all columns, or a JSON object, is wanted; got {what}")
        if missing := [name for name in (input, output) if name not in row]:
            raise DataError(
                f"there is no column {missing[0]!r}; the columns: {', '.join(map(str, row))}"
            )
        asked, wanted = (_cell(row[name], name) for name in (input, output))
        rest = {key: value for key, value in row.items() if key not in (input, output)}
        return Record(Record.of(asked, wanted, system=system).messages, wanted, rest)

    return _gather(path, _csv_rows(path) if is_table(path) else _lines(path), record)


def _gather(
    path: str | os.PathLike[str], rows: Iterable[tuple[int, Any]], make: Callable[[Any], Record]
) -> list[Record]:
    """Make a record of each numbered row; raise one error that lists all bad ones."""
    records: list[Record] = []
    bad: list[tuple[int, str]] = []
    for number, row in rows:
        try:
            records.append(make(row))
        except DataError as error:
            bad.append((number, str(error)))
    if bad:
        listed = [f"  line {number}: {reason}" for number, reason in bad[:SHOWN]]
        if len(bad) > SHOWN:
            listed.append(f"  and {len(bad) - SHOWN} more")
        lines = "1 bad line" if len(bad) == 1 else f"{len(bad)} bad lines"
        raise DataError(
            f"{path} has {lines} of {len(bad) + len(records)}. Correct or remove:\n"
            + "\n".join(listed)
        )
    if not records:
        raise DataError(f"{path} holds no records: it is empty.")
    return records


def _lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank."""
    whole = read_text(path)
    if whole.lstrip().startswith("["):
        raise DataError(
            f"{path} is one JSON array; JSONL is wanted, one object on each line. "
            f"Convert it with: jq -c '.[]' {path}"
        )
    for number, line in enumerate(whole.split("\n"), start=1):
        if line.strip():
            yield number, line


def is_table(path: str | os.PathLike[str]) -> bool:
    """Return whether a file's name says that it is a CSV or TSV."""
    return Path(path).suffix.lower() in (".csv", ".tsv")


def columns(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the columns of a CSV or TSV.

    Raises:
        DataError: the file cannot be read, or has no columns.
    """
    return next(_csv(path))[1]


def _csv(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line of each row, and its cells; the header comes first."""
    lines = io.StringIO(read_text(path), newline="")
    tab = Path(path).suffix.lower() == ".tsv"
    reader = csv.reader(lines, delimiter="\t" if tab else ",", strict=True)
    empty = True
    try:
        for cells in reader:
            if cells:
                empty = False
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{path} is no CSV from line {reader.line_num} on: {error}.") from None
    if empty:
        raise DataError(f"{path} holds no records: it is empty.")


def _csv_rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, str] | list[str]]]:
    rows = _csv(path)
    names = next(rows)[1]
    if len(set(names)) < len(names):
        raise DataError(f"{path} names two columns alike: {', '.join(names)}. Rename one.")
    for number, cells in rows:
        same = len(cells) == len(names)
        yield number, dict(zip(names, cells, strict=True)) if same else cells


def _cell(value: Any, name: str) -> str:
    """Return a cell as text: what is no text, as its JSON."""
    found = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if value is None or not found.strip():
        raise DataError(f"the column {name!r} is empty")
    return found


def _json(line: str) -> Any:
    """Return what the JSON of a line holds; the DataError's text is the reason alone."""
    try:
        return json.loads(line)
    except RecursionError:
        raise DataError("the JSON is nested too deeply") from None
    except ValueError as error:
        where = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        what = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise DataError(f"not JSON: {what}{where}") from None


def from_row(row: Any) -> Record:
    """Return the record of one line's object, in any of the formats.

    Raises:
        DataError: it is no record; the text is the reason alone.
    """
    turns, meta = turns_of(row)
    return Record(tuple(turns[:-1]), turns[-1]["content"], meta)


# Writing.


def write(
    path: str | os.PathLike[str],
    records: Iterable[Record],
    *,
    format: str = "messages",
    drop_meta: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write records as JSONL, whole or not at all; return the path.

    Args:
        path: the file to make.
        records: what to write; each record's `meta`, if any, is kept under "meta".
        format: one of `FORMATS`; a hyphen is as good as an underscore.
        drop_meta: leave meta out. The formats of providers hold none, and refuse it otherwise.
        overwrite: replace a file that exists.

    Raises:
        ConfigError: an unknown format.
        DataError: the file exists, cannot be written, or the format cannot hold a record.
    """
    format = format.replace("-", "_")
    if format not in FORMATS:
        raise_unknown("format", format, FORMATS)
    with writing(path, overwrite=overwrite) as temporary, temporary.open("wb") as stream:
        for number, record in enumerate(records, start=1):
            meta = {} if drop_meta else record.meta
            if meta and format in UPLOADS:
                raise DataError(
                    f"Record {number} has meta ({', '.join(map(str, list(meta)[:5]))}), which "
                    f"{format} has no place for: leave it out with drop_meta (--drop-meta), or "
                    f"keep it in another format. {path} was not written."
                )
            answer = {"role": "assistant", "content": record.completion}
            try:
                row = row_of([*record.messages, answer], format)
            except DataError as error:
                raise DataError(
                    f"Record {number} cannot be written as {format}: {error}. "
                    f"{path} was not written."
                ) from None
            if meta:
                row["meta"] = meta
            try:
                stream.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"The meta of record {number} cannot be written as JSON: {error}. "
                    f"{path} was not written."
                ) from None
    return Path(path)


def to_trl(record: Record) -> dict[str, Any]:
    """Return the record as TRL's conversational prompt and completion, which masks the prompt."""
    return {
        "prompt": [dict(message) for message in record.messages],
        "completion": [{"role": "assistant", "content": record.completion}],
    }


def fingerprint(records: Iterable[Record]) -> str:
    """Return the SHA-256 of the records in order, meta included, as 64 hex digits.

    The same records give the same figure whatever file or format they came from.

    >>> fingerprint([Record.of("a", "b")]) == fingerprint([Record.of("a", "b")])
    True
    """
    digest = hashlib.sha256()
    for record in records:
        row = [list(record.messages), record.completion, record.meta]
        canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), default=str)
        digest.update(canonical.encode("ascii") + b"\n")
    return digest.hexdigest()
