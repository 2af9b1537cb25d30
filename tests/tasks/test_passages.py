"""The passages of Python's documentation: natural prose, and splits that share none of it."""

import re

import passages
import pytest

from ftlab.tasks.drawing import written

FILE = "passages.jsonl"


def test_splits_share_no_eight_words():
    def grams(split):
        for passage in written(FILE)[split]:
            words = re.findall(r"[a-z0-9']+", passage["text"].lower())
            yield from (" ".join(words[i : i + 8]) for i in range(len(words) - 7))

    assert not set(grams("train")) & set(grams("test"))


def test_packages_set_aside_are_in_the_test_split_only():
    def packages(split):
        files = {p["group"] for p in written(FILE)[split] if p["slice"] == "docstrings"}
        return {file.split("/")[0].removesuffix(".py") for file in files}

    assert packages("test") <= set(passages.SET_ASIDE)
    assert not packages("train") & set(passages.SET_ASIDE)
    assert {"unittest", "logging", "email"} <= packages("test")


def test_passages_are_natural_text():
    for passage in (*written(FILE)["train"], *written(FILE)["test"]):
        text = passage["text"]
        assert 8 <= len(text.split()) <= 45
        assert re.fullmatch(r"[A-Za-z0-9 ,.;:?!'\"()-]+", text)
        assert text[0].isupper() or text[0] in '"('
        assert re.search(r"[.?!][\")]?$", text)
        assert sum(c.isalpha() or c == " " for c in text) > 0.88 * len(text)
        assert " ".join(text.split()) == text


@pytest.mark.parametrize(
    "junk",
    [
        ">>> print(1)",
        "x = [1, 2, 3]",
        "    return self.value if it is not None.",
        "stmt ::= expression and more of the grammar.",
        "See https://example.org for the rest of it.",
        "The *first* and the *second* and the *third* are all stressed.",
        "Too short here.",
        "The foo_bar is what the function calls first.",
        "no capital at the start of this sentence here.",
        "Set ``a[0]`` and the rest is as it was.",
    ],
)
def test_junk_is_left_out(junk):
    assert list(passages._cut(junk)) == []


def test_markup_is_taken_off_and_paragraphs_stay_apart():
    text = "The `first` call returns *nothing* at all,\nas described in section two.\n\nNext one."
    first, second = passages._blocks(text)
    assert list(passages._cut(first)) == [
        "The first call returns nothing at all, as described in section two."
    ]
    assert second == "Next one."


def test_a_rejected_sentence_breaks_the_run():
    first, last = "This is the first sentence of the text.", "This is the last sentence of it all."
    assert list(passages._cut(f"{first} Call foo_bar() here. {last}")) == [first, last]
