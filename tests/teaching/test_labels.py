"""Labels are kept whole in a CSV that several reviewers share, and taken up again."""

import pytest

from ftlab.errors import ConfigError, DataError
from ftlab.teaching.labels import Labels, read_labels

ITEMS = {"p1": "first <b>", "p2": "second", "p3": "third"}
KEYS = {"1": "left", "2": "right", "0": "neither"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "votes.csv"


def test_every_label_is_in_the_file_at_once_and_is_taken_up_again(path):
    mine = Labels(ITEMS, KEYS, path)
    assert not path.exists() and mine.open == ["p1", "p2", "p3"]
    mine.label("p2", "1")
    assert path.read_text() == "item,me\np1,\np2,1\np3,\n"
    again = Labels(ITEMS, KEYS, path)
    assert again.labels == {"p2": "1"} and again.open == ["p1", "p3"]
    assert "1 of 3 labelled by me" in str(again)


def test_another_reviewers_column_stays(path):
    Labels(ITEMS, KEYS, path, reviewer="ann").label("p1", "2")
    Labels(ITEMS, KEYS, path, reviewer="ben").label("p3", "0")
    assert read_labels(path) == {"ann": {"p1": "2"}, "ben": {"p3": "0"}}


def test_a_spreadsheets_file_is_read_with_its_mark_and_its_empty_cells(tmp_path):
    file = tmp_path / "sheet.csv"
    file.write_bytes(b"\xef\xbb\xbfitem,ann,ben\r\np1, 1 ,\r\np2,,2\r\n")
    assert read_labels(file) == {"ann": {"p1": "1"}, "ben": {"p2": "2"}}


@pytest.mark.parametrize("text", ["", "item;ann\np1;1\n", "name,ann\np1,1\n"])
def test_a_file_that_is_none_is_told(tmp_path, text):
    file = tmp_path / "sheet.csv"
    file.write_text(text)
    with pytest.raises(DataError, match="holds no labels"):
        read_labels(file)


def test_labels_of_another_file_are_told(path):
    Labels(ITEMS, {"x": "good"}, path).label("p1", "x")
    with pytest.raises(DataError, match=r"\['x'\]; the keys here are \['1', '2', '0'\]"):
        Labels(ITEMS, KEYS, path)


def test_an_unknown_item_or_key_is_told_and_changes_nothing(path):
    mine = Labels(ITEMS, KEYS, path)
    for item, key in (("p9", "1"), ("p1", "9")):
        with pytest.raises(ConfigError, match="one of 3 items"):
            mine.label(item, key)
    assert not path.exists()
    with pytest.raises(ConfigError, match="keys of one character"):
        Labels(ITEMS, {"ab": "both"}, path)


def test_keys_buttons_and_back_move_through_the_items(path):
    mine = Labels(ITEMS, KEYS, path)
    shown, row, keys, state = mine.widget().children
    assert "first &lt;b&gt;" in shown.value
    keys.value = "2"
    assert keys.value == "" and "second" in shown.value
    keys.value = "x"  # no key of this panel
    row.children[0].click()
    assert mine.labels == {"p1": "2", "p2": "1"} == read_labels(path)["me"]
    row.children[-1].click()
    assert mine.open == ["p2", "p3"] and "second" in shown.value
    assert "p2" not in read_labels(path)["me"]
    keys.value = "0"
    keys.value = "0"
    assert "All are labelled." in shown.value and "3 of 3" in state.value
