'''Write the unit tests of a Python function, in a house style.

    in   def limit_to(n):
             return max(3, min(9, n))
    out  import unittest

         from target import limit_to


         class TestLimitTo(unittest.TestCase):
             """Tests of limit_to."""

             def test_typical(self):
                 self.assertEqual(limit_to(5), 5)
         ...

The functions are drawn from families (`ftlab.tasks.functions`), and what they return is found by
running them. An answer is marked by running it too, in the sandbox, against the function, if it is
`plain`, so that a module cannot pass by tampering with what judges it.

The house style (`style`): the two imports; one class, named after the function, with
a docstring; methods test_typical and test_edges, and test_error where the function can raise; every
statement an assertion on a call of the function, in values written out; the closing lines.
'''

import ast
import functools
import math
import random
import re
import unittest
from collections.abc import Callable
from typing import Any

from ftlab import data, sandbox
from ftlab.tasks import Ratio, digest, draw, marks
from ftlab.tasks.functions import MODULE, house, make, write

CUE = "Write the unit tests of this function:\n\n"
LONGEST = 1100
"""Characters in the longest prompt and completion together."""
NEW_FAMILY, SEEN_FAMILY = "new family", "seen family"
"""The slices of the test split."""


def _make(rng: random.Random, new: bool, ours: Callable[[str], bool]) -> data.Row | None:
    """Draw one record; None if it came out too long or without cases."""
    made = make(rng, new)
    while not new and not ours(made.source):  # until it is one: half of the test split shall be
        made = make(rng, new)
    completion = write(made)
    if completion is None or len(CUE + made.source + completion) > LONGEST:
        return None
    return data.example(
        CUE + made.source.rstrip("\n"), completion, id=digest(made.source),
        slice=NEW_FAMILY if new else made.kind, kind=made.kind, difficulty=made.difficulty,
        group=made.family, source=f"{__name__} (composed)",
    )  # fmt: skip


def examples(n: int, seed: int, split: str = "train") -> list[data.Row]:
    """Draw `n` functions with their tests; errors as of `ftlab.tasks.draw`.

    Half of "test" are functions of families that training never shows, and half are functions of
    its families with other numbers, words or names.
    """
    records = draw(_make, n, seed, split, "unit_tests")
    if split == "test":
        for record in records:
            if data.meta(record)["slice"] != NEW_FAMILY:
                record["meta"]["slice"] = SEEN_FAMILY
    return records


def prompt(text: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask for the tests of a function, given its source."""
    return ({"role": "user", "content": CUE + text.strip("\n")},)


_FENCE = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
_PREAMBLE = re.compile(r"\A(?![^\n]*(?:import|class|def) )[^\n]*:[ \t]*\n+")


def parse(text: str) -> str:
    """Return the module in an answer: what a code fence holds, up to the house's closing lines."""
    before = None
    while text != before:
        before, fenced = text, _FENCE.search(text)
        text = _PREAMBLE.sub("", fenced[1] if fenced else text).strip("\n")
        head, closing, _ = text.partition("\n    unittest.main()")
        text = head + closing
    return text


def target_of(record: data.Row) -> str:
    """Return the source of the function that a record asks to test."""
    content = data.prompt(record)[-1]["content"]
    at = re.search(r"^(?:def|import|from) ", content, re.MULTILINE)
    return content[at.start() :] + "\n" if at else ""


def tree_of(source: str) -> ast.Module | None:
    """Return the syntax tree of a source, None if it does not parse."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def function_of(target: str) -> str:
    """Return the name of the last function that a source defines; "" if there is none."""
    tree = tree_of(target)
    names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)] if tree else []
    return names[-1] if names else ""


def _literal(node: Any) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _asserts(statement: ast.stmt, function: str, name: str) -> bool:
    """Say whether a statement is the house's assertion on a call of the function, in literals."""
    values: list[ast.expr]
    match statement:
        case ast.Expr(ast.Call(method, [ast.Call(asked, values), wanted])) if name != "test_error":
            wording, values = "self.assertEqual", [*values, wanted]
        case ast.With([ast.withitem(ast.Call(method))], [ast.Expr(ast.Call(asked, values))]) if (
            name == "test_error"
        ):
            wording = "self.assertRaises"
        case _:
            return False
    named = ast.unparse(method) == wording and ast.unparse(asked) == function
    return named and all(map(_literal, values))


def style(module: str, target: str) -> bool:
    """Say whether a test module keeps the house style for the last function of a source."""
    tree, function = tree_of(module), function_of(target)
    if tree is None or not function:
        return False
    methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    wanted = ["test_typical", "test_edges", *["test_error"] * ("raise " in target)]
    named = [m.name for m in methods] in (wanted, [*wanted[:2], "test_error"])
    assertions = all(_asserts(line, function, m.name) for m in methods for line in m.body)
    again = house(function, {m.name: [ast.unparse(line) for line in m.body] for m in methods})
    return named and assertions and ast.dump(tree) == ast.dump(ast.parse(again))


_TOUCHY = {
    "breakpoint", "compile", "delattr", "eval", "exec", "exit", "getattr", "globals", "help",
    "input", "locals", "open", "print", "quit", "setattr", "vars",
}  # fmt: skip
_CASE = {name for name in dir(unittest.TestCase) if name != "maxDiff"}
_ASSERTS = {name for name in _CASE if name.startswith("assert")} - {
    "assertLogs", "assertNoLogs", "assertWarns", "assertWarnsRegex"  # they outlast a test
}  # fmt: skip
_OF_VALUES = {name for kind in (str, list, dict, set) for name in dir(kind)}
_ALLOWED = {
    "self": _ASSERTS | {"subTest", "fail", "maxDiff"},
    "unittest": {"TestCase", "main"},
    "math": set(dir(math)),
}
_BANNED = (ast.Global, ast.Nonlocal, ast.AsyncFunctionDef, ast.Return, ast.Match)


def plain(module: str, function: str) -> bool:
    """Say whether a test module is of the sort that may be run: it can only call and assert.

    It imports nothing but unittest, math and the function; of its test case it takes the
    assertions, of other values what strings and collections have; its functions are tests, setUp
    and tearDown; no underscores, decorators or set attributes; and something is asserted.
    """
    tree = tree_of(module)
    if tree is None:
        return False
    kept = {"unittest", "math", "self", function} | _CASE
    owned = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    asserts = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            bad = any(a.name not in ("unittest", "math") or a.asname for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            bad = node.module != MODULE or any(a.asname or a.name != function for a in node.names)
        elif isinstance(node, ast.Name):
            bound = not isinstance(node.ctx, ast.Load) and node.id in kept
            hidden = node.id.startswith("_") and node.id != "__name__"
            loose = node.id in ("unittest", "math") and id(node) not in owned
            bad = node.id in _TOUCHY or bound or hidden or loose
        elif isinstance(node, ast.Attribute):
            asserts |= node.attr in _ASSERTS
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            allowed = node.attr in _ALLOWED.get(owner, _OF_VALUES)
            bad = not allowed or node.attr[0] == "_" or not isinstance(node.ctx, ast.Load)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            fixture = node.name in ("setUp", "tearDown") or isinstance(node, ast.ClassDef)
            named = node.name.startswith("test") or fixture
            taken = node.name in kept - {"setUp", "tearDown"}
            bad = bool(node.decorator_list) or not named or taken
        else:
            bad = isinstance(node, _BANNED)
        if bad:
            return False
    return asserts


@functools.lru_cache(4096)
def run_tests(module: str, target: str) -> sandbox.SandboxResult:
    """Run a test module in the sandbox, against the source of a function, true or mutated."""
    return sandbox.run(module, tests=True, modules={MODULE: target}, allow_weak=True)


def score(record: data.Row, text: str) -> dict[str, Ratio]:
    """Mark a test module: how far it gets, from parsing to passing.

    Returns:
        `passes` (it has tests, and all pass on the function), `parses`, `style` (all rules of the
        house are kept), `runs` (every test came to a verdict, be it wrong) and `tests_passed` (of
        the tests that ran). A module that is not `plain` is not run.
    """
    module, target = parse(text), target_of(record)
    runs = passes = False
    right = wrong = 0
    if plain(module, function_of(target)):
        result = run_tests(module, target)
        right, wrong = len(result.passed), len(result.failed)
        asserted = all(why.startswith("AssertionError") for why in result.failed.values())
        runs = result.outcome in ("ok", "failed") and right + wrong > 0 and asserted
        passes = result.ok
    parses = bool(module.strip()) and tree_of(module) is not None
    return {**marks(passes=passes, parses=parses, style=style(module, target), runs=runs),
            "tests_passed": Ratio(right, right + wrong)}  # fmt: skip
