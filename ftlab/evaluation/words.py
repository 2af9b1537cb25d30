"""What the figures say, in plain words, and no more than they say.

Every sentence here is derived from figures by a rule that can be read below. A difference is called
better or worse only where it is shown (`ftlab.evaluation.pairs`); elsewhere the words are "no
difference shown".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftlab.evaluation.intervals import Interval
from ftlab.evaluation.pairs import Pair

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
    # The interval is told in the direction of the finding.
    return f"{_direction(gap)} ({_between(gap)})"


def _direction(gap: Interval, better: int = 1) -> str:
    word = "better" if gap.value * better > 0 else "worse"
    return f"{word} by {abs(gap.value):.3f}"


def _between(gap: Interval) -> str:
    low, high = sorted((abs(gap.low), abs(gap.high)))
    return f"95 % interval {low:.3f} to {high:.3f}"


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


def remarks(verdict: Mapping[str, Any]) -> list[str]:
    """Say what else a verdict (as plain data) shows: how sure, at what price, what got worse."""
    return [
        *_power(verdict), *_slices(verdict), *_prices(verdict), *_forgotten(verdict),
        *_written(verdict),
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


def _power(verdict: Mapping[str, Any]) -> Iterator[str]:
    baseline = next(iter(verdict["systems"]))
    mine = [p for p in verdict["pairs"] if p["a"] == baseline and p["smallest"] is not None]
    if not mine:
        return
    pair = max(mine, key=lambda p: p["smallest"])
    text = (
        f"How sure: between {pair['a']} and {pair['b']}, these {verdict['n']} examples find a true "
        f"difference of {pair['smallest']:.3f} or more in four tries of five."
    )
    finer = [gap for gap in pair["needed"] if float(gap) < pair["smallest"]]
    if finer:
        text += f" One of {finer[0]} would need about {_rounded(pair['needed'][finer[0]]):,}."
    yield text


def _rounded(n: int) -> int:
    """Return two leading digits: the rest of an estimate is noise."""
    unit = 10 ** max(0, len(str(n)) - 2)
    return -(-n // unit) * unit


def _slices(verdict: Mapping[str, Any]) -> Iterator[str]:
    for name, part in verdict["slices"].items():
        for other, gap in part["differences"].items():
            if gap["high"] is not None and gap["high"] < 0 and part["n"] >= 10:
                yield (
                    f"What got worse: on the {part['n']} examples of {name}, {other} is worse by "
                    f"{-gap['value']:.3f} (95 % interval {-gap['high']:.3f} to {-gap['low']:.3f}, "
                    "not corrected for the number of slices)."
                )


def _prices(verdict: Mapping[str, Any]) -> Iterator[str]:
    rows = verdict["costs"].get("systems", {})
    rows = {name: row for name, row in rows.items() if row["tokens_in"] is not None}
    if len(rows) < 2:
        return

    def score(name: str) -> float:
        figure = verdict["systems"][name].get(verdict["headline"])
        return -1.0 if figure is None or figure["value"] is None else figure["value"]

    # Of the shortest prompts, and of the longest, the one that does best.
    short = min(rows, key=lambda name: (rows[name]["tokens_in"], -score(name)))
    long = max(rows, key=lambda name: (rows[name]["tokens_in"], score(name)))
    if rows[short]["tokens_in"] < rows[long]["tokens_in"]:
        less = 1 - rows[short]["tokens_in"] / rows[long]["tokens_in"]
        text = (
            f"At what price: the prompt of {short} has {rows[short]['tokens_in']:.0f} tokens, that "
            f"of {long} {rows[long]['tokens_in']:.0f}: {less:.0%} shorter."
        )
        if None not in (rows[short]["by_token"], rows[long]["by_token"]):
            table = verdict["costs"]["prices"]
            text += (
                f" 1,000 answers cost {table['currency']} {rows[short]['by_token']:.3f} and "
                f"{rows[long]['by_token']:.3f}, at the prices of {table['date']}."
            )
        yield text


def _forgotten(verdict: Mapping[str, Any]) -> Iterator[str]:
    general = verdict["forgetting"].get("general", {})
    first = next(iter(general.get("models", {})), None)
    for name, row in general.get("differences", {}).items():
        gap = Interval(**row)
        told = (
            f"no difference shown (95 % interval {gap.low:.3f} to {gap.high:.3f}, which covers "
            "zero)"
            if gap.covers_zero
            else f"{_direction(gap, better=-1)} ({_between(gap)})"
        )
        figures = [general["models"][model]["value"] for model in (name, first)]
        yield (
            f"What was forgotten: on general text, {name} needs {figures[0]:.3f} bits per "
            f"character and {first} {figures[1]:.3f}: {told}."
        )


def _written(verdict: Mapping[str, Any]) -> Iterator[str]:
    """Tell of shares whose intervals do not touch, and of answers that became longer or shorter."""
    rows = verdict["behaviour"]
    baseline, *others = verdict["systems"]
    if not rows:
        return
    base = rows[baseline]
    for name in others:
        row = rows[name]
        for share in ("repetition", "refusals", "empty"):
            low, high = row[share]["low"], base[share]["high"]
            if low is not None and high is not None and low > high:
                yield (
                    f"How it writes: {share} rose from {base[share]['value']:.1%} for {baseline} "
                    f"to {row[share]['value']:.1%} for {name}."
                )
    lengths = {name: rows[name]["words"]["median"] for name in verdict["systems"]}
    usual = lengths.pop(baseline)
    changed = [
        f"{length:.0f} for {name}"
        for name, length in lengths.items()
        if max(usual, length) > 1.5 * min(usual, length)
    ]
    if changed:
        yield (
            f"How it writes: the middle answer has {usual:.0f} words for {baseline}, "
            f"{', '.join(changed)}, and {rows['reference']['words']['median']:.0f} in the "
            "references."
        )
