"""The verdict as one page to open, print or hand in: `verdict.html`.

It is a single file without links, made from the plain data of a verdict (`Verdict.to_json()`, or
`verdict.json` read again). It reads without JavaScript; with it, the examples can be filtered.
Everything that a model or a user wrote is escaped.

>>> data = {"task": "t", "headline": "f1", "n": 1, "seed": 0, "sentence": "a < b",
...     "systems": {"base": {"f1": {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95}}},
...     "differences": {}, "outcomes": {}, "slices": {}, "examples": [], "provenance": {}}
>>> "a &lt; b" in page(data)
True
"""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from ftlab.evaluation.report_examples import difference, examples
from ftlab.evaluation.report_pictures import bars, gaps
from ftlab.files import data_path, read_text

__all__ = ["difference", "page"]


def page(verdict: dict[str, Any]) -> str:
    """Return the page of a verdict.

    Args:
        verdict: what `Verdict.to_json()` returns.

    Returns:
        A whole HTML document, with its style, pictures and script inside.
    """
    title = f"Verdict: {verdict['task']}, {_listed(list(verdict['systems']))}"
    notes = "".join(f"<li>{escape(remark)}</li>" for remark in verdict.get("remarks", []))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{read_text(data_path("report/style.css"))}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="verdict">{escape(verdict["sentence"])}</p>
{f"<ul>{notes}</ul>" if notes else ""}
</header>
<main>
{_figures(verdict)}
{_pairs(verdict)}
{_slices(verdict)}
{_costs(verdict)}
{_worse(verdict)}
{examples(verdict)}
{_provenance(verdict)}
</main>
</body>
</html>
"""


# Tables.


def _table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[tuple[str, Sequence[str]]],
    *,
    bold: str | None = None,
) -> str:
    """Return a table: its columns' names, the first above the rows' names; cells are HTML."""
    head = "".join(f'<th scope="col" role="columnheader">{escape(name)}</th>' for name in columns)
    body = ""
    for name, cells in rows:
        css = ' class="headline"' if name == bold else ""
        inside = "".join(
            f'<td role="cell" data-name="{escape(column)}"><span>{cell}</span></td>'
            for column, cell in zip(columns[1:], cells, strict=True)
        )
        body += (
            f'<tr role="row"{css}><th scope="row" role="rowheader">{escape(name)}</th>{inside}</tr>'
        )
    # The roles stay when a narrow screen shows the table as a list.
    return (
        f'<table role="table"><caption>{escape(caption)}</caption><thead role="rowgroup">'
        f'<tr role="row">{head}</tr></thead><tbody role="rowgroup">{body}</tbody></table>'
    )


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _figure(figure: dict[str, Any] | None, share: bool = False) -> str:
    """Return a figure, and its interval beneath."""
    if not figure or figure["value"] is None:
        return "–"
    value, low, high = (
        f"{100 * figure[part]:.1f} %" if share else _number(figure[part])
        for part in ("value", "low", "high")
    )
    return f'{value}<br><span class="range">{low} to {high}</span>'


def _p(value: float) -> str:
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _metrics(verdict: dict[str, Any]) -> list[str]:
    """Return the metrics, the headline first."""
    names = list(next(iter(verdict["systems"].values())))
    return sorted(names, key=lambda name: name != verdict["headline"])


# Sections.


def _section(name: str, title: str, inside: str) -> str:
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{inside}\n</section>'


def _figures(verdict: dict[str, Any]) -> str:
    systems, metrics = verdict["systems"], _metrics(verdict)
    baseline, *others = systems
    shown = metrics if len(systems) <= 2 else [m for m in metrics if m == verdict["headline"]]
    inside = bars(verdict, shown)
    inside += _table(
        f"{verdict['n']} held-out examples, 95 % bootstrap intervals, higher is better",
        ["metric", *systems],
        ((m, [_figure(row.get(m)) for row in systems.values()]) for m in metrics),
        bold=verdict["headline"],
    )
    if others:
        inside += _table(
            f"Differences from {baseline}, with their paired 95 % intervals",
            ["metric", *(f"{name} less {baseline}" for name in others)],
            (
                (m, [_figure(verdict["differences"][name].get(m)) for name in others])
                for m in metrics
            ),
            bold=verdict["headline"],
        )
    outcomes = "".join(
        f"<p>{escape(name)} against {escape(baseline)} on {escape(verdict['headline'])}, "
        f"example by example: {count['win']} better, {count['tie']} equal, "
        f"{count['loss']} worse.</p>"
        for name, count in verdict["outcomes"].items()
        if len(systems) <= 2  # more of them are in the table of pairs
    )
    return _section("figures", "Figures", inside + outcomes)


def _pairs(verdict: dict[str, Any]) -> str:
    pairs = verdict.get("pairs", [])
    if not pairs:
        return ""
    rows = (
        (
            f"{pair['b']} less {pair['a']}",
            [
                _figure(pair["difference"]),
                f"{pair['win']} / {pair['tie']} / {pair['loss']}",
                _p(pair["sign"]),
                f'{_p(pair["p"])}<br><span class="range">{escape(pair["test"])}</span>',
                _p(pair["corrected"]),
                _number(pair["smallest"]),
                _number(pair["needed"].get("0.02"), 0),
            ],
        )
        for pair in pairs
    )
    table = _table(
        f"Every two systems on {verdict['headline']}, over {verdict['n']} examples",
        ["pair", "difference", "better / equal / worse", "p of the sign test", "p",
         f"p, corrected for {len(pairs)}", "smallest difference to be found",
         "examples to find 0.02"],
        rows,
    )  # fmt: skip
    note = (
        '<p class="quiet">A difference counts as shown where its interval leaves zero out and its '
        "p, corrected by Holm's method for the number of pairs, is below 0.05. The last two "
        "columns are at 80 % power and 5 %, before correction.</p>"
    )
    return _section("pairs", "How sure", gaps(verdict) + table + note)


def _slices(verdict: dict[str, Any]) -> str:
    if len(verdict["slices"]) < 2:
        return ""
    baseline = next(iter(verdict["systems"]))
    columns = [
        "slice",
        *verdict["systems"],
        *(f"{name} less {baseline}" for name in verdict["differences"]),
    ]
    if len(verdict["systems"]) > 2:  # as wide as a page can be
        columns = columns[: 1 + len(verdict["systems"])]
    rows = (
        (
            f"{name} ({part['n']})",
            [
                _figure(figure)
                for figure in [*part["systems"].values(), *part["differences"].values()][
                    : len(columns) - 1
                ]
            ],
        )
        for name, part in verdict["slices"].items()
    )
    caption = f"{verdict['headline']}; number of examples in brackets"
    return _section("slices", "By slice", _table(caption, columns, rows))


def _costs(verdict: dict[str, Any]) -> str:
    found = verdict.get("costs") or {}
    if not found:
        return ""
    table = found["prices"]
    rows = (
        (
            name,
            [
                _number(row["tokens_in"], 0),
                _number(row["tokens_out"], 0),
                _number(row["seconds"]),
                _number(row["by_token"], 4),
                _number(row["by_hour"], 4),
            ],
        )
        for name, row in found["systems"].items()
    )
    money = f"1,000 answers, {table['currency']}"
    inside = _table(
        "An answer, on average",
        ["system", "tokens in", "tokens out", "seconds", f"{money}, by token",
         f"{money}, by the hour"],
        rows,
    )  # fmt: skip
    inside += (
        f'<p class="quiet">Prices of {escape(str(table["date"]))}. {escape(table["note"])} Seconds '
        "are those of this machine, in batches.</p>"
    )
    return _section("costs", "At what price", inside)


def _worse(verdict: dict[str, Any]) -> str:
    inside = ""
    general = (verdict.get("forgetting") or {}).get("general")
    if general:
        inside += _table(
            "Bits per character on general text; lower is better",
            ["model", "bits per character", "less that of the first"],
            (
                (name, [_figure(figure), _figure(general["differences"].get(name))])
                for name, figure in general["models"].items()
            ),
        )
    rows = verdict.get("behaviour") or {}
    if rows:
        inside += _table(
            "How the answers are written; the references beside them",
            ["system", "words, middle half", "longest", "repetition", "refusals", "empty"],
            (
                (
                    name,
                    [
                        f"{row['words']['quarter']:.0f} to {row['words']['three_quarters']:.0f}",
                        str(row["words"]["longest"]),
                        *(_figure(row[share], True) for share in _SHARES),
                    ],
                )
                for name, row in rows.items()
            ),
        )
        inside += (
            '<p class="quiet">Repetition: runs of four words that were in the same answer before. '
            "Refusals: answers that open as refusals do in English.</p>"
        )
    return _section("worse", "What got worse", inside) if inside else ""


_SHARES = ("repetition", "refusals", "empty")


def _provenance(verdict: dict[str, Any]) -> str:
    made = {**verdict["provenance"], "seed of the bootstrap": verdict["seed"]}
    rows = "".join(
        f'<tr role="row"><th scope="row" role="rowheader">{escape(path)}</th>'
        f'<td role="cell">{escape(value)}</td></tr>'
        for name, item in made.items()
        for path, value in _flat(str(name), item)
    )
    return _section(
        "made",
        "How this was made",
        f'<table role="table" class="made"><tbody role="rowgroup">{rows}</tbody></table>',
    )


def _flat(path: str, item: Any) -> list[tuple[str, str]]:
    """Return the leaves of nested data, each with its path in dots."""
    if isinstance(item, dict):
        return [pair for key, value in item.items() for pair in _flat(f"{path}.{key}", value)]
    return [(path, item if isinstance(item, str) else json.dumps(item, ensure_ascii=False))]
