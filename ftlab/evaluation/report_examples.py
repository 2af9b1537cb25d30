"""The examples of `verdict.html`: side by side, word by word, the worst regressions first."""

import difflib
from html import escape
from typing import Any

from ftlab.files import data_path, read_text


def difference(reference: str, text: str) -> str:
    """Return `text` as HTML, word by word against the reference.

    A word that is not in the reference is in `<ins>`, a word of it that is missing in `<del>`.

    >>> difference("Go home, Ann.", "Go home Ann.")
    'Go <del>home,</del> <ins>home</ins> Ann.'
    """
    wanted, given = reference.split(), text.split()
    parts = []
    matcher = difflib.SequenceMatcher(None, wanted, given, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag == "equal":
            parts.append(escape(" ".join(given[c:d])))
            continue
        if a < b:
            parts.append(f"<del>{escape(' '.join(wanted[a:b]))}</del>")
        if c < d:
            parts.append(f"<ins>{escape(' '.join(given[c:d]))}</ins>")
    return " ".join(parts)


def examples(verdict: dict[str, Any]) -> str:
    """Return the section of the examples, with its filter."""
    baseline, *others = verdict["systems"]
    numbered = [
        (number, example, _gaps(verdict, example))
        for number, example in enumerate(verdict["examples"], start=1)
    ]
    # The worst regression first; what nobody did worse keeps its order.
    numbered.sort(key=lambda row: min((gap for gap in row[2] if gap is not None), default=9.0))
    cards = "".join(_card(verdict, *row) for row in numbered)
    first = " The worst regressions come first." if others else ""
    return f"""<section aria-labelledby="examples">
<h2 id="examples">Examples</h2>
<p class="quiet">Word by word against the reference: <del>missing</del>,
<ins>not in it</ins>.{first}</p>
<form id="filter" role="search" hidden>
{_filter(baseline, others, verdict)}
<output id="shown" class="quiet" aria-live="polite"></output>
</form>
{cards}
<script>{read_text(data_path("report/script.js"))}</script>
</section>"""


def _filter(baseline: str, others: list[str], verdict: dict[str, Any]) -> str:
    found = '<label>find <input type="search" name="text"></label>'
    if others:
        ways = [("", "all"), *((way, f"{way} than {baseline}") for way in ("worse", "better"))]
        found += _select("how", "show", [*ways, ("equal", f"as good as {baseline}")])
    if len(others) > 1:
        found += _select("who", "who", [("", "any"), *((str(i), o) for i, o in enumerate(others))])
    slices = sorted({str(e["slice"]) for e in verdict["examples"] if e["slice"] is not None})
    if len(slices) > 1:
        found += _select("slice", "slice", [("", "all"), *((name, name) for name in slices)])
    if others:
        found += _select("order", "order", [("", "worst first"), ("number", "as in the data")])
    return found


def _select(name: str, label: str, options: list[tuple[str, str]]) -> str:
    inside = "".join(f'<option value="{escape(v)}">{escape(text)}</option>' for v, text in options)
    return f'<label>{label} <select name="{name}">{inside}</select></label>'


def _gaps(verdict: dict[str, Any], example: dict[str, Any]) -> list[float | None]:
    """Return how far each other system is above the baseline, None where it is not known."""
    heads = [example["outputs"][c]["scores"].get(verdict["headline"])
             for c in verdict["systems"]]  # fmt: skip
    base, *others = heads
    return [None if base is None or other is None else other - base for other in others]


def _card(
    verdict: dict[str, Any], number: int, example: dict[str, Any], gaps: list[float | None]
) -> str:
    part = "" if example["slice"] is None else str(example["slice"])
    shown = f' <span class="quiet">{escape(part)}</span>' if part else ""
    listed = " ".join("" if gap is None else f"{round(gap, 6):g}" for gap in gaps)
    answers = "".join(
        f'<div><dt>{escape(name)} <span class="quiet">{escape(verdict["headline"])} '
        f"{_mark(answer['scores'].get(verdict['headline']))}</span></dt>"
        f"<dd>{_answer(example['reference'], answer)}</dd></div>"
        for name, answer in example["outputs"].items()
    )
    return (
        f'<article data-number="{number}" data-slice="{escape(part)}" data-gaps="{listed}" '
        f'aria-labelledby="e{number}"><h3 id="e{number}">Example {number}{shown}</h3>'
        f'<dl><div class="whole"><dt>input</dt><dd><pre>{escape(example["input"])}</pre></dd></div>'
        f'<div class="whole"><dt>reference</dt><dd>{escape(example["reference"])}</dd></div>'
        f"{answers}</dl></article>"
    )


def _mark(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _answer(reference: str, shown: dict[str, Any]) -> str:
    """Return an answer against its reference, with the raw text folded away where it said more."""
    html = difference(reference, shown["text"])
    if not shown["text"]:
        html = f"(nothing) {html}"
    if "raw" in shown:
        html += (
            '<details><summary class="quiet">as written, before parsing</summary>'
            f"<pre>{escape(shown['raw'])}</pre></details>"
        )
    return html
