"""New tests into a file that is there already: everything is added, nothing replaced.

Lines are only ever put between the lines of the file, which stay byte for byte: missing imports
behind its imports, a test into the class of its function if the file has one, else a
whole class before the closing lines. If that would not parse, or would change a definition, all
goes to the end.
"""

import ast
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ftlab.agents.standards import CLOSING, Standards, class_name, indented
from ftlab.errors import DataError


@dataclass
class Addition:
    """Tests of one function that a file shall have."""

    function: str
    tests: list[str]
    """The source of each: a method's or a function's, not indented."""
    imports: list[str] = field(default_factory=list)
    """Statements such as "import math"."""
    names: list[str] = field(default_factory=list)
    """What is imported from the function's module."""


def tree_of(text: str) -> ast.Module:
    """Parse a file's text; a byte order mark is no part of it."""
    return ast.parse(text.removeprefix("\ufeff"))


def conflict(text: str, module: str, function: str) -> str:
    """Return why tests of a function cannot be added to a file, "" if they can."""
    try:
        tree = tree_of(text)
    except (SyntaxError, ValueError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"is no valid Python{where}, so nothing is added to it: mend it first"
    for node in tree.body:
        bound: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound = [node.name]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            own = isinstance(node, ast.ImportFrom) and node.module == module and not node.level
            bound = [a.asname or a.name for a in node.names if not (own and not a.asname)]
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.For, ast.With)):
            bound = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)
                     and isinstance(n.ctx, ast.Store)]  # fmt: skip
        if function in bound:
            return f"uses the name {function} for something else in line {node.lineno}: rename that"
    return ""


def merge(old: str, module: str, additions: Sequence[Addition], standards: Standards) -> str:
    """Return a test file's text with tests added; unchanged if it has them all.

    Args:
        old: the text, "" for a new file.
        module: what the functions are imported from.
        additions: the tests; those whose statements the file has already are left out.
        standards: how blocks are written.

    Raises:
        DataError: the result would not be what it should be; nothing is to be written then.
    """
    new = old or ("" if standards.has("functions") else CLOSING.lstrip("\n"))
    tree = tree_of(new)
    additions = [_fresh(addition, tree) for addition in additions]
    additions = [addition for addition in additions if addition.tests]
    if not additions:
        return old
    wanted = _definitions(tree) + Counter(
        ast.dump(node) for addition in additions for test in addition.tests
        for node in ast.parse(test).body
    )  # fmt: skip
    for gently in (True, False):
        text = _insert(new, tree, module, additions, standards, gently)
        try:
            found = _definitions(tree_of(text))
        except (SyntaxError, ValueError):
            continue
        if not wanted - found:
            return text
    raise DataError(
        "Tests could not be added to this file without changing it. Give another --out."
    )


def _definitions(tree: ast.Module) -> Counter[str]:
    """Count the functions of a module and of its classes, as they are."""
    nodes = [n for top in tree.body for n in (top.body if isinstance(top, ast.ClassDef) else [top])]
    return Counter(ast.dump(n) for n in nodes
                   if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))  # fmt: skip


def _body(node: ast.FunctionDef) -> str:
    return "\n".join(map(ast.unparse, node.body))


def _class_of(tree: ast.Module, function: str) -> ast.ClassDef | None:
    """Return the class that a function's tests go to, if the file has it."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name(function):
            case = any(ast.unparse(base).rpartition(".")[2] == "TestCase" for base in node.bases)
            return node if case and node.body[0].lineno > node.lineno else None
    return None


def _fresh(addition: Addition, tree: ast.Module) -> Addition:
    """Leave out the tests that are there already; give the others names that are free."""
    there = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    bodies = {_body(n) for n in there if isinstance(n, ast.FunctionDef)}
    node = _class_of(tree, addition.function)
    taken = {n.name for n in (node.body if node else tree.body) if isinstance(n, ast.FunctionDef)}
    tests = []
    for test in addition.tests:
        parsed = ast.parse(test).body[0]
        assert isinstance(parsed, ast.FunctionDef)
        if _body(parsed) in bodies:
            continue
        name, number = parsed.name, 2
        while name in taken:
            name, number = f"{parsed.name}_{number}", number + 1
        taken.add(name)
        bodies.add(_body(parsed))
        tests.append(re.sub(rf"\bdef {parsed.name}\b", f"def {name}", test, count=1))
    return Addition(addition.function, tests, addition.imports, addition.names)


def _insert(
    text: str, tree: ast.Module, module: str, additions: Sequence[Addition], standards: Standards,
    gently: bool,
) -> str:  # fmt: skip
    """Put everything between the lines of a file; with `gently` where a person would."""
    # Python's own idea of a line: a form feed or a separator of Unicode ends none.
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    newline = "\r\n" if any(line.endswith("\r\n") for line in lines) else "\n"
    if lines and lines[-1][-1] not in "\r\n":
        lines.append(newline)  # ends the last line; its own bytes stay
    behind: dict[int, str] = {}
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    start = tree.body[:1] if tree.body and ast.get_docstring(tree) is not None else []
    first = max((node.end_lineno or 0 for node in imports), default=0)
    first = first or (start[0].end_lineno or 0 if start else 0)
    closing = [n.lineno - 1 for n in tree.body
               if isinstance(n, ast.If) and "__name__" in ast.unparse(n.test)]  # fmt: skip
    last = closing[-1] if closing and gently else len(lines)
    head = _imports(tree, module, additions, standards)
    blocks = []
    for addition in additions:
        node = _class_of(tree, addition.function) if gently else None
        if node is None or standards.has("functions"):
            classes = {n.name for n in tree.body if isinstance(n, ast.ClassDef)}
            name, number = class_name(addition.function), 2
            while name in classes:
                name, number = f"{class_name(addition.function)}{number}", number + 1
            blocks.append(standards.block(addition.tests, addition.function, name))
            continue
        line = lines[node.body[0].lineno - 1]
        indent = line[: len(line) - len(line.lstrip())]
        more = "".join("\n" + indented(test, indent) for test in addition.tests)
        behind[node.end_lineno or 0] = behind.get(node.end_lineno or 0, "") + more
    if head:
        place = first if gently else last
        head = head if place else head.lstrip("\n") + "\n\n" * bool(blocks or tree.body)
        behind[place] = "\n" * bool(start and not imports) + head + behind.get(place, "")
    if blocks:
        block, lead = "\n\n".join(blocks), "\n\n" * (last == len(lines) > 0)
        behind[last] = behind.get(last, "") + lead + block + "\n\n" * (last < len(lines))
    parts = [behind.get(0, "").replace("\n", newline)]
    for number, line in enumerate(lines, start=1):
        parts += [line, behind.get(number, "").replace("\n", newline)]
    return "".join(parts)


def _imports(
    tree: ast.Module, module: str, additions: Sequence[Addition], standards: Standards
) -> str:
    """Return the import statements that are missing."""
    there = {ast.unparse(node) for node in tree.body}
    bound = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom)
             and node.module == module and not node.level
             for alias in node.names if not alias.asname}  # fmt: skip
    wanted = {line for addition in additions for line in addition.imports}
    wanted |= set() if standards.has("functions") else {"import unittest"}
    if any("pytest." in test for addition in additions for test in addition.tests):
        wanted.add("import pytest")
    names = sorted({name for addition in additions for name in addition.names} - bound)
    head = "".join(f"{line}\n" for line in sorted(wanted - there))
    if names:
        line = f"from {module} import {', '.join(names)}\n"
        if len(line) > 100:
            line = f"from {module} import (\n" + "".join(f"    {n},\n" for n in names) + ")\n"
        head += ("\n" if head or (not bound and there) else "") + line
    return head
