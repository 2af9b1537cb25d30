"""A room of the package calls rooms before it in the README's list, and never one after it."""

import ast
import re
from pathlib import Path

import ftlab

PACKAGE = Path(ftlab.__file__).parent
README = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
ORDER = re.findall(r"`(\w+)`", README.split("in their order:")[1].split("A room calls")[0])


def rooms_called(tree):
    """The rooms that a module imports anywhere, but for the sake of types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ftlab"):
            _, *inner = node.module.split(".")
            yield from inner[:1] or [name.name for name in node.names]
        elif isinstance(node, ast.Import):
            yield from (n.name.split(".")[1] for n in node.names if n.name.startswith("ftlab."))
        else:
            yield from rooms_called(node)


def test_each_room_is_in_the_list_and_calls_none_after_it():
    here = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert here - {"__init__"} == set(ORDER)
    wrong = [
        f"{path.relative_to(PACKAGE)} calls {called}"
        for room in ORDER
        for path in [PACKAGE / f"{room}.py", *(PACKAGE / room).rglob("*.py")]
        if path.exists()
        for called in rooms_called(ast.parse(path.read_text(encoding="utf-8")))
        if called in ORDER[ORDER.index(room) + 1 :]
    ]
    assert not wrong
