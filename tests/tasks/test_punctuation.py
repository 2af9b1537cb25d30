import random
import re

import pytest

from ftlab import data, tasks
from ftlab.tasks import punctuation, pydocs
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


COUNTED = [  # hand-counted: reference, answer, metric -> (num, den)
    (REFERENCE, REFERENCE + "\n", {
        "f1": (16, 16), "f1_marks": (10, 10), "f1_capitals": (6, 6), "f1_parenthesis": (4, 4),
        "f1_question": (2, 2), "f1_semicolon": (0, 0), "words_kept": (7, 7), "exact": (1, 1)}),
    # 5 marks and 3 capitals are false negatives.
    *((REFERENCE, nothing, {"f1": (0, 8), "words_kept": (0, 7), "exact": (0, 1)})
      for nothing in ("", " \n ", "?!")),
    (REFERENCE, strip(REFERENCE), {"f1": (0, 8), "words_kept": (7, 7)}),  # the input copied
    # Comma for a period, "Is" left small, "Late" raised, question mark right, brackets missing.
    (REFERENCE, "Hello, Ann my friend, is it Late?", {
        "f1_comma": (2, 3), "f1_period": (0, 1), "f1_capitals": (4, 6), "f1_marks": (4, 8),
        "f1": (8, 14), "exact": (0, 1)}),
    # An extra word costs only its own marks: 2 periods on both sides, a comma and a capital more.
    ("Go home. Now.", "Well, go home. Now.", {
        "words_kept": (3, 3), "f1_marks": (4, 5), "f1_capitals": (2, 4)}),
    ("Red, green, blue and white.", "Red, blue and white.", {
        "words_kept": (4, 5), "f1_comma": (2, 3), "f1_period": (2, 2)}),
    ("They saw the colour.", "They saw the color.", {  # a changed word carries no credit
        "words_kept": (3, 4), "f1_period": (0, 2), "f1_capitals": (2, 2)}),
    (REFERENCE, f"{REFERENCE} {REFERENCE}", {"f1": (16, 24)}),  # 8 false positives in the copy
    ("Use HTTP now.", "Use Http now.", {"f1_capitals": (2, 4)}),
    ("If so, stop it.", "If so stop, it.", {"f1_comma": (0, 2)}),
    ('A "big" one.', 'A big "one".', {"f1_quote": (0, 4)}),  # opening and closing ones differ
]  # fmt: skip


@pytest.mark.parametrize(("reference", "answer", "wanted"), COUNTED)
def test_hand_counted_marks(reference, answer, wanted):
    marks = score(record(reference), answer)
    assert {name: tuple(marks[name]) for name in wanted} == wanted


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
