import io
import itertools
import random

import numpy as np
import pytest
from themes import THEMES, themed

from ftlab import data
from ftlab.curation import dartboard
from ftlab.curation.diversity import board, measure


@pytest.fixture(scope="module")
def made():
    return board(themed(200, 0), areas=4)


@pytest.fixture(scope="module")
def lopsided(made):
    return measure(themed(60, 1, THEMES[:2]), made)


def test_each_area_has_its_own_sector_as_wide_as_its_share(made, lopsided):
    angle, radius, _, _ = dartboard.places(lopsided)
    assert (radius > 0).all() and (radius <= 1).all()
    spans = sorted(
        (angle[made.area_of == area].min(), angle[made.area_of == area].max(), area)
        for area in range(4)
    )
    for (_, end, _), (start, _, _) in itertools.pairwise(spans):
        assert end < start
    for low, high, area in spans:
        share = (made.area_of == area).mean()
        assert high - low == pytest.approx(0.92 * 2 * np.pi * share, rel=0.02)


def test_each_ring_holds_a_quarter_of_the_reference(lopsided):
    _, radius, _, _ = dartboard.places(lopsided)
    counts = np.histogram(radius, bins=np.sqrt(np.linspace(0, 1, dartboard.RINGS + 1)))[0]
    assert counts == pytest.approx(np.full(4, 50), abs=20)  # ties move a few
    assert counts.sum() == 200


def test_darts_fall_in_the_sector_of_their_area(made, lopsided):
    known_angle, _, angle, _ = dartboard.places(lopsided)
    away = np.abs((angle[:, None] - known_angle[None] + np.pi) % (2 * np.pi) - np.pi)
    nearest = np.linalg.norm(lopsided.points[:, None] - made.centres[None], axis=2).argmin(axis=1)
    assert (made.area_of[away.argmin(axis=1)] == nearest).all()


def test_a_dart_on_a_reference_point_lies_on_it(made):
    result = measure(themed(200, 0), made)
    known_angle, known_radius, angle, radius = dartboard.places(result)
    assert angle == pytest.approx(known_angle, abs=1e-6)
    assert radius == pytest.approx(known_radius, abs=1e-6)


def test_what_is_near_nothing_on_the_board_is_outside_the_wire(made):
    odd = [data.example("zebra quartz", "ok")] * 5
    _, _, _, radius = dartboard.places(measure(odd, made))
    assert (radius == dartboard.OUT).all()


def test_the_picture_names_the_empty_areas_and_the_score(lopsided):
    figure = dartboard.draw(lopsided)
    told = " ".join(text.get_text() for text in (*figure.texts, *figure.axes[0].texts))
    assert told.count("EMPTY") == 2 and f"Diversity {lopsided.score:.2f}: 2 of 4" in told
    assert "violin" in told and "river" in told
    words = dartboard.describe(lopsided)
    assert "violin" in words and "river" in words and "apple" not in words


def test_labels_stay_on_the_paper_and_off_each_other():
    rng = random.Random(0)
    words = ["".join(rng.choices("bcdfglmnprst", k=9)) for _ in range(40)]
    topics = [" ".join(words[4 * i : 4 * i + 4]) for i in range(10)]
    uneven = [t for i, t in enumerate(topics) for _ in range(1 + i)]  # from 2 % to 18 %
    figure = dartboard.draw(measure(themed(40, 1, topics[:2]), themed(400, 0, uneven)))
    figure.canvas.draw()
    page = figure.bbox
    boxes = [text.get_window_extent() for text in (*figure.texts, *figure.axes[0].texts)]
    boxes += [figure.legends[0].get_window_extent()]
    assert len(boxes) == 14
    for number, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.x1 and box.y1 <= page.y1
        for other in boxes[:number]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width <= 0 or height <= 3


def test_the_same_result_gives_the_same_picture(lopsided):
    def png():
        stream = io.BytesIO()
        dartboard.draw(lopsided).savefig(stream, format="png")
        return stream.getvalue()

    assert png() == png()
