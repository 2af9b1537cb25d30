"""Small faults put into a function on purpose, to see whether its tests notice.

    def limit_to(n):                       def limit_to(n):
        return max(3, min(9, n))    ->         return max(4, min(9, n))        boundary, line 2

A mutant differs from the function in one place of its syntax tree (DeMillo, Lipton and Sayward,
Hints on Test Data Selection, 1978). The operators, each after those in use since Mothra (King and
Offutt, A Fortran Language System for Mutation-Based Software Testing, 1991):

    arithmetic   a + b -> a - b;  a // b -> a / b
    comparison   a < b -> a >= b;  x in y -> x not in y
    boundary     a < b -> a <= b;  3 -> 4;  3 -> 2
    boolean      a and b -> a or b;  not a -> a;  if a -> if not a;  True -> False
    return       return a -> return None;  return "low" -> return "";  return 7 -> return 0
    call         sorted(a) -> a;  a.strip() -> a;  a.append(1) -> pass;  raise ... -> pass
    slice        a[:3] -> a[:4];  a[1:] -> a[1:-1];  range(n) -> range(n + 1)
    swap         f(a, b) -> f(b, a);  "x" + a -> a + "x"

>>> for mutant in make("def f(n):\\n    return n > 2\\n"):
...     print(mutant.operator, mutant.source.splitlines()[1])
return     return None
comparison     return n <= 2
boundary     return n >= 2
boundary     return n > 3
boundary     return n > 1
"""

import ast
import difflib
from collections.abc import Iterator
from typing import Any, NamedTuple

OPERATORS = (
    "arithmetic", "comparison", "boundary", "boolean", "return", "call", "slice", "swap",
)  # fmt: skip
STEP = "_ftlab_step"  # the function that `fuelled` code calls at every step

_ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
_OPPOSITE: dict[type, type] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_EDGE: dict[type, type] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
# Conditions that have faults of their own.
_OTHERWISE = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)
# Calls that may be left out so that what remains is of a like type; others would only raise.
_FUNCTIONS = {
    "abs", "bool", "float", "int", "list", "max", "min", "reversed", "round", "set", "sorted",
    "str", "tuple",
}  # fmt: skip
_METHODS = {
    "capitalize", "casefold", "center", "copy", "ljust", "lower", "lstrip", "removeprefix",
    "removesuffix", "replace", "rjust", "rstrip", "strip", "swapcase", "title", "upper", "zfill",
}  # fmt: skip


class Mutant(NamedTuple):
    """A function with one fault: its operator, its line as written, its source as unparsed."""

    operator: str
    line: int
    source: str


class _Change(NamedTuple):
    """One fault: put `new` at `key` of `place`, which is a node's fields or a list of nodes."""

    operator: str
    node: ast.AST
    place: Any
    key: Any
    new: Any


def normal(source: str) -> str:
    """Return a source as `ast.unparse` writes it, so that a mutant differs in its fault alone."""
    return ast.unparse(ast.parse(source)) + "\n"


def make(source: str, *, most: int = 60) -> tuple[Mutant, ...]:
    """Make at most `most` mutants of a source's functions, in its order, no two alike.

    Raises:
        SyntaxError: it does not parse.
    """
    tree = ast.parse(source)
    seen = {normal(source)}
    mutants = []
    for change in [c for n in tree.body if isinstance(n, ast.FunctionDef) for c in _changes(n)]:
        old = change.place[change.key]
        change.place[change.key] = change.new
        text = ast.unparse(tree) + "\n"
        change.place[change.key] = old
        if text not in seen:
            seen.add(text)
            mutants.append(Mutant(change.operator, getattr(change.node, "lineno", 1), text))
    return tuple(spread(mutants, most))


def spread(items: list[Any], most: int) -> list[Any]:
    """Return at most `most` items, evenly spread, the first among them.

    >>> spread(list(range(10)), 4)
    [0, 2, 5, 7]
    """
    if len(items) <= most:
        return items
    return [items[i * len(items) // most] for i in range(most)]


def diff(source: str, mutant: Mutant) -> str:
    """Show what a mutant changed: the lines that differ, the function's with "-", its with "+".

    >>> source = "def f(n):\\n    return n + 1\\n"
    >>> print(diff(source, make(source)[1]))
    -     return n + 1
    +     return n - 1
    """
    old, new = normal(source).splitlines(), mutant.source.splitlines()
    lines = list(difflib.unified_diff(old, new, n=0, lineterm=""))[3:]
    return "\n".join(f"{line[0]} {line[1:]}" for line in lines if line[0] in "+-")


# The operators.


def _changes(node: ast.AST) -> Iterator[_Change]:
    """Give the changes to a node and to all below it, those of a node before its children's."""
    fields = node.__dict__
    for name, value in list(ast.iter_fields(node)):
        if name in ("annotation", "returns", "decorator_list", "format_spec", "type_params"):
            continue
        holders = list(enumerate(value)) if isinstance(value, list) else [(name, value)]
        place = value if isinstance(value, list) else fields
        for key, child in holders:
            if isinstance(child, ast.AST):
                yield from (
                    _Change(operator, child, place, key, new) for operator, new in _instead(child)
                )
                yield from _changes(child)


def _instead(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Give what may stand in a node's place, with the operator's name."""
    match node:
        case ast.BinOp(left, ast.Add(), right) if _sequence(left) or _sequence(right):
            yield "swap", ast.BinOp(right, ast.Add(), left)
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            yield "arithmetic", ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.AugAssign(_, op, value) if type(op) in _ARITHMETIC and not _sequence(value):
            yield "arithmetic", _with(node, op=_ARITHMETIC[type(op)]())
        case ast.Compare(_, signs):
            for name, table in (("comparison", _OPPOSITE), ("boundary", _EDGE)):
                for at, sign in enumerate(signs):
                    if type(sign) in table:
                        other = [*signs[:at], table[type(sign)](), *signs[at + 1 :]]
                        yield name, _with(node, ops=other)
        case ast.BoolOp(op):
            yield "boolean", _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(ast.Not(), operand):
            yield "boolean", operand
        case ast.If(test) | ast.While(test) | ast.IfExp(test) if not isinstance(test, _OTHERWISE):
            yield "boolean", _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Constant(bool(value)):
            yield "boolean", ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield "boundary", ast.Constant(value + 1)
            yield "boundary", ast.Constant(value - 1)
        case ast.Return(ast.Constant(bool())):
            pass  # which has a fault of its own
        case ast.Return(ast.Constant(str(value) | int(value) | float(value))):
            yield "return", ast.Return(ast.Constant(type(value)()))
        case ast.Return(ast.expr()):
            yield "return", ast.Return(ast.Constant(None))
        case ast.Raise() | ast.Expr(ast.Call()):
            yield "call", ast.Pass()
        case ast.Call():
            yield from _calls(node)
        case ast.Slice():
            yield from (("slice", _with(node, **change)) for change in _bounds(node))


def _calls(node: ast.Call) -> Iterator[tuple[str, Any]]:
    """Give what may stand in a call's place."""
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in _FUNCTIONS and node.args and not isinstance(node.args[0], ast.Starred):
        yield "call", node.args[0]
    elif isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        yield "call", node.func.value
    if name == "range" and node.args:
        stop = 0 if len(node.args) == 1 else 1
        for step in (1, -1):
            args = [*node.args]
            args[stop] = _plus(args[stop], step)
            yield "slice", _with(node, args=args)
    if len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args):
        yield "swap", _with(node, args=[node.args[1], node.args[0], *node.args[2:]])


def _bounds(node: ast.Slice) -> Iterator[dict[str, Any]]:
    """Give other bounds for a slice: one more, one less, or one where there is none."""
    for name, absent in (("lower", 1), ("upper", -1)):
        bound = getattr(node, name)
        if bound is None:
            yield {name: ast.Constant(absent)}
        else:
            yield from ({name: _plus(bound, step)} for step in (1, -1))


def _plus(node: Any, step: int) -> ast.expr:
    """Return a number's node with `step`, 1 or -1, added."""
    try:
        return ast.Constant(ast.literal_eval(node) + step)
    except (ValueError, TypeError):
        return ast.BinOp(node, ast.Add() if step > 0 else ast.Sub(), ast.Constant(1))


def _sequence(node: ast.AST) -> bool:
    """Say whether a node is evidently a text or a list, which has no minus."""
    text = isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    return text or isinstance(node, (ast.JoinedStr, ast.List, ast.ListComp, ast.Tuple))


def _with(node: Any, **changed: Any) -> Any:
    """Copy a node, not its children, with some fields changed."""
    return type(node)(**{**dict(ast.iter_fields(node)), **changed})


# Fuel: code that counts its steps, so that an endless loop ends, and at the same step everywhere.


class _Fuel(ast.NodeTransformer):
    """Call `STEP` at the start of every function and of every round of a loop."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        call = ast.Call(ast.Name(STEP, ast.Load()), [], [])
        if isinstance(node, (ast.FunctionDef, ast.For, ast.While)):
            node.body.insert(0, ast.Expr(call))
        elif isinstance(node, ast.comprehension):
            node.ifs.insert(0, call)
        return node


def fuelled(source: str) -> str:
    """Return a source that calls `STEP` at every step; a step returns True, or raises.

    >>> print(fuelled("while True:\\n    pass"))
    while True:
        _ftlab_step()
        pass
    """
    return ast.unparse(ast.fix_missing_locations(_Fuel().visit(ast.parse(source))))
