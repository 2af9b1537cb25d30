"""How tests are written, by the house style or your own list, and read in an answer.

Each line of a markdown list is compiled into a check on the syntax tree, and into the solved
example that the model is shown. A line that no rule knows goes to the model only.

>>> mine = read_standards("- Test names start with test_<function>_\\n- Be kind")
>>> mine.loose, mine.broken(ast.parse("def test_it(): pass").body[0], "total")
(['Be kind'], ['Test names start with test_<function>_'])
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ftlab.generation import split_thought
from ftlab.tasks import unit_tests

Check = Callable[[Any, str], bool]


# rule -> how people say it, and whether a test keeps it, given the value that the line names
RULES: dict[str, tuple[str, Check]] = {
    "prefix": (
        r"names? (?:must |should )?(?:start|begin)s? with [`'\"]?(?P<value>[\w<>]+)",
        lambda test, value: test.name.startswith(value),
    ),
    "docstring": (r"docstring", lambda test, _: bool(ast.get_docstring(test))),
    "functions": (r"\bno (?:test )?class|plain functions", lambda test, _: not test.args.args),
    "longest": (
        r"at most (?P<value>\d+) lines",
        lambda test, value: (test.end_lineno or 0) - test.lineno < int(value),
    ),
}
CLOSING = '\n\nif __name__ == "__main__":\n    unittest.main()\n'
_EXAMPLE = (
    'def clamp(n):\n    if n < 0:\n        raise ValueError("below 0")\n    return min(n, 9)\n'
)


@dataclass(frozen=True)
class Case:
    """A call and what comes of it: a value, or the name of an exception."""

    call: str
    value: str = ""
    error: str = ""
    edge: bool = False

    @property
    def kind(self) -> str:
        """Which test it belongs to."""
        return "error" if self.error else "edges" if self.edge else "typical"


@dataclass(frozen=True)
class Standards:
    """What tests shall be like; without lines, the house style of `unit_tests`."""

    lines: tuple[str, ...] = ()

    @property
    def compiled(self) -> list[tuple[str, str, str]]:
        """(rule, the value that it names, the line) of each line that is checked."""
        return [
            (rule, match.groupdict().get("value") or "", line)
            for line in self.lines for rule, (pattern, _) in RULES.items()
            if (match := re.search(pattern, line, re.IGNORECASE))
        ]  # fmt: skip

    def get(self, rule: str) -> str | None:
        """Return the value that a rule names here ("" if none); None if no line has the rule."""
        return next((value for name, value, _ in self.compiled if name == rule), None)

    @property
    def classes(self) -> bool:
        """Whether tests stand in a class."""
        return self.get("functions") is None

    @property
    def loose(self) -> list[str]:
        """The lines that go to the model only."""
        return [line for line in self.lines if line not in [known for *_, known in self.compiled]]

    def broken(self, test: ast.stmt, function: str) -> list[str]:
        """Return the lines that a test of a function does not keep."""
        return [line for rule, value, line in self.compiled
                if not RULES[rule][1](test, value.replace("<function>", function))]  # fmt: skip

    def prompt(self, source: str) -> tuple[dict[str, str], ...]:
        """Return the messages that ask for a function's tests: the task's, and the standards."""
        if not self.lines:
            return unit_tests.prompt(source)
        cases = [Case("clamp(4)", "4"), Case("clamp(12)", "9"), Case("clamp(0)", "0", edge=True),
                 Case("clamp(-1)", error="ValueError")]  # fmt: skip
        rules = "\n".join(["Write unit tests that keep these rules:", *self.lines])
        answer = self.module(self.write("clamp", cases), "clamp")
        return (
            {"role": "system", "content": rules.replace("\n", "\n- ")},
            *unit_tests.prompt(_EXAMPLE),
            {"role": "assistant", "content": answer},
            *unit_tests.prompt(source),
        )

    def write(self, function: str, cases: Sequence[Case], mark: str = "") -> list[str]:
        """Return tests of these cases, the source of each, with `mark` behind expected values."""
        prefix = (self.get("prefix") or "test_").replace("<function>", function)
        tests = []
        for kind in ("typical", "edges", "error"):
            lines = [line for case in cases if case.kind == kind
                     for line in self._assertion(case, mark)]  # fmt: skip
            if not lines:
                continue
            if self.get("docstring") is not None:
                lines.insert(0, f'"""{kind.capitalize()}: {function}."""')
            body = "".join(f"    {line}\n" for line in lines)
            tests.append(f"def {prefix}{kind}({'self' * self.classes}):\n{body}")
        return tests

    def _assertion(self, case: Case, mark: str) -> list[str]:
        if case.error:
            raises = "self.assertRaises" if self.classes else "pytest.raises"
            return [f"with {raises}({case.error}):", f"    {case.call}"]
        if self.classes:
            return [f"self.assertEqual({case.call}, {case.value}){mark}"]
        return [f"assert {case.call} == {case.value}{mark}"]

    def block(self, tests: Sequence[str], function: str, name: str = "") -> str:
        """Return tests as they stand in a file: in a class of the function's, or one by one."""
        if not self.classes:
            return "\n\n".join(tests)
        inner = "\n".join(re.sub(r"(?m)^(?=.)", "    ", test) for test in tests)
        head = f"class {name or class_name(function)}(unittest.TestCase):"
        return f'{head}\n    """Tests of {function}."""\n\n{inner}'

    def imports(self, tests: Iterable[str]) -> set[str]:
        """Return what tests need to run at all."""
        wanted = {"unittest": self.classes, "pytest": any("pytest." in test for test in tests)}
        return {f"import {name}" for name, needed in wanted.items() if needed}

    def module(
        self, tests: Sequence[str], function: str, imports: Iterable[str] = (), names: str = ""
    ) -> str:
        """Return a module of tests of one function, imported from the module `target`."""
        head = "".join(f"{line}\n" for line in sorted({*imports, *self.imports(tests)}))
        head += f"\nfrom {unit_tests.MODULE} import {names or function}\n\n\n"
        return head.lstrip("\n") + self.block(tests, function) + CLOSING * self.classes


def class_name(function: str) -> str:
    """Return the name of a function's class of tests, as the house style has it."""
    return "Test" + "".join(part.capitalize() for part in function.split("_"))


def read_standards(text: str) -> Standards:
    """Compile a markdown list; what is no item of a list is for people only."""
    return Standards(tuple(re.findall(r"^\s*[-*+]\s+(.*\S)", text, re.MULTILINE)))


# What the model wrote, read leniently.


def tests_in_answer(text: str, function: str, style: Standards) -> tuple[dict[str, str], set[str]]:
    """Return the tests in an answer that call a function, and its imports.

    A test stands by itself: helpers, set-up methods and decorated tests are not taken, and of the
    imports only those of the standard library. An answer that was cut off loses its last lines.

    >>> tests_in_answer("def test_it():\\n    assert f(2) == 4  \\nf(", "f", Standards())
    ({'test_it': 'def test_it(self):\\n    assert f(2) == 4\\n'}, set())
    """
    lines = unit_tests.parse(split_thought(text)[1]).splitlines()
    tree = None
    while lines and tree is None:
        try:
            tree = ast.parse("\n".join(lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            lines.pop()
    tests: dict[str, str] = {}
    imports, bodies = set(), set()
    for top in tree.body if tree else []:
        if isinstance(top, (ast.Import, ast.ImportFrom)):
            roots = [getattr(top, "module", None) or alias.name for alias in top.names]
            if all(root.split(".")[0] in sys.stdlib_module_names for root in roots):
                imports.add(ast.unparse(top))
        for node in top.body if isinstance(top, ast.ClassDef) else [top]:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test"):
                continue
            called = any(isinstance(n, ast.Name) and n.id == function for n in ast.walk(node))
            body = "\n".join(map(ast.unparse, node.body))
            if called and not node.decorator_list and body not in bodies:
                bodies.add(body)
                if ast.unparse(node.args) in ("", "self"):
                    node.args.args = [ast.arg("self")] * (style.classes or "self." in body)
                tests[node.name] = ast.unparse(node) + "\n"
    return tests, imports - {"import unittest"}


def calls_in_answer(text: str, function: str) -> list[str]:
    """Return the calls of a function in an answer, be it a list of calls or a module of tests.

    >>> calls_in_answer("1. f(2) -> 4\\n- `f('a')`\\nassertEqual(f(g(1)), 4)\\ndef f(n):", "f")
    ['f(2)', "f('a')", 'f(g(1))']
    """
    found = []
    for match in re.finditer(rf"(?<!def )(?<![\w.]){function}\(", split_thought(text)[1]):
        line = match.string[match.start() :].partition("\n")[0]
        for end in re.finditer(r"\)", line):
            try:
                call = ast.parse(line[: end.end()], mode="eval").body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            found.append(ast.unparse(call))
            break
    return found
