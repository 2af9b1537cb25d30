"""Files that have cost somebody their tests: in each, nothing is lost, and what is left is said."""

import ast
import difflib
import re

import pytest

from ftlab import agents
from ftlab.errors import DataError

from .conftest import module

ONE = "def double(n):\n    return n * 2\n"
OLD = """\"\"\"Mine.\"\"\"
import unittest

from shop import double  # by hand


class TestDouble(unittest.TestCase):
    def test_typical(self):
        self.assertEqual(double(3), 6)   # my own spacing
    # the last word


if __name__ == '__main__':
    unittest.main()
"""
PYTEST = "import math\n\n\ndef test_double():\n    assert math.pi > 3\n"
MANY = "".join(f"def double_{n}(n):\n    # {n}\n    return n * 2\n\n\n" for n in range(600))

# name: files, how many of their functions get a test, and what the report says
TRAPS = {
    "no functions": ({"shop.py": "A = 1\n"}, 0, "has no public function"),
    "methods alone": ({"shop.py": "class A:\n    def f(self):\n        pass\n"}, 0, "here 1"),
    "an empty file": ({"shop.py": ""}, 0, "has no public function"),
    "a syntax error": ({"shop.py": ONE + "def f(:\n"}, 0, "no valid Python in line 3"),
    "a name with a hyphen": ({"my-shop.py": ONE}, 0, "cannot be imported by the name my-shop"),
    "a name of the library": ({"random.py": ONE}, 0, "standard library, random: rename it"),
    "a package that is not there": ({"shop.py": "import nowhere\n" + ONE}, 0, "named 'nowhere'"),
    "exits on import": ({"shop.py": ONE + "raise SystemExit(3)\n"}, 0, "cannot be loaded"),
    "an endless function": (
        {"shop.py": ONE + "def f(n):\n    while n:\n        pass\n"}, 1, "f: no test of it passes"),
    "ends the process": (
        {"shop.py": "import os\n" + ONE + "def f(n):\n    os._exit(0)\n"}, 1, "no test of it"),
    "Windows line ends": ({"shop.py": ONE.replace("\n", "\r\n")}, 1, ""),
    "Latin-1, declared": (
        {"shop.py": "# coding: latin-1\nA = 'é'\n".encode("latin-1") + ONE.encode()}, 1, ""),
    "a byte order mark": ({"shop.py": "\ufeff" + ONE}, 1, ""),
    "defined twice": ({"shop.py": "def double(n):\n    return 7\n\n" + ONE}, 1, ""),
    "prints, and keeps what it needs private": (
        {"shop.py": "_TWO = 2\nprint('\1 7')\ndef double(n):\n    print(n)\n    return n * _TWO\n"},
        1, ""),
    "a package with relative imports": (
        {"shop/__init__.py": "from .cart import double\n", "shop/rates.py": "TWO = 2\n",
         "shop/cart.py": "from . import rates\nfrom .rates import TWO\n"
         "def double(n):\n    return n * rates.TWO\n"}, 1, ""),
    "tests among the sources": ({"shop.py": ONE, "test_it.py": ONE, "conftest.py": ONE}, 1, ""),
    "tests that are there": ({"shop.py": ONE, "tests/test_shop.py": OLD}, 1, "shop.py.bak"),
    "tests with Windows line ends, the last line open": (
        {"shop.py": ONE, "tests/test_shop.py": PYTEST.replace("\n", "\r\n")[:-2]}, 1, ""),
    "tests with a byte order mark": (
        {"shop.py": ONE, "tests/test_shop.py": "\ufeff" + OLD}, 1, ""),
    "tests in pytest's style": ({"shop.py": ONE, "tests/test_shop.py": PYTEST}, 1, ""),
    "tests with a form feed and odd separators": (
        {"shop.py": ONE, "tests/test_shop.py": f"A = 'x\u2028y'\n\f\n{OLD}"}, 1, ""),
    "an import that shares its line": (
        {"shop.py": ONE, "tests/test_shop.py": "import math; A = '''\n'''\n" + PYTEST}, 1, ""),
    "tests that do not parse": (
        {"shop.py": ONE, "tests/test_shop.py": OLD + "def f(:"}, 0, "mend it first"),
    "tests that use the name": (
        {"shop.py": ONE, "tests/test_shop.py": "double = 3\n"}, 0, "for something else"),
    "tests that cannot be read": (
        {"shop.py": ONE, "tests/test_shop.py": b"A = '\xe9'\n"}, 0, "cannot be read"),
    "a class that is indented by tabs": (
        {"shop.py": ONE, "tests/test_shop.py": OLD.replace("    ", "\t")}, 1, "shop.py.bak"),
    "a class on one line": (
        {"shop.py": ONE, "tests/test_shop.py": PYTEST + "class TestDouble: x = 1\n"}, 1, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAPS)
def test_nothing_is_lost(name, tmp_path, client):
    files, tested, said = TRAPS[name]
    raw = {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}
    for path, content in raw.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    out = tmp_path / "tests"
    options = {"client": client, "model": "tiny", "out": out, "repairs": 0, "most_mutants": 4}
    report = agents.write_tests([tmp_path], **options)
    assert said in str(report)
    assert sum(one.passed for one in report.functions) == tested
    before = raw.pop("tests/test_shop.py", b"")
    assert all((tmp_path / path).read_bytes() == content for path, content in raw.items())
    after = b"".join(path.read_bytes() for path in out.glob("test_*.py"))
    if not tested:
        assert after == before and report.ok == ("no public function" in str(report))
        return
    whole = before + b"\r\n" * (before[-1:] not in (b"", b"\n"))
    lines = (text.decode().splitlines(keepends=True) for text in (whole, after))
    assert not [line for line in difflib.ndiff(*lines) if line.startswith("- ")]
    old, new = (ast.parse(text.decode("utf-8-sig")) for text in (before, after))
    kept = [ast.dump(node) for node in new.body]
    grown = [node.name for node in old.body if ast.dump(node) not in kept]  # type: ignore
    assert grown == ["TestDouble"] * ("import unittest" in before.decode())
    assert "double" in [name.name for n in new.body if isinstance(n, ast.ImportFrom)
                        for name in n.names]  # fmt: skip
    assert b"double(2), 4" in after and after.count(b"\r\n") in (0, after.count(b"\n"))
    if before:
        assert (out / "test_shop.py.bak").read_bytes() == before
    again = agents.write_tests([tmp_path], **options)
    assert "has these tests already" in str(again)
    assert b"".join(path.read_bytes() for path in out.glob("test_*.py")) == after


def test_3000_lines(tmp_path, client):
    (tmp_path / "shop.py").write_text(MANY)
    assert len(MANY.splitlines()) == 3000 and len(agents.functions_of(tmp_path)) == 600
    some = MANY.replace("def double_", "def _double_", 597).replace("_599(", "599(")
    (tmp_path / "shop.py").write_text(some.replace("_598(", "599_(", 1))  # classes of one name
    report = agents.write_tests([tmp_path], client=client, model="tiny", out=tmp_path / "tests")
    assert [one.passed for one in report.functions] == [1, 1, 1]
    text = (tmp_path / "tests" / "test_shop.py").read_text()
    assert text.count("\nclass ") == len(set(re.findall("class .*", text))) == 3
    assert report.functions[-1].function.line == 2996 and report.functions[-1].lines == 1


def test_two_modules_of_one_test_file(tmp_path, client):
    for path in ("a_b.py", "a/b.py", "a/__init__.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("" if "init" in path else ONE)
    report = agents.write_tests(tmp_path, client=client, model="tiny", out=tmp_path / "tests")
    assert len(report.functions) == 1 and not report.ok
    assert "has tests of another double" in str(report)


def test_what_no_function_can_be_found_by(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shop.py").write_text(ONE)
    with pytest.raises(DataError, match="both imported as shop"):
        agents.functions_of(tmp_path)
    with pytest.raises(DataError, match="no Python file and no folder"):
        agents.functions_of(tmp_path / "c.py")
    (tmp_path / "bad.py").write_text("def f(:")
    with pytest.raises(DataError, match="no valid Python in line 1"):
        agents.functions_of(tmp_path / "bad.py")
    (one,) = agents.functions_of(tmp_path / "a" / "shop.py")
    assert (one.name, one.module, one.line) == ("double", "shop", 1)
    assert module("double") and one.source == ONE
