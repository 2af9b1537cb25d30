import pytest
import task_cards

from ftlab import data, tasks
from ftlab.tasks import style

PLAIN = "The bus to Leeds was 40 minutes late and Karen missed her interview."


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (PLAIN, True),
        ("Karen, whose interview in Leeds the bus delayed by 40 minutes, was late.", True),
        ("Her interview in Leeds the bus delayed by 40 minutes, and she was late.", False),
        ("Karen, whose interview in Leeds the bus delayed by 50 minutes, was late.", False),
        ("Karen and Leeds and 40.", False),
        ("", False),
    ],
)
def test_kept_asks_for_names_numbers_and_some_words(text, kept):
    assert style.keeps(text, PLAIN) is kept


def test_names_at_the_beginning_of_a_sentence_are_names_and_other_words_are_not():
    assert style.names("Paul's aunt came in June 1998.") == ["paul", "june", "1998"]
    assert style.names("The bus came. Nobody saw it.") == []


def test_the_measure_tells_plain_from_voiced_and_says_that_it_hardly_tells_voices_apart():
    said = task_cards.style_measure()
    assert said["cross-validated"] > 0.9 and said["held out"] > 0.9
    assert 0.5 < said["other voice"] < 1


def test_a_copy_keeps_all_and_has_no_voice_and_no_answer_has_neither():
    rows = style.examples(40, 0, split="test")
    copies = [style.score(row, data.prompt(row)[-1]["content"]) for row in rows]
    assert tasks.total(marks["kept"] for marks in copies).value == 1
    assert tasks.total(marks["both"] for marks in copies).value < 0.1
    assert {ratio.num for ratio in style.score(rows[0], " \n").values()} == {0}


def test_the_probe_is_in_another_voice_and_in_no_split():
    probe = {data.answer(row) for row in style.probe(40, 0)}
    ours = {data.answer(r) for r in style.examples(160, 0) + style.examples(40, 0, split="test")}
    assert len(probe) == 40 and len(ours) == 200 and not probe & ours
