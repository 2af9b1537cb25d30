import random
import re

import pytest

from ftlab import data, tasks
from ftlab.tasks import Ratio, punctuation, pydocs
from ftlab.tasks.punctuation import parse, question, read, score, strip


def record(reference):
    return punctuation.row(reference)


REFERENCE = "Hello, Ann (my friend). Is it late?"
# Seven words. Marks: comma, two parentheses, period, question = 5; capitals: Hello, Ann, Is = 3.


def test_read_puts_marks_on_the_right_word():
    words = read('He said: "Go (now)."')
    assert [w.form for w in words] == ["He", "said", "Go", "now"]
    assert [set(w.after) for w in words] == [set(), {":"}, set(), {")", ".", '"'}]
    assert [set(w.before) for w in words] == [set(), set(), {'"'}, {"("}]


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("It's a half-done job.", "it's a half-done job"),
        ("“Yes” — he said…", "yes he said"),
        ("word--word, a - b", "word word a b"),
        ("Python 3.11 has 1,000 e.g. at 10:30.", "python 3.11 has 1,000 e.g at 10:30"),
        ("no,space;here(or)there", "no space here or there"),
        ("the 'quoted' one", "the quoted one"),
        ("[see] {this}!?", "see this"),
        ("Ärger, naïve Öl.", "ärger naïve öl"),
        ("-1 and --flag", "1 and flag"),
        (" ... \n\n", ""),
    ],
)
def test_strip(text, bare):
    assert strip(text) == bare
    assert strip(bare) == bare


def test_strip_of_anything_is_stable_and_bare():
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choice("abZ .,;:?!'\"()-—…3\n") for _ in range(40))
        once = strip(text)
        assert strip(once) == once
        assert once == once.lower()
        assert not re.search(r"[;?!\"()]", once)


def test_perfect_output():
    marks = score(record(REFERENCE), REFERENCE + "\n")
    assert marks["f1"] == Ratio(16, 16)
    assert marks["f1_marks"] == Ratio(10, 10)
    assert marks["f1_capitals"] == Ratio(6, 6)
    assert marks["f1_parenthesis"] == Ratio(4, 4)
    assert marks["f1_question"] == Ratio(2, 2)
    assert marks["f1_semicolon"] == Ratio(0, 0)
    assert marks["words_kept"] == Ratio(7, 7)
    assert marks["exact"] == Ratio(1, 1)


@pytest.mark.parametrize("nothing", ["", " \n ", "?!"])
def test_empty_output_loses_everything(nothing):
    marks = score(record(REFERENCE), nothing)
    assert marks["f1"] == Ratio(0, 8)  # 5 marks and 3 capitals are false negatives
    assert marks["words_kept"] == Ratio(0, 7)
    assert marks["exact"] == Ratio(0, 1)


def test_the_input_copied_keeps_words_and_restores_nothing():
    marks = score(record(REFERENCE), strip(REFERENCE))
    assert marks["f1"] == Ratio(0, 8)
    assert marks["words_kept"].value == 1


def test_hand_counted_mistakes():
    # Comma for a period, "Is" left small, "Late" raised, question mark right, brackets missing.
    marks = score(record(REFERENCE), "Hello, Ann my friend, is it Late?")
    assert marks["f1_comma"] == Ratio(2, 3)  # tp 1, fp 1
    assert marks["f1_period"] == Ratio(0, 1)
    assert marks["f1_capitals"] == Ratio(4, 6)  # tp Hello Ann, fp Late, fn Is
    assert marks["f1_marks"] == Ratio(4, 8)  # tp comma and question, fp comma, fn ( ) .
    assert marks["f1"] == Ratio(8, 14)
    assert marks["exact"] == Ratio(0, 1)


def test_extra_words_cost_only_their_own_marks():
    marks = score(record("Go home. Now."), "Well, go home. Now.")
    assert marks["words_kept"] == Ratio(3, 3)
    # Reference: 2 periods, Go, Now. Answer: 2 periods, a comma on the extra word, Well, Now.
    assert marks["f1_marks"] == Ratio(4, 5)
    assert marks["f1_capitals"] == Ratio(2, 4)


def test_dropped_words_cost_their_marks():
    marks = score(record("Red, green, blue and white."), "Red, blue and white.")
    assert marks["words_kept"] == Ratio(4, 5)
    assert marks["f1_comma"] == Ratio(2, 3)
    assert marks["f1_period"] == Ratio(2, 2)


def test_a_changed_word_carries_no_credit():
    marks = score(record("They saw the colour."), "They saw the color.")
    assert marks["words_kept"] == Ratio(3, 4)
    assert marks["f1_period"] == Ratio(0, 2)
    assert marks["f1_capitals"] == Ratio(2, 2)


def test_repeated_output_is_punished():
    once, twice = (score(record(REFERENCE), " ".join([REFERENCE] * n))["f1"] for n in (1, 2))
    assert once.value == 1
    assert twice == Ratio(16, 24)  # 8 right, 8 false positives in the copy


def test_capitals_must_match_letter_by_letter():
    marks = score(record("Use HTTP now."), "Use Http now.")
    assert marks["f1_capitals"] == Ratio(2, 4)


def test_a_mark_on_the_neighbouring_word_is_wrong_twice():
    marks = score(record("If so, stop it."), "If so stop, it.")
    assert marks["f1_comma"] == Ratio(0, 2)


def test_opening_and_closing_quote_differ():
    marks = score(record('A "big" one.'), 'A big "one".')
    assert marks["f1_quote"] == Ratio(0, 4)


def test_the_parts_add_up_over_marks():
    for example in punctuation.rows(30, seed=3, split="test"):
        spoiled = data.answer(example).replace(",", "").replace(" the ", " The ")
        marks = score(example, spoiled)
        kinds = {f"f1_{kind}" for kind in punctuation.MARKS.values()}
        assert tasks.total(marks[k] for k in kinds) == marks["f1_marks"]
        assert tasks.total([marks["f1_marks"], marks["f1_capitals"]]) == marks["f1"]
        assert 0 <= marks["f1"].num <= marks["f1"].den


def test_parse_takes_the_first_line():
    assert parse("\n One,  two. \nThree.") == "One, two."
    assert parse("Here is the text:\n\nOne, two.") == "One, two."
    assert parse("Only this:") == "Only this:"
    assert parse("") == ""


def test_rows_ask_what_question_asks():
    assert question("Well, go.")[-1] == {"role": "user", "content": "well go"}
    for row in punctuation.rows(50, seed=1):
        assert tuple(data.prompt(row)) == question(data.answer(row))
        assert set(data.meta(row)) == {"id", "slice", "group"}


def test_pool_is_large_enough():
    train, test = pydocs.passages("train"), pydocs.passages("test")
    assert len(train) >= 2500
    assert len(test) >= 400
    for split in (train, test):
        for name in ("topics", "docstrings"):
            assert sum(p.slice == name for p in split) >= 150


def test_splits_share_no_eight_words():
    def grams(split):
        for passage in pydocs.passages(split):
            words = re.findall(r"[a-z0-9']+", passage.text.lower())
            yield from (" ".join(words[i : i + 8]) for i in range(len(words) - 7))

    assert not set(grams("train")) & set(grams("test"))


def test_packages_set_aside_are_in_the_test_split_only():
    def packages(split):
        files = {p.group for p in pydocs.passages(split) if p.slice == "docstrings"}
        return {file.split("/")[0].removesuffix(".py") for file in files}

    assert packages("test") <= set(pydocs.SET_ASIDE)
    assert not packages("train") & set(pydocs.SET_ASIDE)
    assert {"unittest", "logging", "email"} <= packages("test")


def test_passages_are_natural_text():
    for passage in (*pydocs.passages("train"), *pydocs.passages("test")):
        text = passage.text
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
    assert list(pydocs._cut(junk)) == []


def test_markup_is_taken_off_and_paragraphs_stay_apart():
    text = "The `first` call returns *nothing* at all,\nas described in section two.\n\nNext one."
    first, second = pydocs._blocks(text)
    assert list(pydocs._cut(first)) == [
        "The first call returns nothing at all, as described in section two."
    ]
    assert second == "Next one."


def test_a_rejected_sentence_breaks_the_run():
    first, last = "This is the first sentence of the text.", "This is the last sentence of it all."
    assert list(pydocs._cut(f"{first} Call foo_bar() here. {last}")) == [first, last]


def test_sentences_are_not_cut_at_an_abbreviation():
    assert punctuation.sentences("By Mr. Smith, etc. It ends.") == ["By Mr. Smith, etc. It ends."]
    assert punctuation.sentences("It ends. So does it.") == ["It ends.", "So does it."]


def test_the_baseline_restores_what_stood_in_training_and_keeps_all_words():
    rows = [record("Do you know Ann? I don't."), record("Hello, Ann. It is late.")]
    assert punctuation.baseline(rows, rows[:1]) == ["Do you know Ann? I don't."]
    (answer,) = punctuation.baseline(rows, [record("Bob, are you in London?")])
    assert strip(answer) == "bob are you in london"
