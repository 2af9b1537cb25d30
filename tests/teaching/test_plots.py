"""Pictures have axes with units and say in words what they show."""

import pytest

from ftlab import pictures
from ftlab.errors import ConfigError
from ftlab.evaluation.intervals import Interval
from ftlab.teaching import plots

HISTORY = [{"step": step, "loss": 4.0 / step} for step in range(1, 30)]
VERDICT = {
    "n": 40,
    "systems": {
        "base": {"f1": {"value": 0.1, "low": 0.05, "high": 0.15}},
        "tuned": {
            "f1": {"value": 0.7, "low": 0.6, "high": 0.8},
            "f1_colon": {"value": None, "low": None, "high": None},
        },
    },
}
POINTS = {
    "draw 0": {50: Interval(0.2, 0.1, 0.3), 100: Interval(0.5, 0.4, 0.6)},
    "draw 1": {50: Interval(0.3, 0.2, 0.4)},
}


def axes_of(picture):
    (axes,) = picture.figure.axes
    return axes


def test_loss_curve():
    picture = pictures.loss_curve([*HISTORY, {"step": 29, "eval_loss": 0.5}])
    axes = axes_of(picture)
    assert axes.get_ylabel() == "loss (nats per token)"
    assert axes.get_xlabel() == "optimiser step"
    assert axes.lines[0].get_ydata()[0] == 4.0
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "each step",
        "smoothed",
        "held out",
    ]
    assert picture.alt == "Loss curve over 29 steps, from 4.00 to 0.14; held-out loss 0.50."


def test_the_smoothed_curve_starts_where_the_losses_do_and_stays_on_a_constant():
    assert pictures.smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    assert pictures.smoothed([1.0, 0.0])[0] == pytest.approx(1.0)


def test_losses_that_are_no_numbers_are_left_out():
    picture = pictures.loss_curve([{"step": 1, "loss": float("nan")}])
    assert picture.alt == "Loss curve without a step yet."


def test_the_same_picture_has_the_same_bytes():
    first, second = (pictures.loss_curve(HISTORY).png() for _ in range(2))
    assert first == second
    assert first.startswith(b"\x89PNG")
    assert len(first) < 60_000


@pytest.mark.parametrize("lesson", sorted(plots.LESSONS))
def test_course_map_highlights_one_lesson(lesson):
    picture = plots.course_map(lesson)
    told = [text.get_text() for text in axes_of(picture).texts]
    assert sum("you are here" in text for text in told) == 1
    for number, name in plots.LESSONS.items():
        assert name in [text.replace("\n", " ") for text in told]
        assert any(text.startswith(number) for text in told)
    assert plots.LESSONS[lesson] in picture.alt


def test_course_map_groups_hold_every_lesson_once_and_in_order():
    assert [lesson for _, group in plots.GROUPS for lesson in group] == list(plots.LESSONS)


def test_course_map_of_an_unknown_lesson():
    with pytest.raises(ConfigError, match="Unknown lesson '0'"):
        plots.course_map("0")


def test_interval_bars():
    picture = plots.interval_bars(VERDICT)
    assert picture.alt == (
        "Bars with intervals: f1 base 0.10 (0.05 to 0.15); f1 tuned 0.70 (0.60 to 0.80)."
    )
    assert "share" in axes_of(picture).get_xlabel()
    assert axes_of(picture).get_title(loc="left") == "base and tuned on 40 held-out examples"
    with pytest.raises(ConfigError, match="Unknown metric 'f2'"):
        plots.interval_bars(VERDICT, metrics=["f2"])


def test_curves_have_axes_with_units_a_legend_and_every_point():
    picture = plots.curves(
        POINTS, title="More", xlabel="records", log=True, lines={"guessing": 1 / 6}
    )
    axes = axes_of(picture)
    assert axes.get_xlabel() == "records" and axes.get_xscale() == "log"
    assert axes.get_ylabel() == "share right, 95 % intervals"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["50", "100"]
    shown = {text.get_text() for text in axes.get_legend().get_texts()}
    assert shown == {"draw 0", "draw 1", "guessing: 0.17"}
    assert "draw 1: 50 0.30 (0.20 to 0.40)" in picture.alt and "0.17 across" in picture.alt


@pytest.mark.parametrize("log", [True, False])
def test_points_of_two_curves_at_one_place_do_not_hide_each_other(log):
    picture = plots.curves(POINTS, title="More", xlabel="records", log=log)
    axes = axes_of(picture)
    first, second = (bar.lines[0].get_xdata()[0] for bar in axes.containers)
    assert first != second
    assert abs(first - second) < 5


def test_one_dose_alone_can_be_drawn():
    picture = plots.curves({"a": {0.0: Interval(1, 1, 1)}}, title="One", xlabel="dose")
    assert "a: 0 1.00 (1.00 to 1.00)" in picture.alt


def test_groups_draw_a_bar_for_each_row_and_name():
    values = {"spread": {"login": 0.5, "refund": 0.4}, "lopsided": {"login": 0.9, "refund": 0.0}}
    picture = plots.groups(values, title="Who?")
    axes = axes_of(picture)
    assert sorted(bar.get_width() for bar in axes.patches) == [0.0, 0.4, 0.5, 0.9]
    assert "lopsided: login 0.90, refund 0.00" in picture.alt


def test_style_leaves_the_users_own_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with pictures.style():
        assert matplotlib.rcParams["font.family"] == ["DejaVu Sans"]
    assert dict(matplotlib.rcParams) == before


def test_a_picture_is_a_png():
    assert plots.course_map().png().startswith(b"\x89PNG")


def test_a_long_title_of_many_systems_stays_inside_the_picture():
    cell = {"value": 0.5, "low": 0.4, "high": 0.6}
    names = ("instruction", "examples", "a rather long name", "tuned")
    many = {"n": 40, "systems": {name: {"f1": cell} for name in names}}
    figure = plots.interval_bars(many).figure
    figure.draw_without_rendering()
    for text in [*figure.axes[0].texts, figure.axes[0]._left_title, *figure.legends]:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
        assert box.y0 >= 0 and box.y1 <= figure.bbox.y1


def test_nine_parts_have_nine_colours():
    from ftlab.teaching.plots_weights import stacked

    rows = {"lora": {f"part {n}": 1.0 for n in range(9)}}
    drawn = axes_of(stacked(rows, title="Memory", xlabel="GB")).patches
    assert len({patch.get_facecolor() for patch in drawn}) == 9


def test_a_stacked_bar_has_its_total_beside_it_inside_the_axes():
    from ftlab.teaching.plots_weights import stacked

    rows = {"lora": {"weights": 131.0, "quantised": 0.0}, "qlora": {"quantised": 33.0}}
    axes = axes_of(stacked(rows, title="Memory", xlabel="GB"))
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    assert [text.get_text().strip() for text in axes.texts] == ["131", "33"]
    assert all(text.get_window_extent().x1 < frame.x1 for text in axes.texts)
