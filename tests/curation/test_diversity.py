import functools
import json
import math

import numpy as np
import pytest
from themes import THEMES, themed

from ftlab import data, tasks
from ftlab.curation.diversity import board, expected_coverage, measure
from ftlab.errors import ConfigError, DataError

SIZE = 60
SLICES = {
    "triage": lambda record: data.answer(record),
    "kindness": lambda record: data.meta(record)["slice"],
    "unit_tests": lambda record: data.meta(record)["slice"],
}


@pytest.fixture(scope="module", params=SLICES)
def mixtures(request):
    """Return a board of a task and three mixtures of one size: of 1 slice, of a third, of all."""
    task, of = tasks.get(request.param), SLICES[request.param]
    made = board(task.up_to(150, seed=1, split="test"))
    pool: dict = {}
    for record in task.up_to(900, seed=0):
        pool.setdefault(of(record), []).append(record)
    names = sorted(pool, key=lambda name: -len(pool[name]))

    def take(k):
        drawn = [pool[names[i % k]] for i in range(SIZE)]
        return [rows[(i // k) % len(rows)] for i, rows in enumerate(drawn)]

    return made, [take(1), take(max(2, len(names) // 3)), take(len(names))]


def test_lopsided_data_scores_visibly_worse_than_spread_data_of_the_same_size(mixtures):
    made, (one, some, all_of_them) = mixtures
    scores = [measure(rows, made).score for rows in (one, some, all_of_them)]
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] > 1.3 * scores[0]


def test_a_lopsided_mixture_leaves_areas_empty_and_names_what_is_missed(mixtures):
    made, (one, _, spread) = mixtures
    lopsided, even = measure(one, made), measure(spread, made)
    empty = [area for area in lopsided.areas if area.state == "empty"]
    assert empty and len(empty) >= sum(area.state == "empty" for area in even.areas)
    weak = lambda result: sum(a.share for a in result.areas if a.state != "hit")
    assert weak(lopsided) > weak(even) + 0.1
    for area in empty:
        assert area.terms and area.missed and area.missed[0] in made.inputs
        assert area.data_share < area.share / 10
    states = [area.state for area in lopsided.areas]
    assert states[: len(empty)] == ["empty"] * len(empty)


def test_figures_are_shares_and_add_up(mixtures):
    made, rows = mixtures
    for result in (measure(drawn, made) for drawn in rows):
        assert result.score == pytest.approx(math.sqrt(result.coverage * result.evenness))
        for figure in (result.coverage, result.evenness, result.on_board, result.expected):
            assert 0 <= figure <= 1 + 1e-9
        assert sum(area.share for area in result.areas) == pytest.approx(1)
        assert sum(area.data_share for area in result.areas) == pytest.approx(1)
        weighed = sum(area.share * area.coverage for area in result.areas)
        assert weighed == pytest.approx(result.coverage)


@pytest.fixture(scope="module")
def world():
    return board(themed(200, 0), areas=4)


def test_the_areas_are_the_themes(world):
    found = {frozenset(terms) for terms in world.terms}
    assert found == {frozenset(theme.split()) for theme in THEMES}


def test_one_theme_of_four_counts_as_one_area(world):
    result = measure(themed(200, 1, THEMES[:1]), world)
    assert result.evenness == pytest.approx(0.25)
    assert 0.1 < result.coverage < 0.4
    assert [area.state for area in result.areas] == ["empty"] * 3 + ["hit"]


def test_data_drawn_like_the_board_reaches_the_expected_coverage(world):
    found = [measure(themed(40, seed), world).coverage for seed in range(10, 30)]
    assert np.mean(found) == pytest.approx(expected_coverage(40, 200), abs=0.1)


def test_the_board_itself_covers_all_of_it(world):
    result = measure(themed(200, 0), world)
    assert result.coverage == 1.0
    assert result.evenness == pytest.approx(1) and result.score == pytest.approx(1)


def test_more_records_never_cover_less(world):
    rows = themed(80, 5)
    found = [measure(rows[:n], world).coverage for n in (5, 20, 80)]
    assert found == sorted(found) and found[0] < found[2]


def test_records_without_a_word_of_the_board_are_off_it(world):
    alien = [data.example(f"9{i} §§ 8{i}", "ok") for i in range(30)]
    result = measure(alien, world)
    assert result.on_board < 0.5 and result.coverage < 0.05


def test_an_instruction_before_every_input_changes_nothing():
    plain = themed(80, 0)
    cued = [
        data.example("Sort this fruit:\n\n" + data.prompt(r)[0]["content"], "ok") for r in plain
    ]
    one, two = (measure(rows[:20], rows) for rows in (plain, cued))
    assert two.score == pytest.approx(one.score)
    assert not any("Sort this" in text for area in two.areas for text in area.missed)


def test_the_same_seed_gives_the_same_figures():
    rows = themed(60, 0)
    assert measure(rows[:20], board(rows, seed=3)) == measure(rows[:20], board(rows, seed=3))


def test_bad_input_is_told():
    with pytest.raises(DataError, match="no records"):
        measure([], themed(30, 0))
    with pytest.raises(DataError, match="20 records or more"):
        measure(themed(5, 0), themed(5, 0))
    with pytest.raises(DataError, match="the same"):
        board([data.example("hi there", "ok")] * 40)
    with pytest.raises(ConfigError, match="2 areas"):
        board(themed(30, 0), areas=1)


@pytest.mark.parametrize("n, reference", [(100, 100), (30, 300)])
def test_expected_coverage_is_what_random_points_reach(n, reference):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(30):
        known, data = rng.normal(size=(reference, 3)), rng.normal(size=(n, 3))
        within = np.sort(np.linalg.norm(known[:, None] - known[None], axis=2), axis=1)[:, 5]
        across = np.linalg.norm(known[:, None] - data[None], axis=2).min(axis=1)
        found.append((across <= within).mean())
    assert np.mean(found) == pytest.approx(expected_coverage(n, reference), abs=0.03)


def test_the_command_prints_draws_and_refuses(monkeypatch, command, tmp_path):
    monkeypatch.setenv("COLUMNS", "120")
    file, reference, plot = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "board.png"))
    data.write(file, themed(30, 1, THEMES[:1]))
    data.write(reference, themed(100, 0))

    run = functools.partial(command, "diversity")
    code, out, _ = run(file, "--reference", reference, "--plot", plot, "--areas", 4)
    assert code == 0 and "(empty)" in out and "score 0." in out
    assert plot.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(file, "--reference", reference, "--json")
    told = json.loads(out)
    assert code == 0 and told["n"] == 30 and told["areas"][0]["state"] == "empty"
    code, _, err = run(file, "--reference", reference, "--plot", plot)
    assert code == 2 and "exists already" in err
    code, _, err = run(file)
    assert code == 2 and "--reference" in err
