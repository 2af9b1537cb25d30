"""Lesson 02's toys do what the lesson says of them."""

import pickle

import pytest

from ftlab.tasks import Ratio
from ftlab.teaching.lesson02 import Surprise, agreement, by_kind, cloze, flip, picked


def test_weights_that_surprise_write_one_note_and_nothing_else(tmp_path):
    note = tmp_path / "note.txt"
    raw = pickle.dumps(Surprise(note))
    assert not note.exists()
    pickle.loads(raw)
    assert note.read_text(encoding="utf-8").startswith("I ran")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_the_small_benchmark_is_fair():
    items = cloze()
    assert len(items) >= 30 and items == cloze()
    for item in items:
        assert len(set(item.options)) == 4
        assert item.start in item.passage and item.options[item.right] in item.passage
        assert sum(option in item.passage for option in item.options) == 1
    places = [item.right for item in items]
    assert all(places.count(place) >= len(items) / 8 for place in range(4))


def test_a_model_picks_what_it_finds_likeliest(make_model):
    model, tokenizer = make_model("chatml")
    items = cloze()[:6]
    hits = picked(model, tokenizer, items)
    assert len(hits) == 6 and set(hits) <= {0, 1}


def test_shares_by_kind():
    assert by_kind([1, 0, 1, 1], ["a", "a", "b", "b"]) == {"a": 0.5, "b": 1.0}


def test_a_mix_turns_the_order_where_kinds_differ_more_than_models():
    better, worse = {"easy": 0.9, "hard": 0.3}, {"easy": 0.8, "hard": 0.2}
    easy, hard, a, b = flip(better, worse)
    assert (easy, hard) == ("easy", "hard")
    assert a == pytest.approx(0.36) and b == pytest.approx(0.74)
    assert flip({"x": 0.9, "y": 0.85}, {"x": 0.2, "y": 0.1}) is None
    assert flip(worse, better) is None


def rows(*figures):
    return [[Ratio(figure, 1)] * 5 for figure in figures]


def test_two_orders_agree_pair_by_pair_and_a_tie_counts_half():
    bits = [1.0, 2.0, 3.0]
    assert agreement(bits, rows(0.1, 0.2, 0.3)).value == 1
    assert agreement(bits, rows(0.3, 0.2, 0.1)).value == 0
    assert agreement(bits, rows(0.3, 0.2, 0.1), more_is_better=True).value == 1
    assert agreement(bits, rows(0.1, 0.3, 0.2)).value == pytest.approx(2 / 3)
    assert agreement(bits, rows(0.1, 0.1, 0.1)).value == 0.5


def test_an_agreement_that_hangs_on_few_questions_has_a_wide_interval():
    close = [[Ratio(k % 3, 3) for k in range(9)], [Ratio((k + 1) % 3, 3) for k in range(9)]]
    found = agreement([1.0, 2.0], close)
    assert (found.low, found.high) == (0, 1)
    clear = agreement([1.0, 2.0], [[Ratio(0.1 * k, 1) for k in range(9)],
                                   [Ratio(2 + 0.1 * k, 1) for k in range(9)]])  # fmt: skip
    assert (found.value, clear.low, clear.high) == (0.5, 1, 1)
