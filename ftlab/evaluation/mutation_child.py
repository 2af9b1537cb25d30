"""What runs in the sandbox to judge a function and its mutants, all in one process.

`ftlab.evaluation.mutation` puts a line `ORDER = {...}` above this module's text and runs both as a
module of tests: the sources become one test each, so that the verdict on each comes back through
the sandbox's channel. The first source and the last are the true function. The order has either

    tests     the source of a test module, which imports the function: a source passes if its tests
              do, and all fail if they do not pass on the true function at the start
    probes    calls, as lists of arguments: a source passes if it does what the true function does

Every source is loaded anew, into modules of its own. Steps are counted, not seconds: a source may
take ten times as many as the true function, and some.
"""

import ast
import contextlib
import copy
import functools
import io
import itertools
import sys
import types
import unittest
from typing import Any

ORDER: dict[str, Any] = globals().get("ORDER", {})
LONG = 1_000_000
"""Steps that the true function may take in its tests, and in all its probes together."""


class Spent(BaseException):
    """The steps are used up; no `except Exception` catches it."""


class Fuel:
    """The steps that a source may take: those given, and those that are left of them."""

    given = left = 0

    def fill(self, steps: int) -> None:
        """Allow so many steps."""
        self.given = self.left = steps

    def step(self) -> bool:
        """Take one; raise `Spent` when there is none."""
        self.left -= 1
        if self.left < 0:
            raise Spent
        return True


FUEL = Fuel()


class Silence(io.TextIOBase):
    """Takes what a function prints, and keeps nothing."""

    def write(self, text: str) -> int:
        """Take it."""
        return len(text)


def load(name: str, source: str) -> types.ModuleType:
    """Run a source as a module of this name."""
    module = types.ModuleType(name)
    module.__dict__[ORDER["step"]] = FUEL.step
    sys.modules[name] = module
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)
    return module


# Tests.


def raised(trace: str) -> str:
    """Return the line of a traceback that names the exception; more of its text may follow."""
    lines = trace.rsplit("Traceback", 1)[-1].splitlines()[1:]
    return next((line for line in lines if line[:1].strip()), "")


def examine(source: str, first: bool) -> str:
    """Run the tests on a source; return "" if they pass, else why not."""
    try:
        load(ORDER["module"], source)
        suite = unittest.TestLoader().loadTestsFromModule(load("tests", ORDER["tests"]))
        result = unittest.TestResult()
        result.failfast = not first
        suite.run(result)
    except BaseException as error:
        return "endless" if FUEL.left < 0 else f"does not load: {error!r}"
    wrong = [*result.failures, *result.errors]
    if FUEL.left < 0:
        return "endless"
    if wrong:
        return f"fails: {raised(wrong[0][1])}"
    if result.unexpectedSuccesses:
        return "fails: unexpected success"
    return "" if result.testsRun > len(result.skipped) else "no tests"


# Probes.


def observe(function: Any, arguments: list[Any]) -> tuple[str, Any]:
    """Call it; return how that ended, with the value and what has become of the arguments."""
    arguments = copy.deepcopy(arguments)
    try:
        value = function(*arguments)
        if hasattr(value, "__next__"):
            value = list(itertools.islice(value, 1000))
    except Spent:
        return "endless", None
    except Exception as error:
        return "raises", type(error).__name__
    return "returns", (value, arguments)


def same(one: tuple[str, Any], other: tuple[str, Any]) -> bool:
    """Say whether no `assertEqual` would tell two observations apart."""
    if one[0] != other[0]:
        return False
    try:
        return bool(one[1] == other[1]) or repr(one[1]) == repr(other[1])
    except Exception:
        return False


KNOWN: list[tuple[list[Any], tuple[str, Any], int]] = []
"""The probes worth having: arguments, what the true function does, and in how many steps."""


def observe_truth(source: str) -> None:
    """Fill `KNOWN`, leaving out probes that are outside of what the function is for."""
    function = getattr(load(ORDER["module"], source), ORDER["function"])
    spent = 0
    for arguments in map(ast.literal_eval, ORDER["probes"]):
        FUEL.fill(LONG // 10)
        seen = observe(function, arguments)
        used = FUEL.given - FUEL.left
        spent += used
        FUEL.fill(LONG // 10)
        # An exception that the source does not name came from arguments that make no sense.
        if seen[0] == "raises" and seen[1] not in ORDER["raises"]:
            continue
        if seen[0] != "endless" and same(seen, observe(function, arguments)):
            KNOWN.append((arguments, seen, used))
        if spent > LONG:
            break


def probe(source: str, first: bool) -> str:
    """Call a source with the probes; return "" if it does as the true function does."""
    try:
        if first:
            observe_truth(source)
        function = getattr(load(ORDER["module"], source), ORDER["function"])
    except BaseException as error:
        return f"does not load: {error!r}"
    for arguments, seen, used in KNOWN:
        FUEL.fill(10 * used + 1000)
        if not same(seen, observe(function, arguments)):
            return f"differs: {arguments!r}"
    return "" if KNOWN else "no probes"


class Sources(unittest.TestCase):
    """One test for each source, in their order."""

    longMessage = False
    truth = ""  # why the true function failed, if it did
    steps = LONG

    def judge(self, number: int, source: str) -> None:
        """Fail where a source does not do as it should; the first one is the true function."""
        why = Sources.truth and "not run"
        if not why:
            FUEL.fill(Sources.steps)
            with contextlib.redirect_stdout(Silence()):
                why = (examine if "tests" in ORDER else probe)(source, number == 0)
            if number == 0:
                Sources.truth, Sources.steps = why, 10 * (FUEL.given - FUEL.left) + 10_000
        if why:
            self.fail(why.replace("\n", " ")[:300])


for _number, _source in enumerate(ORDER.get("sources", ())):
    test = functools.partialmethod(Sources.judge, _number, _source)
    setattr(Sources, f"test_{_number:04}", test)
