"""What is uploaded is examined first: rows by the doctor, preferences here.

{"messages": [...]}                                                          supervised
{"input": {"messages": [...]}, "preferred_output": [...], "non_preferred_output": [...]}   dpo
"""

import os
from pathlib import Path
from typing import Any

from ftlab import data
from ftlab.curation.doctor import examine
from ftlab.curation.findings import SHOWN
from ftlab.errors import DataError
from ftlab.formats import NotJsonError, loads

PREFERENCE = ("input", "preferred_output", "non_preferred_output")


def examined(path: Path) -> str:
    """Return what kind of training file this is: sft or dpo.

    Raises:
        DataError: it is not fit to be trained on; the text has the number of each bad line.
    """
    if _is_preferences(path):
        preferences(path)
        return "dpo"
    report = examine(path)
    bad = [found for found in report.findings if found.severity == "error"]
    if bad:
        faults = []
        for found in bad:
            lines = ", ".join(map(str, found.lines[:SHOWN]))
            more = f" and {len(found.lines) - SHOWN} more" if len(found.lines) > SHOWN else ""
            where = f"Line{'s' * (found.count > 1)} {lines}{more}: " if lines else ""
            detail = f" {found.detail}" if found.detail else ""
            faults.append(f"{where}{found.what}.{detail} {found.mend}")
        raise DataError("Invalid file format.\n" + "\n".join(faults))
    return "sft"


def preferences(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read preferences in OpenAI's form as rows of prompt, chosen and rejected.

    Raises:
        DataError: lines are none; the text has their numbers.
    """
    rows, bad = [], []
    for number, text in data.lines(path):
        try:
            rows.append(_preference(loads(text)))
        except (DataError, NotJsonError) as error:
            bad.append(f"Line {number}: {error}")
    if bad:
        more = [f"and {len(bad) - SHOWN} more"] if len(bad) > SHOWN else []
        raise DataError("\n".join(["Invalid file format.", *bad[:SHOWN], *more]))
    if not rows:
        raise DataError("Invalid file format.\nThe file holds no preference.")
    return rows


def _is_preferences(path: Path) -> bool:
    """Say whether the first line that is JSON is a preference."""
    try:
        for _, text in data.lines(path):
            try:
                row = loads(text)
            except NotJsonError:
                continue
            return isinstance(row, dict) and "preferred_output" in row
    except DataError:
        pass  # the doctor says what it is
    return False


def _preference(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict) or set(PREFERENCE) - set(row):
        raise DataError(f"an object with {', '.join(PREFERENCE)} is wanted")
    given = row["input"]
    if not isinstance(given, dict) or not isinstance(given.get("messages"), list):
        raise DataError("input needs messages, a list")
    if given.get("tools"):
        raise DataError("tools are not supported in preferences")
    made: dict[str, Any] = {"prompt": given["messages"]}
    for name, answer in zip(PREFERENCE[1:], ("chosen", "rejected"), strict=True):
        if not isinstance(row[name], list):
            raise DataError(f"{name} must be a list of messages")
        checked = data.check({"prompt": given["messages"], "completion": row[name]})
        made |= {"prompt": checked["prompt"], answer: checked["completion"]}
    if made["chosen"] == made["rejected"]:
        raise DataError("both answers are the same, so that nothing is preferred")
    return made
