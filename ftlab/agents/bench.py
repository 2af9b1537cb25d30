"""The sandbox's side of the agent: tests run, lines counted, calls tried, small faults noticed.

What is run is the function as it stands in its module: the module is imported whole, and the
function is defined once more among its names (`target_of`), so that its lines can be counted and
small faults put into it while all around it stays.
"""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftlab import sandbox
from ftlab.agents.functions import Function
from ftlab.evaluation import mutants as faults
from ftlab.evaluation import mutation
from ftlab.evaluation.probes import calls_in
from ftlab.tasks import unit_tests
from ftlab.tasks.unit_tests import MODULE

_HEADER = """from __future__ import annotations
import importlib
globals().update({{k: v for k, v in vars(importlib.import_module({!r})).items() if k[:2] != "__"}})
"""
_PYTEST = """import math, unittest

class approx:
    def __init__(self, value, rel=1e-6, abs=1e-12):
        self.value, self.rel, self.abs = value, rel, abs
    def __eq__(self, other):
        return math.isclose(other, self.value, rel_tol=self.rel, abs_tol=self.abs)

def raises(error, match=None):
    case = unittest.TestCase()
    return case.assertRaisesRegex(error, match) if match else case.assertRaises(error)
"""
"""What stands for pytest inside, where only the standard library is."""
_COUNT = """import builtins, sys
def _ftlab_line(number, seen=set(), out=sys.stdout):
    if number not in seen:
        seen.add(number)
        print(chr(1), number, file=out)
builtins._ftlab_line = _ftlab_line
"""
_COLLECT = '''
def _ftlab_collect(space):
    """Make test cases of pytest's functions and classes."""
    import unittest
    functions = {}
    for name, thing in list(space.items()):
        if isinstance(thing, type) and name.startswith("Test"):
            if not issubclass(thing, unittest.TestCase):
                space[name] = type(name, (thing, unittest.TestCase), {})
        elif name.startswith("test") and callable(thing):
            functions[name] = lambda self, run=thing: run()
    if functions:
        space["Functions"] = type("Functions", (unittest.TestCase,), functions)
_ftlab_collect(globals())
'''
_CALLS = """import ast, builtins, importlib, json, sys
out, sys.stdout = sys.stdout, open("printed.txt", "w")
space = vars(importlib.import_module("target"))
for number, call in ORDER:
    try:
        values = [eval(call, space) for _ in range(2)]
    except Exception as error:
        name = type(error).__name__
        known = name in space or hasattr(builtins, name)
        said = {"error": name if known else "an exception of another module"}
    else:
        text = repr(values[0])
        try:
            again = ast.literal_eval(text)
            same = all(type(again) is type(value) and again == value for value in values)
        except Exception:
            same = False
        said = {"value": text} if same else {"error": "no plain value"}
    print(chr(1), json.dumps([number, said]), file=out, flush=True)
"""


@dataclass
class Ran:
    """How tests fared."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Name of a test -> why."""
    lines: set[int] = field(default_factory=set)
    """Of the function's file, those that ran."""


def target_of(function: Function) -> str:
    """Return the source that tests import the function from."""
    return _HEADER.format(function.module) + function.source


def loads(function: Function, modules: Mapping[str, str]) -> str:
    """Return why the function's module cannot be loaded in the sandbox, "" if it can."""
    done = sandbox.run(
        f"import {MODULE}", modules={**modules, MODULE: target_of(function)}, allow_weak=True
    )
    return "" if done.ok else _last(done) or done.outcome


def run(module: str, names: Sequence[str], function: Function, modules: Mapping[str, str]) -> Ran:
    """Run a module of tests on a function.

    Args:
        module: the source; it imports the function from the module `target`.
        names: of its tests.
        function: what they test.
        modules: of the project, by name.
    """
    target, lines = _counted(function)
    done = sandbox.run(
        _COUNT + module + _COLLECT, tests=True, modules=_inside(modules, target),
        allow_weak=unit_tests.plain(module, function.name),
    )  # fmt: skip
    passed = [name.rsplit(".", 1)[-1] for name in done.passed]
    failed = {name.rsplit(".", 1)[-1]: why for name, why in done.failed.items()}
    if done.outcome not in ("ok", "failed"):  # it did not load, or did not end
        passed, failed = [], dict.fromkeys(names, _last(done) or done.outcome)
    seen = {int(number) for number in _told(done.stdout) if number.isdigit()}
    return Ran(passed, failed, {line for line in lines if line in seen})


def run_file(text: str, modules: Mapping[str, str]) -> sandbox.SandboxResult:
    """Run a whole file of tests as it will stand in the project."""
    return sandbox.run(text + _COLLECT, tests=True, modules=_inside(modules, ""), timeout=20.0)


def _inside(modules: Mapping[str, str], target: str) -> dict[str, str]:
    return {"pytest": _PYTEST, **modules, MODULE: target}


def _last(done: sandbox.SandboxResult) -> str:
    return (done.stderr.strip().splitlines() or [""])[-1][:200]


def _told(output: str) -> list[str]:
    """Return what our own lines say among all that was printed."""
    return [line.partition("\1 ")[2] for line in output.splitlines() if "\1 " in line]


def statements(function: Function) -> set[int]:
    """Return the lines of the file on which a statement of the function's body begins."""
    return _counted(function)[1]


def _counted(function: Function) -> tuple[str, set[int]]:
    """Return the target with its lines counted, and the lines that there are."""
    tree = ast.parse(function.source)
    lines: set[int] = set()
    for node in list(ast.walk(tree)):
        for body in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if not isinstance(body, list) or node is tree:
                continue
            for at in reversed(range(len(body))):
                text = isinstance(body[at], ast.Expr) and isinstance(body[at].value, ast.Constant)
                if not text and not isinstance(body[at], (ast.Nonlocal, ast.Global)):
                    line = body[at].lineno + function.line - 1
                    lines.add(line)
                    body.insert(at, ast.parse(f"_ftlab_line({line})").body[0])
    return _HEADER.format(function.module) + ast.unparse(tree) + "\n", lines


def values(
    calls: Sequence[str], function: Function, modules: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Run calls of a function; return for each its `value`, written out, or its `error`."""
    left, found = list(calls), dict[str, dict[str, str]]()
    while left:
        done = sandbox.run(
            f"ORDER = {list(enumerate(left))!r}\n{_CALLS}",
            modules=_inside(modules, target_of(function)),
            allow_weak=all(_plain(call) for call in left),
        )
        told = [json.loads(line) for line in _told(done.stdout)]
        found |= {left[number]: said for number, said in told}
        if len(told) < len(left):  # this one ended the run
            found[left[len(told)]] = {"error": done.outcome}
        left = left[len(told) + 1 :]
    return found


def _plain(call: str) -> bool:
    tree: Any = ast.parse(call, mode="eval").body
    return all(unit_tests._literal(a) for a in [*tree.args, *(k.value for k in tree.keywords)])


def notice(
    module: str, function: Function, modules: Mapping[str, str], most: int
) -> tuple[int, int, list[str]]:
    """Put small faults into a function and see which its tests notice.

    Args:
        module: tests that pass; "" for none.
        function: what they test.
        modules: of the project, by name.
        most: faults.

    Returns:
        How many were noticed, how many there are, and the others in words.
    """
    target = target_of(function)
    offset = function.line - _HEADER.count("\n") - 1
    made = faults.make(target, most=most)
    inside = {"pytest": _PYTEST, **modules}
    whys = mutation.run_on(module + _COLLECT, target, made, inside) if module else ["no tests"]
    if whys[0]:
        return 0, len(made), [f"its tests notice nothing: {whys[0]}"] * bool(module)
    alive = [mutant for mutant, why in zip(made, whys[1:], strict=True) if not why]
    known = list(calls_in(module, function.name))
    calls = mutation.told_apart(target, function.name, known, alive, inside) if alive else []
    said, quiet = [], 0
    for mutant, call in zip(alive, calls or [""] * len(alive), strict=True):
        if not call.startswith("differs: ["):
            quiet += 1
            continue
        old, new = _changed(target, mutant)
        text = f"line {mutant.line + offset}: no test tells `{old}` from `{new}`"
        said.append(f"{text}; {function.name}({call[len('differs: [') : -1]}) would")
    if quiet:
        said.append(
            f"{quiet} more small change{'s go' if quiet > 1 else ' goes'} unnoticed, "
            "also by every call that was tried: perhaps no fault at all"
        )
    return len(made) - len(alive), len(made), said


def _changed(target: str, mutant: faults.Mutant) -> tuple[str, str]:
    """Return the line that a fault changes, before and after."""
    lines = faults.diff(target, mutant).splitlines()
    sides = [[line[1:].strip() for line in lines if line[0] == sign] for sign in "-+"]
    return sides[0][0] if sides[0] else "", sides[1][0] if sides[1] else "nothing"
