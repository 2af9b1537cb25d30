"""New tests into a file that is there already: everything is added, nothing replaced.

Lines are only ever put between the lines of the file, which stay byte for byte: missing imports
behind its imports, the tests of a function into its class, or in a new one before the closing
lines. If that would not parse or would change a definition, nothing is added.
"""

import ast
import itertools
import re
import symtable
from collections import Counter, defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftlab.agents.standards import CLOSING, Standards, class_name
from ftlab.errors import DataError


@dataclass
class Addition:
    """Tests of one function that a file shall have."""

    function: str
    module: str
    tests: list[str]  # the source of each: a method's or a function's, not indented
    imports: set[str]  # statements such as "import math"
    names: set[str]  # what is imported from the function's module


def _tree(text: str) -> ast.Module:
    return ast.parse(text.removeprefix("\ufeff"))


def _own(tree: ast.Module, module: str) -> set[str]:
    """Return the names that a file imports from a module."""
    return {alias.name for node in tree.body if isinstance(node, ast.ImportFrom)
            and (node.module, node.level) == (module, 0)
            for alias in node.names if not alias.asname}  # fmt: skip


def conflict(text: str, module: str, function: str) -> str:
    """Return why tests of a function cannot be added to a file, "" if they can."""
    try:
        tree = _tree(text)
        table = symtable.symtable(text.removeprefix("\ufeff"), "tests", "exec")
    except (SyntaxError, ValueError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"is no valid Python{where}, so nothing is added to it: mend it first"
    symbols = [s for s in table.get_symbols() if s.get_name() == function]
    foreign = function not in _own(tree, module)
    if any(s.is_assigned() or (s.is_imported() and foreign) for s in symbols):
        return f"uses the name {function} for something else: rename that, or give another --out"
    return ""


def merge(old: str, additions: Sequence[Addition], standards: Standards) -> str:
    """Return a test file's text ("" for a new one) with tests added; unchanged if it has them all.

    Tests whose statements the file has already are left out.

    Raises:
        DataError: it cannot be done without changing the file.
    """
    text = old or CLOSING.lstrip("\n") * standards.classes
    tree = _tree(text)
    there = {_body(n) for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    fresh = []
    for one in additions:
        tests = [test for test in one.tests if _body(ast.parse(test).body[0]) not in there]
        fresh += [replace(one, tests=tests)] * bool(tests)
    if not fresh:
        return old
    new, before = _insert(text, tree, fresh, standards), _definitions(tree)
    try:
        after = _definitions(_tree(new))
    except (SyntaxError, ValueError):
        after = Counter()
    if before - after or sum(len(one.tests) for one in fresh) != (after - before).total():
        text = "Tests cannot be added to this file without changing it. Give another --out."
        raise DataError(text)
    return new


def _body(node: ast.stmt) -> str:
    return "\n".join(map(ast.unparse, getattr(node, "body", [])))


def _functions(node: Any) -> list[ast.FunctionDef]:
    return [child for child in node.body if isinstance(child, ast.FunctionDef)]


def _definitions(tree: ast.Module) -> Counter[str]:
    """Count the functions of a module and of its classes, as they are."""
    tops = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    return Counter(ast.dump(node) for top in tops for node in _functions(top))


def _free(name: str, taken: Container[str], mark: str) -> str:
    """Return a name that is not taken: one that is gets a number."""
    tried = itertools.chain([name], (f"{name}{mark}{number}" for number in itertools.count(2)))
    return next(one for one in tried if one not in taken)


def _renamed(tests: Sequence[str], taken: set[str]) -> list[str]:
    """Return tests whose names are free."""
    found = []
    for test in tests:
        name = test.partition("def ")[2].partition("(")[0]
        taken.add(free := _free(name, taken, "_"))
        found.append(test.replace(f"def {name}(", f"def {free}(", 1))
    return found


def _insert(
    text: str, tree: ast.Module, additions: Sequence[Addition], standards: Standards
) -> str:
    """Put imports and tests between the lines of a file."""
    # Python's own idea of a line: a form feed or a separator of Unicode ends none.
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    newline = "\r\n" if any(line.endswith("\r\n") for line in lines) else "\n"
    if lines and lines[-1][-1] not in "\r\n":
        lines.append(newline)
    imports = [n.end_lineno or 0 for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
    doc = [tree.body[0].end_lineno or 0] if ast.get_docstring(tree) is not None else []
    closing = [n.lineno - 1 for n in tree.body
               if isinstance(n, ast.If) and "__name__" in ast.unparse(n.test)]  # fmt: skip
    place = max([*imports, *doc, 0])  # or the end of what shares that line
    place = max([place, *(n.end_lineno or 0 for n in tree.body if n.lineno <= place)])
    last = max(place, closing[-1] if closing else len(lines))
    classes: dict[str, Any] = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    behind: defaultdict[int, str] = defaultdict(str)  # line -> what comes behind it
    blocks, top = [], {node.name for node in _functions(tree)}
    for one in additions:
        name = class_name(one.function)
        node = classes.get(name) if standards.classes else None
        if node and node.body[0].lineno > node.lineno and "TestCase" in ast.unparse(node.bases[0]):
            first = lines[node.body[0].lineno - 1]
            indent = first[: len(first) - len(first.lstrip())]
            for test in _renamed(one.tests, {child.name for child in _functions(node)}):
                behind[node.end_lineno or 0] += "\n" + re.sub(r"(?m)^(?=.)", indent, test)
            continue
        classes[name := _free(name, classes, "")] = None
        tests = one.tests if standards.classes else _renamed(one.tests, top)
        blocks.append(standards.block(tests, one.function, name))
    if head := _imports(tree, additions, standards):
        head = "\n" * (place > 0 and not imports) + (head if place else head.lstrip("\n"))
        behind[place] = head + "\n\n" * (not imports) + behind[place]
    if blocks:
        gap = "\n\n"
        block = gap * (last == len(lines) > 0) + gap.join(blocks) + gap * (last < len(lines))
        behind[last] += block
    return "".join(line + behind[number].replace("\n", newline)
                   for number, line in enumerate(["", *lines]))  # fmt: skip


def _imports(tree: ast.Module, additions: Sequence[Addition], standards: Standards) -> str:
    """Return the import statements that are missing."""
    there = {ast.unparse(node) for node in tree.body}
    wanted = {line for addition in additions for line in addition.imports}
    wanted |= standards.imports(test for addition in additions for test in addition.tests)
    head = "".join(f"{line}\n" for line in sorted(wanted - there))
    for module in dict.fromkeys(addition.module for addition in additions):
        known = _own(tree, module)
        names = {n for a in additions if a.module == module for n in a.names} - known
        line = f"from {module} import {', '.join(sorted(names))}\n"
        if len(line) > 100:
            line = f"from {module} import (\n    " + ",\n    ".join(sorted(names)) + ",\n)\n"
        head += ("\n" * (not known) + line) * bool(names)
    return head
