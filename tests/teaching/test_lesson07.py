"""Lesson 07's toys do what the lesson says of them, and its pictures show what they are given."""

import ast
import statistics

import numpy as np
import pytest

from ftlab import data
from ftlab.errors import ConfigError
from ftlab.evaluation.metrics import bleu
from ftlab.evaluation.mutants import make
from ftlab.tasks import unit_tests
from ftlab.teaching import plots_evaluation
from ftlab.teaching.exercises import find, judge
from ftlab.teaching.lesson07 import (
    FEE,
    FEES,
    only_typical,
    other_names,
    told_apart,
    wrong_value,
)

MODULE = data.answer(unit_tests.examples(1, seed=0)[0])


@pytest.mark.parametrize(
    ("middle", "kind"),
    [
        (lambda d: [(cuts := statistics.quantiles(d, n=40))[0], cuts[-1]], "right"),
        (lambda d: [sorted(d)[int(0.025 * len(d))], sorted(d)[int(0.975 * len(d))]], "right"),
        (lambda d: np.quantile(d, [0.025, 0.975]), "right"),
        (lambda d: [d[int(0.025 * len(d))], d[int(0.975 * len(d))]], "mistake"),
        (lambda d: np.quantile(d, [0.05, 0.95]), "mistake"),
        (lambda d: np.quantile(d, [0, 0.95]), "mistake"),
        (lambda d: np.quantile(d, [0.05, 1]), "mistake"),
        (lambda d: np.quantile(d, [0.03, 0.97]), "wrong"),
    ],
)
def test_any_usual_way_to_cut_2_5_percent_is_right_and_another_share_is_not(middle, kind):
    assert judge(find("07.2"), middle).kind == kind


def test_the_fees_are_the_function_and_faults_of_it():
    space = {}
    exec(FEE, space)
    true, *mutants = FEES
    totals = range(200)
    assert [true(total) for total in totals] == [space["fee"](total) for total in totals]
    for mutant in mutants:
        assert [mutant(total) for total in totals] != [true(total) for total in totals]
    assert "mutant 'total > 50'" in repr(mutants[0])


def test_no_fault_that_the_course_makes_of_the_fee_outlives_the_exercises_solution():
    passes = find("07.5").solution
    for mutant in make(FEE):
        space = {}
        exec(mutant.source, space)
        # `return 0 -> return None` and the like included
        assert not passes(space["fee"]), mutant.source


def test_other_names_leave_a_function_as_it_was():
    source = (
        "def keep(values, limit=3):\n    total = 0\n    for v in values:\n        total += v\n"
        "    return [w for w in values if w > limit] + [total]\n"
    )
    spaces = [{}, {}]
    exec(source, spaces[0])
    exec(other_names(source), spaces[1])
    assert spaces[0]["keep"]([1, 4, 9]) == spaces[1]["keep"]([1, 4, 9]) == [4, 9, 14]
    names = {node.id for node in ast.walk(ast.parse(other_names(source)))
             if isinstance(node, ast.Name)}  # fmt: skip
    assert names.isdisjoint({"values", "limit", "total", "v", "w"})


def test_the_lazy_writer_keeps_one_test_and_the_sloppy_one_all_but_a_value():
    lazy, sloppy = only_typical(MODULE), wrong_value(MODULE)
    assert lazy.count("def test_") == 1 < MODULE.count("def test_")
    assert "def test_typical" in lazy
    assert sloppy.count("self.assertEqual") == MODULE.count("self.assertEqual")
    assert sloppy.count("'something else'") == 1
    assert bleu([sloppy], [MODULE]) > bleu([lazy], [MODULE])


def test_draws_show_one_bar_for_each_figure_there_is():
    picture = plots_evaluation.draws(
        [0.5, 0.55, 0.55, 0.6], 0.5, 0.6, title="Drawn", xlabel="share right"
    )
    (axes,) = picture.figure.axes
    heights = [bar.get_height() for bar in axes.containers[0]]
    assert heights == [1, 2, 1]
    assert picture.alt == "Histogram of 4 draws, share right: 95 % lie in 0.50 to 0.60."
    assert picture.png().startswith(b"\x89PNG")


def test_many_figures_are_put_into_bins():
    values = [k / 1000 for k in range(1000)]
    (axes,) = plots_evaluation.draws(values, 0, 1, title="", xlabel="").figure.axes
    assert len(axes.containers[0]) == 40


@pytest.mark.parametrize(("low", "word"), [(-0.1, "zero inside"), (0.1, "zero outside")])
def test_gaps_tell_zero_inside_from_zero_outside(low, word):
    picture = plots_evaluation.gaps({"b": (0.2, low, 0.3)}, xlabel="F1")
    assert word in picture.alt
    assert picture.png()


def test_reach_falls_as_examples_come():
    picture = plots_evaluation.reach({"a": 0.5, "b": 0.1}, most=2000, here=200)
    (axes,) = picture.figure.axes
    for line in axes.lines[:2]:
        heights = list(line.get_ydata())
        assert heights == sorted(heights, reverse=True)
    assert axes.lines[0].get_ydata()[0] == pytest.approx(5 * axes.lines[1].get_ydata()[0])
    assert picture.png()


def test_right_answers_are_told_from_wrong_ones_as_the_roc_curve_says():
    from sklearn.metrics import roc_auc_score

    sure = [(7 * i) % 11 / 10 for i in range(40)]
    right = [i % 3 == 0 or i % 7 == 1 for i in range(40)]
    found = told_apart(sure, right)
    assert found.value == pytest.approx(roc_auc_score(right, sure))
    assert found.low < found.value < found.high
    assert told_apart(right, right)[:3] == (1, 1, 1)
    assert told_apart([0.0] * 40, right).value == 0.5, "ties count half"
    assert told_apart(sure, right, less=sure)[:3] == (0, 0, 0)


def test_without_right_or_wrong_answers_nothing_is_told_apart():
    with pytest.raises(ConfigError, match="3 answers are right and 0 wrong"):
        told_apart([1.0, 2.0, 3.0], [True] * 3)
