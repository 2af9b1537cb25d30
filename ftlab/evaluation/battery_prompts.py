"""The battery's prompts, and the formats that they ask for.

A line of a file of prompts, of which `data/battery.jsonl` is the starter set:

    {"id": "json-3", "kind": "json", "prompt": "Write the colours red, green ...",
     "reference": "[\\"red\\", \\"green\\", \\"blue\\"]", "format": ["json"]}

Formats are named checks, as strict as a program that reads answers:

    json              an object or a list, and nothing else: no code fence, no sentence before it
    yaml              a map or a list in block style
    python            code that parses, and is more than words
    list, list of 3   lines that begin with -, *, • or a number; so many of them
    one line          no line break
    number            a number alone
    yes or no         the word alone, with or without a full stop
    at most 12 words  words are what stands between blanks
    sentence          one line, one sentence, from a capital to a full stop, ! or ?

>>> check("json", '{"a": 1}'), check("json", 'Sure! {"a": 1}')
('', 'not JSON: Expecting value: line 1 column 1 (char 0)')
"""

import ast
import difflib
import json
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from ftlab.errors import ConfigError, DataError
from ftlab.files import read_text

__all__ = ["FORMATS", "Prompt", "check", "read_prompts"]

FORMATS = (
    "json", "python", "yaml", "list", "list of N", "one line", "number", "yes or no",
    "at most N words", "sentence",
)  # fmt: skip
NUMBERED = {
    r"list of ([1-9]\d*)": "list of N",
    r"at most ([1-9]\d*) words?": "at most N words",
}
ALL = "all"  # the row that sums the kinds up
KEYS = {"id", "kind", "prompt", "reference", "format"}


@dataclass(frozen=True)
class Prompt:
    """One question of the battery."""

    id: str
    kind: str
    prompt: str
    reference: str | None = None
    """A good answer, for the bits per character; others may be as good."""
    format: tuple[str, ...] = ()
    """Names out of `answer_formats.FORMATS`; an answer keeps the format if it passes them all."""


# Reading.


def read_prompts(path: str | os.PathLike[str] | None = None) -> list[Prompt]:
    """Read a file of prompts, JSONL; without a path, the starter set that comes with ftlab.

    Raises:
        DataError: the file cannot be read, or has bad lines, which are listed by number.
    """
    path = Path(path) if path is not None else _starter()
    prompts: dict[str, Prompt] = {}
    bad = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            prompt = _prompt(line)
            if prompt.id in prompts:
                raise ValueError(f"the id {prompt.id!r} is there already")
            prompts[prompt.id] = prompt
        except (ValueError, RecursionError) as error:
            bad.append(f"  line {number}: {error}")
    if bad:
        more = [f"  and {len(bad) - 10} more"] if len(bad) > 10 else []
        raise DataError(
            f"{path} has bad lines. Correct or remove:\n" + "\n".join([*bad[:10], *more])
        )
    if not prompts:
        raise DataError(f"{path} holds no prompts: it is empty.")
    return list(prompts.values())


def _starter() -> Path:
    """Return where the starter set lies: next to the package in a clone, in it in a wheel."""
    package = Path(__file__).resolve().parent.parent
    places = [root / "data" / "battery.jsonl" for root in (package.parent, package)]
    return next((place for place in places if place.exists()), places[0])


def _prompt(line: str) -> Prompt:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"a JSON object is wanted, got {type(row).__name__}")
    if unknown := sorted(set(row) - KEYS):
        raise ValueError(f"unknown keys {', '.join(unknown)}; valid: {', '.join(sorted(KEYS))}")
    for key in ("id", "kind", "prompt"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise ValueError(f"{key} must be a text that is not empty")
    reference = row.get("reference")
    if reference is not None and (not isinstance(reference, str) or not reference):
        raise ValueError("reference must be a text that is not empty, or left out")
    if row["kind"] == ALL:
        raise ValueError(f"the kind {ALL!r} is taken by the row that sums up")
    wanted = row.get("format") or []
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        raise ValueError("format must be a name or a list of names")
    for name in wanted:
        _parse(name)
    return Prompt(row["id"], row["kind"], row["prompt"], reference, tuple(wanted))


# Formats.


def check(format: str, text: str) -> str:
    """Return why an answer is not in a format, or "" if it is.

    Space around the answer does not count.

    Args:
        format: one of `FORMATS`, with a number for N.
        text: the answer as the model wrote it.

    Raises:
        ConfigError: there is no such format.

    >>> check("list of 3", "- fig\\n- pear"), check("at most 2 words", "Lisbon")
    ('2 items, not 3', '')
    """
    text = text.strip()
    name, number = _parse(format)
    if not text:
        return "nothing written"
    lines, words = text.splitlines(), text.split()
    if name in ("json", "yaml"):
        return _document(text, name)
    if name == "python":
        return _python(text)
    if name in ("list", "list of N"):
        items = [line for line in lines if line.strip()]
        other = [line for line in items if not re.match(r"\s*([-*•]|\d+[.)])\s+\S", line)]
        if other:
            return f"a line is no item of a list: {other[0].strip()[:40]!r}"
        return f"{len(items)} items, not {number}" if number not in (None, len(items)) else ""
    if name == "one line":
        return f"{len(lines)} lines" if len(lines) > 1 else ""
    if name == "number":
        good = re.fullmatch(r"[-+−]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", text)
        return "" if good else "not a number alone"
    if name == "yes or no":
        return "" if re.fullmatch(r"(yes|no)\.?", text, re.IGNORECASE) else "not yes or no alone"
    if name == "at most N words":
        most = number or len(words)
        return f"{len(words)} words, more than {most}" if len(words) > most else ""
    return _sentence(text)


def _parse(format: str) -> tuple[str, int | None]:
    """Split "at most 12 words" into its name, "at most N words", and 12.

    Raises:
        ConfigError: there is no such format.

    >>> _parse("list of 3"), _parse("json")
    (('list of N', 3), ('json', None))
    """
    for pattern, name in NUMBERED.items():
        if found := re.fullmatch(pattern, format):
            return name, int(found[1])
    if format in FORMATS and format not in NUMBERED.values():
        return format, None
    near = difflib.get_close_matches(format, FORMATS, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"Unknown format {format!r}.{hint} Valid: {', '.join(FORMATS)}, where N is a number from 1."
    )


def _document(text: str, form: str) -> str:
    """Check for a JSON object or list, or the same in YAML; a bare word or number is neither."""
    from ftlab.tasks.translate_formats import read

    if text.startswith("```"):
        return "in a code fence"
    try:
        data = read(text, form)
    except DataError as error:
        return str(error)
    return "" if isinstance(data, (dict, list)) else f"a bare value, no {form.upper()} map or list"


_PROSE = (ast.Module, ast.Expr, ast.Name, ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp,
          ast.operator, ast.unaryop, ast.expr_context)  # fmt: skip


def _python(text: str) -> str:
    """Check for Python that parses; a bare word, which parses too, is no program."""
    if text.startswith("```"):
        return "in a code fence"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"not Python: {error}"
    bare = all(isinstance(node, _PROSE) for node in ast.walk(tree))
    return "no statement, only words and numbers" if bare else ""


def _sentence(text: str) -> str:
    if "\n" in text:
        return "several lines"
    if not re.match(r"[\"'“‘(]?[A-ZÀ-ÞΑ-ΩА-Я\d]", text):
        return "does not begin with a capital"
    if not re.search(r"[.!?…][\"'”’)]*$", text):
        return "does not end with a full stop, ! or ?"
    inner = re.sub(r"\b(Mr|Mrs|Ms|Dr|Prof|St|vs|e\.g|i\.e)\.", "", text)
    return "several sentences" if re.search(r"[.!?…][\"'”’)]*\s+[\"'“‘(]?[A-Z]", inner) else ""
