"""The pictures of lesson 06 show what they are given, and say it in words."""

import pytest

from ftlab.evaluation.intervals import Interval
from ftlab.teaching import plots_data

POINTS = {
    "draw 0": {50: Interval(0.2, 0.1, 0.3), 100: Interval(0.5, 0.4, 0.6)},
    "draw 1": {50: Interval(0.3, 0.2, 0.4)},
}


def test_curves_have_axes_with_units_a_legend_and_every_point():
    picture = plots_data.curves(
        POINTS, title="More", xlabel="records", log=True, lines={"guessing": 1 / 6}
    )
    (axes,) = picture.figure.axes
    assert axes.get_xlabel() == "records" and axes.get_xscale() == "log"
    assert axes.get_ylabel() == "share right, 95 % intervals"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["50", "100"]
    shown = {text.get_text() for text in axes.get_legend().get_texts()}
    assert shown == {"draw 0", "draw 1", "guessing: 0.17"}
    assert "draw 1: 50 0.30 (0.20 to 0.40)" in picture.alt and "0.17 across" in picture.alt


@pytest.mark.parametrize("log", [True, False])
def test_points_of_two_curves_at_one_place_do_not_hide_each_other(log):
    picture = plots_data.curves(POINTS, title="More", xlabel="records", log=log)
    (axes,) = picture.figure.axes
    first, second = (bar.lines[0].get_xdata()[0] for bar in axes.containers)
    assert first != second
    assert abs(first - second) < 5


def test_one_dose_alone_can_be_drawn():
    picture = plots_data.curves({"a": {0.0: Interval(1, 1, 1)}}, title="One", xlabel="dose")
    assert "a: 0 1.00 (1.00 to 1.00)" in picture.alt


def test_groups_draw_a_bar_for_each_row_and_name():
    values = {"spread": {"login": 0.5, "refund": 0.4}, "lopsided": {"login": 0.9, "refund": 0.0}}
    picture = plots_data.groups(values, title="Who?")
    (axes,) = picture.figure.axes
    assert sorted(bar.get_width() for bar in axes.patches) == [0.0, 0.4, 0.5, 0.9]
    assert "lopsided: login 0.90, refund 0.00" in picture.alt
