"""Examine a data file before anyone trains on it: all that is wrong, at once, and how to mend it.

    error    broken_json        1   line 7                 --fix drops them
    error    leak_input         3   lines 2 (like 9) ...   take them out, and split by group
    warning  exact_duplicates  12   lines 40 (like 3) ...  --fix keeps one

One pass reads the file line by line. What is kept of a record is a few numbers, never its text,
so that memory hardly grows with the file. The checks are listed in `CHECKS`.

>>> import json, pathlib, tempfile
>>> path = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
>>> row = {"prompt": "Capital of France?", "completion": "Paris."}
>>> _ = path.write_text(json.dumps(row) + "\\n" + json.dumps(row) + "\\n{oops\\n")
>>> [(found.check, found.lines) for found in examine(path).findings]
[('broken_json', (3,)), ('exact_duplicates', (2,))]
>>> mended = fix(path, path.with_name("b.jsonl"))
>>> [(change.done, change.lines) for change in mended.changes]
[('dropped: broken_json', (3,)), ('dropped: exact_duplicates', (2,))]
"""

import os
import sys
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ftlab import data
from ftlab.curation.checks_content import ContentChecks
from ftlab.curation.checks_repeats import Repeats, leaks, repetitions
from ftlab.curation.checks_structure import is_array, read_lines, row_of
from ftlab.curation.checks_template import TemplateChecks
from ftlab.curation.findings import CHECKS, Check, Finding, Notes, Report
from ftlab.curation.mend import Change, Mended, fix
from ftlab.errors import ConfigError, DataError
from ftlab.formats import NotJsonError, format_of, loads

__all__ = ["CHECKS", "Change", "Check", "Finding", "Mended", "Report", "examine", "fix"]


def examine(
    path: str | os.PathLike[str],
    *,
    eval_path: str | os.PathLike[str] | None = None,
    model: Any = None,
    max_length: int | None = None,
    progress: bool = False,
) -> Report:
    """Examine a JSONL file of records, in any of the formats.

    Args:
        path: the training file.
        eval_path: an evaluation file; what of it stands in the training file is a leak.
        model: the name or folder of a model, or a tokenizer: its template is examined, and each
            record as it renders. None leaves that out, and the rest is much faster.
        max_length: most tokens in an example, by default the tokenizer's own limit.
        progress: show on a terminal's stderr how far the reading is, and how long it will take.

    Returns:
        The findings, errors first. What is wrong with the data is never raised.

    Raises:
        DataError: a file is missing or cannot be read.
        ConfigError: `max_length` without a model, or the evaluation file is the training file.
        ModelError: the model's tokenizer cannot be had.
    """
    begun = time.perf_counter()
    if max_length is not None and model is None:
        raise ConfigError("max_length counts a model's tokens: name the model too.")
    if eval_path is not None and Path(path).resolve() == Path(eval_path).resolve():
        raise ConfigError(f"{path} is both the training and the evaluation file; name two files.")
    notes = Notes()
    template = None if model is None else TemplateChecks(_tokenizer(model), max_length)
    content = ContentChecks(rendered=template is not None)
    seen = Repeats(outputs=eval_path is not None)
    formats: dict[str, array[int]] = {}
    if Path(path).is_file() and is_array(path):
        notes.add("json_array", None)
    else:
        for line, text in _watched(read_lines(path, notes), path, notes, progress):
            try:
                row = loads(text)
            except NotJsonError as error:
                notes.add(error.check, line, f"Line {line}: {error}")
                continue
            record = row_of(row, line, notes)
            if record is None:
                continue
            formats.setdefault(format_of(row) or "", array("Q")).append(line)
            seen.see(line, record)
            content.see(line, record, notes)
            if template is not None:
                template.see(line, record, notes)
        if not notes.findings() and not seen.lines:
            notes.add("empty_file", None)
    facts: dict[str, Any] = {"formats": {k: len(v) for k, v in sorted(formats.items())}}
    _judge_formats(formats, notes)
    facts |= content.finish(notes)
    endless = len(notes.lines("no_assistant"))
    if endless > max(1, len(seen.lines)):
        notes.tell("no_assistant", f"{endless:,} of {notes.read:,} lines: are two roles exchanged?")
    if template is not None:
        facts |= template.finish(notes)
    found = repetitions(seen, labelled=bool(content.labels()))
    if eval_path is not None:
        found += leaks(seen, _remember(eval_path, seen, notes))
    facts["seconds"] = round(time.perf_counter() - begun, 2)
    return Report(os.fspath(path), notes.read, len(seen.lines), notes.findings() + found, facts)


def _watched(
    lines: Iterator[tuple[int, str]], path: str | os.PathLike[str], notes: Notes, progress: bool
) -> Iterator[tuple[int, str]]:
    """Yield the lines, with a bar of the bytes that were read if it is wanted on a terminal."""
    size = Path(path).stat().st_size if Path(path).exists() else None
    hidden = not (progress and sys.stderr.isatty())
    with tqdm(total=size, desc="Examining", unit="B", unit_scale=True, disable=hidden) as bar:
        for line in lines:
            bar.update(notes.bytes - bar.n)
            yield line


def _tokenizer(model: Any) -> Any:
    """Return the tokenizer of a name or a folder; what is neither is a tokenizer."""
    if not isinstance(model, (str, os.PathLike)):
        return model
    from ftlab import models

    return models.tokenizer(model)


def _judge_formats(formats: "dict[str, array[int]]", notes: Notes) -> None:
    """Put down the records that are not in the commonest format."""
    if len(formats) < 2:
        return
    most = max(formats, key=lambda name: len(formats[name]))
    for name, lines in formats.items():
        for line in lines if name != most else ():
            notes.add("mixed_formats", line, f"Line {line} is {name}, most are {most}.")


def _remember(path: str | os.PathLike[str], train: Repeats, notes: Notes) -> Repeats:
    """Read the evaluation file; its own faults are one finding."""
    seen, faults = Repeats(like=train, outputs=True), Notes()
    if Path(path).is_file() and is_array(path):
        notes.add("eval_bad_lines", None, f"{path} is one JSON array, not lines.")
        return seen
    for line, text in read_lines(path, faults):
        try:
            seen.see(line, data.check(loads(text)))
        except DataError as error:
            notes.add("eval_bad_lines", line, f"Line {line} of {path}: {error}")
    if found := faults.detail("other_file"):
        notes.add("eval_bad_lines", None, f"{path}: {found}")
    for line in faults.lines("not_utf8") + faults.lines("huge_line"):
        notes.add("eval_bad_lines", line, f"Line {line} of {path} cannot be read.")
    return seen
