import json

import pytest

from ftlab.errors import DataError
from ftlab.evaluation.costs import Prices, costs, prices
from ftlab.evaluation.systems import Answers, System

TABLE = {
    "date": "2026-01-02",
    "currency": "EUR",
    "per_million_tokens": {
        "base": {"input": 1, "output": 4},
        "mine": {"input": 2, "output": 8},
        "mine + instructions": {"input": 3, "output": 12},
    },
    "machine_per_hour": 3.6,
}


def given(name, model, kind="base", tokens=(100, 10)):
    counted = [[t - 1, t + 1] for t in tokens] if tokens else [None, None]
    return {name: Answers(System(name, model, kind), ["a", "b"], *counted, seconds=1.0)}


def test_money_by_hand():
    row = costs(given("base", "hub/x"), Prices(**TABLE))["base"]
    # 1,000 answers: 100,000 tokens in at 1 per million, 10,000 out at 4 per million.
    assert (row["tokens_in"], row["tokens_out"], row["seconds"]) == (100, 10, 0.5)
    assert row["by_token"] == pytest.approx(0.1 + 0.04)
    assert row["by_hour"] == pytest.approx(0.5)  # 500 s of a machine at 3.6 an hour


def test_the_nearest_price_counts():
    table = Prices(**TABLE)
    assert table.of(System("mine + instructions", "mine", "tuned")).input == 3
    assert table.of(System("mine + 2 examples", "mine", "tuned")).input == 2
    assert table.of(System("other", "other")).input == 1
    assert table.of(System("other", "other", "tuned")) is None


def test_without_tokens_or_a_price_there_is_no_figure():
    row = costs(given("linear", None, "baseline", None), Prices(**TABLE))["linear"]
    assert row["tokens_in"] is None and row["by_token"] is None and row["by_hour"] > 0
    assert costs(given("a", "a"), Prices(date="2026-01-02"))["a"]["by_hour"] is None


def test_the_shipped_table_says_that_it_is_an_example():
    assert "xample" in prices().note and {"base", "tuned"} <= set(prices().per_million_tokens)


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(TABLE))
    assert prices(path).currency == "EUR"
    path.write_text(json.dumps({**TABLE, "machine_per_hour": -1, "curency": "EUR"}))
    with pytest.raises(DataError) as told:
        prices(path)
    assert "machine_per_hour" in str(told.value) and "curency" in str(told.value)
    path.write_text("{not json")
    with pytest.raises(DataError, match="no price table"):
        prices(path)
