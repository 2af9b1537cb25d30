import json

import pytest

from ftlab.errors import DataError
from ftlab.evaluation.costs import prices

TABLE = {
    "date": "2026-01-02",
    "currency": "EUR",
    "per_million_tokens": {"base": {"input": 1, "output": 4}},
    "machine_per_hour": 3.6,
}


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
    with pytest.raises(DataError, match="is not YAML"):
        prices(path)
