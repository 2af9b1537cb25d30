"""Quizzes explain every option, give nothing away by their form, and work without a mouse."""

from collections import Counter

import pytest

from ftlab.errors import ConfigError
from ftlab.teaching.plots import LESSONS
from ftlab.teaching.quizzes import LETTERS, quiz


@pytest.mark.parametrize("lesson", LESSONS)
def test_five_questions_with_one_right_option_and_an_explanation_for_each(lesson):
    questions = quiz(lesson).questions
    assert len(questions) == 5
    for question in questions:
        assert sum(option.right for option in question.options) == 1
        assert len({option.text for option in question.options}) == len(question.options) >= 3
        for option in question.options:
            assert len(option.why) >= 30
            assert not option.text.endswith(".")  # the answer puts one


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_position_of_the_right_option_tells_nothing(lesson):
    questions = quiz(lesson).questions
    positions = Counter(question.right for question in questions)
    options = len(questions[0].options)
    assert len(positions) == options
    assert max(positions.values()) <= -(-len(questions) // options)


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_length_of_the_right_option_tells_nothing(lesson):
    ranks = []
    for question in quiz(lesson).questions:
        lengths = [len(option.text) for option in question.options]
        ranks.append(sorted(lengths).index(lengths[question.right]))
    options = len(quiz(lesson).questions[0].options)
    assert ranks.count(options - 1) <= 2
    assert ranks.count(0) <= 2


def test_as_text_it_reads_well_and_stays_the_same():
    text = repr(quiz("00"))
    assert text == repr(quiz("00"))
    assert text.count("?") >= 4
    for number, question in enumerate(quiz("00").questions, 1):
        assert f"{number}. {question.text}" in text
        for letter, option in zip(LETTERS, question.options, strict=False):
            assert f"   {letter}) {option.text}\n" in text
    assert "0x" not in text


def test_each_answer_gets_its_own_explanation(capsys):
    asked = quiz("00")
    for number, question in enumerate(asked.questions, 1):
        for letter, option in zip(LETTERS, question.options, strict=False):
            asked.answer(number, letter)
            told = capsys.readouterr().out
            assert option.why in told
            assert told.startswith("Right: " if option.right else "Not quite: ")


def test_answers_that_do_not_exist():
    with pytest.raises(ConfigError, match="no question 6"):
        quiz("00").answer(6, "a")
    with pytest.raises(ConfigError, match="Unknown option 'z'"):
        quiz("00").answer(1, "z")
    with pytest.raises(ConfigError, match="Unknown lesson '99'"):
        quiz("99")


def test_the_widgets_explain_what_was_chosen():
    widget = quiz("00").widget()
    for row, question in zip(widget.children[1:], quiz("00").questions, strict=True):
        _, radio, button, reply = row.children
        button.click()
        assert "Choose an option first" in reply.value
        for index, option in enumerate(question.options):
            radio.value = index
            button.click()
            assert ("Right." if option.right else "Not quite.") in reply.value


def test_outside_a_notebook_there_is_only_text_and_static_html():
    bundle = quiz("00")._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert bundle["text/html"].count("<details") == sum(
        len(question.options) for question in quiz("00").questions
    )
