"""The verdict as one page to open, print or hand in: `verdict.html`.

A single file without links, made from the plain data of a verdict (`Verdict.to_json()`, or
`verdict.json` read again) and the template data/report/page.html. It reads without JavaScript; with
it, the examples can be filtered. Everything that a model or a user wrote is escaped.
"""

import difflib
import json
from html import escape
from typing import Any

from ftlab.files import data_path, read_text

__all__ = ["difference", "page"]


def page(verdict: dict[str, Any]) -> str:
    """Return the page of a verdict's plain data, a whole HTML document."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    v = {"pairs": [], "costs": {}, "remarks": [], "forgetting": {}, **verdict}
    names, headline = list(v["systems"]), v["headline"]
    baseline, *others = names
    metrics = sorted(v["systems"][baseline], key=lambda name: name != headline)
    room = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    room.filters |= {"number": _number, "enumerated": lambda items: [*enumerate(items)]}
    general = v["forgetting"] or {"models": {}, "differences": {}}
    shown = metrics if len(names) <= 2 else [headline] if headline in metrics else []
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if others else names)
    return room.from_string(read_text(data_path("report/page.html"))).render(
        v=v, names=names, baseline=baseline, others=others,
        difference=lambda *texts: Markup(difference(*texts)),
        title=f"Verdict: {v['task']}, {listed}",
        less=[f"{name} less {baseline}" for name in others],
        style=Markup(read_text(data_path("report/style.css"))),
        script=Markup(read_text(data_path("report/script.js"))),
        picture=[(f"{metric}: {name}", row[metric]) for metric in shown
                 for name, row in v["systems"].items()],
        gaps=[(pair["b"], pair["difference"]) for pair in v["pairs"] if pair["a"] == baseline],
        figures=[(m, [row.get(m) for row in v["systems"].values()]) for m in metrics],
        differences=[(m, [v["differences"][name].get(m) for name in others]) for m in metrics],
        pairs=[
            (f"{pair['b']} less {pair['a']}",
             [pair["difference"], f"{pair['win']} / {pair['tie']} / {pair['loss']}",
              f"{_p(pair['p'])} ({pair['test']})", _p(pair["corrected"]), _number(pair["smallest"]),
              _number(pair["needed"].get("0.02"), 0)])
            for pair in v["pairs"]
        ],
        slices=[
            (f"{name} ({part['n']})",
             [*part["systems"].values(),
              *(part["differences"].values() if len(others) < 2 else ())])
            for name, part in v["slices"].items()
        ],
        costs=[
            (name, [_number(row["tokens_in"], 0), _number(row["tokens_out"], 0),
                    _number(row["seconds"])])
            for name, row in v["costs"].items()
        ],
        general=[(name, [figure, general["differences"].get(name)])
                 for name, figure in general["models"].items()],
        parts=[(name, name) for name in sorted({str(e["slice"]) for e in v["examples"]
                                                if e["slice"] is not None})],
        examples=_examples(v),
        made=_flat("", {**v["provenance"], "seed of the bootstrap": v["seed"]}),
    )  # fmt: skip


def difference(reference: str, text: str) -> str:
    """Return `text` as HTML, word by word against the reference.

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


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _examples(verdict: dict[str, Any]) -> list[tuple[int, str, dict[str, Any]]]:
    """Return number, gaps to the baseline and example: the worst regression first."""

    def gaps(example: dict[str, Any]) -> list[float | None]:
        base, *others = (example["outputs"][name]["scores"].get(verdict["headline"])
                         for name in verdict["systems"])  # fmt: skip
        return [None if base is None or one is None else one - base for one in others]

    rows = [(number, gaps(one), one) for number, one in enumerate(verdict["examples"], start=1)]
    # What nobody did worse keeps its order.
    rows.sort(key=lambda row: min((gap for gap in row[1] if gap is not None), default=9.0))
    listed = lambda found: " ".join("" if gap is None else f"{round(gap, 6):g}" for gap in found)
    return [(number, listed(found), one) for number, found, one in rows]


def _flat(path: str, item: Any) -> list[tuple[str, str]]:
    """Return the leaves of nested data, each with its path in dots."""
    if isinstance(item, dict):
        dot = f"{path}." if path else ""
        return [pair for key, value in item.items() for pair in _flat(f"{dot}{key}", value)]
    return [(path, item if isinstance(item, str) else json.dumps(item, ensure_ascii=False))]
