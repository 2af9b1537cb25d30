"""The functions of a project: what stands at the top level of its files, and how to import it."""

import ast
import keyword
import modulefinder
import os
import symtable
import sys
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ftlab.errors import DataError

_FOREIGN = {"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"}


@dataclass(frozen=True)
class Function:
    """A function to write tests for."""

    name: str
    source: str
    module: str  # where tests import it from, as in "shop.cart"
    path: Path
    line: int
    names: frozenset[str] = field(default=frozenset(), repr=False)
    """What its module defines at the top level."""
    modules: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """The sources of its project's modules that it needs, by dotted name (`with_modules`)."""


@dataclass
class Source:
    """A Python file; `why` says what keeps its functions from being tested, "" if nothing does."""

    path: Path
    root: Path  # the folder that it is imported from
    module: str
    functions: list[Function] = field(default_factory=list)
    why: str = ""


def functions_of(path: str | os.PathLike[str]) -> list[Function]:
    """Return the public functions at the top level of a file, or of all files in a folder.

    Raises:
        DataError: there is no such path, or the file cannot be read or imported.
    """
    sources = sources_of([path])
    if Path(path).is_file() and sources[0].why and not sources[0].why.startswith("has no public"):
        raise DataError(f"{path} {sources[0].why}.")
    return [function for source in sources for function in source.functions]


def sources_of(paths: Iterable[str | os.PathLike[str]], out: str = "") -> list[Source]:
    """Return the Python files at these paths, each once; tests are left out, and the folder `out`.

    Raises:
        DataError: there is no such path, or two files would be imported by one name.
    """
    found: dict[Path, Source] = {}
    names: dict[str, Path] = {}
    for given in map(Path, paths):
        if not given.exists() or (given.is_file() and given.suffix != ".py"):
            raise DataError(f"{given} is no Python file and no folder. Check the spelling.")
        for file in [given] if given.is_file() else sorted(given.rglob("*.py")):
            inside = file.relative_to(given) if given.is_dir() else Path()
            ours = out and Path(out).resolve() in file.resolve().parents
            if file.resolve() in found or _foreign(inside) or (ours and given.is_dir()):
                continue
            root = file.absolute().parent
            while (root / "__init__.py").exists():
                root = root.parent
            parts = file.absolute().relative_to(root).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[file.resolve()] = Source(file, root, module)
            if names.setdefault(module, file) != file:
                raise DataError(
                    f"{names[module]} and {file} are both imported as {module}. Give one at a "
                    "time, or make packages of their folders (__init__.py)."
                )
    for source in found.values():
        source.why = _read(source)
    return list(found.values())


def _foreign(path: Path) -> bool:
    """Say whether a file in a folder is a test, or nobody's source."""
    test = path.name.startswith("test_") or path.name.endswith("_test.py")
    hidden = any(part.startswith(".") or part in _FOREIGN for part in path.parts)
    return test or hidden or path.name in ("conftest.py", "setup.py")


def _read(source: Source) -> str:
    """Find a file's functions; return why it has none that can be tested, else ""."""
    parts = source.module.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        return f"cannot be imported by the name {source.module}: letters, digits and _ only"
    if parts[0] in sys.stdlib_module_names:
        return f"has the name of a module of the standard library, {parts[0]}: rename it"
    try:
        text = _text(source.path)
        tree, table = ast.parse(text), symtable.symtable(text, str(source.path), "exec")
    except SyntaxError as error:  # a wrong encoding is one, too
        where = f" in line {error.lineno}" if error.lineno else ""
        return f"is no valid Python{where}: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return f"cannot be read: {error}"
    names = frozenset(s.get_name() for s in table.get_symbols() if s.is_assigned())
    made = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            lines = "\n".join(text.split("\n")[first - 1 : node.end_lineno]) + "\n"
            made[node.name] = Function(  # of two with one name, the last one is there
                node.name, lines, source.module, source.path, first, names
            )
    source.functions = list(made.values())
    inner = [n for top in tree.body for n in ast.walk(top) if isinstance(n, ast.FunctionDef)]
    more = f"; methods and inner functions, here {len(inner)}, are left out" if inner else ""
    return "" if made else f"has no public function at its top level{more}"


def _text(path: Path) -> str:
    with tokenize.open(path) as stream:  # minds a byte order mark and a declared encoding
        return stream.read()


def with_modules(source: Source) -> list[Function]:
    """Return a file's functions with the sources of the project's modules that it imports."""
    if not source.functions:
        return []
    finder = modulefinder.ModuleFinder([str(source.root)])
    finder.import_hook(source.module)
    modules = {
        f"{name}.__init__" if module.__path__ else name: _text(Path(module.__file__))
        for name, module in cast("dict[str, Any]", finder.modules).items()
        if module.__file__ and module.__file__.endswith(".py")
    }
    return [replace(function, modules=modules) for function in source.functions]
