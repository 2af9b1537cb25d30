"""The agent and its command against a real server of the protocol, through the official client."""

import ast
import importlib
import inspect
import subprocess
import sys

import pytest
from openai_server import KEY

from ftlab import agents
from ftlab.agents.report import Outcome, Report
from ftlab.cli import main
from ftlab.errors import ConfigError, ModelError

from .conftest import asked_for, module

SHOP = '''import math


class CartError(Exception):
    pass


def total(prices, off=0):
    """Add up."""
    if off > 100:
        raise CartError("too much")
    return sum(prices) * (100 - off) / 100


def double(n):
    return n * 2
'''
# A call of each of 40 functions of the standard library.
LIBRARY = {
    "textwrap": ["wrap('a b c', 3)", "fill('a b c', 3)", "shorten('Hello big world', 12)",
                 "dedent(' a')", "indent('a', '> ')"],
    "string": ["capwords('a bc')"],
    "shlex": ["split('a \"b c\"')", "join(['a', 'b c'])", "quote('a b')"],
    "html": ["escape('<a>')", "unescape('&lt;')"],
    "fnmatch": ["fnmatch('a.py', '*.py')", "fnmatchcase('A', 'a')", "filter(['a', 'b'], 'a')",
                "translate('a?')"],
    "colorsys": ["rgb_to_yiq(1, 0, 0)", "yiq_to_rgb(1, 0, 0)", "rgb_to_hls(1, 0, 0)",
                 "hls_to_rgb(0, 1, 1)", "rgb_to_hsv(1, 0, 0)", "hsv_to_rgb(0.5, 1, 1)"],
    "calendar": ["isleap(2000)", "leapdays(1999, 2005)", "timegm((2024, 2, 29, 0, 0, 0))"],
    "heapq": ["nlargest(2, [1, 3, 2])", "nsmallest(2, [3, 1, 2])"],
    "statistics": ["median([1, 3, 2])", "median_low([1, 2])", "median_high([1, 2])",
                   "mode([1, 1, 2])", "multimode([1, 1, 2, 2])", "quantiles([1, 2, 3], n=2)"],
    "difflib": ["get_close_matches('appel', ['apple', 'pear'])"],
    "base64": ["b64encode(b'a')", "b64decode(b'YQ==')", "b16encode(b'a')",
               "b16decode(b'61')"],
    "copy": ["copy([1])", "deepcopy([[1]])"],
    "ast": ["literal_eval('[1]')"],
}  # fmt: skip


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def ftlab(capsys, monkeypatch, *arguments):
    """Run the command in this process; return its exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", ["ftlab", "write-tests", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


@pytest.mark.parametrize("expect", ["model", "run"])
def test_functions_of_the_standard_library(tmp_path, server, client, expect):
    calls, values = {}, {}
    for name, some in LIBRARY.items():
        space = vars(importlib.import_module(name))
        text = f"import {name} as m\n"
        text += "globals().update({k: v for k, v in vars(m).items() if k[:2] != '__'})\n"
        for call in some:
            function = call.partition("(")[0]
            calls[function], values[function] = call, eval(call, dict(space))
            text += f"\n\n{inspect.getsource(space[function])}"
        (tmp_path / f"std_{name}.py").write_text(text)
    assert len(calls) == 40

    def write(messages):  # every fourth is wrong until it is told
        name = asked_for(messages)
        if "one a line" in messages[0]["content"]:
            return f"- {calls[name]}\n- {calls[name]}\n2. {name}(nothing)\nok"
        wrong = sorted(calls).index(name) % 4 == 0 and "tests fail" not in messages[-1]["content"]
        value = None if wrong else values[name]
        return module(name, value).replace(f"{name}(2)", calls[name])

    server.write = write
    report = agents.write_tests(
        tmp_path, client=client, model="tiny", out=tmp_path / "tests", expect=expect,
        most_mutants=6, samples=2,
    )  # fmt: skip
    assert [one.name for one in report.functions if not one.passed] == []
    assert report.ok and len(report.functions) == 40, report
    assert sum(one.repaired for one in report.functions) == (10 if expect == "model" else 0)
    if expect == "run":
        assert all(one.proposed == 2 and list(one.failed.values()) == ["NameError"]
                   for one in report.functions)  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "discover", "tests"], cwd=tmp_path, text=True,
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0 and "Ran 40 tests" in done.stderr, done.stderr


def test_values_by_running_are_for_a_person_to_confirm(shop, server, client):
    proposed = "total([1, 2])\ntotal([])\n`total([1], 101)`\ntotal('a')\ntotal([2, 1])\ndouble(4)"
    server.write = lambda messages: proposed
    report = agents.write_tests(shop, client=client, model="tiny", out=shop / "t", expect="run")
    text = (shop / "t" / "test_shop.py").read_text()
    assert "        self.assertEqual(total([1, 2]), 3.0)  # confirm\n" in text
    assert "with self.assertRaises(CartError):\n            total([1], 101)\n" in text
    assert "def test_edges(self):\n        self.assertEqual(total([]), 0.0)  # confirm\n" in text
    assert report.functions[0].failed == {"total('a')": "TypeError"}
    assert {body["seed"] for body in server.bodies} == {1, 2, 3, 4}
    assert report.functions[0].lines == report.functions[0].statements == 3


def test_where_the_sandbox_is_weak_only_plain_tests_are_run(shop, server, client, monkeypatch):
    monkeypatch.setattr("ftlab.sandbox.level", lambda: "rlimits")
    server.write = lambda messages: (
        "def test_typical():\n    assert double(2) == 4\n" if asked_for(messages) == "double"
        else module("total", 7.0).replace("(2)", "([7])")
    )  # fmt: skip
    report = agents.write_tests(shop, client=client, model="tiny", out=shop / "t", repairs=0)
    assert [one.passed for one in report.functions] == [1, 0]
    assert "without a strong sandbox" in report.functions[1].untested[0]


def test_what_is_not_tested_is_said_in_words(shop, server, client):
    server.write = lambda messages: module(asked_for(messages)).replace("total(2)", "total([4])")
    total, double = agents.write_tests(shop, client=client, model="tiny", out=shop / "t").functions
    assert total.untested[0] == 'line 11 is never run: `raise CartError("too much")`'
    assert "no test tells `if off > 100:` from `if off >= 100:`, total([4], 100) would" in str(
        total.untested
    )
    assert double.killed < double.mutants
    assert "`return n * 2` from `return n + 2`, double(3) would" in double.untested[0]


def test_standards_are_checked_shown_and_kept(shop, server, client, tmp_path):
    rules = tmp_path / "standards.md"
    rules.write_text(
        "# Ours\n\n- Test names start with `test_<function>_`.\n- Every test has a docstring\n"
        "* No classes\n- Be friendly\n"
    )
    good = "def test_{0}_two():\n    '''Two.'''\n    assert {0}(2) == 4\n"

    def write(messages):
        name = asked_for(messages)
        if "one a line" in messages[0]["content"]:
            return "total([1, 2]) total([]) total([1], 101) double(4) double(5)"
        told = "breaks the standard: Every test has a docstring" in messages[-1]["content"]
        return good.format(name) if told else good.format(name).replace("'''Two.'''", "pass")

    server.write = write
    options = {"client": client, "model": "tiny", "out": shop / "t", "standards": rules}
    report = agents.write_tests(shop, **options)
    assert report.notes == ["Told to the model, and not checked: Be friendly"]
    assert [one.repaired for one in report.functions] == [0, 1]  # total(2) is no list
    system, _, example, _ = server.bodies[0]["messages"]
    assert "- Be friendly" in system["content"] and "class" not in example["content"]
    assert "def test_clamp_error():" in example["content"]
    report = agents.write_tests(shop, expect="run", **options)
    text = (shop / "t" / "test_shop.py").read_text()
    assert report.ok and "import pytest" in text and "class " not in text
    assert 'def test_double_typical():\n    """Typical: double."""\n    assert double(' in text
    style = agents.read_standards(rules.read_text())
    assert all(not style.broken(ast.parse(test).body[0], one.name)
               for one in report.functions for test in one.tests.values())  # fmt: skip
    rules.write_text("Be good.")
    with pytest.raises(ValueError, match="has no list"):
        agents.write_tests(shop, **options)


@pytest.mark.parametrize(
    ("options", "key", "said"),
    [
        (["--model", "tinny"], KEY, "no model 'tinny'. Did you mean 'tiny'?"),
        (["--model", "tiny", "--against", "tinny"], KEY, "no model 'tinny'. Did you mean 'tiny'?"),
        (["--model", "tiny"], "sk-wrong", "refused the key"),
        (["--model", "tiny", "--base-url", "https://example.invalid/v1"], "", "needs a key"),
        (["--model", "tiny", "--base-url", "http://127.0.0.1:1/v1"], KEY, "cannot be reached"),
        (["--model", "tiny", "--expect", "hope"], KEY, "Unknown source of expected values 'hope'"),
        (["--model", "tiny", "--standards", "none.md"], KEY, "none.md does not exist"),
    ],
)
def test_mistakes_are_said_first(options, key, said, shop, server, capsys, monkeypatch):
    monkeypatch.chdir(shop)
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    code, _, error = ftlab(capsys, monkeypatch, "shop.py", *options)
    assert code == 2 and said in error and not (shop / "tests").exists() and not server.asked


def test_the_command(shop, server, capsys, monkeypatch):
    monkeypatch.chdir(shop)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    arguments = ["shop.py", "--model", "tiny", "--base-url", server.url]
    code, out, _ = ftlab(capsys, monkeypatch, *arguments, "--dry-run")
    assert code == 1 and "+class TestDouble(unittest.TestCase):" in out
    assert "no test of it passes (test_typical: TypeError: 'int' object is not iterable" in out
    assert not (shop / "tests").exists()
    paid = len(server.charged)
    server.write = lambda messages: module(asked_for(messages)).replace("total(2)", "total([4])")
    (shop / "runs" / "write-tests" / "answers.jsonl").unlink()
    code, out, _ = ftlab(capsys, monkeypatch, *arguments, "--against", "tiny-instruct")
    assert code == 0 and "share of mutants killed is" in out and len(server.charged) == paid + 4
    assert (shop / "tests" / "test_shop.py").exists()
    code, out, _ = ftlab(capsys, monkeypatch, *arguments)
    assert code == 0 and "has these tests already" in out and len(server.charged) == paid + 4


def test_a_run_that_was_broken_off_pays_nothing_twice(shop, server, client):
    options = {"client": client, "model": "tiny", "out": shop / "t", "at_once": 1, "repairs": 0}
    server.plan(["ok", "quota"])
    with pytest.raises(ConfigError, match="nothing left to spend"):
        agents.write_tests(shop, answers_file=shop / "kept.jsonl", **options)
    assert len(server.charged) == 1 and not (shop / "t").exists()
    agents.write_tests(shop, answers_file=shop / "kept.jsonl", **options)
    assert len(server.charged) == len(set(server.charged)) == 2


def test_a_full_context_is_said_before_anything_is_written(shop, server, client):
    options = {"client": client, "model": "tiny", "out": shop / "t", "at_once": 1}
    server.plan(["400", "400"])
    with pytest.raises(ModelError, match=r"nothing is written\. The last: the endpoint refused it"):
        agents.write_tests(shop, **options)
    assert not (shop / "t").exists()
    server.plan(["400", "ok"])
    report = agents.write_tests(shop, **options)
    assert not report.ok and "no answer: the endpoint refused it" in report.words()[0]
    assert report.functions[1].passed == 1


def test_two_models_are_compared_on_the_same_functions(shop):
    functions = agents.functions_of(shop / "shop.py") * 20

    def report(model, good):
        made = Report(model, "model")
        for number, function in enumerate(functions):
            one = Outcome(function, shop / "t.py", 1, mutants=4, statements=2)
            function = agents.Function(**{**vars(function), "name": f"f{number}"})
            one.function, one.killed = function, 3 if number < good else 0
            one.tests = {"test_a": "…"} if number < good else {}
            one.failed = {} if number < good else {"test_a": "AssertionError"}
            made.functions.append(one)
        return made

    first, *_, killed = agents.compare(report("base", 4), report("tuned", 30))
    assert first.startswith(
        "On 40 functions, share of functions with a test is 0.750 for tuned and 0.100 for base: "
        "better by 0.650 (95 % interval"
    )
    assert "share of mutants killed is 0.562 for tuned and 0.075 for base: better by" in killed
    same = agents.compare(report("base", 4), report("base", 4))
    assert "no difference shown" in same[0] and "base (second)" in same[0]
    with pytest.raises(ConfigError, match="no function in common"):
        agents.compare(report("base", 4), Report("tuned", "model"))
