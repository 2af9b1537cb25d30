"""The battery as one page, `battery.html`: prompts down, models or checkpoints across.

A single file without links, made from what `battery.json` holds. It reads and prints without
JavaScript; with it, the prompts can be filtered. Everything that a model or a user wrote is
escaped. On a phone the answers to a prompt stand below each other.

>>> data = {"settings": {"times": 1, "temperature": 0.0}, "prompts": [], "models": []}
>>> "0 prompts" in page(data)
True
"""

import json
from collections import Counter
from html import escape
from typing import Any

LONG = 400  # characters, or 10 lines: from here on an answer scrolls in its cell

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --quiet: #595959; --line: #ccc;
  --panel: #f5f5f5; --kept: 0, 114, 178; --broken: #8f3400; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #161616; --quiet: #b0b0b0;
  --line: #444; --panel: #222; --kept: 86, 180, 233; --broken: #ffa366; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p, ul { max-width: 60rem; }
.wide { overflow: auto; width: fit-content; max-width: 100%; max-height: 92vh;
  border: 1px solid var(--line); }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding: .4rem .6rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; font-weight: normal;
  border-bottom: 1px solid var(--line); border-right: 1px solid var(--line); }
thead th { position: sticky; top: 0; z-index: 2; background: var(--panel); font-weight: 600;
  overflow-wrap: anywhere; }
th:first-child { position: sticky; left: 0; z-index: 1; background: var(--panel); }
thead th:first-child { z-index: 3; }
.answers th:first-child { min-width: 15rem; max-width: 20rem; }
.answers td { min-width: 14rem; max-width: 26rem; }
.kinds td { min-width: 8.5rem; } .total > * { font-weight: 600; }
.quiet { color: var(--quiet); font-size: .85rem; font-weight: normal; }
td .quiet { color: var(--ink); }
.broken { color: var(--broken); font-size: .85rem; }
.model { display: none; font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0; font: inherit; }
td pre { background: var(--panel); padding: .3rem .4rem; font: .85rem/1.4 ui-monospace, monospace; }
pre.long { max-height: 12rem; overflow: auto; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; margin: .5rem 0; }
input[type=search], select { font: inherit; padding: .3rem .5rem; }
:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
tr[hidden] { display: none !important; }
@media (max-width: 42rem) {
  .answers, .answers tbody, .answers tr, .answers th, .answers td, .answers caption {
    display: block; }
  .wide.stacked { max-height: none; border: 0; }
  .answers thead { position: absolute; clip-path: inset(50%); height: 1px; overflow: hidden; }
  .answers tr { border: 1px solid var(--line); margin: 0 0 1rem; }
  .answers th:first-child { position: static; }
  .answers th, .answers td { min-width: 0 !important; max-width: none !important; border-right: 0; }
  .model { display: block; }
}
@media print {
  html { font-size: 8.5pt; } form { display: none; } body { padding: 0; }
  .wide { overflow: visible; max-height: none; border: 0; }
  table { width: 100%; } pre.long { max-height: none; }
  thead th, th:first-child { position: static; }
  .answers th:first-child, .answers td, .kinds td { min-width: 0; }
  td, th { overflow-wrap: anywhere; } tr { break-inside: avoid; }
  td { print-color-adjust: exact; }
}
"""

_SCRIPT = """
const form = document.getElementById('filter');
const said = document.getElementById('shown');
const rows = [...document.querySelectorAll('.answers tbody tr')];
function show() {
  const text = form.elements.text.value.toLowerCase(), kind = form.elements.kind.value;
  const broken = form.elements.broken.checked;
  const changed = form.elements.changed && form.elements.changed.checked;
  let count = 0;
  for (const row of rows) {
    row.hidden = (kind !== '' && row.dataset.kind !== kind)
      || (broken && row.dataset.broken !== 'yes') || (changed && row.dataset.changed !== 'yes')
      || (text !== '' && !row.textContent.toLowerCase().includes(text));
    count += row.hidden ? 0 : 1;
  }
  said.textContent = count + ' of ' + rows.length + ' prompts shown';
}
form.hidden = false;
form.addEventListener('input', show);
form.addEventListener('submit', event => event.preventDefault());
show();
"""


def page(data: dict[str, Any]) -> str:
    """Return the page of a battery.

    Args:
        data: what `battery.json` holds.

    Returns:
        A whole HTML document, with its style and script inside.
    """
    prompts, models = data["prompts"], data["models"]
    title = f"Battery: {len(prompts)} prompts, {_count(len(models), 'model')}"
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
{_sentences(data)}
</header>
<main>
{_kinds(data)}
{_answers(data)}
{_made(data)}
</main>
</body>
</html>
"""


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _sentences(data: dict[str, Any]) -> str:
    """Say what the figures say: how much of the battery each model keeps the format of."""
    said = []
    for model in data["models"]:
        share = model["kinds"]["all"]["format"]
        if share:
            said.append(
                f"<li><strong>{escape(model['label'])}</strong> kept the format in "
                f"{share['kept']} of {_count(share['of'], 'answer')} ({_range(share)}).</li>"
            )
    return f"<ul>{''.join(said)}</ul>" if said else ""


def _range(share: dict[str, Any]) -> str:
    return f"95 % interval {share['low']:.2f} to {share['high']:.2f}"


def _head(data: dict[str, Any], first: str) -> str:
    cells = "".join(
        f'<th scope="col" role="columnheader" title="{escape(model["name"])}">'
        f"{escape(model['label'])}</th>"
        for model in data["models"]
    )
    return (
        f'<thead role="rowgroup"><tr role="row"><th scope="col" role="columnheader">{first}</th>'
        f"{cells}</tr></thead>"
    )


def _shade(share: dict[str, Any] | None) -> str:
    """Return a cell's colour: the deeper, the more answers kept the format."""
    return f' style="background:rgba(var(--kept),{0.35 * share["value"]:.2f})"' if share else ""


# By kind.


def _kinds(data: dict[str, Any]) -> str:
    if not data["models"]:
        return ""
    rows = ""
    for kind, first in data["models"][0]["kinds"].items():
        cells = ""
        for model in data["models"]:
            row = model["kinds"][kind]
            share, bits = row["format"], row["bits_per_character"]
            kept = (
                f'{share["kept"]} of {share["of"]} <span class="quiet">'
                f"{share['low']:.2f} to {share['high']:.2f}</span>"
                if share
                else '<span class="quiet">no format asked</span>'
            )
            cells += (
                f'<td{_shade(share)}>{kept}<br><span class="quiet">'
                f"{_bits(bits)}<br>{row['words']:.1f} words</span></td>"
            )
        css = ' class="total"' if kind == "all" else ""
        rows += (
            f'<tr{css}><th scope="row">{escape(kind)} <span class="quiet">'
            f"{_count(first['prompts'], 'prompt')}</span></th>{cells}</tr>"
        )
    return f"""<section aria-labelledby="kinds">
<h2 id="kinds">By kind</h2>
<p>In each cell: the answers that kept the format, with the 95 % interval (Wilson; a prompt counts
once, however often it was asked); the bits per character that the model needs for the reference
answers, where lower is better; the words in an answer, on average. An answer ends after
{data["settings"]["max_new_tokens"]} tokens at most, done or not.</p>
<div class="wide" role="region" tabindex="0" aria-labelledby="kinds"><table class="kinds">
{_head(data, "kind")}<tbody>{rows}</tbody></table></div>
</section>"""


def _bits(bits: float | None) -> str:
    return "–" if bits is None else f"{bits:.2f} bits per character"


# Prompt by prompt.


def _answers(data: dict[str, Any]) -> str:
    kinds = dict.fromkeys(prompt["kind"] for prompt in data["prompts"])
    options = "".join(f"<option>{escape(kind)}</option>" for kind in kinds)
    changed = (
        '<label><input type="checkbox" name="changed"> only where models differ</label>'
        if len(data["models"]) > 1
        else ""
    )
    rows = "".join(_row(data, prompt) for prompt in data["prompts"])
    return f"""<section aria-labelledby="answers">
<h2 id="answers">Prompt by prompt</h2>
<form id="filter" role="search" hidden>
<label>kind <select name="kind"><option value="">all</option>{options}</select></label>
<label>find <input type="search" name="text"></label>
<label><input type="checkbox" name="broken"> only where a format was not kept</label>
{changed}
<output id="shown" class="quiet" aria-live="polite"></output>
</form>
<div class="wide stacked" role="region" tabindex="0" aria-labelledby="answers">
<table class="answers" role="table">
{_head(data, "prompt")}<tbody role="rowgroup">{rows}</tbody></table></div>
<script>{_SCRIPT}</script>
</section>"""


def _row(data: dict[str, Any], prompt: dict[str, Any]) -> str:
    given = [model["answers"][prompt["id"]] for model in data["models"]]
    shares = [answer["kept"]["value"] for answer in given if answer["kept"]]
    broken = "yes" if any(share < 1 for share in shares) else "no"
    changed = "yes" if len(set(shares)) > 1 else "no"
    wanted = ", ".join(prompt["format"]) or "none"
    reference = prompt["reference"]
    good = f"<br>Reference: <q>{escape(reference)}</q>" if reference else ""
    since = _since([model["label"] for model in data["models"]], shares)
    cells = "".join(
        f'<td role="cell"{_shade(answer["kept"])}><span class="model">{escape(model["label"])}'
        f"</span>{_answer(answer, len(reference or ''))}</td>"
        for model, answer in zip(data["models"], given, strict=True)
    )
    return (
        f'<tr role="row" data-kind="{escape(prompt["kind"])}" data-broken="{broken}" '
        f'data-changed="{changed}"><th scope="row" role="rowheader">'
        f"<strong>{escape(prompt['id'])}</strong><pre>{escape(prompt['prompt'])}</pre>"
        f'<span class="quiet">Format: {escape(wanted)}{good}{since}</span></th>{cells}</tr>'
    )


def _since(labels: list[str], shares: list[float]) -> str:
    """Say from which model on the format is kept in every answer, where an earlier one broke it."""
    if not shares or shares[-1] < 1 or min(shares) == 1:
        return ""
    first = max(i for i, share in enumerate(shares) if share < 1) + 1
    return f"<br><strong>Kept from {escape(labels[first])} on</strong>"


def _answer(answer: dict[str, Any], characters: int) -> str:
    """Return a cell: the format, the figures, and the first answer, or those that broke it."""
    share, texts, wrong = answer["kept"], answer["texts"], answer["wrong"]
    bits = None if answer["bits"] is None else answer["bits"] / characters
    words = sum(len(text.split()) for text in texts) / len(texts)
    figures = f'<span class="quiet">{_bits(bits)}, {words:.4g} words</span>'
    if len(texts) == 1:
        said = f"✗ {wrong[0]}" if wrong[0] else "✓ format kept" if share else ""
        css = "broken" if wrong[0] else "quiet"
        return f'<span class="{css}">{escape(said)}</span>{_text(texts[0])}{figures}'
    kept = (
        f"<strong>{share['kept']} of {share['of']}</strong> kept the format "
        f'<span class="quiet">({_range(share)})</span>'
        if share
        else f"{len(texts)} answers"
    )
    reasons = Counter(why for why in wrong if why).most_common()
    shown = "".join(
        f'<span class="broken">✗ {n} × {escape(why)}</span>{_text(texts[wrong.index(why)])}'
        for why, n in reasons[:5]
    )
    if len(reasons) > 5:
        rest = sum(n for _, n in reasons[5:])
        shown += f'<span class="broken">✗ {rest} more, each its own way</span><br>'
    if "" in wrong:
        good = '<span class="quiet">✓ one that kept it</span>' if share else ""
        shown += f"{good}{_text(texts[wrong.index('')])}"
    return f"{kept}<br>{shown}{figures}"


def _text(text: str) -> str:
    if not text.strip():
        return '<pre class="quiet">(nothing)</pre>'
    many = len(text) > LONG or text.count("\n") > 10
    extra = ' class="long" tabindex="0" role="group" aria-label="a long answer"' if many else ""
    return f"<pre{extra}>{escape(text)}</pre>"


def _made(data: dict[str, Any]) -> str:
    """Say how the answers came about."""
    rows = [(name, data["settings"][name]) for name in data["settings"]]
    for model in data["models"]:
        about = {key: model[key] for key in ("files", "device", "dtype", "seconds", "versions")}
        rows.append((model["name"], about))
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td><pre>'
        f"{escape(value if isinstance(value, str) else json.dumps(value))}</pre></td></tr>"
        for name, value in rows
    )
    return f"""<section aria-labelledby="made">
<h2 id="made">How this was made</h2>
<div class="wide" role="region" tabindex="0" aria-labelledby="made"><table><tbody>{cells}
</tbody></table></div>
</section>"""
