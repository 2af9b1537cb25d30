"""The style and the script of `verdict.html`; see `ftlab.evaluation.report`.

On a narrow screen a table becomes a list: each row a block, each cell a line with its column's name
before it, so that nothing has to be scrolled sideways.
"""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, told apart by colour-blind readers; pictures also say everything in words."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --quiet: #595959; --line: #ccc;
  --wrong: #ffe0cc; --missing: #dbeeff; --panel: #f5f5f5; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #161616; --quiet: #b0b0b0;
  --line: #444; --wrong: #5c2c0c; --missing: #0c3a5c; --panel: #222; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
.verdict { font-size: 1.15rem; border-left: .3rem solid var(--ink); padding-left: .8rem; }
.verdict + ul { padding-left: 1.2rem; max-width: 48rem; } li { margin: .3rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 1.2rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: .3rem; }
th, td { text-align: right; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: break-word; }
th { font-weight: 600; } tbody th { font-weight: 400; } thead th { vertical-align: bottom; }
th:first-child { text-align: left; }
td span, .range { white-space: nowrap; } .made td { text-align: left; }
.made td { overflow-wrap: anywhere; } .made th { min-width: 10rem; }
.range, .quiet { color: var(--quiet); font-size: .85rem; } .headline > * { font-weight: 600; }
svg { display: block; width: 100%; max-width: 40rem; height: auto; margin: .5rem 0 1rem; }
svg text { fill: currentColor; }
svg .over { paint-order: stroke; stroke: var(--paper); stroke-width: 5px; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: .8rem 0; }
form[hidden], article[hidden] { display: none; }
label { display: grid; font-size: .85rem; color: var(--quiet); max-width: 100%; }
input, select { font: 1rem/1.4 system-ui, sans-serif; padding: .35rem .5rem; max-width: 100%; }
:focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
article { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem; margin: .8rem 0;
  break-inside: avoid; }
dl { margin: 0; display: grid; gap: .3rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
dl > .whole { grid-column: 1 / -1; } dt { font-weight: 600; margin-top: .4rem; } dd { margin: 0; }
ins { background: var(--wrong); text-decoration: underline; }
del { background: var(--missing); text-decoration: line-through; }
pre { white-space: pre-wrap; background: var(--panel); padding: .5rem; margin: .3rem 0; }
@media (max-width: 45rem) {
  table, caption, tbody, tr, th, td { display: block; text-align: left; }
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  tr { border-bottom: 1px solid var(--line); padding: .4rem 0; }
  th, td { border: 0; padding: .05rem 0; } tbody th { font-weight: 600; }
  td { display: flex; gap: 1rem; justify-content: space-between; text-align: right; }
  td::before { content: attr(data-name); color: var(--quiet); text-align: left; }
  td br { display: none; } .range { margin-left: .5rem; } .made td { display: block; }
}
@media print { form { display: none; } body { max-width: none; font-size: 10pt; }
  ins, del, pre { print-color-adjust: exact; } }
"""

SCRIPT = """
const form = document.getElementById('filter');
const said = document.getElementById('shown');
const cards = [...document.querySelectorAll('article')].map(card => ({
  card, number: Number(card.dataset.number), slice: card.dataset.slice,
  text: card.textContent.toLowerCase(),
  gaps: card.dataset.gaps.split(' ').map(gap => gap === '' ? NaN : Number(gap)) }));
const value = name => form.elements[name] ? form.elements[name].value : '';
function gapOf(item) {
  if (value('who') !== '') return item.gaps[Number(value('who'))];
  const known = item.gaps.filter(gap => !Number.isNaN(gap));
  if (value('how') === 'better') return Math.max(...known);
  return known.length ? Math.min(...known) : NaN;
}
function show() {
  const text = value('text').toLowerCase();
  let count = 0;
  for (const item of cards) {
    const gap = gapOf(item), how = value('how');
    const fits = how === '' || (how === 'worse' && gap < 0) || (how === 'better' && gap > 0)
      || (how === 'equal' && gap === 0);
    item.card.hidden = !fits || !item.text.includes(text)
      || (value('slice') !== '' && item.slice !== value('slice'));
    count += item.card.hidden ? 0 : 1;
  }
  said.textContent = count + ' of ' + cards.length + ' examples shown';
}
function arrange() {
  const rank = item => { const gap = gapOf(item); return Number.isFinite(gap) ? gap : 9; };
  const order = value('order') === 'number' ? (a, b) => a.number - b.number
    : (a, b) => rank(a) - rank(b) || a.number - b.number;
  form.after(...[...cards].sort(order).map(item => item.card));
  show();
}
form.hidden = false;
form.addEventListener('input', event => event.target.name === 'text' ? show() : arrange());
form.addEventListener('submit', event => event.preventDefault());
show();
"""
