"""How tests are written: the house style of the task `unit_tests`, or your own in a markdown list.

Each line of the list (`- every test has a docstring`) is compiled into a check on the syntax tree,
and into the example that the model is shown. A line that no rule here knows goes to the model only.

>>> mine = read_standards("- Test names start with test_<function>_\\n- Be kind")
>>> mine.loose, mine.broken(ast.parse("def test_it(): pass").body[0], "total")
(('Be kind',), ['Test names start with test_<function>_'])
"""

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ftlab.tasks import unit_tests
from ftlab.tasks.unit_tests import MODULE


def _asserts(test: ast.FunctionDef) -> int:
    """Count the assertions of a test: assert, self.assert…, pytest.raises."""
    return sum(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Attribute) and node.attr.startswith("assert"))
        or (isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.raises")
        for node in ast.walk(test)
    )


# name -> how people say it, and whether a test keeps it, given the value that the line names.
RULES: dict[str, tuple[str, Callable[[ast.FunctionDef, str], bool]]] = {
    "prefix": (
        r"names? (?:must |should )?(?:start|begin)s? with [`'\"]?(?P<value>[\w<>]+)",
        lambda test, value: test.name.startswith(value),
    ),
    "docstring": (r"docstring", lambda test, value: bool(ast.get_docstring(test))),
    "single": (
        r"(?:one|single) assert\w* (?:a|per|in (?:a|each|every)|for (?:a|each|every)) test",
        lambda test, value: _asserts(test) == 1,
    ),
    "functions": (
        r"\bno (?:test )?class(?:es)?\b|plain functions",
        lambda test, value: not test.args.args,
    ),
    "pytest": (
        r"pytest\.raises",
        lambda test, value: "assertRaises" not in ast.unparse(test),
    ),
    "longest": (
        r"at most (?P<value>\d+) lines",
        lambda test, value: (test.end_lineno or 0) - test.lineno < int(value),
    ),
}


@dataclass(frozen=True)
class Case:
    """A call and what comes of it."""

    call: str
    value: str = ""
    error: str = ""
    """The name of the exception that it raises."""
    edge: bool = False


@dataclass(frozen=True)
class Standards:
    """What tests shall be like; without lines, the house style of `unit_tests`."""

    lines: tuple[str, ...] = ()
    compiled: tuple[tuple[str, str, str], ...] = ()
    """(rule, the value it names, the line) of each line that is checked."""

    @property
    def loose(self) -> tuple[str, ...]:
        """The lines that go to the model only."""
        return tuple(
            set_ for set_ in self.lines if set_ not in [line for *_, line in self.compiled]
        )

    def get(self, rule: str) -> str | None:
        """Return the value that a rule has here, None if it is not among the lines."""
        return next((value for name, value, _ in self.compiled if name == rule), None)

    def has(self, rule: str) -> bool:
        """Say whether a rule is among the lines."""
        return self.get(rule) is not None

    def broken(self, test: ast.FunctionDef, function: str) -> list[str]:
        """Return the lines that a test of a function does not keep."""
        return [line for rule, value, line in self.compiled
                if not RULES[rule][1](test, value.replace("<function>", function))]  # fmt: skip

    def prompt(self, source: str) -> tuple[dict[str, str], ...]:
        """Return the messages that ask for a function's tests: the task's own, where it will do."""
        asked = unit_tests.prompt(source)
        if not self.lines:
            return asked
        rules = "\n".join(f"- {line}" for line in self.lines)
        return (
            {"role": "system", "content": f"Write unit tests that keep these rules:\n{rules}"},
            *unit_tests.prompt(_EXAMPLE),
            {"role": "assistant", "content": self.module(self.write("clamp", _CASES), "clamp")},
            *asked,
        )

    def write(self, function: str, cases: Sequence[Case], mark: str = "") -> list[str]:
        """Write tests of these cases; return the source of each.

        Args:
            function: its name.
            cases: calls, and what comes of them.
            mark: a comment behind each expected value.
        """
        kinds: dict[str, list[Case]] = {"typical": [], "edges": [], "error": []}
        for case in cases:
            kinds["error" if case.error else "edges" if case.edge else "typical"].append(case)
        prefix = (self.get("prefix") or "test_").replace("<function>", function)
        arguments = "" if self.has("functions") else "self"
        tests = []
        for kind, some in kinds.items():
            groups = [[case] for case in some] if self.has("single") else [some] * bool(some)
            for number, group in enumerate(groups, start=1):
                name = f"{prefix}{kind}" + f"_{number}" * (len(groups) > 1)
                what = {"typical": "Typical values", "edges": "Edges", "error": "Errors"}[kind]
                body = [f'"""{what} of {function}."""'] * self.has("docstring")
                body += [self._assertion(case) + mark * (not case.error) for case in group]
                lines = "\n".join(body).replace("\n", "\n    ")
                tests.append(f"def {name}({arguments}):\n    {lines}\n")
        return tests

    def _assertion(self, case: Case) -> str:
        if case.error:
            plain = self.has("pytest") or self.has("functions")
            raises = "pytest.raises" if plain else "self.assertRaises"
            return f"with {raises}({case.error}):\n    {case.call}"
        if self.has("functions"):
            return f"assert {case.call} == {case.value}"
        return f"self.assertEqual({case.call}, {case.value})"

    def block(self, tests: Sequence[str], function: str, name: str = "") -> str:
        """Return tests as they stand in a file: in a class of the function's, or one by one."""
        if self.has("functions"):
            return "\n\n".join(tests)
        name = name or class_name(function)
        inner = "\n".join(indented(test) for test in tests)
        return f'class {name}(unittest.TestCase):\n    """Tests of {function}."""\n\n{inner}'

    def module(
        self, tests: Sequence[str], function: str, imports: Sequence[str] = (), names: str = ""
    ) -> str:
        """Return a module of tests of one function, which it imports from the module `target`.

        Args:
            tests: the source of each.
            function: its name.
            imports: what else is imported, a statement each.
            names: what is imported from the module, if more than the function.
        """
        used = {*imports, *(["import pytest"] if any("pytest." in t for t in tests) else [])}
        used |= set() if self.has("functions") else {"import unittest"}
        head = "".join(f"{line}\n" for line in sorted(used))
        text = (
            f"{head}\nfrom {MODULE} import {names or function}\n\n\n{self.block(tests, function)}"
        )
        return text.lstrip("\n") + ("" if self.has("functions") else CLOSING)


CLOSING = '\n\nif __name__ == "__main__":\n    unittest.main()\n'
_EXAMPLE = (
    'def clamp(n):\n    if n < 0:\n        raise ValueError("below 0")\n    return min(n, 9)\n'
)
_CASES = (
    Case("clamp(4)", "4"),
    Case("clamp(12)", "9"),
    Case("clamp(0)", "0", edge=True),
    Case("clamp(-1)", error="ValueError"),
)


def class_name(function: str) -> str:
    """Return the name of a function's class of tests, as the house style has it."""
    return "Test" + "".join(part.capitalize() for part in function.split("_"))


def indented(text: str, by: str = "    ") -> str:
    """Return lines further in, empty ones as they are."""
    return "".join(by + line if line.strip() else line for line in text.splitlines(keepends=True))


def read_standards(text: str) -> Standards:
    """Compile a markdown list; what is no item of a list is for people only."""
    lines = [match[1].strip() for match in re.finditer(r"^\s*[-*+]\s+(.+)$", text, re.MULTILINE)]
    compiled: list[Any] = []
    for line in lines:
        for rule, (pattern, _) in RULES.items():
            if match := re.search(pattern, line, re.IGNORECASE):
                compiled.append((rule, match.groupdict().get("value") or "", line))
    return Standards(tuple(lines), tuple(compiled))
