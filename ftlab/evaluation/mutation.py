'''How sharp are tests? Count the small faults in the function that they notice.

A test module is judged in stages, the later ones by running it in the sandbox:

    parses     it is Python
    style      it keeps the rules of the house (`ftlab.tasks.unit_tests`)
    collects   it loads, and has a test
    passes     all its tests pass on the true function, at the start and again at the end
    killed     the share of the function's mutants (`ftlab.evaluation.mutants`) on which a test
               fails; a module that does not pass kills none

A mutant that does as the function does is no fault, and no test can kill it. Whether one is, no
program can tell in general; here those are dropped that agree with the function on every *probe*:
calls like those of the reference tests, and near them. So every answer to a record is judged by the
same mutants. Mutants that only rarer calls would tell apart are dropped too, and some are kept that
only calls beside the function's purpose tell apart: a rate compares tests, it is no absolute.

All mutants of a function are judged in one run of the sandbox, each loaded anew, with its steps
counted. The verdicts come through the sandbox's channel: what a module prints counts for nothing,
and only a *plain* one is run, that has no means to keep anything from one mutant for the next.

>>> from ftlab.tasks.unit_tests import CUE
>>> tests = """import unittest
... from target import add
... class T(unittest.TestCase):
...     def test_typical(self):
...         self.assertEqual(add(2, 2), 4)
... """
>>> graded = grade(tests, "def add(a, b):\\n    return a + b\\n", reference="add(2, 2), add(3, 4)")
>>> graded.passes, graded.killed, [m.operator for m in graded.mutants]
(True, (True, True), ['return', 'arithmetic'])
'''

import ast
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftlab import data, sandbox
from ftlab.errors import ConfigError, DataError
from ftlab.evaluation import mutants as faults
from ftlab.evaluation.intervals import Interval, bootstrap
from ftlab.evaluation.mutants import Mutant
from ftlab.evaluation.probes import calls_in, probes_near
from ftlab.tasks import Ratio, unit_tests
from ftlab.tasks.unit_tests import MODULE, function_of, tree_of

STAGES = ("parses", "style", "collects", "passes")
_TIMEOUT = 10.0
"""Seconds for all mutants of a function; most take a tenth. Endless loops end by their steps."""


@dataclass(frozen=True)
class Graded:
    """What became of one test module."""

    parses: bool
    style: bool
    collects: bool
    passes: bool
    why: str  # why it got no further; "" if it passes
    target: str  # the source of the true function
    mutants: tuple[Mutant, ...]  # of the function, without those that no probe tells from it
    killed: tuple[bool, ...]  # of each mutant, whether a test failed on it

    @property
    def survivors(self) -> list[Mutant]:
        """The faults that went unnoticed."""
        return [m for m, dead in zip(self.mutants, self.killed, strict=True) if not dead]


def grade(module: str, target: str, *, reference: str = "") -> Graded:
    """Judge a test module by the function and its mutants.

    Args:
        module: the source of the tests; they import the function from the module `target`.
        target: the source of the function, which is the last that it defines.
        reference: source with calls of the function that make sense, such as tests known to be
            right; the probes are made from them. Without any, from values of all common types.

    Raises:
        DataError: the target does not define a function.
    """
    function = function_of(target)
    if not function:
        raise DataError(
            "The target defines no function: source that opens with def is wanted, got "
            f"{target[:60]!r}."
        )
    known = _mutants(target, function, reference)
    style = unit_tests.style(module, target)
    parses = bool(module.strip()) and tree_of(module) is not None
    dead = (False,) * len(known)
    if not parses or not unit_tests.plain(module, function):
        why = "not plain: it does more than call and assert" if parses else "does not parse"
        return Graded(parses, style, False, False, why, target, known, dead)
    first, *whys = run_on(module, target, known)
    collects = not first.startswith(("no tests", "does not load"))
    if not first:
        dead = tuple(map(bool, whys))
    return Graded(True, style, collects, not first, first, target, known, dead)


@functools.lru_cache(4096)
def _mutants(target: str, function: str, reference: str) -> tuple[Mutant, ...]:
    """Return the mutants that a probe tells from the function; all, if there is no probe."""
    made = faults.make(target)
    whys = told_apart(target, function, [*calls_in(reference, function)], made)
    if whys is None:
        return made
    return tuple(mutant for mutant, why in zip(made, whys, strict=True) if why)


# In the sandbox.


def run_on(
    module: str, target: str, mutants: Sequence[Mutant], modules: Mapping[str, str] | None = None
) -> list[str]:
    """Run a test module on a function, then on each mutant; "" where it passes, else why not.

    The module is run whatever it does, so ask `plain` first, or trust the verdict no further than
    the module. `modules` are further ones that the target imports: name -> source.
    """
    order = {"tests": faults.fuelled(module)}
    return _judge(order, target, [mutant.source for mutant in mutants], modules)


def told_apart(
    target: str, function: str, given: Sequence[Sequence[Any]], mutants: Sequence[Mutant],
    modules: Mapping[str, str] | None = None,
) -> list[str] | None:  # fmt: skip
    """Return for each mutant the first call that tells it from the function, "" if none does.

    `given` are the arguments of calls that make sense; those near them are tried too. A call is
    told of as "differs: [arguments]" or the like; None where no call could be tried.
    """
    raised = (node.exc for node in ast.walk(ast.parse(target)) if isinstance(node, ast.Raise))
    called = (error.func if isinstance(error, ast.Call) else error for error in raised)
    names = [error.id for error in called if isinstance(error, ast.Name)]
    # Those near the given ones may be too much for the function: then the given ones alone.
    for calls in ([*given, *probes_near(given, target, function)], given):
        order = {"probes": list(map(repr, calls)), "function": function, "raises": names}
        whys = _judge(order, target, [mutant.source for mutant in mutants], modules)
        if not whys[0]:
            return whys[1:]
    return None


def _judge(
    order: dict[str, Any], truth: str, sources: list[str], modules: Mapping[str, str] | None = None
) -> list[str]:
    """Judge the true function, then each source; return "" for what passes, else why not."""
    fuelled = [faults.fuelled(source) for source in (truth, *sources, truth)]
    full = {**order, "module": MODULE, "step": faults.STEP, "sources": fuelled}
    code = f"ORDER = {full!r}\n{_child()}"
    result = sandbox.run(code, tests=True, timeout=_TIMEOUT, allow_weak=True, modules=modules)
    if result.outcome in ("ok", "failed"):
        passed = {name.rsplit("_", 1)[-1] for name in result.passed}
        reasons = {k.rsplit("_", 1)[-1]: v.partition(": ")[2] for k, v in result.failed.items()}
        keys = [f"{i:04}" for i in range(len(fuelled))]
        whys = ["" if key in passed else reasons.get(key, "") or "not run" for key in keys]
        if whys[-1] and not whys[0]:
            whys[0] = "unstable: on the true function it passed, and then did not"
        return whys[:-1]
    why = f"ended the run: {result.outcome}"
    if not sources:
        return [why]
    # One of them did, as by counting in C, which takes no steps: each is judged in its own run.
    (alone,) = _judge(order, truth, [], modules)
    if alone or len(sources) == 1:
        return [alone] + [alone or why] * len(sources)
    return ["", *(_judge(order, truth, [source], modules)[1] for source in sources)]


@functools.cache
def _child() -> str:
    return Path(__file__).with_name("mutation_child.py").read_text(encoding="utf-8")


# Many modules.


def grade_all(records: Sequence[data.Row], texts: Sequence[str]) -> list[Graded]:
    """Judge what a model wrote for records of the task `unit_tests`, one text for each.

    Probes come from a record's completion.

    Raises:
        ConfigError: there are more of one than of the other.
        DataError: a record asks for the tests of no function.
    """
    if len(records) != len(texts):
        raise ConfigError(
            f"{len(records)} records, but {len(texts)} texts. Give one text for each record."
        )
    return [
        grade(unit_tests.parse(text), unit_tests.target_of(record), reference=data.answer(record))
        for record, text in zip(records, texts, strict=True)
    ]


def ratios(graded: Graded) -> dict[str, Ratio]:
    """Return one module's share of each stage, and of the mutants.

    `killed` is of all mutants, where a module that does not pass kills none.
    """
    stages = {stage: Ratio(float(getattr(graded, stage)), 1) for stage in STAGES}
    return {**stages, "killed": Ratio(sum(graded.killed), len(graded.mutants))}


def figures(graded: Sequence[Graded], *, seed: int = 0) -> dict[str, Interval]:
    """Return the share of modules that come through each stage, and of mutants that are killed.

    The intervals are the bootstrap's over modules: the mutants of one function are killed or spared
    together.

    Raises:
        ConfigError: there is no module.
    """
    rows = [ratios(one) for one in graded]
    if not rows:
        raise ConfigError("There are no test modules to judge. Give at least one.")
    return {
        name: bootstrap([r[name].num for r in rows], [r[name].den for r in rows], seed=seed)
        for name in rows[0]
    }


def show(graded: Graded) -> str:
    """Return the mutants that survived, as what each changed in the function."""
    if not graded.passes:
        return f"It kills no mutant, for it does not pass on the function: {graded.why}"
    lines = [f"{len(graded.survivors)} of {len(graded.mutants)} mutants survive"]
    for mutant in graded.survivors:
        lines += [f"{mutant.operator}, line {mutant.line}", faults.diff(graded.target, mutant)]
    return "\n".join(lines)
