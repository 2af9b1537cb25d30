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
import re
import sys
import time
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ftlab import data, templates
from ftlab.curation.checks_content import ContentChecks
from ftlab.curation.findings import CHECKS, Check, Finding, Notes, Report, counted
from ftlab.curation.mend import Change, Mended, fix, read_lines
from ftlab.curation.near_duplicates import Repeats
from ftlab.errors import ConfigError, DataError
from ftlab.formats import NotJsonError, extra_keys, format_of, loads
from ftlab.formats import examine as examine_row

__all__ = ["CHECKS", "Change", "Check", "Finding", "Mended", "Report", "examine", "fix"]

UNLIMITED = 1_000_000  # tokenizers without a limit say a far larger number


def examine(
    path: str | os.PathLike[str], *, eval_path: str | os.PathLike[str] | None = None,
    model: Any = None, max_length: int | None = None, progress: bool = False,
) -> Report:  # fmt: skip
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
    if isinstance(model, str | os.PathLike):
        from ftlab import models

        model = models.tokenizer(model)
    template = None if model is None else _Rendered(model, max_length)
    notes, seen, content = Notes(), Repeats(), ContentChecks(rendered=template is not None)
    if eval_path is not None:
        _hold(eval_path, seen, notes)
    formats: dict[str, array[int]] = {}
    size = Path(path).stat().st_size if Path(path).exists() else None
    hidden = not (progress and sys.stderr.isatty())
    with tqdm(total=size, desc="Examining", unit="B", unit_scale=True, disable=hidden) as bar:
        for line, text in read_lines(path, notes):
            bar.update(notes.bytes - bar.n)
            if (read := _record(line, text, notes)) is None:
                continue
            record, format = read
            formats.setdefault(format, array("Q")).append(line)
            seen.see(line, record, notes)
            content.see(line, record, notes)
            if template is not None:
                template.see(line, record, notes)
    if not seen.lines and not set(notes.checks()) - {"eval_bad_lines"}:
        notes.add("empty_file")
    facts: dict[str, Any] = {"formats": {k: len(v) for k, v in sorted(formats.items())}}
    most = max(formats, key=lambda name: len(formats[name]), default="")
    for name, lines in formats.items():
        for line in lines if name != most else ():
            notes.add("mixed_formats", line, f"Line {line} is {name}, most are {most}.")
    facts |= content.finish(notes)
    endless = len(notes.lines("no_assistant"))
    if endless > max(1, len(seen.lines)):
        notes.tell("no_assistant", f"{endless:,} of {notes.read:,} lines: are two roles exchanged?")
    if template is not None:
        facts |= template.finish(notes)
    seen.finish(notes, labelled=bool(content.labels()))
    facts["seconds"] = round(time.perf_counter() - begun, 2)
    return Report(os.fspath(path), notes.read, len(seen.lines), notes.findings(), facts)


def _record(line: int, text: str, notes: Notes) -> tuple[data.Row, str] | None:
    """Return the row of a line and its format; None, with its faults put down, when it is none."""
    try:
        parsed = loads(text)
    except NotJsonError as error:
        notes.add(error.check, line, f"Line {line}: {error}")
        return None
    row, faults = examine_row(parsed)
    for check, reason in dict(reversed(faults)).items():  # of each check the first reason
        notes.add(check, line, f"For example: {reason}.")
    if faults:
        return None
    if unknown := extra_keys(parsed):
        notes.add("extra_keys", line, f"For example: {', '.join(sorted(unknown)[:5])}.")
    return row, format_of(parsed) or ""


def _hold(path: str | os.PathLike[str], seen: Repeats, notes: Notes) -> None:
    """Read the evaluation file; its own faults are one finding."""
    faults = Notes()
    for line, text in read_lines(path, faults):
        try:
            seen.hold(line, data.check(loads(text)))
        except DataError as error:
            notes.add("eval_bad_lines", line, f"Line {line} of {path}: {error}")
    for check in faults.checks():
        if CHECKS[check].severity == "error" or check == "huge_line":
            for number in faults.lines(check) or (None,):
                detail = faults.detail(check) or CHECKS[check].what
                notes.add("eval_bad_lines", number, f"{path}: {detail}")


class _Rendered:
    """Examine a tokenizer's template, and each record's tokens and mask as training has them."""

    def __init__(self, tokenizer: Any, max_length: int | None) -> None:
        if max_length is not None and max_length < 1:
            raise ConfigError(f"max_length must be at least 1, got {max_length}.")
        limit = getattr(tokenizer, "model_max_length", None) or UNLIMITED
        self.max_length = max_length or (limit if limit < UNLIMITED else None)
        self.tokenizer = tokenizer
        problems = templates.tokenizer_problems(tokenizer)
        self.faults = {name: why for name, why in problems.items() if name in CHECKS}
        if tokenizer.eos_token is None:  # then an answer ends with the template's end alone
            self.faults.pop("end_is_not_eos", None)
        self._renders = "no_template" not in self.faults
        if self._renders:
            thoughts = {"opens_thought": templates.opens_thought,
                        "removes_thoughts": templates.removes_thoughts}  # fmt: skip
            self.faults |= {name: "" for name, has in thoughts.items() if has(tokenizer)}
        self._system = not self._renders or templates.takes_system(tokenizer)
        self._ends = set(templates.end_of_turn_ids(tokenizer, required=False))
        special = map(str, [*tokenizer.get_added_vocab(),
                            *getattr(tokenizer, "all_special_tokens", [])])  # fmt: skip
        # Names of two characters and less, or of letters alone, are words too.
        marked = sorted({t for t in special if len(t) > 2 and not t.isalnum()})
        self._special = re.compile("|".join(map(re.escape, marked)) or r"(?!)")
        self._thinks = self._renders and "<think>" in str(tokenizer.chat_template)
        self._lost: Counter[str] = Counter()
        self._tokens = self._supervised = self._answerless = self._cut = 0

    def see(self, line: int, record: data.Row, notes: Notes) -> None:
        """Examine one record."""
        turns = data.conversation(record)
        matches = (self._special.search(turn["content"]) for turn in turns)
        if match := next(filter(None, matches), None):
            notes.add("special_tokens_in_text", line, f"For example {match.group()}.")
        if not self._renders:
            return
        if turns[0]["role"] == "system" and not self._system:
            notes.add("system_unsupported", line)
            side = "messages" if record.get("messages") else "prompt"
            record = {**record, side: record[side][1:]}
        try:
            encoded = templates.encode(self.tokenizer, record)
        except DataError as error:
            notes.add("template_refuses", line, f"For example: {error}")
            return
        ids, mask = encoded.input_ids, encoded.loss_mask
        last = [token for token, m, after in zip(ids, mask, [*mask[1:], 0]) if m > after]  # noqa: B905
        if any(token not in self._ends for token in last):
            notes.add("end_token_missing", line)
        if self.max_length is not None and (length := len(ids)) > self.max_length:
            ids, mask = ids[: self.max_length], mask[: self.max_length]
            self._cut += 1
            self._answerless += not any(mask)
            notes.add("truncated", line, f"Line {line} has {length} of {self.max_length} tokens.")
        if not any(mask):
            notes.add("no_supervised_tokens", line)
        self._tokens += len(ids)
        self._supervised += sum(mask)
        if self._thinks:
            asked = (turn["content"] for turn in turns if turn["role"] != "assistant")
            if any("<think>" in text or "</think>" in text for text in asked):
                notes.add("thought_marks", line)
            if templates.empty_thought(self.tokenizer, record):
                notes.add("empty_thought", line)
        if data.rare(record) and (lost := templates.dropped(self.tokenizer, record)):
            notes.add("template_drops", line)
            self._lost.update(lost)

    def finish(self, notes: Notes) -> dict[str, Any]:
        """Return counts of tokens, the share that carries loss, and what truncation costs."""
        for check, detail in self.faults.items():
            notes.add(check, None, detail)
        if self._lost:
            notes.tell("template_drops", counted(self._lost))
        share = f"{self._supervised / self._tokens:.1%}" if self._tokens else "none"
        cut = {"lose_end_token": self._cut, "lose_answer": self._answerless} if self._cut else {}
        return {"tokens": self._tokens, "supervised": share, **cut}
