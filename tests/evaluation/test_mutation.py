import ast

import pytest

from ftlab import data, sandbox
from ftlab.errors import ConfigError, DataError
from ftlab.evaluation import mutants, mutation, probes
from ftlab.evaluation.mutation import figures, grade, grade_all, ratios, show
from ftlab.tasks import unit_tests

TARGET = """def grade_of(n):
    if n < 5:
        return "low"
    return "high"
"""


def module(*lines, function="grade_of"):
    body = "".join(f"        {line}\n" for line in lines)
    return (
        f"import unittest\n\nfrom target import {function}\n\n\n"
        f"class TestIt(unittest.TestCase):\n    def test_it(self):\n{body}"
    )


SHARP = module(
    'self.assertEqual(grade_of(4), "low")',
    'self.assertEqual(grade_of(5), "high")',
    'self.assertEqual(grade_of(6), "high")',
)
DULL = module('self.assertEqual(grade_of(0), "low")')


# Making mutants.


@pytest.mark.parametrize(
    ("operator", "line", "wanted"),
    [
        ("arithmetic", "return a + b", "return a - b"),
        ("arithmetic", "a += b", "a -= b"),
        ("comparison", "return a < b", "return a >= b"),
        ("comparison", "return a in b", "return a not in b"),
        ("boundary", "return a < b", "return a <= b"),
        ("boundary", "return a < b < 3", "return a < b <= 3"),
        ("boundary", "return a * 3", "return a * 2"),
        ("boolean", "return a and b", "return a or b"),
        ("boolean", "return not a", "return a"),
        ("boolean", "return True", "return False"),
        ("boolean", "return a if b else 0", "return a if not b else 0"),
        ("return", "return a", "return None"),
        ("return", "return 'low'", "return ''"),
        ("return", "return 7", "return 0"),
        ("call", "return sorted(a)", "return a"),
        ("call", "return a.strip()", "return a"),
        ("call", "a.append(b)", "pass"),
        ("call", "raise ValueError(a)", "pass"),
        ("slice", "return a[:3]", "return a[:4]"),
        ("slice", "return a[:-3]", "return a[:-4]"),
        ("slice", "return a[1:]", "return a[1:-1]"),
        ("slice", "return a[b:]", "return a[b + 1:]"),
        ("slice", "return range(a)", "return range(a + 1)"),
        ("swap", "return g(a, b)", "return g(b, a)"),
        ("swap", "return 'x' + a", "return a + 'x'"),
    ],
)
def test_each_operator_puts_in_its_fault(operator, line, wanted):
    made = mutants.make(f"def f(a, b):\n    {line}\n")
    assert (operator, f"def f(a, b):\n    {wanted}\n") in [(m.operator, m.source) for m in made]


@pytest.mark.parametrize("kept", ["'x' + a", "len(a)", "f'{a:>4}'", "g(*a, b)"])
def test_no_mutant_that_could_only_break(kept):
    made = mutants.make(f"def f(a, b):\n    {kept}\n    return None\n")
    assert not {m.operator for m in made} & {"arithmetic", "boundary"}
    for mutant in made:
        ast.parse(mutant.source)


def test_mutants_differ_from_the_function_and_from_each_other_and_come_in_order():
    for record in unit_tests.examples(60, seed=2):
        source = unit_tests.target_of(record)
        made = mutants.make(source)
        texts = [mutants.normal(source), *(m.source for m in made)]
        assert len(texts) == len(set(texts)) > 1
        assert made == mutants.make(source)
        assert {m.operator for m in made} <= set(mutants.OPERATORS)
        for mutant in made:  # one place, in the line that it says
            assert len(mutants.diff(source, mutant).split("\n")) == 2
            assert 2 <= mutant.line <= source.count("\n")
        assert mutants.make(source, most=3) == tuple(mutants.spread(list(made), 3))


def test_what_is_outside_of_functions_is_left_alone():
    assert mutants.make("LIMIT = 3 + 4\nclass A:\n    x = 1\n") == ()
    assert mutants.make('def f():\n    """Three: 3."""\n') == ()


# Probes.


def test_probes_meet_the_boundaries_of_the_source():
    found = probes.probes_near([[2]], TARGET, "grade_of")
    assert [4] in found and [5] in found and [6] in found
    assert [2] not in found  # which is known already
    assert found == probes.probes_near([[2]], TARGET, "grade_of")
    assert (
        len(probes.probes_near([[[1, 2], "abc", 3.5]] * 50, "def f(a, b, c):\n    0", "f")) <= 200
    )


@pytest.mark.parametrize("arity", [0, 1, 2, 4])
def test_without_known_calls_there_are_common_ones(arity):
    names = ", ".join("abcd"[:arity])
    found = probes.probes_near([], f"def f({names}):\n    pass\n", "f")
    assert {len(call) for call in found} == {arity}


def test_calls_are_found_where_all_arguments_are_literals():
    source = "f(1, [2])\nf(x)\ng(3)\nf(a=1)\nself.assertEqual(f(-1), 2)"
    assert list(probes.calls_in(source, "f")) == [[1, [2]], [-1]]
    assert list(probes.calls_in("def f(:", "f")) == []


# Judging.


def test_sharp_tests_kill_all_and_dull_ones_few():
    sharp, dull = (grade(text, TARGET, reference=SHARP) for text in (SHARP, DULL))
    assert sharp.passes and sharp.survivors == []
    assert dull.passes and 0 < len(dull.survivors) < len(dull.mutants)
    assert dull.mutants == sharp.mutants  # whatever the answer
    assert "+     if n <= 5:" in show(dull)


def test_a_mutant_that_does_the_same_is_dropped():
    source = "def f(n):\n    return max(n, 3) + 0 * n\n"
    known = grade(DULL, source, reference="f(1), f(8)").mutants
    assert "max(3, n)" not in str(known)
    assert "max(n, 4)" in str(known)


NO_TESTS = """import unittest
class A(unittest.TestCase):
    def setUp(self):
        self.assertTrue(1)
"""


def test_exceptions_tell_mutants_apart_only_where_the_source_raises_them():
    raising = "def f(n):\n    if n < 2:\n        raise ValueError\n    return n\n"
    stumbling = "def f(a):\n    return a[0:] and a[0]\n"
    tests = module(
        "self.assertEqual(f(2), 2)", "with self.assertRaises(ValueError):", "    f(1)", function="f"
    )
    assert not grade(tests, raising, reference="f(2), f(3)").survivors
    # On an empty list the function and its mutant differ only in how they fail.
    assert grade(tests, stumbling, reference="f([3])").mutants


@pytest.mark.parametrize(
    ("text", "stages", "why"),
    [
        ("", "", "does not parse"),
        ("def f(:", "", "does not parse"),
        ("import os\n" + SHARP, "parses", "not plain"),
        (NO_TESTS, "parses", "no tests"),
        (SHARP + "\nnothing\n", "parses", "does not load: NameError"),
        (DULL.replace("low", "high"), "parses collects", "fails: AssertionError: 'low' != 'high'"),
        (SHARP, "parses collects passes", ""),
    ],
)  # fmt: skip
def test_the_stages_of_the_funnel(text, stages, why):
    graded = grade(text, TARGET, reference=SHARP)
    got = {name for name in mutation.STAGES if getattr(graded, name)}
    assert got == set(stages.split())
    assert graded.why.startswith(why) and bool(graded.why) == bool(why)
    assert any(graded.killed) == graded.passes


def test_the_stages_agree_with_the_task():
    records = unit_tests.examples(6, seed=5)
    texts = [data.answer(r) for r in records]
    texts[1] = texts[1].replace("assertEqual", "assertNotEqual")
    texts[2] = "no tests at all"
    for record, text in zip(records, texts, strict=True):
        target, reference = unit_tests.target_of(record), data.answer(record)
        graded = grade(unit_tests.parse(text), target, reference=reference)
        marks = unit_tests.score(record, text)
        for stage in ("parses", "style", "passes"):
            assert marks[stage].num == getattr(graded, stage)


def test_claims_and_printing_count_for_nothing():
    for line in ("print('OK')", "raise SystemExit(0)", "unittest.main()", "exit()"):
        graded = grade(DULL + f"        {line}\n", TARGET, reference=SHARP)
        assert not graded.passes and not any(graded.killed)
    noisy = TARGET.replace("    if", '    print("@0003 OK " * 9000)\n    if', 1)
    graded = grade(SHARP, noisy, reference=SHARP)
    assert graded.passes
    assert "call" not in [m.operator for m in graded.mutants]  # without the print it does the same


def test_tests_that_remember_are_unstable(monkeypatch):
    # None that is plain can: so let one through that is not.
    monkeypatch.setattr(unit_tests, "plain", lambda *_: True)
    text = DULL.replace(
        "self.assert", "import sys\n        sys.path.append(0)\n        self.assert"
    )
    text += "        self.assertLess(sys.path.count(0), 3)\n"
    graded = grade(text, TARGET, reference=SHARP)
    assert graded.why.startswith("unstable") and not any(graded.killed)


def test_an_endless_mutant_is_killed_and_the_others_are_judged():
    source = "def f(n):\n    while n > 3:\n        n -= 1\n    return n\n"
    tests = module("self.assertEqual(f(4), 3)", "self.assertEqual(f(2), 2)", function="f")
    graded = grade(tests, source, reference=tests)
    endless = [
        d for m, d in zip(graded.mutants, graded.killed, strict=True) if "n += 1" in m.source
    ]
    assert endless == [True]
    assert graded.passes and graded.survivors == []
    stuck = module("while True:", "    self.assertEqual(f(2), 2)", function="f")
    assert grade(stuck, source, reference=tests).why == "endless"


def test_a_mutant_that_ends_the_run_takes_no_other_with_it(monkeypatch):
    monkeypatch.setattr(mutation, "_TIMEOUT", 1.5)
    # Counting in C takes no steps, so the sandbox has to end it.
    source = "def f(n):\n    return sum(range(10 ** (n + 10 - 12)))\n"
    tests = module("self.assertEqual(f(3), 45)", function="f")
    order = {"tests": mutants.fuelled(tests)}
    texts = [source.replace(a, b) for a, b in (("- 12", "- 11"), ("- 12", "+ 12"), ("12", "12.0"))]
    assert mutation._judge(order, source, texts) == [
        "", "fails: AssertionError: 4950 != 45", "ended the run: timeout",
        "fails: TypeError: 'float' object cannot be interpreted as an integer",
    ]  # fmt: skip
    assert mutation._judge(order, texts[1], [source, source])[0] == "ended the run: timeout"


def test_one_run_of_the_sandbox_judges_all_mutants(monkeypatch):
    grade(SHARP, TARGET, reference=SHARP)  # the mutants are known from here on
    calls = []
    run = sandbox.run
    monkeypatch.setattr(sandbox, "run", lambda *a, **k: calls.append(a) or run(*a, **k))
    assert grade(SHARP, TARGET, reference=SHARP).passes
    assert len(calls) == 1


def test_bad_input_is_named():
    with pytest.raises(DataError, match="defines no function"):
        grade(SHARP, "x = 1\n")
    with pytest.raises(ConfigError, match="Give one text for each"):
        grade_all([], ["x"])
    with pytest.raises(ConfigError, match="Give at least one"):
        figures([])


# Figures.


def graded_as(killed, passes=True):
    mutant = mutants.make(TARGET)[0]
    return mutation.Graded(
        True, False, True, passes, "", TARGET, (mutant,) * len(killed), tuple(killed)
    )


def test_the_figures_are_of_all_mutants():
    rows = [graded_as([True, True, False]), graded_as([False], passes=False)]
    found = figures(rows)
    assert found["passes"].value == 0.5
    assert found["killed"].value == 0.5
    assert found["killed"].low <= 0.5 <= found["killed"].high
    assert ratios(rows[1])["killed"] == (0, 1)
