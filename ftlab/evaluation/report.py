"""The verdict as one page to open, print or hand in: `verdict.html`.

A single file without links, made from the plain data of a verdict (`Verdict.to_json()`, or
`verdict.json` read again) and the template data/report/page.html. It reads without JavaScript; with
it, the examples can be filtered. Everything that a model or a user wrote is escaped.
"""

import difflib
import json
from collections.abc import Sequence
from html import escape
from typing import Any

from ftlab.files import data_path, read_text

__all__ = ["difference", "page"]

_SHARES = ("repetition", "refusals", "empty")


def page(verdict: dict[str, Any]) -> str:
    """Return the page of a verdict's plain data, a whole HTML document."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    v = {"pairs": [], "costs": {}, "remarks": [], "behaviour": {}, "forgetting": {}, **verdict}
    names, headline = list(v["systems"]), v["headline"]
    baseline, *others = names
    metrics = sorted(v["systems"][baseline], key=lambda name: name != headline)
    room = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    room.filters |= {"number": _number, "enumerated": lambda items: [*enumerate(items)]}

    def figures(*found: dict[str, Any] | None, share: bool = False) -> list[Markup]:
        return [Markup(_figure(figure, share)) for figure in found]

    general = v["forgetting"].get("general") or {"models": {}, "differences": {}}
    shown = metrics if len(names) <= 2 else [headline] if headline in metrics else []
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if others else names)
    return room.from_string(read_text(data_path("report/page.html"))).render(
        v=v, names=names, baseline=baseline, others=others, difference=_marked,
        title=f"Verdict: {v['task']}, {listed}",
        less=[f"{name} less {baseline}" for name in others],
        style=Markup(read_text(data_path("report/style.css"))),
        script=Markup(read_text(data_path("report/script.js"))),
        picture=Markup(_picture(v, shown)),
        gaps=Markup(_gaps(v)),
        figures=[(m, figures(*(row.get(m) for row in v["systems"].values()))) for m in metrics],
        differences=[(m, figures(*(v["differences"][name].get(m) for name in others)))
                     for m in metrics],
        pairs=[_pair(pair) for pair in v["pairs"]],
        slices=[
            (f"{name} ({part['n']})",
             figures(*part["systems"].values(),
                     *(part["differences"].values() if len(others) < 2 else ())))
            for name, part in v["slices"].items()
        ],
        costs=[
            (name, [_number(row["tokens_in"], 0), _number(row["tokens_out"], 0),
                    _number(row["seconds"]), _number(row["by_token"], 4),
                    _number(row["by_hour"], 4)])
            for name, row in v["costs"].get("systems", {}).items()
        ],
        general=[(name, figures(figure, general["differences"].get(name)))
                 for name, figure in general["models"].items()],
        behaviour=[
            (name, [f"{row['words']['quarter']:.0f} to {row['words']['three_quarters']:.0f}",
                    row["words"]["longest"],
                    *figures(*(row[share] for share in _SHARES), share=True)])
            for name, row in v["behaviour"].items()
        ],
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


def _marked(reference: str, text: str) -> Any:
    from markupsafe import Markup

    return Markup(difference(reference, text))


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _figure(figure: dict[str, Any] | None, share: bool) -> str:
    """Return a figure, and its interval beneath, as HTML."""
    if not figure or figure["value"] is None:
        return "–"
    value, low, high = (
        f"{100 * figure[part]:.1f} %" if share else _number(figure[part])
        for part in ("value", "low", "high")
    )
    return f'{value}<br><span class="range">{low} to {high}</span>'


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _pair(pair: dict[str, Any]) -> tuple[str, list[Any]]:
    from markupsafe import Markup

    test = Markup('{}<br><span class="range">{}</span>').format(_p(pair["p"]), pair["test"])
    return f"{pair['b']} less {pair['a']}", [
        Markup(_figure(pair["difference"], False)),
        f"{pair['win']} / {pair['tie']} / {pair['loss']}",
        test, _p(pair["corrected"]), _number(pair["smallest"]),
        _number(pair["needed"].get("0.02"), 0),
    ]  # fmt: skip


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


# The pictures, as SVG: dots with their intervals, one to a line. They are narrow, so that their
# text stays legible on a phone; a table beside each has the figures.

COLOUR = "#0072b2"  # Okabe and Ito's blue
_LEFT, _WIDTH, _LINE = 15, 370, 36


def _picture(verdict: dict[str, Any], metrics: list[str]) -> str:
    """Return a picture of each metric for each system."""
    rows = [(f"{metric}: {name}", row[metric]) for metric in metrics
            for name, row in verdict["systems"].items()]  # fmt: skip
    title = "Each metric for each system, with its 95 % interval. The table below has the figures."
    return _dots("picture", title, rows, 1.0)


def _gaps(verdict: dict[str, Any]) -> str:
    """Return a picture of the differences on the headline from the baseline, around zero."""
    baseline = next(iter(verdict["systems"]))
    rows = [(pair["b"], pair["difference"]) for pair in verdict["pairs"] if pair["a"] == baseline]
    title = (
        f"Differences from {baseline} on {verdict['headline']}, with 95 % intervals; left of the "
        "dashed line is worse. The table below has the figures."
    )
    return _dots("gaps", title, rows, 0.0)


def _dots(name: str, title: str, rows: Sequence[tuple[str, dict[str, Any]]], least: float) -> str:
    """Return lines of a label, a dot and its interval, over an axis from 0 to `least` or beyond."""
    known = [(label, figure) for label, figure in rows if figure["value"] is not None]
    if not known:
        return ""
    ends = [figure[end] for _, figure in known for end in ("low", "high")]
    low, high = min(0.0, *ends), max(least, *ends)
    span = (high - low) or 1.0
    at = lambda value: round(_LEFT + _WIDTH * (value - low) / span, 1)
    parts, y = "", 8
    for label, figure in known:
        left, middle, right = (at(figure[part]) for part in ("low", "value", "high"))
        parts += (
            f'<text class="over" x="{_LEFT}" y="{y + 6}">{escape(shorten(label))}</text>'
            f'<path d="M{left} {y + 17}H{right}M{left} {y + 14}v6M{right} {y + 14}v6" '
            f'stroke="currentColor" stroke-width="1.5"/>'
            f'<circle cx="{middle}" cy="{y + 17}" r="4.5" fill="{COLOUR}"/>'
        )
        y += _LINE
    zero = f'<path d="M{at(0)} 2V{y - 4}" stroke="currentColor" stroke-dasharray="4 3"/>'
    marks = {round(low, 2): at(low), 0.0: at(0), round(high, 2): at(high)}
    sign = "+" if least == 0 else ""
    # A label too near to another would overprint it; zero stays.
    ticks = "".join(
        f'<text x="{x}" y="{y + 10}" text-anchor="{_anchor(x)}">{value:{sign}.2f}</text>'
        for value, x in marks.items() if value == 0 or abs(x - at(0)) > 45
    )  # fmt: skip
    return (
        f'<svg viewBox="0 0 400 {y + 18}" role="img" aria-labelledby="{name}" font-size="12">'
        f'<title id="{name}">{escape(title)}</title>{zero}{parts}{ticks}</svg>'
    )


def shorten(name: str, most: int = 44) -> str:
    """Return a name that fits a picture, its middle left out if need be.

    >>> shorten("a" * 30 + "b" * 30, 9)
    'aaaa…bbbb'
    """
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def _anchor(x: float) -> str:
    """Keep a label at an edge inside the picture."""
    return "start" if x < 30 else "end" if x > 370 else "middle"
