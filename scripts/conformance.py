"""Write the table of docs/service.md: each field of the openai package's types, and what is done.

python scripts/conformance.py            # writes it
python scripts/conformance.py --check    # exit code 1 if it is another one
"""

import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import openai

from ftlab.files import read_data, write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "service.md"
BEGIN, END = "<!-- conformance: scripts/conformance.py writes this -->", "<!-- end -->"


def fields_of(name: str) -> list[str]:
    """Return the fields of one of openai's types, as `chat.chat_completion.ChatCompletion`."""
    module, _, kind = name.rpartition(".")
    found: Any = getattr(importlib.import_module(f"openai.types.{module}"), kind)
    names = found.model_fields if hasattr(found, "model_fields") else found.__annotations__
    return sorted(names)


def rows() -> list[tuple[str, str, str, str, str]]:
    """Return endpoint, side (request or answer), field, state and remark of every field."""
    made = []
    for entry in read_data("conformance.yaml"):
        for side in ("request", "answer"):
            names = [*fields_of(entry[side])] if side in entry else []
            names += entry.get("more", ()) if side == "request" else ()
            for name in names:
                refused = entry.get("refused", {}) if side == "request" else {}
                partial = entry.get("partial", {})
                state = "refused" if name in refused else "partial" if name in partial else "same"
                made.append(
                    (entry["endpoint"], side, name, state, (partial | refused).get(name, ""))
                )
    return made


def table() -> str:
    """Return the table as Markdown."""
    found, lines = rows(), []
    counts = Counter(state for *_, state, _ in found)
    lines.append(
        f"Against openai {openai.__version__}: of {len(found)} fields {counts['same']} are the "
        f"same, {counts['partial']} in part, {counts['refused']} refused."
    )
    lines += ["", "| endpoint | same | in part | refused |", "|---|---|---|---|"]
    for entry in read_data("conformance.yaml"):
        name = entry["endpoint"]
        if entry.get("absent"):
            lines.append(f"| {name} | | | not there: 404 in the protocol's form |")
            continue
        cells = []
        for state in ("same", "partial", "refused"):
            held = []
            for endpoint, side, field, of, why in found:
                if (endpoint, of) == (name, state):
                    shown = f"`{field}`" if side == "request" else f"→ `{field}`"
                    held.append(f"{shown} ({why})" if why else shown)
            cells.append(", ".join(held))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page() -> str:
    """Return docs/service.md with the table as it should be."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(page() != PAGE.read_text("utf-8"))
    write_text(PAGE, page(), overwrite=True)
