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
running them. An answer is marked by running it too, in the sandbox, against the function. It is
not run unless it is plain: tests of pure functions need no imports, no underscores, no globals; so
a module cannot pass by tampering with what judges it.

The house style, rule by rule (`RULES`): the two imports; one class, named after the function; its
docstring; methods test_typical and test_edges, and test_error where the function can raise; every
statement an assertion on a call of the function; expected values written out; the closing lines.

>>> record = examples(1, seed=0)[0]
>>> [name for name, kept in style(data.answer(record), target_of(record)).items() if not kept]
[]
>>> score(record, data.answer(record))["passes"]
Ratio(num=1.0, den=1)
'''

import ast
import functools
import random
import re
import unittest
from collections.abc import Callable, Mapping
from typing import Any

from ftlab import data, sandbox
from ftlab.tasks import Ratio, Task
from ftlab.tasks.drawing import digest, draw
from ftlab.tasks.functions import Made, make

CUE = "Write the unit tests of this function:\n\n"
LONGEST = 1100
"""Characters in the longest prompt and completion together."""
MODULE = "target"
"""The module that the tests import the function from."""
NEW_FAMILY, SEEN_FAMILY = "new family", "seen family"
"""The slices of the test split."""

# Making examples.


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _call(name: str, arguments: tuple[Any, ...]) -> str:
    return f"{name}({', '.join(_quoted(value) for value in arguments)})"


def _quoted(value: Any) -> str:
    """Write a value as `repr` does, but strings in double quotes; the house does so."""
    text = repr(value)
    return text if '"' in text else text.replace("'", '"')


def _tried(made: Made) -> tuple[list[str], list[str], list[str]]:
    """Run the function on its arguments; return assertions: typical, edges, errors."""
    space: dict[str, Any] = {}
    exec(compile(made.source, MODULE, "exec"), space)
    typical: list[str] = []
    edges: list[str] = []
    errors: list[str] = []
    seen: set[str] = set()
    for lines, tries in ((typical, made.typical), (edges, made.edges)):
        values: set[str] = set()
        for arguments in tries:
            call = _call(made.name, arguments)
            if call in seen:
                continue
            try:
                value = _quoted(space[made.name](*arguments))
            except Exception as error:
                raised = f"with self.assertRaises({type(error).__name__}):\n            {call}"
                errors += [raised] * (not errors)
                continue
            line = f"self.assertEqual({call}, {value})"
            # Two of a sort; the second should come out otherwise than the first, if one does.
            last = arguments is tries[-1]
            if len(lines) < 2 and len(line) < 80 and (value not in values or last):
                seen.add(call)
                values.add(value)
                lines.append(line)
    return typical, edges, errors


def write(made: Made) -> str | None:
    """Write a function's tests in the house style; None if its arguments are too few or long."""
    typical, edges, errors = _tried(made)
    if not typical or not edges or ("raise " in made.source and not errors):
        return None
    methods = {"typical": typical, "edges": edges} | ({"error": errors} if errors else {})
    tests = "".join(
        f"\n    def test_{name}(self):\n" + "".join(f"        {line}\n" for line in lines)
        for name, lines in methods.items()
    )
    return (
        f"import unittest\n\nfrom {MODULE} import {made.name}\n\n\n"
        f"class Test{_camel(made.name)}(unittest.TestCase):\n"
        f'    """Tests of {made.name}."""\n{tests}\n\n'
        'if __name__ == "__main__":\n    unittest.main()'
    )


def _make(rng: random.Random, new: bool, ours: Callable[[str], bool]) -> data.Row | None:
    """Draw one record; None if it came out too long or without cases."""
    made = make(rng, new)
    while not new and not ours(made.source):  # until it is one: half of the test split shall be
        made = make(rng, new)
    completion = write(made)
    if completion is None or len(CUE + made.source + completion) > LONGEST:
        return None
    return data.example(
        CUE + made.source.rstrip("\n"),
        completion,
        id=digest(made.source),
        slice=NEW_FAMILY if new else made.kind,
        kind=made.kind,
        difficulty=made.difficulty,
        group=made.family,
        source=f"{__name__} (composed)",
    )


def examples(n: int, seed: int, split: str = "train") -> list[data.Row]:
    """Draw `n` functions with their tests; a larger `n` with the same seed starts the same.

    A record of "train" has its kind of input as its slice. Half of "test" are functions of
    families that training never shows (slice "new family"), and half are functions of its
    families with other numbers, words or names ("seen family"). Each record's meta has its `kind`,
    its `difficulty` from 1 to 3, and its family as `group`.

    Raises:
        ConfigError: there is no such split, or `n` different functions cannot be drawn.
    """
    records = draw(_make, n, seed, split, "unit_tests")
    if split == "test":
        for record in records:
            if data.meta(record)["slice"] != NEW_FAMILY:
                record["meta"]["slice"] = SEEN_FAMILY
    return records


# Asking and reading.


def prompt(text: str) -> tuple[dict[str, str], ...]:
    """Return the messages that ask for the tests of a function, given its source."""
    return ({"role": "user", "content": CUE + text.strip("\n")},)


_FENCE = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
_PREAMBLE = re.compile(r"\A(?![^\n]*(?:import|class|def) )[^\n]*:[ \t]*\n+")


def parse(text: str) -> str:
    """Return the module in an answer: what a code fence holds, without a sentence before it.

    What follows the closing lines of the house style is left out: a model that goes on has still
    written the module.
    """
    while True:
        fenced = _FENCE.search(text)
        bare = _PREAMBLE.sub("", fenced[1] if fenced else text).strip("\n")
        end = bare.find("\n    unittest.main()")
        if end >= 0:
            bare = bare[: end + len("\n    unittest.main()")]
        if bare == text:
            return bare
        text = bare


def target_of(record: data.Row) -> str:
    """Return the source of the function that a record asks to test."""
    content = data.prompt(record)[-1]["content"]
    at = re.search(r"^(?:def|import|from) ", content, re.MULTILINE)
    return content[at.start() :] + "\n" if at else ""


# The house style, on the syntax tree.

RULES = (
    "imports", "class", "docstring", "methods", "errors", "assertions", "literals", "closing",
)  # fmt: skip


def _tree(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def function_of(target: str) -> str:
    """Return the name of the last function that a source defines; "" if there is none."""
    tree = _tree(target)
    names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)] if tree else []
    return names[-1] if names else ""


def _same(node: ast.AST, source: str) -> bool:
    return ast.dump(node) == ast.dump(ast.parse(source).body[0])


def _literal(node: ast.AST) -> bool:
    try:
        ast.literal_eval(node)  # type: ignore[arg-type]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _asserted(statement: ast.stmt, function: str) -> tuple[str, bool]:
    """Read a statement: the assertion it is ("" for none), and whether its values are literals."""

    def called(node: ast.AST) -> ast.Call | None:
        named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        return node if named and node.func.id == function else None  # type: ignore

    def asserts(node: ast.AST) -> str:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            return ""
        owner = node.func.value
        return node.func.attr if isinstance(owner, ast.Name) and owner.id == "self" else ""

    if isinstance(statement, ast.Expr) and asserts(statement.value) == "assertEqual":
        given = statement.value.args  # type: ignore[attr-defined]
        if len(given) == 2 and (call := called(given[0])):
            return "assertEqual", all(map(_literal, [*call.args, given[1]]))
    if isinstance(statement, ast.With) and len(statement.items) == len(statement.body) == 1:
        raises = asserts(statement.items[0].context_expr) == "assertRaises"
        inner = statement.body[0]
        if raises and isinstance(inner, ast.Expr) and (call := called(inner.value)):
            return "assertRaises", all(map(_literal, call.args))
    return "", False


def style(module: str, target: str) -> dict[str, bool]:
    """Check a test module against the house style.

    Args:
        module: the source of the tests.
        target: the source of the function under test.

    Returns:
        For each of `RULES`, whether it is kept; none is where the module does not parse.
    """
    tree = _tree(module)
    function = function_of(target)
    if tree is None or not function:
        return dict.fromkeys(RULES, False)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    cases = classes[0].body if len(classes) == 1 else []
    methods = [node for node in cases if isinstance(node, ast.FunctionDef)]
    read = {m.name: [_asserted(line, function) for line in m.body] for m in methods}
    lines = [line for found in read.values() for line in found]
    names = [method.name for method in methods]
    raises = "raise " in target
    wanted = f'class Test{_camel(function)}(unittest.TestCase):\n    """Tests of {function}."""'
    head = ast.parse(wanted).body[0]
    assert isinstance(head, ast.ClassDef)
    imports = ["import unittest", f"from {MODULE} import {function}"]
    return {
        "imports": len(tree.body) > 2
        and all(_same(node, line) for node, line in zip(tree.body[:2], imports, strict=True)),
        "class": len(classes) == 1
        and len(tree.body) <= 4
        and classes[0].name == head.name
        and [ast.dump(base) for base in classes[0].bases] == [ast.dump(head.bases[0])],
        "docstring": len(classes) == 1
        and ast.get_docstring(classes[0]) == ast.get_docstring(head),
        "methods": names[:2] == ["test_typical", "test_edges"]
        and names[2:] in ([], ["test_error"])
        and len(cases) == len(methods) + 1
        and all([arg.arg for arg in ast.walk(m.args) if isinstance(arg, ast.arg)] == ["self"]
                for m in methods),
        "errors": ("test_error" in names or not raises)
        and all((name == "test_error") == ("assertRaises" in dict(found))
                for name, found in read.items()),
        "assertions": bool(lines) and all(kind for kind, _ in lines),
        "literals": bool(lines) and all(literal for _, literal in lines),
        "closing": bool(tree.body)
        and _same(tree.body[-1], 'if __name__ == "__main__":\n    unittest.main()'),
    }  # fmt: skip


# Running.

_TOUCHY = {
    "breakpoint", "compile", "delattr", "eval", "exec", "exit", "getattr", "globals", "help",
    "input", "locals", "open", "print", "quit", "setattr", "vars",
}  # fmt: skip
_CASE = set(dir(unittest.TestCase)) - {"maxDiff"}
_FIXTURES = {"setUp", "tearDown", "setUpClass", "tearDownClass", "subTest", "fail"}
_LASTING = ("assertLogs", "assertNoLogs", "assertWarns")
_MACHINERY = {
    name for name in _CASE - _FIXTURES if not name.startswith("assert") or name.startswith(_LASTING)
}
"""What a test has no need of in its test case: what runs it, or lasts from one test to the next."""
_INSIDES = ("_", "gi_", "cr_", "ag_", "f_", "tb_", "co_")  # of attributes on the way to frames


def plain(module: str, function: str) -> bool:
    """Say whether a test module is of the sort that may be run: it can only call and assert.

    That is: it imports nothing but unittest, math and the function; of unittest it takes TestCase
    and main, and of its test case the assertions; nothing but `__name__` begins with an underscore;
    no attribute is set, none of these names is bound anew, and there is an assertion that is not
    skipped over by a `return` or a decorator.
    """
    tree = _tree(module)
    if tree is None:
        return False
    kept = {"unittest", "math", "self", function}
    inner = {id(n.value): n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    asserts = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            bad = any(a.name not in ("unittest", "math") or a.asname for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            bad = node.module != MODULE or any(a.asname or a.name != function for a in node.names)
        elif isinstance(node, ast.Name):
            bound = not isinstance(node.ctx, ast.Load) and node.id in kept | _CASE
            hidden = node.id.startswith("_") and node.id != "__name__"
            # A module may be used through a dot only, and unittest for two things only.
            loose = node.id in ("unittest", "math") and id(node) not in inner
            beyond = node.id == "unittest" and inner.get(id(node)) not in ("TestCase", "main")
            bad = node.id in _TOUCHY or bound or hidden or loose or beyond
        elif isinstance(node, ast.Attribute):
            asserts |= node.attr.startswith("assert")
            touchy = node.attr in _TOUCHY | _MACHINERY or node.attr.startswith(_INSIDES)
            bad = touchy or not isinstance(node.ctx, ast.Load)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            asserting = node.name.startswith(("_", "assert", "run", "fail", "debug", "load_tests"))
            bad = bool(node.decorator_list) or asserting or node.name in kept | _MACHINERY
        else:
            bad = isinstance(
                node, (ast.Global, ast.Nonlocal, ast.AsyncFunctionDef, ast.Return, ast.Match)
            )
        if bad:
            return False
    return asserts


@functools.lru_cache(4096)
def run_tests(module: str, target: str) -> sandbox.SandboxResult:
    """Run a test module against a function, in the sandbox.

    Args:
        module: the source of the tests; they import the function from the module `target`.
        target: the source of the function: the true one, or a mutant.
    """
    return sandbox.run(module, tests=True, modules={MODULE: target}, allow_weak=True)


def score(record: data.Row, text: str) -> dict[str, Ratio]:
    """Mark a test module: how far it gets, from parsing to passing.

    Args:
        record: the example; its last message has the function.
        text: what the model wrote.

    Returns:
        `passes` (it has tests, and all pass on the function), `parses`, `style` (all rules of the
        house are kept), `style_…` for each rule, `runs` (every test came to a verdict, be it
        wrong) and `tests_passed` (of the tests that ran). A module that is not `plain` is not run.
    """
    module, target = parse(text), target_of(record)
    rules = style(module, target)
    runs = passes = False
    right = wrong = 0
    if plain(module, function_of(target)):
        result = run_tests(module, target)
        right, wrong = len(result.passed), len(result.failed)
        asserted = all(why.startswith("AssertionError") for why in result.failed.values())
        runs = result.outcome in ("ok", "failed") and right + wrong > 0 and asserted
        passes = result.ok
    marks: Mapping[str, bool] = {
        "passes": passes,
        "parses": bool(module.strip()) and _tree(module) is not None,
        "style": all(rules.values()),
        **{f"style_{rule}": kept for rule, kept in rules.items()},
        "runs": runs,
    }
    return {
        **{name: Ratio(float(kept), 1) for name, kept in marks.items()},
        "tests_passed": Ratio(right, right + wrong),
    }


TASK = Task(
    name="unit_tests",
    describe=(
        "Write the unittest module of a Python function in a house style. In goes a function of 2 "
        "to 8 lines over integers, floats, strings, lists, dicts or exceptions; out comes a module "
        "with typical cases, edges and errors. The functions are composed from 80 families, and "
        "the expected values come from running them; an answer is run in a sandbox."
    ),
    headline="passes",
    licence="Apache-2.0 (composed by this package, from code of its own)",
    examples=examples,
    prompt=prompt,
    parse=parse,
    score=score,
)
