"""The functions of a project: what stands at the top level of its files, and how to import it.

A function is tested through the module that it is in, so a file must have a name that Python can
import. Methods, functions inside functions, coroutines and names with an underscore are left out.
"""

import ast
import keyword
import os
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ftlab.errors import DataError

_FOREIGN = {"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"}
_MOST = 200  # modules of the project that go into the sandbox with one file


@dataclass(frozen=True)
class Function:
    """A function to write tests for."""

    name: str
    source: str
    signature: str
    module: str
    """Where tests import it from, as in "shop.cart"."""
    path: Path
    line: int
    names: frozenset[str] = field(default=frozenset(), repr=False)
    """What else the module defines at its top level."""


@dataclass
class Source:
    """A Python file; `why` says what keeps its functions from being tested, "" if nothing does."""

    path: Path
    root: Path
    """The folder that tests are run from."""
    module: str = ""
    text: str = field(default="", repr=False)
    functions: list[Function] = field(default_factory=list)
    why: str = ""


def functions_of(path: str | os.PathLike[str]) -> list[Function]:
    """Return the functions of a file, or of all files in a folder.

    Raises:
        DataError: there is no such path, or the file cannot be read or imported.
    """
    sources = sources_of([path])
    if Path(path).is_file() and sources[0].why and not sources[0].text:
        raise DataError(f"{path}: {sources[0].why}")
    return [function for source in sources for function in source.functions]


def sources_of(paths: Iterable[str | os.PathLike[str]], out: str | None = None) -> list[Source]:
    """Return the Python files at these paths, those of tests left out; each file once.

    Args:
        paths: files and folders.
        out: a folder to leave out.

    Raises:
        DataError: there is no such path, or two files would be imported by one name.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    for given in map(Path, paths):
        if not given.exists() or (given.is_file() and given.suffix != ".py"):
            raise DataError(f"{given} is no Python file and no folder. Check the spelling.")
        files = [given] if given.is_file() else sorted(given.rglob("*.py"))
        for file in files:
            inside = file.relative_to(given) if given.is_dir() else Path(file.name)
            ours = not out or Path(out).resolve() not in file.resolve().parents
            if given.is_file() or (ours and file.is_file() and not _foreign(inside)):
                found.setdefault(file.resolve(), (file, given))
    names: dict[str, list[Source]] = {}
    sources = []
    for file, _ in found.values():
        sources.append(Source(file, _root(file)))
        sources[-1].module = _dotted(sources[-1])
        names.setdefault(sources[-1].module, []).append(sources[-1])
    for same in names.values():
        if len(same) > 1:  # two folders that are no packages: told apart by the folder given
            for source in same:
                source.root = found[source.path.resolve()][1]
                source.root = source.root if source.root.is_dir() else source.path.parent
                source.module = _dotted(source)
    clashing = [s for s in sources if sum(s.module == other.module for other in sources) > 1]
    if clashing:
        raise DataError(
            f"{clashing[0].path} and {clashing[1].path} are both imported as "
            f"{clashing[0].module}. Give the folder that holds both, or one at a time."
        )
    for source in sources:
        _read(source)
    return sources


def _foreign(path: Path) -> bool:
    """Say whether a file in a folder is a test, or nobody's source."""
    name = path.name
    test = name.startswith("test_") or name.endswith("_test.py")
    hidden = any(part.startswith(".") or part in _FOREIGN for part in path.parts)
    return test or hidden or name in ("conftest.py", "setup.py")


def _root(file: Path) -> Path:
    folder = file.parent.absolute()
    while (folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _dotted(source: Source) -> str:
    parts = source.path.absolute().relative_to(source.root.absolute()).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[1:] else parts)


def _read(source: Source) -> None:
    """Fill in a source's text and functions, or why not."""
    parts = source.module.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        source.why = f"cannot be imported by the name {source.module}: letters, digits and _ only"
        return
    if parts[0] in sys.stdlib_module_names:
        source.why = f"has the name of a module of the standard library, {parts[0]}: rename it"
        return
    try:
        with tokenize.open(source.path) as stream:
            source.text = stream.read()
        tree = ast.parse(source.text)
    except SyntaxError as error:  # a wrong encoding is one, too
        source.text, where = "", f" in line {error.lineno}" if error.lineno else ""
        source.why = f"is no valid Python{where}: {error.msg}"
        return
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        source.text, source.why = "", f"cannot be read: {error}"
        return
    names = frozenset(_bound(tree))
    lines = source.text.split("\n")
    made = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            text = "\n".join(lines[first - 1 : node.end_lineno]) + "\n"
            returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
            signature = f"{node.name}({ast.unparse(node.args)}){returns}"
            made[node.name] = Function(  # of two with one name, the last one is there
                node.name, text, signature, source.module, source.path, first, names
            )
    source.functions = list(made.values())
    if not made:
        methods = [n for c in tree.body if isinstance(c, ast.ClassDef) for n in c.body]
        count = sum(isinstance(n, ast.FunctionDef) for n in methods)
        source.why = "has no public function at its top level"
        source.why += f"; methods are left out, here {count}" if count else ""


def _bound(tree: ast.Module) -> Iterator[str]:
    """Give the names that a module defines or assigns at its top level."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name)
                        and isinstance(n.ctx, ast.Store))  # fmt: skip


def project_modules(source: Source) -> dict[str, str]:
    """Return the source of a file and of the project's modules that it imports, by dotted name."""
    found: dict[str, str] = {}
    wanted = [*_files(source.root, source.module)]
    while wanted and len(found) < _MOST:
        name, path = wanted.pop()
        if name not in found:
            found[name], imports = _imports(path, name)
            wanted += [pair for other in imports for pair in _files(source.root, other)]
    return found


def _files(root: Path, module: str) -> Iterator[tuple[str, Path]]:
    """Give the files that importing a module runs: the packages', then its own."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        base, name = root.joinpath(*parts[:end]), ".".join(parts[:end])
        if (base / "__init__.py").is_file():
            yield f"{name}.__init__", base / "__init__.py"
        if base.with_name(f"{base.name}.py").is_file():
            yield name, base.with_name(f"{base.name}.py")


def _imports(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """Return a file's text, and the modules that it may import."""
    try:
        with tokenize.open(path) as stream:
            text = stream.read()
        tree = ast.parse(text)
    except (SyntaxError, OSError, ValueError):
        return "raise ImportError('it cannot be read')", ()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".")[: -node.level] if node.level else []
            base = [*package, *(node.module or "").split(".")] if node.module else package
            found += [".".join([*base, *more]) for a in node.names for more in ([], [a.name])]
    return text, tuple(module for module in found if module)
