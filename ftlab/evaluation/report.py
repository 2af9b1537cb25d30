"""What a verdict says: its sentences, and one page to open, print or hand in (`verdict.html`).

Every sentence is derived from figures by a rule that can be read below, and says no more than they
do. A difference is called better or worse only where it is shown (`ftlab.evaluation.power`);
elsewhere the words are "no difference shown".

The page is a single file without links, made from the plain data of a verdict (`Verdict.to_json()`,
or `verdict.json` read again) and the template data/report/page.html. It reads without JavaScript;
with it, the examples can be filtered. Everything that a model or a user wrote is escaped.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ftlab.evaluation.intervals import Interval
from ftlab.evaluation.power import Pair
from ftlab.files import data_path, read_text

__all__ = ["difference", "finding", "page", "remarks", "sentence", "thoughts", "unfinished"]

FEW = 30  # below so many examples, an interval is a rough guide


def finding(pair: Pair, among: int = 1) -> str:
    """Say whether b does better than a; p was corrected for `among` pairs."""
    gap = pair.difference
    between = f"95 % interval {gap.low:.3f} to {gap.high:.3f}"
    if gap.covers_zero:
        return f"no difference shown ({between}, which covers zero)"
    if not pair.shown:
        corrected = f", corrected for {among} comparisons" if among > 1 else ""
        name = "McNemar's test" if pair.test.startswith("McNemar") else "the permutation test"
        return (
            f"no difference shown ({between} leaves zero out, but {name} gives "
            f"p = {pair.corrected:.2f}{corrected})"
        )
    return _shown(gap)


def _shown(gap: Interval, better: int = 1) -> str:
    """Tell a difference that is shown, its interval in the direction of the finding."""
    word = "better" if gap.value * better > 0 else "worse"
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"{word} by {abs(gap.value):.3f} (95 % interval {low:.3f} to {high:.3f})"


def sentence(
    headline: str, n: int, figures: Mapping[str, Interval | None], pairs: Sequence[Pair]
) -> str:
    """Say what the headline shows on n examples.

    Args:
        headline: the metric's name.
        n: examples.
        figures: system -> its figure, None where there is no case; the first is the baseline.
        pairs: every two systems on the headline.
    """
    examples = "example" if n == 1 else "examples"
    known = {name: figure for name, figure in figures.items() if figure is not None}
    if not known:
        return f"On {n} held-out {examples}, {headline} cannot be told: there is no case of it."
    baseline, base = next(iter(known.items()))
    found = {(pair.a, pair.b): finding(pair, len(pairs)) for pair in pairs}
    others = [name for name in known if name != baseline]
    if not others:
        text = f"{baseline} (95 % interval {base.low:.3f} to {base.high:.3f})."
        text = f"{base.value:.3f} for {text}"
    elif len(others) == 1:
        (name,) = others
        text = (
            f"{known[name].value:.3f} for {name} and {base.value:.3f} for {baseline}: "
            f"{found[baseline, name]}."
        )
    else:
        parts = [f"{name} {known[name].value:.3f}, {found[baseline, name]}" for name in others]
        text = f"{base.value:.3f} for {baseline}. Against it: {'; '.join(parts)}."
        text += _top_two(known, pairs, len(pairs))
    text = f"On {n} held-out {examples}, {headline} is {text}"
    if n == 1:
        text += " One example is no verdict: 200 say more."
    elif n < FEW:
        text += f" {n} examples are few: read the interval as a rough guide."
    return text


def _top_two(figures: Mapping[str, Interval], pairs: Sequence[Pair], among: int) -> str:
    """Say whether the highest is really above the next, if neither is the baseline."""
    first, second = sorted(figures, key=lambda name: -figures[name].value)[:2]
    pair = next(pair for pair in pairs if {pair.a, pair.b} == {first, second})
    if next(iter(figures)) in (first, second):
        return ""
    return f" The two highest are {first} and {second}: {pair.b} against {pair.a}, " + (
        f"{finding(pair, among)}."
    )


def remarks(
    n: int, pairs: Sequence[Pair], slices: Mapping[str, Any],
    figures: Mapping[str, Interval | None], costs: Mapping[str, Any], forgetting: Mapping[str, Any],
) -> list[str]:  # fmt: skip
    """Say what else a verdict shows: how sure, at what price, what got worse, what was forgotten.

    The arguments are the parts of a `Verdict`; `figures` are those of the headline by system.
    """
    return [
        *_power(n, [pair for pair in pairs if pair.a == next(iter(figures))]), *_slices(slices),
        *_prices(figures, costs), *_forgotten(forgetting),
    ]  # fmt: skip


def thoughts(counts: Mapping[str, tuple[int, int]], n: int) -> Iterator[str]:
    """Say how many answers came with a thought, and how many of those never ended; system -> both.

    >>> list(thoughts({"a": (3, 1), "b": (0, 0)}, 4))
    ['What was not marked: a thought before 3 of 4 answers; 1 did not end, which is no answer.']
    """
    for name, (begun, endless) in counts.items():
        if begun:
            text = f"What was not marked: {name} thought before {begun} of {n} answers"
            yield f"{text}; {endless} did not end, which is no answer." if endless else f"{text}."


def unfinished(given: Mapping[str, Any]) -> Iterator[str]:
    """Say how many `Answers` of each system lack their end, and how many were refused."""
    for name, one in given.items():
        if one.cut:
            yield (
                f"What was cut off: {one.cut} of {len(one.texts)} answers of {name} reached the "
                "limit on their length. If they are worse for it, allow more."
            )
        if one.refused:
            yield (
                f"What was refused: the endpoint of {name} refused {one.refused} of "
                f"{len(one.texts)} requests; they count as empty answers."
            )


def _power(n: int, pairs: Sequence[Pair]) -> Iterator[str]:
    known = [(pair.smallest, pair) for pair in pairs if pair.smallest is not None]
    if not known:
        return
    smallest, pair = max(known, key=lambda one: one[0])
    text = (
        f"How sure: between {pair.a} and {pair.b}, these {n} examples find a true difference of "
        f"{smallest:.3f} or more in four tries of five."
    )
    finer = [gap for gap in pair.needed if float(gap) < smallest]
    if finer:
        needed = pair.needed[finer[0]]
        unit = 10 ** max(0, len(str(needed)) - 2)  # two digits: the rest of an estimate is noise
        text += f" One of {finer[0]} would need about {-(-needed // unit) * unit:,}."
    yield text


def _slices(slices: Mapping[str, Any]) -> Iterator[str]:
    for name, part in slices.items():
        for other, gap in part["differences"].items():
            if gap.high < 0 and part["n"] >= 10:
                yield (
                    f"What got worse: on the {part['n']} examples of {name}, {other} is worse by "
                    f"{-gap.value:.3f} (95 % interval {-gap.high:.3f} to {-gap.low:.3f}, "
                    "not corrected for the number of slices)."
                )


def _prices(figures: Mapping[str, Interval | None], costs: Mapping[str, Any]) -> Iterator[str]:
    tokens = {name: row["tokens_in"] for name, row in costs.items() if row["tokens_in"] is not None}
    score = {name: figure.value if figure else -1.0 for name, figure in figures.items()}
    # Of the shortest prompts, and of the longest, the one that does best.
    short = min(tokens, key=lambda name: (tokens[name], -score[name]), default="")
    long = max(tokens, key=lambda name: (tokens[name], score[name]), default="")
    if tokens and tokens[short] < tokens[long]:
        yield (
            f"At what price: the prompt of {short} has {tokens[short]:.0f} tokens, that "
            f"of {long} {tokens[long]:.0f}: {1 - tokens[short] / tokens[long]:.0%} shorter."
        )


def _forgotten(forgetting: Mapping[str, Any]) -> Iterator[str]:
    models = forgetting.get("models", {})
    first = next(iter(models), None)
    for name, gap in forgetting.get("differences", {}).items():
        told = (
            f"no difference shown (95 % interval {gap.low:.3f} to {gap.high:.3f}, which covers "
            "zero)"
            if gap.covers_zero
            else _shown(gap, better=-1)
        )
        yield (
            f"What was forgotten: on general text, {name} needs {models[name].value:.3f} bits per "
            f"character and {first} {models[first].value:.3f}: {told}."
        )


# The page.


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
