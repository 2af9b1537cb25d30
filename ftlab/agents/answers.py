"""What a model wrote, read leniently: the tests in it, or the calls."""

import ast
import re
import sys

from ftlab.agents.standards import Standards
from ftlab.generation import split_thought
from ftlab.tasks import unit_tests


def tests_in_answer(text: str, function: str, style: Standards) -> tuple[dict[str, str], set[str]]:
    """Return the tests in an answer that call a function, and its imports.

    A test stands by itself: helpers, set-up methods and decorated tests are not taken, and of the
    imports only those of the standard library. An answer that was cut off loses its last lines, and
    all lose their comments.

    >>> tests_in_answer("def test_it():\\n    assert f(2) == 4  # two\\nf(", "f", Standards())
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
