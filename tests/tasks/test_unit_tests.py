import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from ftlab import data, sandbox, tasks
from ftlab.tasks import functions, unit_tests
from ftlab.tasks.unit_tests import (
    NEW_FAMILY,
    SEEN_FAMILY,
    parse,
    plain,
    prompt,
    run_tests,
    score,
    style,
    target_of,
)

FAMILIES = functions.LISTS.families
TRAIN = unit_tests.examples(800, seed=1)
TEST = unit_tests.examples(200, seed=1, split="test")
TARGET = """def checked(n):
    if n < 4:
        raise ValueError("small")
    return n - 4
"""
GOOD = '''import unittest

from target import checked


class TestChecked(unittest.TestCase):
    """Tests of checked."""

    def test_typical(self):
        self.assertEqual(checked(18), 14)
        self.assertEqual(checked(7), 3)

    def test_edges(self):
        self.assertEqual(checked(4), 0)

    def test_error(self):
        with self.assertRaises(ValueError):
            checked(3)


if __name__ == "__main__":
    unittest.main()'''
RECORD = unit_tests.data.example(unit_tests.CUE + TARGET, GOOD)


def marks(text):
    return {name: ratio.num for name, ratio in score(RECORD, text).items() if ratio.den}


def test_one_shape():
    assert tasks.get("unit_tests").headline in score(RECORD, "")
    assert prompt(TARGET) == ({"role": "user", "content": unit_tests.CUE + TARGET.strip()},)
    assert target_of(RECORD) == TARGET + "\n"


def test_every_family_makes_functions_whose_tests_can_be_written():
    written = {}
    for seed in range(4000):
        made = functions.make(random.Random(seed), new=seed % 4 == 0)
        compile(made.source, "target", "exec")
        assert not set("|") & set(made.source), made.source
        assert 1 <= made.difficulty <= 3
        written[made.family] = written.get(made.family, False) or bool(functions.write(made))
    assert len(written) == len(FAMILIES)
    assert all(written.values())


def test_the_splits_share_no_function_and_the_new_families_are_new():
    train = {target_of(r) for r in TRAIN}
    assert len(train) == len(TRAIN)
    assert not train & {target_of(r) for r in TEST}
    families = {data.meta(r)["group"] for r in TRAIN}
    new = [r for r in TEST if data.meta(r)["slice"] == NEW_FAMILY]
    seen = [r for r in TEST if data.meta(r)["slice"] == SEEN_FAMILY]
    assert len(new) + len(seen) == len(TEST)
    assert min(len(new), len(seen)) > 60
    assert not families & {data.meta(r)["group"] for r in new}
    assert {data.meta(r)["group"] for r in seen} <= families
    assert {data.meta(r)["slice"] for r in TRAIN} == {f["kind"] for f in FAMILIES}
    assert {data.meta(r)["difficulty"] for r in TRAIN} == {1, 2, 3}


def test_the_references_keep_the_house_style_and_are_plain():
    for record in [*TRAIN, *TEST]:
        assert style(data.answer(record), target_of(record)), data.answer(record)
        assert parse(data.answer(record)) == data.answer(record)
        assert plain(data.answer(record), unit_tests.function_of(target_of(record)))


def test_the_references_pass_on_their_functions_and_show_a_change():
    chosen = [*TRAIN[:20], *TEST[:20]]
    calls = [(data.answer(r), {"target": target_of(r)}) for r in chosen]
    # The same function, but returning something else.
    spoiled = [
        {"target": target_of(r) + f"_real = {f}\ndef {f}(*a):\n    return [_real(*a), 0]\n"}
        for r in chosen
        for f in [unit_tests.function_of(target_of(r))]
    ]
    right = [{"code": code, "modules": module} for code, module in calls]
    wrong = [{"code": c, "modules": m} for (c, _), m in zip(calls, spoiled, strict=True)]
    with ThreadPoolExecutor(4) as pool:
        run = lambda one: sandbox.run(**one, tests=True, allow_weak=True).outcome
        outcomes = list(pool.map(run, [*right, *wrong]))
    assert outcomes == ["ok"] * len(right) + ["failed"] * len(wrong)


# Marking.


def test_a_good_answer_has_all_marks_however_it_is_wrapped():
    assert set(marks(GOOD)) >= {"passes", "parses", "style", "runs", "tests_passed"}
    for text in (
        GOOD, f"```python\n{GOOD}\n```", f"Here is the module:\n\n```\n{GOOD}\n```\nIt tests all.",
        GOOD + "\n\nimport os\n", f"Sure, here it is:\n{GOOD}",
    ):  # fmt: skip
        assert parse(text) == GOOD
        assert {name: m for name, m in marks(text).items() if not m} == {}


def test_a_wrong_value_runs_and_does_not_pass():
    got = marks(GOOD.replace("14)", "15)"))
    assert (got["passes"], got["runs"], got["style"], got["tests_passed"]) == (0, 1, 1, 2)


@pytest.mark.parametrize("text", ["", "no code", "def f(:", "import unittest", "x = 1"])
def test_what_is_no_test_module_does_not_run(text):
    got = marks(text)
    assert (got["passes"], got["runs"], got["style"]) == (0, 0, 0)


BREAKS = [
    ("import unittest\n", "import unittest\nimport math\n"),
    ("TestChecked", "CheckedTest"),
    ("test_edges", "test_boundaries"),
    ("self.assertEqual(checked(4), 0)", "self.assertTrue(checked(4) == 0)"),
    ('\n\n\nif __name__ == "__main__":\n    unittest.main()', "\n"),
]


ALSO = [
    ("Tests of checked.", "Some tests."),
    ("    def test_typical", "    size = 3\n\n    def test_typical"),
    ("test_error", "test_typical_error"),
    (GOOD[GOOD.index("\n    def test_error") : GOOD.index("\n\nif __name__")], ""),
    ("test_edges(self)", "test_edges(self, n=1)"),
    ("checked(4), 0)", "checked(2 * 2), 0)"),
    ("checked(4), 0)", "checked(4), 0, 'no')"),
    ("checked(4), 0)", "0, checked(4))"),
    ("            checked(3)", "            checked(3)\n            checked(2)"),
    ("import unittest\n\nfrom", "import unittest as unittest\n\nfrom"),
    ("    unittest.main()", "    unittest.main(verbosity=2)"),
]


@pytest.mark.parametrize(("old", "new"), [*BREAKS, *ALSO])
def test_each_break_of_the_house_style_is_seen(old, new):
    assert old in GOOD and not style(GOOD.replace(old, new), TARGET)


@pytest.mark.parametrize(("old", "new"), BREAKS)
def test_what_breaks_the_style_alone_still_passes(old, new):
    got = marks(GOOD.replace(old, new))
    assert (got["passes"], got["style"]) == (1, 0)


CHEATS = {
    "prints and exits": GOOD.replace("self.assertEqual(checked(4), 0)", "print('OK'); exit(0)"),
    "os": "import os\n" + GOOD,
    "patches": GOOD.replace("class Test", "unittest.TestCase.assertEqual = max\n\n\nclass Test"),
    "own assertion": GOOD.replace(
        "    def test_typical",
        "    def assertEqual(self, a, b):\n        pass\n\n    def test_typical",
    ),
    "own function": GOOD.replace("class Test", "def checked(n):\n    n\n\n\nclass Test"),
    "bound anew": GOOD.replace("class Test", "checked = len\n\n\nclass Test"),
    "skips": GOOD.replace("    def test_typical", '    @unittest.skip("")\n    def test_typical'),
    "returns": GOOD.replace("self.assertEqual(checked(4), 0)", "return"),
    "globals": GOOD.replace("self.assertEqual(checked(4), 0)", "globals()"),
    "dunder": GOOD.replace("self.assertEqual(checked(4), 0)", "self.__class__"),
    "built-in by way of a module": GOOD.replace(
        "class Test",
        "unittest.loader.sys.modules['builtins'].setattr(unittest.TestCase, 'fail', max)\n\n\n"
        "class Test",
    ),
    "built-in by way of a frame": GOOD.replace(
        "self.assertEqual(checked(4), 0)", "(n for n in 'a').gi_frame.f_builtins['exit']()"
    ),
    "globals by way of a pattern": GOOD.replace(
        "self.assertEqual(checked(4), 0)",
        "match checked:\n            case object(__dict__=d):\n                d['n'] = 1",
    ),
    "another's name from the target": GOOD.replace("import checked", "import checked, re"),
    "lasts": GOOD.replace(
        "self.assertEqual(checked(4), 0)", "unittest.TestCase.addClassCleanup(max)"
    ),
    "logs": GOOD.replace("self.assertEqual(checked(4), 0)", "self.assertLogs().logger"),
    "own run": GOOD.replace("    def test_typical", "    run = max\n\n    def test_typical"),
    "own loader": GOOD.replace("class Test", "def load_tests(a, b, c):\n    b\n\n\nclass Test"),
    "unittest by another name": GOOD.replace("class Test", "u = unittest\n\n\nclass Test"),
    "no assertion": (
        "import unittest\n\n\nclass TestChecked(unittest.TestCase):\n"
        "    def test_a(self):\n        checked(5)"
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_module_that_tampers_is_not_run(name):
    assert CHEATS[name] != GOOD
    got = marks(CHEATS[name])
    assert (got["passes"], got["runs"]) == (0, 0)


def test_another_style_passes_all_the_same():
    text = (
        "import unittest\nfrom target import checked\n"
        "class A(unittest.TestCase):\n    maxDiff = None\n    def setUp(self):\n        pass\n"
        "    def test_it(self):\n        for n, want in [(4, 0), (5, 1)]:\n"
        "            with self.subTest(n=n):\n                self.assertEqual(checked(n), want)\n"
        "                self.assertNotEqual(checked(n), want + 1)\n"
    )
    got = marks(text)
    assert (got["passes"], got["runs"], got["style"]) == (1, 1, 0)


def test_an_endless_module_is_ended():
    text = GOOD.replace("self.assertEqual(checked(4), 0)", "while True: self.assertEqual(1, 1)")
    started = sandbox.run(
        text, tests=True, modules={"target": TARGET}, timeout=0.5, allow_weak=True
    )
    assert started.outcome == "timeout"


def test_a_mutant_is_told_from_the_function():
    assert run_tests(GOOD, TARGET).outcome == "ok"
    mutant = run_tests(GOOD, TARGET.replace("n - 4", "n - 3"))
    assert mutant.outcome == "failed"
    assert set(mutant.failed) == {"TestChecked.test_typical", "TestChecked.test_edges"}
