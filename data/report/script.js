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
