"""Small Python functions to write tests for, drawn from families, with arguments worth trying.

    def cap_total(numbers):
        total = sum(numbers)
        return min(total, 21)

A family is one idea with its numbers, words, names and turns of phrase left open. Its body is a
template: {a} and {b} are numbers (a < b), {k} a small one, {w} a word, {c} a letter; {x} and {y}
are the arguments; `<this|that>` is one of them. A family whose names open with "~" is held out.

>>> made = make(random.Random(4), new=False)
>>> made.family, made.kind, made.source.startswith("def ")
('...', '...', True)
"""

import ast
import random
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

NAMES = {
    "i": ("n", "x", "number", "value", "count"), "f": ("amount", "x", "price", "rate"),
    "s": ("text", "s", "word", "line", "name"), "L": ("items", "values", "numbers", "data"),
    "W": ("words", "names", "lines", "tags"), "D": ("stock", "scores", "prices", "table"),
    "I": ("limit", "size", "other", "step"), "S": ("key", "part", "end", "mark"),
}  # fmt: skip
WORDS = (
    "apple", "river", "stone", "cloud", "tiger", "lemon", "piano", "window", "garden", "level",
    "noon", "paper", "Anna", "Oslo", "silver", "kettle", "button", "radar", "Maple", "harbor",
)  # fmt: skip


class Family(NamedTuple):
    """One idea: `names` to call it, the kind of its input, its arguments and its body."""

    names: str
    kind: str
    arguments: str
    body: str


FAMILIES = tuple(
    Family(*row)
    for row in (
        # ints
        ("clamp limit_to bound", "ints", "i", "return max({a}, min({b}, {x}))"),
        ("scale add_up shift", "ints", "i", "return {x} * {k} <+|-> {a}"),
        ("~remainder wrap cycle", "ints", "i", "return ({x} + {a}) % {b}"),
        ("gap distance_to away", "ints", "i", "return abs({x} - {b})"),
        ("grade rank_of level_of", "ints", "i",
         "if {x} < {a}:\n    return '<low|poor|small>'\nif {x} < {b}:\n"
         "    return '<mid|fair|some>'\nreturn '<high|good|large>'"),
        ("is_between in_range fits", "ints", "i", "return {a} <<|<=> {x} <<|<=> {b}"),
        ("divides is_multiple even_by", "ints", "i", "return {x} % {k} == 0"),
        ("digit_sum add_digits", "ints", "i",
         "total = {a}\nfor digit in str(abs({x})):\n    total += int(digit)\nreturn total"),
        ("~count_digits digits_of", "ints", "i", "return len(str(abs({x}))) + {a}"),
        ("steps halvings times_down", "ints", "i",
         "steps = 0\nwhile {x} > {a}:\n    {x} //= {k}\n    steps += 1\nreturn steps"),
        ("fizz label say", "ints", "i",
         "if {x} % {k} == 0:\n    return '{w}'\nreturn str({x})"),
        ("sign_of direction compare", "ints", "i",
         "if {x} > {a}:\n    return 1\nif {x} < {a}:\n    return -1\nreturn 0"),
        ("larger_of top best", "ints", "iI",
         "if {x} > {y}:\n    return {x} + {a}\nreturn {y} + {a}"),
        ("~mix blend combine", "ints", "iI", "return {x} * {a} + {y} * {k}"),
        ("sum_to total_to series", "ints", "i",
         "total = 0\nfor step in range(1, min({x}, {b}) + 1):\n    total += step * {k}\n"
         "return total"),
        ("leap is_special marked", "ints", "i",
         "return {x} % {k} == 0 and {x} % {a} != 0"),
        # floats
        ("with_tax add_fee gross", "floats", "f", "return round({x} * 1.{a:02}, 2)"),
        ("discount sale_price reduce", "floats", "f",
         "if {x} >= {b}:\n    return round({x} * 0.9, 2)\nreturn {x}"),
        ("~to_percent as_share percent", "floats", "f", "return round({x} / {b} * 100, 1)"),
        ("half_up rounded nearest", "floats", "f", "return round({x} + {k}, 1)"),
        ("convert to_units scaled", "floats", "f", "return round({x} * {a}.{k}, 2)"),
        ("mean average typical", "floats", "L",
         "if not {x}:\n    return 0.0\nreturn round(sum({x}) / len({x}) + {a}, 2)"),
        ("shipping cost fare", "floats", "f",
         "if {x} > {b}:\n    return 0.0\nreturn {a}.5"),
        ("~cool warm heat", "floats", "f", "return round(({x} - {b}) * 5 / {k}, 1)"),
        # strings
        ("shout loud cry", "strings", "s", "return {x}.upper() + '<!|?|!!>' * {k}"),
        ("greet welcome hail", "strings", "s", "return '{w}, ' + {x}.<strip|title>() + '.'"),
        ("~first_chars head start_of", "strings", "s", "return {x}[:{k}]"),
        ("last_chars tail end_of", "strings", "s", "return {x}[-{k}:]"),
        ("shorten trim_to cut", "strings", "s",
         "if len({x}) <= {a}:\n    return {x}\nreturn {x}[:{a}] + '<...|-|+>'"),
        ("count_letter how_many letters", "strings", "s",
         "return {x}.<lower|upper>().count('{c}')"),
        ("replace_letter swap mask", "strings", "s", "return {x}.replace('{c}', '<*|-|_|#>')"),
        ("~drop_letter without remove", "strings", "s", "return {x}.replace('{c}', '') + '{c}'"),
        ("pad fill widen", "strings", "s", "return {x}.<ljust|rjust|center>({a}, '<.|-|0>')"),
        ("backwards reverse flip", "strings", "s", "return {x}[::-1] + '{c}'"),
        ("is_palindrome mirrored same_back", "strings", "s",
         "{x} = {x}.lower()\nreturn {x} == {x}[::-1] and len({x}) > {k}"),
        ("has_prefix begins opens", "strings", "s", "return {x}.<startswith|endswith>('{c}')"),
        ("~every_other skip thin", "strings", "s", "return {x}[::{k}]"),
        ("vowels count_vowels sounds", "strings", "s",
         "count = {a}\nfor letter in {x}:\n    if letter in 'aeiou':\n"
         "        count += 1\nreturn count"),
        ("slug dashed to_key", "strings", "s",
         "return '{w}<-|_|.>' + '<-|_>'.join({x}.lower().split())"),
        ("join_two link paste", "strings", "sS", "return {x} + '<-|: |/>{c}' + {y}"),
        ("repeat echo again", "strings", "sI", "return ({x} + '{c}') * min({y}, {k})"),
        ("~longer_than wide is_long", "strings", "s", "return len({x}) > {a}"),
        # lists
        ("total sum_up add_all", "lists", "L", "return sum({x}) <+|-> {a}"),
        ("cap_total at_most limit_sum", "lists", "L",
         "total = sum({x})\nreturn min(total, {b})"),
        ("above larger keep_over", "lists", "L", "return [v for v in {x} if v <>|>=> {a}]"),
        ("~below smaller keep_under", "lists", "L", "return [v for v in {x} if v << |<=> {a}]"),
        ("scale_all times_all grow", "lists", "L", "return [v * {k} <+|-> {a} for v in {x}]"),
        ("first_or head_or begin", "lists", "L", "return {x}[0] if {x} else {a}"),
        ("~last_or tail_or final", "lists", "L", "return {x}[-1] if {x} else {b}"),
        ("take first_few leading", "lists", "L", "return {x}[:{k}] + [{a}]"),
        ("count_over how_many_over tally", "lists", "L",
         "count = 0\nfor v in {x}:\n    if v > {a}:\n        count += 1\nreturn count"),
        ("unique distinct no_repeats", "lists", "L",
         "seen = [{a}]\nfor v in {x}:\n    if v not in seen:\n"
         "        seen.append(v)\nreturn seen"),
        ("ordered sort_down ranking", "lists", "L",
         "return sorted({x}, reverse=<True|False>)[:{a}]"),
        ("~spread span width", "lists", "L",
         "if not {x}:\n    return {a}\nreturn max({x}) - min({x})"),
        ("running partial_sums grow_by", "lists", "L",
         "total = {a}\nresult = []\nfor v in {x}:\n    total += v\n"
         "    result.append(total)\nreturn result"),
        ("join_words in_one sentence", "lists", "W", "return '<, |-| and |/>'.join({x}) + '<.|!>'"),
        ("long_words wordy keep_long", "lists", "W", "return [w for w in {x} if len(w) > {k}]"),
        ("~initials letters_of starts", "lists", "W",
         "return '<.|-|>'.join(w[0] for w in {x}) + '{c}'"),
        ("lengths sizes measure", "lists", "W", "return [len(w) + {a} for w in {x}]"),
        ("contains has includes", "lists", "W", "return '{w}' in {x}"),
        ("index_of find_at place", "lists", "W",
         "if '{w}' in {x}:\n    return {x}.index('{w}')\nreturn -{a}"),
        # dicts
        ("lookup value_of get_or", "dicts", "DS", "return {x}.get({y}, {a})"),
        ("sum_values worth sum_of", "dicts", "D", "return sum({x}.values()) <+|-> {a}"),
        ("rich keys_over large_keys", "dicts", "D",
         "return sorted(k for k, v in {x}.items() if v > {a})"),
        ("~poor keys_under low_keys", "dicts", "D",
         "return sorted(k for k, v in {x}.items() if v < {b})"),
        ("raise_all increase add_each", "dicts", "D",
         "return {{k: v + {a} for k, v in {x}.items()}}"),
        ("restock put_in with_new", "dicts", "D",
         "result = dict({x})\nresult['{w}'] = {a}\nreturn result"),
        ("best_key leader winner", "dicts", "D",
         "if not {x}:\n    return '{w}'\nreturn max({x}, key={x}.get)"),
        ("~size_of entries how_big", "dicts", "D", "return len({x}) + {a}"),
        ("count_words frequencies histogram", "dicts", "W",
         "counts = {{'{w}': {k}}}\nfor w in {x}:\n    counts[w] = counts.get(w, 0) + 1\n"
         "return counts"),
        # exceptions
        ("checked require ensure", "exceptions", "i",
         "if {x} < {a}:\n    raise ValueError('<too small|not enough>')\nreturn {x} - {a}"),
        ("divide_by share split_up", "exceptions", "iI",
         "if {y} == 0:\n    raise ValueError('no {w}')\nreturn {x} // {y} + {a}"),
        ("withdraw spend take_out", "exceptions", "iI",
         "if {y} > {x}:\n    raise ValueError('<too much|not there>')\n"
         "return {x} - {y} + {k}"),
        ("need_text not_blank read_name", "exceptions", "s",
         "if not {x}:\n    raise ValueError('<empty|no text>')\n"
         "return {x}.<title|lower|upper>() + '{c}'"),
        ("~minimum lowest least", "exceptions", "L",
         "if not {x}:\n    raise ValueError('empty')\nreturn min({x}) - {a}"),
        ("peak maximum highest", "exceptions", "L",
         "if not {x}:\n    raise <ValueError|IndexError>('empty')\nreturn max({x}) + {a}"),
        ("find_price must_have fetch", "exceptions", "DS",
         "if {y} not in {x}:\n    raise KeyError({y})\nreturn {x}[{y}] * {k}"),
        ("~parse_age valid_age age", "exceptions", "i",
         "if {x} < 0 or {x} > {b}:\n    raise ValueError('age')\nreturn {x} + {k}"),
        ("nth item_at choose", "exceptions", "L",
         "if len({x}) < {k}:\n    raise IndexError('<short|too few>')\nreturn {x}[{k} - 1]"),
        ("to_number parse_int as_int", "exceptions", "s",
         "if not {x}.isdigit():\n    raise ValueError('not a number')\nreturn int({x}) + {a}"),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A function and the calls to try on it."""

    name: str
    source: str
    family: str
    kind: str
    difficulty: int
    """1: one expression; 2: a branch or a loop; 3: several."""
    typical: tuple[tuple[Any, ...], ...]
    edges: tuple[tuple[Any, ...], ...]


def make(rng: random.Random, new: bool) -> Made:
    """Draw a function: of a held-out family (`new`), or of the others."""
    family = rng.choice([f for f in FAMILIES if f.names.startswith("~") == new])
    names = family.names.removeprefix("~").split()
    a = rng.randint(2, 12)
    letters = "aeinorst"
    given = {
        "a": a, "b": a + rng.randint(4, 40), "k": rng.randint(2, 5), "w": rng.choice(WORDS),
        "c": rng.choice(letters),
    }  # fmt: skip
    chosen = [rng.choice(NAMES[kind]) for kind in family.arguments]
    open_names = dict(zip("xy", chosen, strict=False))
    body = _choose(family.body, rng).format(**given, **open_names)
    name = rng.choice(names)
    if "{a}" in family.body and rng.random() < 0.3:
        name += f"_{a}"
    source = f"def {name}({', '.join(chosen)}):\n"
    source += "".join(f"    {line}\n" for line in body.replace("'", '"').split("\n"))
    branches = sum(
        isinstance(node, (ast.If, ast.For, ast.While, ast.comprehension, ast.IfExp))
        for node in ast.walk(ast.parse(source))
    )
    typical = [tuple(_typical(k, rng, given) for k in family.arguments) for _ in range(12)]
    edges = [tuple(_edge(k, rng, given) for k in family.arguments) for _ in range(16)]
    if family.arguments == "DS":  # ask half the time for what is there
        typical = [(d, rng.choice(list(d))) for d, _ in typical]
    return Made(
        name, source, names[0], family.kind, 1 + min(branches, 2), tuple(typical), tuple(edges)
    )


def _choose(body: str, rng: random.Random) -> str:
    """Settle each `<this|that>` of a template; a < or > may be one of the choices."""
    pattern = r"<((?:[^|\n]|\|(?=[^\n]))*?\|[^\n]*?)>(?![|=>])"
    return re.sub(pattern, lambda match: rng.choice(match[1].split("|")).strip("\n"), body)


def _typical(kind: str, rng: random.Random, given: dict[str, Any]) -> Any:
    """An argument that nobody would be surprised by."""
    if kind in "iI":
        return rng.randint(1, given["b"] + 6)
    if kind == "f":
        return rng.randint(2, 4 * given["b"] + 8) / 2
    if kind in "sS":
        word = rng.choice(WORDS)
        digits = str(rng.randint(3, 99))
        return rng.choice((word, word, f"{word} {rng.choice(WORDS)}", digits))
    if kind == "L":
        return [rng.randint(0, given["b"]) for _ in range(rng.randint(2, 4))]
    if kind == "W":
        words = rng.sample(WORDS, rng.randint(2, 3))
        return [*words[1:], given["w"]] if rng.random() < 0.4 else words
    return {w: rng.randint(1, given["b"]) for w in rng.sample(WORDS, 2)}


def _edge(kind: str, rng: random.Random, given: dict[str, Any]) -> Any:
    """An argument at a boundary: of the type, or of the numbers in the function."""
    a, b, k = given["a"], given["b"], given["k"]
    choices = {
        "i": [0, -1, a, a - 1, a + 1, b, b + 1, k], "I": [0, 1, k, k + 1, b],
        "f": [0.0, -1.0, float(a), float(b), b + 0.5], "s": ["", given["c"], given["c"] * 2, "0"],
        "S": ["", given["w"]], "L": [[], [0], [a], [a, a], [-1], [b]],
        "W": [[], [given["w"]], ["a"]], "D": [{}, {given["w"]: a}],
    }  # fmt: skip
    return rng.choice(choices[kind])
