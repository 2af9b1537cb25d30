"""The sandbox's side of the agent: tests run, lines counted, calls tried, small faults noticed.

The module of a function is imported whole, and the function is defined once more among its names:
so its lines can be counted, and small faults put into it, while all around it stays.
"""

import ast
import json
from collections.abc import Sequence
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
# What stands for pytest inside, where only the standard library is.
_PYTEST = """import math, unittest

class approx:
    def __init__(self, value, rel=1e-6, abs=1e-12):
        self.value, self.near = value, {"rel_tol": rel, "abs_tol": abs}
    def __eq__(self, other):
        return math.isclose(other, self.value, **self.near)

def raises(error, match=""):
    return unittest.TestCase().assertRaisesRegex(error, match)
"""
_COUNT = """import builtins, sys
def _ftlab_line(number, seen=set(), out=sys.stdout):
    if number not in seen:
        seen.add(number)
        print(chr(1), number, file=out)
builtins._ftlab_line = _ftlab_line
"""
# Behind the tests: pytest's functions and classes become test cases.
_COLLECT = """
def _ftlab_collect(space):
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
"""
_CALLS = """import ast, builtins, importlib, json, sys
out, sys.stdout = sys.stdout, open("printed.txt", "w")
space = vars(importlib.import_module("target"))
for number, call in enumerate(ORDER):
    value = error = ""
    try:
        values = [eval(call, space) for _ in range(2)]
    except Exception as raised:
        error = type(raised).__name__
    else:
        value = repr(values[0])
        try:
            again = ast.literal_eval(value)
            assert all(type(again) is type(one) and again == one for one in values)
        except Exception:
            error = "its value cannot be written out"
    print(chr(1), json.dumps([value, error]), file=out, flush=True)
"""


_WEAK = "not run: without a strong sandbox only plain tests are, of literals"


@dataclass
class Ran:
    """How tests fared, and which lines of the function's file ran."""

    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lines: set[int] = field(default_factory=set)
    ended: bool = True  # False where they did not all come to a verdict


def target_of(function: Function) -> str:
    """Return the source that tests import the function from."""
    return _HEADER.format(function.module) + function.source


def _inside(function: Function, target: str) -> dict[str, str]:
    return {"pytest": _PYTEST, **function.modules, MODULE: target}


def _contained(plain: bool) -> bool:
    """Say whether code may be run here: plain code may anywhere."""
    return plain or sandbox.level() != "rlimits"


def last_line(done: sandbox.SandboxResult) -> str:
    """Return why a program did not come to its end."""
    return (done.stderr.strip().splitlines() or [done.outcome])[-1][:200]


def _told(output: str) -> list[str]:
    """Return what our own lines say among all that was printed."""
    return [line.partition("\1 ")[2] for line in output.splitlines() if "\1 " in line]


def loads(function: Function) -> str:
    """Return why the function's module cannot be loaded in the sandbox, "" if it can."""
    inside = _inside(function, target_of(function))
    done = sandbox.run(f"import {MODULE}", modules=inside, allow_weak=True)
    return "" if done.ok else last_line(done)


def run(module: str, names: Sequence[str], function: Function) -> Ran:
    """Run a module of tests, which have these names, on a function in its project."""
    if not _contained(unit_tests.plain(module, function.name)):
        return Ran(failed=dict.fromkeys(names, _WEAK))
    target, lines = counted(function)
    inside = _inside(function, target)
    done = sandbox.run(_COUNT + module + _COLLECT, tests=True, modules=inside, allow_weak=True)
    if done.outcome not in ("ok", "failed"):
        return Ran(failed=dict.fromkeys(names, last_line(done)), ended=False)
    failed = {name.rsplit(".", 1)[-1]: why for name, why in done.failed.items()}
    seen = lines & {int(number) for number in _told(done.stdout) if number.isdigit()}
    return Ran([name.rsplit(".", 1)[-1] for name in done.passed], failed, seen)


def counted(function: Function) -> tuple[str, set[int]]:
    """Return the target with its statements' lines counted as they run, and those lines."""
    tree = ast.parse(function.source)
    lines: set[int] = set()
    for node in list(ast.walk(tree.body[0])):
        for name in ("body", "orelse", "finalbody"):
            body: Any = getattr(node, name, None)
            for at in reversed(range(len(body) if isinstance(body, list) else 0)):
                one = body[at]
                text = isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
                if not text and not isinstance(one, (ast.Nonlocal, ast.Global)):
                    lines.add(line := one.lineno + function.line - 1)
                    body.insert(at, ast.parse(f"_ftlab_line({line})").body[0])
    return f"{_HEADER.format(function.module)}{ast.unparse(tree)}\n", lines


def values(calls: Sequence[str], function: Function) -> dict[str, tuple[str, str]]:
    """Run calls of a function, each twice: call -> its value written out, or why there is none."""
    plain = {call: any(calls_in(call, function.name)) for call in calls}
    left = [call for call in calls if _contained(plain[call])]
    found = {call: ("", _WEAK) for call in calls if call not in left}
    inside = _inside(function, target_of(function))
    while left:
        done = sandbox.run(f"ORDER = {left!r}\n{_CALLS}", modules=inside, allow_weak=True)
        told = [tuple(json.loads(line)) for line in _told(done.stdout)]
        # The call that ended the run, if one did, has no line.
        told += [("", last_line(done))] * (len(told) < len(left))
        found |= dict(zip(left, told, strict=False))
        left = left[len(told) :]
    return found


def _defaults(function: Function, given: int) -> list[Any]:
    """Return the default values of the parameters behind the `given` first ones."""
    arguments: Any = ast.parse(function.source).body[0].args  # type: ignore[attr-defined]
    least = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    try:
        return [ast.literal_eval(d) for d in arguments.defaults[max(0, given - least) :]]
    except ValueError:
        return []


def noticed(module: str, function: Function, most: int) -> tuple[int, int, list[str]]:
    """Put small faults into a function, at most so many, and see which its tests notice.

    Returns how many are noticed by the module of tests ("" for none), of how many; the rest in
    words.
    """
    target, inside = target_of(function), {"pytest": _PYTEST, **function.modules}
    offset = function.line - _HEADER.count("\n") - 1
    made = faults.make(target, most=most)
    whys = mutation.run_on(module + _COLLECT, target, made, inside) if module else ["no tests"]
    if whys[0]:
        return 0, len(made), [f"no fault can be tried: {whys[0]}"]
    alive = [mutant for mutant, why in zip(made, whys[1:], strict=True) if not why]
    given = list(calls_in(module, function.name))
    given += [[*call, *rest] for call in given if (rest := _defaults(function, len(call)))]
    calls = mutation.told_apart(target, function.name, given, alive, inside) if alive else []
    told = list(zip(alive, calls or [""] * len(alive), strict=True))
    apart = [(mutant, call[10:-1]) for mutant, call in told if call.startswith("differs: [")]
    said = []
    for at in sorted({mutant.line for mutant, _ in apart}):
        (mutant, call), *more = [pair for pair in apart if pair[0].line == at]
        lines = faults.diff(target, mutant).splitlines()
        old, new = ([line[1:].strip() for line in lines if line[0] == sign] for sign in "-+")
        said.append(
            f"line {at + offset}: no test tells `{old[0]}` from `{new[0] if new else 'nothing'}`, "
            f"{function.name}({call}) would" + f" ({len(more)} more on this line)" * bool(more)
        )
    if quiet := len(alive) - len(apart):
        go = "changes go" if quiet > 1 else "change goes"
        said.append(f"{quiet} small {go} unnoticed by every call that was tried: perhaps no fault")
    return len(made) - len(alive), len(made), said
