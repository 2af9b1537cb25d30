"""The verdict as one page to open, print or hand in: `verdict.html`.

It is a single file without links, made from the plain data of a verdict (`Verdict.to_json()`, or
`verdict.json` read again). It reads without JavaScript; with it, the examples can be filtered.
Everything that a model or a user wrote is escaped.

>>> data = {"task": "t", "headline": "f1", "n": 1, "seed": 0, "sentence": "a < b",
...     "contestants": {"base": {"f1": {"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95}}},
...     "differences": {}, "outcomes": {}, "slices": {}, "examples": [], "provenance": {}}
>>> "a &lt; b" in page(data)
True
"""

import difflib
import itertools
import json
from html import escape
from typing import Any

# Okabe and Ito's colours, told apart by colour-blind readers; bars also keep the order of the key.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --quiet: #595959; --line: #ccc;
  --wrong: #ffe0cc; --missing: #dbeeff; --panel: #f5f5f5; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #161616; --quiet: #b0b0b0;
  --line: #444; --wrong: #5c2c0c; --missing: #0c3a5c; --panel: #222; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
.verdict { font-size: 1.15rem; border-left: .3rem solid var(--ink); padding-left: .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding-bottom: .3rem; }
th, td { text-align: right; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; white-space: nowrap; }
th:first-child { text-align: left; }
.made td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.range, .quiet { color: var(--quiet); font-size: .85rem; } .headline { font-weight: 600; }
svg { width: 100%; max-width: 40rem; height: auto; } svg text { fill: currentColor; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; }
input[type=search] { font: inherit; padding: .3rem .5rem; min-width: 12rem; }
:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
article { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem; margin: .8rem 0;
  overflow-wrap: anywhere; break-inside: avoid; }
article[hidden] { display: none; }
dl { margin: 0; } dt { font-weight: 600; margin-top: .5rem; } dd { margin: 0; }
ins { background: var(--wrong); text-decoration: underline; }
del { background: var(--missing); text-decoration: line-through; }
pre { white-space: pre-wrap; background: var(--panel); padding: .5rem; margin: .3rem 0; }
@media print { form { display: none; } body { max-width: none; font-size: 10pt; }
  .wide { overflow: visible; } ins, del { print-color-adjust: exact; } }
"""

_SCRIPT = """
const form = document.getElementById('filter');
const said = document.getElementById('shown');
const cards = [...document.querySelectorAll('article')];
function show() {
  const text = form.elements.text.value.toLowerCase();
  const worse = form.elements.worse && form.elements.worse.checked;
  let count = 0;
  for (const card of cards) {
    card.hidden = (worse && card.dataset.worse !== 'yes')
      || (text !== '' && !card.textContent.toLowerCase().includes(text));
    count += card.hidden ? 0 : 1;
  }
  said.textContent = count + ' of ' + cards.length + ' examples shown';
}
form.hidden = false;
form.addEventListener('input', show);
form.addEventListener('submit', event => event.preventDefault());
show();
"""


def page(verdict: dict[str, Any]) -> str:
    """Return the page of a verdict.

    Args:
        verdict: what `Verdict.to_json()` returns.

    Returns:
        A whole HTML document, with its style, picture and script inside.
    """
    title = f"Verdict: {verdict['task']}, {' and '.join(verdict['contestants'])}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(title)}</h1>
<p class="verdict">{escape(verdict["sentence"])}</p>
</header>
<main>
{_figures(verdict)}
{_slices(verdict)}
{_examples(verdict)}
{_provenance(verdict)}
</main>
</body>
</html>
"""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _cell(figure: dict[str, Any] | None) -> str:
    """Return a table cell: the figure, and its interval beneath."""
    if not figure or figure["value"] is None:
        return "<td>–</td>"
    low, high = _number(figure["low"]), _number(figure["high"])
    return f'<td>{_number(figure["value"])}<br><span class="range">{low} to {high}</span></td>'


def _row(name: str, figures: list[dict[str, Any] | None], css: str = "") -> str:
    attribute = f' class="{css}"' if css else ""
    cells = "".join(_cell(figure) for figure in figures)
    return f'<tr{attribute}><th scope="row">{escape(name)}</th>{cells}</tr>'


def _head(names: list[str], first: str) -> str:
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in [first, *names])
    return f"<thead><tr>{cells}</tr></thead>"


def _columns(verdict: dict[str, Any]) -> list[str]:
    baseline = next(iter(verdict["contestants"]))
    return [
        *verdict["contestants"],
        *(f"{name} less {baseline}" for name in verdict["differences"]),
    ]


def _metrics(verdict: dict[str, Any]) -> list[str]:
    """Return the metrics, the headline first."""
    names = list(next(iter(verdict["contestants"].values())))
    return sorted(names, key=lambda name: name != verdict["headline"])


def _figures(verdict: dict[str, Any]) -> str:
    rows = "".join(
        _row(
            metric,
            [
                row.get(metric)
                for row in (*verdict["contestants"].values(), *verdict["differences"].values())
            ],
            "headline" if metric == verdict["headline"] else "",
        )
        for metric in _metrics(verdict)
    )
    baseline = next(iter(verdict["contestants"]))
    outcomes = "".join(
        f"<p>{escape(name)} against {escape(baseline)} on {escape(verdict['headline'])}, "
        f"example by example: {count['win']} better, {count['tie']} equal, "
        f"{count['loss']} worse.</p>"
        for name, count in verdict["outcomes"].items()
    )
    return f"""<section aria-labelledby="figures">
<h2 id="figures">Figures</h2>
{_picture(verdict)}
<div class="wide"><table>
<caption>{verdict["n"]} held-out examples, 95 % bootstrap intervals, higher is better</caption>
{_head(_columns(verdict), "metric")}<tbody>{rows}</tbody></table></div>
{outcomes}
</section>"""


def _picture(verdict: dict[str, Any]) -> str:
    """Return the bars with their intervals, as SVG; the table below it holds the same figures."""
    contestants = verdict["contestants"]
    figures = [row[m] for row in contestants.values() for m in row if row[m]["value"] is not None]
    if not figures:
        return ""
    top = max(1.0, *(figure["high"] for figure in figures))
    left, width, bar, gap = 120, 250, 14, 16  # a narrow box, so that text stays legible on a phone

    def at(value: float) -> float:
        return round(left + width * min(max(value, 0.0), top) / top, 1)

    parts = []
    y = 8
    for metric in _metrics(verdict):
        weight = ' font-weight="600"' if metric == verdict["headline"] else ""
        middle = y + bar * len(contestants) / 2 + 4
        parts.append(f'<text x="0" y="{middle}"{weight}>{escape(metric)}</text>')
        for row, colour in zip(contestants.values(), itertools.cycle(_COLOURS), strict=False):
            figure = row[metric]
            if figure["value"] is not None:
                end, low, high = at(figure["value"]), at(figure["low"]), at(figure["high"])
                line = y + bar / 2 - 1
                parts.append(
                    f'<rect x="{left}" y="{y}" width="{round(end - left, 1)}" height="{bar - 2}" '
                    f'fill="{colour}"/><path d="M{low} {line}H{high}M{low} {line - 3}v6M{high} '
                    f'{line - 3}v6" stroke="currentColor" stroke-width="1.5"/>'
                )
            y += bar
        y += gap
    ticks = "".join(
        f'<text x="{at(top * k / 4)}" y="{y + 10}" text-anchor="middle">{top * k / 4:.2f}</text>'
        f'<path d="M{at(top * k / 4)} 4V{y - 4}" stroke="currentColor" opacity=".2"/>'
        for k in range(5)
    )
    y += 30
    keys = ""
    for name, colour in zip(contestants, itertools.cycle(_COLOURS), strict=False):
        keys += f'<rect x="{left}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        keys += f'<text x="{left + 16}" y="{y}">{escape(name)}</text>'
        y += 16
    return (
        f'<svg viewBox="0 0 400 {y}" role="img" aria-labelledby="picture" font-size="12">'
        f'<title id="picture">Bars: each metric for each contestant, with its 95 % interval. The '
        f"table below has the figures.</title>{ticks}{''.join(parts)}{keys}</svg>"
    )


def _slices(verdict: dict[str, Any]) -> str:
    if len(verdict["slices"]) < 2:
        return ""
    rows = "".join(
        _row(
            f"{name} ({part['n']})",
            [*part["contestants"].values(), *part["differences"].values()],
        )
        for name, part in verdict["slices"].items()
    )
    return f"""<section aria-labelledby="slices">
<h2 id="slices">By slice</h2>
<div class="wide"><table><caption>{escape(verdict["headline"])}; number of examples in
brackets</caption>
{_head(_columns(verdict), "slice")}<tbody>{rows}</tbody></table></div>
</section>"""


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


def _examples(verdict: dict[str, Any]) -> str:
    baseline, *others = verdict["contestants"]
    cards = []
    for number, example in enumerate(verdict["examples"], start=1):
        heads = {
            name: shown["scores"].get(verdict["headline"])
            for name, shown in example["outputs"].items()
        }
        base = heads[baseline]
        worse = base is not None and any(
            heads[name] is not None and heads[name] < base for name in others
        )
        answers = "".join(
            f'<dt>{escape(name)} <span class="quiet">{escape(verdict["headline"])} '
            f"{_number(heads[name])}</span></dt>"
            f"<dd>{_answer(example['reference'], shown)}</dd>"
            for name, shown in example["outputs"].items()
        )
        part = f' <span class="quiet">{escape(str(example["slice"]))}</span>'
        cards.append(
            f'<article data-worse="{"yes" if worse else "no"}" aria-labelledby="e{number}">'
            f'<h3 id="e{number}">Example {number}{part if example["slice"] else ""}</h3>'
            f"<dl><dt>input</dt><dd><pre>{escape(example['input'])}</pre></dd>"
            f"<dt>reference</dt><dd>{escape(example['reference'])}</dd>{answers}</dl></article>"
        )
    only_worse = (
        f'<label><input type="checkbox" name="worse"> only worse than {escape(baseline)}</label>'
        if others
        else ""
    )
    return f"""<section aria-labelledby="examples">
<h2 id="examples">Examples</h2>
<p class="quiet">Word by word against the reference: <del>missing</del>, <ins>not in it</ins>.</p>
<form id="filter" role="search" hidden>
<label>find <input type="search" name="text"></label>
{only_worse}
<output id="shown" class="quiet" aria-live="polite"></output>
</form>
{"".join(cards)}
<script>{_SCRIPT}</script>
</section>"""


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


def _provenance(verdict: dict[str, Any]) -> str:
    made = {**verdict["provenance"], "seed of the bootstrap": verdict["seed"]}
    rows = "".join(
        f'<tr><th scope="row">{escape(path)}</th><td>{escape(value)}</td></tr>'
        for name, item in made.items()
        for path, value in _flat(str(name), item)
    )
    return f"""<section aria-labelledby="made">
<h2 id="made">How this was made</h2>
<div class="wide"><table class="made"><tbody>{rows}</tbody></table></div>
</section>"""


def _flat(path: str, item: Any) -> list[tuple[str, str]]:
    """Return the leaves of nested data, each with its path in dots."""
    if isinstance(item, dict):
        return [pair for key, value in item.items() for pair in _flat(f"{path}.{key}", value)]
    return [(path, item if isinstance(item, str) else json.dumps(item, ensure_ascii=False))]
