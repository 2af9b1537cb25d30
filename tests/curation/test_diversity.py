import json
import random

import numpy as np
import pytest

from ftlab import data
from ftlab.curation.diversity import expected_coverage, measure
from ftlab.errors import DataError

# A world in which the truth is known: themes that share no word.
THEMES = ("apple pear plum cherry", "wrench bolt hammer saw", "violin drum flute harp",
          "river lake ocean pond")  # fmt: skip


def themed(n, seed, themes=THEMES):
    """Return n records of six words, each of one theme."""
    rng = random.Random(seed)
    return [
        data.example(" ".join(rng.choices(rng.choice(themes).split(), k=6)), "ok") for _ in range(n)
    ]


WORLD = themed(200, 0)


def on(rows):
    return measure(rows, WORLD)


def test_lopsided_data_covers_less_than_spread_data_of_the_same_size():
    one, two, four = (on(themed(60, 1, THEMES[:n])) for n in (1, 2, 4))
    assert one.coverage < two.coverage < four.coverage and 0.1 < one.coverage < 0.4
    asked = [data.prompt(row)[0]["content"] for row in WORLD]
    assert set(one.missed) <= set(asked) and one.missed[0][:60] in str(one)
    assert len(one.missed) == pytest.approx(200 * (1 - one.coverage))
    assert not any(word in text for text in one.missed for word in THEMES[0].split())


def test_data_drawn_like_the_reference_reaches_the_expected_coverage():
    found = [on(themed(40, seed)).coverage for seed in range(10, 20)]
    assert np.mean(found) == pytest.approx(expected_coverage(40, 200), abs=0.1)
    whole = on(WORLD)
    assert whole.coverage == 1.0 and whole.beside == 0 and not whole.missed


def test_more_records_never_cover_less():
    rows = themed(80, 5)
    found = [on(rows[:n]).coverage for n in (5, 20, 80)]
    assert found == sorted(found) and found[0] < found[2]
    alien = on([data.example(f"9{i} §§ 8{i}", "ok") for i in range(30)])
    assert alien.coverage < 0.05 and alien.beside > 0.9


def test_an_instruction_before_every_input_changes_nothing():
    plain = themed(80, 0)
    cued = [
        data.example("Sort this fruit:\n\n" + data.prompt(r)[0]["content"], "ok") for r in plain
    ]
    one, two = (measure(rows[:20], rows) for rows in (plain, cued))
    assert two.coverage == pytest.approx(one.coverage) and two == measure(cued[:20], cued)


def test_bad_input_is_told():
    with pytest.raises(DataError, match="no records"):
        on([])
    with pytest.raises(DataError, match="20 records or more"):
        measure(themed(5, 0), themed(5, 0))
    with pytest.raises(DataError, match="more varied"):
        measure(themed(5, 0), [data.example("hi there", "ok")] * 40)


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


def test_the_command_prints_and_refuses(command, tmp_path):
    file, reference = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    data.write(file, themed(30, 1, THEMES[:1]))
    data.write(reference, WORLD)
    code, out, _ = command("diversity", file, "--reference", reference)
    assert code == 0 and "records cover 0." in out and "for example:" in out
    code, out, _ = command("diversity", file, "--reference", reference, "--json")
    assert code == 0 and json.loads(out)["n"] == 30
    code, _, err = command("diversity", file)
    assert code == 2 and "--reference" in err
