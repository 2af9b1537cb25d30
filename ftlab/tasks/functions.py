"""Small Python functions, drawn from families, and their tests in the house style.

A family is one idea with its numbers, words, names and turns of phrase left open; they are in
`data/tasks/functions.yaml`, which says how they are written.
"""

import ast
import random
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ftlab.tasks import word_lists

LISTS = word_lists("functions")
MODULE = "target"
"""The module that the tests import the function from."""


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
    family = rng.choice([f for f in LISTS.families if f["names"][0].startswith("~") == new])
    names = [name.removeprefix("~") for name in family["names"]]
    a = rng.randint(2, 12)
    given = {
        "a": a, "b": a + rng.randint(4, 40), "k": rng.randint(2, 5), "w": rng.choice(LISTS.words),
        "c": rng.choice("aeinorst"),
    }  # fmt: skip
    chosen = [rng.choice(LISTS.names[kind]) for kind in family["arguments"]]
    open_names = dict(zip("xy", chosen, strict=False))
    body = _choose(family["body"], rng).format(**given, **open_names)
    name = rng.choice(names)
    if "{a}" in family["body"] and rng.random() < 0.3:
        name += f"_{a}"
    source = f"def {name}({', '.join(chosen)}):\n"
    source += "".join(f"    {line}\n" for line in body.replace("'", '"').split("\n"))
    kinds = (ast.If, ast.For, ast.While, ast.comprehension, ast.IfExp)
    branches = sum(isinstance(node, kinds) for node in ast.walk(ast.parse(source)))
    typical = [tuple(_typical(k, rng, given) for k in family["arguments"]) for _ in range(12)]
    edges = [tuple(_edge(k, rng, given) for k in family["arguments"]) for _ in range(16)]
    if family["arguments"] == "DS":  # ask half the time for what is there
        typical = [(d, rng.choice(list(d))) for d, _ in typical]
    difficulty = 1 + min(branches, 2)
    return Made(name, source, names[0], family["kind"], difficulty, tuple(typical), tuple(edges))


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
        word = rng.choice(LISTS.words)
        digits = str(rng.randint(3, 99))
        return rng.choice((word, word, f"{word} {rng.choice(LISTS.words)}", digits))
    if kind == "L":
        return [rng.randint(0, given["b"]) for _ in range(rng.randint(2, 4))]
    if kind == "W":
        words = rng.sample(LISTS.words, rng.randint(2, 3))
        return [*words[1:], given["w"]] if rng.random() < 0.4 else words
    return {w: rng.randint(1, given["b"]) for w in rng.sample(LISTS.words, 2)}


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


def camel(name: str) -> str:
    """Return a name of words_apart as WordsApart."""
    return "".join(part.capitalize() for part in name.split("_"))


def _quoted(value: Any) -> str:
    """Write a value as `repr` does, but strings in double quotes; the house does so."""
    text = repr(value)
    return text if '"' in text else text.replace("'", '"')


def _tried(made: Made) -> tuple[list[str], list[str], list[str]]:
    """Run the function on its arguments; return assertions: typical, edges, errors."""
    space: dict[str, Any] = {}
    exec(compile(made.source, MODULE, "exec"), space)
    typical, edges, errors = [], [], []  # type: list[str], list[str], list[str]
    seen: set[str] = set()
    for lines, tries in ((typical, made.typical), (edges, made.edges)):
        values: set[str] = set()
        for arguments in tries:
            call = f"{made.name}({', '.join(map(_quoted, arguments))})"
            if call in seen:
                continue
            try:
                value = _quoted(space[made.name](*arguments))
            except Exception as error:
                raised = f"with self.assertRaises({type(error).__name__}):\n    {call}"
                errors += [raised] * (not errors)
                continue
            line = f"self.assertEqual({call}, {value})"
            # Two of a sort; the second should come out otherwise than the first, if one does.
            last = arguments is tries[-1]
            if len(lines) < 2 and len(line) < 80 and (value not in values or last):
                seen.add(call)
                values.add(value)
                lines.append(line)
    return typical, edges, errors


def write(made: Made) -> str | None:
    """Write a function's tests in the house style; None if its arguments are too few or long."""
    typical, edges, errors = _tried(made)
    if not typical or not edges or ("raise " in made.source and not errors):
        return None
    methods = {"typical": typical, "edges": edges} | ({"error": errors} if errors else {})
    return house(made.name, {f"test_{name}": lines for name, lines in methods.items()})


def house(function: str, methods: Mapping[str, list[str]]) -> str:
    """Return a test module as the house lays it out: method -> its statements, unindented."""
    tests = "".join(
        f"\n    def {name}(self):\n" + textwrap.indent("\n".join(lines), " " * 8) + "\n"
        for name, lines in methods.items()
    )
    return (
        f"import unittest\n\nfrom {MODULE} import {function}\n\n\n"
        f"class Test{camel(function)}(unittest.TestCase):\n"
        f'    """Tests of {function}."""\n{tests}\n\n'
        'if __name__ == "__main__":\n    unittest.main()'
    )
