"""Rows of the conversational form, which TRL and datasets use too; and the files that hold them.

    {"prompt": [{"role": "user", "content": "Capital of France?"}],
     "completion": [{"role": "assistant", "content": "Paris."}], "meta": {"id": "fr-1"}}
    {"messages": [{"role": "user", ...}, {"role": "assistant", ...}, ...], "tools": [...]}

A row is a plain dict. Of a prompt and completion, the completion is learned; of messages, every
answer is learned whose `weight` is not 0. `tools` and `meta` may be missing. Lists of dicts and a
`datasets.Dataset` both serve.

>>> row = example("Capital of France?", "Paris.", id="fr-1")
>>> prompt(row), answer(row), meta(row)
([{'role': 'user', 'content': 'Capital of France?'}], 'Paris.', {'id': 'fr-1'})
"""

import contextlib
import csv
import gzip
import hashlib
import io
import itertools
import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from ftlab import formats
from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import decoded, read_text, writing
from ftlab.formats import FORMATS, THOUGHTS, UPLOADS, conversation, learned

__all__ = ["FORMATS", "Row", "answer", "check", "columns", "conversation", "example", "fingerprint",
           "is_table", "learned", "meta", "prompt", "read", "read_table", "unrolled",
           "write"]  # fmt: skip

Row = dict[str, Any]
SHOWN = 10  # bad lines listed in one message; the rest are counted


def example(
    user: str | Sequence[Mapping[str, Any]], answer: str, /, *, system: str | None = None,
    **meta: Any,
) -> Row:  # fmt: skip
    """Return a row that teaches one answer to a question, or to a conversation's messages."""
    turns = [{"role": "user", "content": user}] if isinstance(user, str) else [*map(dict, user)]
    return {
        "prompt": turns if system is None else [{"role": "system", "content": system}, *turns],
        "completion": [{"role": "assistant", "content": answer}],
        **({"meta": meta} if meta else {}),
    }


def prompt(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages before the last answer: what a model is given."""
    turns = [{k: v for k, v in turn.items() if k != "weight"} for turn in conversation(row)]
    return turns[: _last(turns)]


def answer(row: Mapping[str, Any]) -> str:
    """Return the text of the last answer; it is empty where that one only calls a tool."""
    turns = conversation(row)
    return str(turns[_last(turns)]["content"])


def _last(turns: list[dict[str, Any]]) -> int:
    places = [i for i, turn in enumerate(turns) if turn["role"] == "assistant"]
    if not places:
        raise DataError("a row without an answer: none of its messages is the assistant's")
    return places[-1]


def meta(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known about a row: id, slice, group, source."""
    return dict(row.get("meta") or {})


def unrolled(row: Mapping[str, Any]) -> list[Row]:
    """Return a row for each answer that is learned, with the turns before it as its prompt.

    So a template that takes thoughts out of earlier answers shows each answer's own.
    """
    rest = {key: row[key] for key in row if key not in ("messages", "prompt", "completion")}
    turns = [{k: v for k, v in turn.items() if k != "weight"} for turn in conversation(row)]
    return [{"prompt": turns[:i], "completion": [turns[i]], **rest} for i in learned(row)]


def rare(row: Mapping[str, Any]) -> set[str]:
    """Return what a row holds that not every chat template has a place for: tools, names, …"""
    sides = (row.get(side) for side in ("messages", "prompt", "completion"))
    turns = [turn for side in sides if isinstance(side, list) for turn in side]
    found = {key for turn in turns for key in _RARE & turn.keys() if turn[key]}
    return found | ({"tools"} if row.get("tools") else set())


_RARE = {"tool_calls", "name", *THOUGHTS}


def check(row: Any) -> Row:
    """Return an object in any of the formats as a row: known roles, text contents, no nulls.

    Keys that its format does not know go to the meta.

    Raises:
        DataError: it is no row; the text is the first reason alone.
    """
    made, faults = formats.examine(row)
    if faults:
        raise DataError(faults[0][1])
    return made


def fingerprint(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of the rows in order, meta included, as 64 hex digits.

    The same content gives the same figure whatever file or format it came from.
    """
    digest = hashlib.sha256()
    for row in rows:
        turns, carry = prompt(row), learned(row)
        last = conversation(row)[len(turns)]
        more = {
            "tools": row.get("tools"),
            "chat_template_kwargs": row.get("chat_template_kwargs"),
            "learned": carry if carry != [len(turns)] else None,
            "answer": {k: v for k, v in last.items() if k not in ("role", "content", "weight")},
        }
        rest = {key: value for key, value in more.items() if value}
        content = [turns, last["content"], meta(row), *([rest] if rest else [])]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
        digest.update(canonical.encode("ascii") + b"\n")
    return digest.hexdigest()


def read(path: str | os.PathLike[str], *, left_out: "Counter[str] | None" = None) -> list[Row]:
    """Read a file of examples in any of the formats: JSONL, also in gzip, or Parquet.

    Keys that a format does not know are kept in the row's `meta`; `left_out` counts the unknown
    keys of messages, which are not kept, by record.

    Raises:
        DataError: the file cannot be read, holds no row, or has bad lines; the message lists
            the bad lines by number.
    """
    if is_table(path):
        raise DataError(f"{path} is a table: {TABLE}.")

    def row(line: Any) -> Row:
        if left_out is not None and isinstance(line, dict):
            left_out.update(formats.unread(line))
        return check(line)

    return gather(path, lines(path), row)


TABLE = "make records of it with ftlab convert FILE NEW.jsonl --input COLUMN --output COLUMN"


def read_table(
    path: str | os.PathLike[str], *, input: str, output: str, system: str | None = None
) -> list[Row]:
    """Read two columns of a CSV, TSV, JSONL or Parquet file as questions and answers.

    The other columns are kept in `meta`. A value that is no text, such as an object in a JSONL
    line, becomes its JSON: that is what a model would be taught to write.

    Args:
        path: the file; one that ends in .csv or .tsv has a first line that names the columns.
        input: the column that the user says.
        output: the column that is wanted of the model.
        system: a text for the system message of every row, such as the instruction.

    Raises:
        ConfigError: `input` and `output` are the same.
        DataError: as `read`; or a column is not there.
    """
    if input == output:
        raise ConfigError(f"Input and output are the same column, {input!r}; choose two.")
    numbered: Iterator[tuple[int, Any]] = _cells(path) if is_table(path) else lines(path)
    if is_table(path) and (first := next(numbered, None)):  # once, and not for every line
        names, numbered = list(first[1]), itertools.chain([first], numbered)
        if lacking := [name for name in (input, output) if name not in names]:
            known = ", ".join(map(str, names))
            raise DataError(f"{path}: there is no column {lacking[0]!r}; the columns: {known}")

    def row(line: Any) -> Row:
        if not isinstance(line, dict) or None in line or any(v is _MISSING for v in line.values()):
            got = "more or fewer cells" if isinstance(line, dict) else type(line).__name__
            raise DataError(f"a row with all columns, or a JSON object, is wanted; got {got}")
        if lacking := [name for name in (input, output) if name not in line]:
            raise DataError(
                f"there is no column {lacking[0]!r}; the columns: {', '.join(map(str, line))}"
            )
        rest = {key: value for key, value in line.items() if key not in (input, output)}
        made = example(_cell(line, input), _cell(line, output), system=system)
        return check(made | ({"meta": rest} if rest else {}))

    return gather(path, numbered, row)


_MISSING = object()


def _cell(line: dict[str, Any], name: str) -> str:
    """Return a cell as text: what is no text, as its JSON."""
    value = line[name]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if value is None or not text.strip():
        raise DataError(f"the column {name!r} is empty")
    return text


def gather(
    path: str | os.PathLike[str], numbered: Iterable[tuple[int, Any]], make: Callable[[Any], Row]
) -> list[Row]:
    """Make a row of each numbered line; raise one error that lists all bad ones."""
    rows: list[Row] = []
    bad: list[str] = []
    for number, line in numbered:
        try:
            rows.append(make(formats.loads(line) if isinstance(line, str) else line))
        except DataError as error:
            bad.append(f"  line {number}: {error}")
    if bad:
        shown = bad[:SHOWN] + [f"  and {len(bad) - SHOWN} more"] * (len(bad) > SHOWN)
        count = f"{len(bad)} bad line{'s' * (len(bad) > 1)} of {len(bad) + len(rows)}"
        raise DataError(f"{path} has {count}. Correct or remove:\n" + "\n".join(shown))
    if not rows:
        raise DataError(f"{path} holds no records: it is empty.")
    return rows


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for its bytes, unpacked if it is packed with gzip.

    Raises:
        DataError: it is missing, a folder, cut short, or cannot be read.
    """
    try:
        with Path(path).open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Check the spelling and the folder.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is no gzip of text: {error}.") from None
    except OSError as error:
        raise DataError(f"Could not read {path}: {error.strerror or error}.") from error


def lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that is not blank; of Parquet, each row's JSON.

    A line ends with a newline; in a file without one, with a carriage return.

    Raises:
        DataError: the file cannot be read, or is of another kind; the text says of which.
    """
    with opened(path) as stream:
        raw, kind = stream.read(), Path(path).suffix.lower()
    if raw.startswith(b"PAR1") or kind == ".parquet":
        import pyarrow.parquet

        try:
            table = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(raw)).read(use_threads=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is no Parquet file: {error}.") from None
        for number, row in enumerate(table.to_pylist(), start=1):
            yield number, json.dumps(row, ensure_ascii=False, default=_plain)
        return
    whole = decoded(raw, path)
    if whole.lstrip().startswith("["):
        raise DataError(
            f"{path} is one JSON array; JSONL is wanted, one object on each line. "
            f"Convert it with: jq -c '.[]' {path}"
        )
    end = "\r" if "\r" in whole and "\n" not in whole.rstrip() else "\n"
    for number, line in enumerate(whole.split(end), start=1):
        if line.strip():
            yield number, line


def _plain(value: Any) -> str:
    """Return a date or time of a table as JSON can hold it."""
    if not hasattr(value, "isoformat"):
        raise DataError(
            f"A column holds {type(value).__name__}, which JSON cannot hold. Drop it, or make it "
            "text, before the file is read."
        )
    return str(value.isoformat())


def is_table(path: str | os.PathLike[str]) -> bool:
    """Return whether a file's name says that it is a CSV or TSV."""
    return Path(path).suffix.lower() in (".csv", ".tsv")


def columns(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the columns of a CSV or TSV with rows."""
    return list(next(_cells(path), (0, {}))[1])


def _cells(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of the last line of each row of a table, and its cells by column."""
    text = io.StringIO(read_text(path), newline="")
    first = text.readline()
    text.seek(0)
    semicolons = ";" in first and "," not in first  # as Excel writes where the comma is decimal
    tab = "\t" if Path(path).suffix.lower() == ".tsv" else ";" if semicolons else ","
    table = csv.DictReader(text, restval=_MISSING, delimiter=tab, strict=True)  # type: ignore[call-overload]
    try:
        names = list(table.fieldnames or ())
        if len(set(names)) < len(names):
            raise DataError(f"{path} names two columns alike: {', '.join(names)}. Rename one.")
        for cells in table:
            yield table.line_num, cells
    except csv.Error as error:
        at = table.reader.line_num
        raise DataError(f"{path} is no CSV from line {at} on: {error}.") from None


def write(
    path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]], *,
    format: str | None = None, drop_meta: bool = False, overwrite: bool = False,
) -> Path:  # fmt: skip
    """Write rows as JSONL, whole or not at all; return the path.

    Args:
        path: the file to make.
        rows: what to write; each row's `meta`, if any, is kept under "meta".
        format: one of `FORMATS`; a hyphen is as good as an underscore. By default prompt_completion
            where all rows have that form, else messages, so that a file has one form.
        drop_meta: leave meta out. The formats of providers hold none, and refuse it otherwise.
        overwrite: replace a file that exists.

    Raises:
        ConfigError: an unknown format.
        DataError: the file exists, cannot be written, or the format cannot hold a row.
    """
    rows = list(rows)
    plain = all(row.get("messages") is None for row in rows)
    format = (format or ("prompt_completion" if plain else "messages")).replace("-", "_")
    if format not in FORMATS:
        raise_unknown("format", format, FORMATS)
    with writing(path, overwrite=overwrite) as temporary, temporary.open("wb") as stream:
        for number, row in enumerate(rows, start=1):
            extra = {} if drop_meta else meta(row)
            try:
                if extra and format in UPLOADS:
                    raise DataError(
                        f"it has meta ({', '.join(map(str, list(extra)[:5]))}): leave it out with "
                        "drop_meta (--drop-meta), or keep it in another format"
                    )
                line = formats.line_of(check(row), format) | ({"meta": extra} if extra else {})
                text = json.dumps(line, ensure_ascii=False, allow_nan=False)
            except (TypeError, ValueError) as error:  # of a DataError too
                what = f"Record {number} cannot be written as {format}: {error}"
                raise DataError(f"{what}. {path} was not written.") from None
            stream.write(text.encode("utf-8") + b"\n")
    return Path(path)
