"""Every exercise accepts its solution, and names each of its usual mistakes."""

import json

import pytest

from ftlab.errors import ConfigError
from ftlab.files import read_data
from ftlab.teaching.exercises import (
    Exercise,
    Mistake,
    check,
    exercise,
    exercises,
    find,
    hint,
    judge,
)
from ftlab.teaching.plots import LESSONS

ALL = list(exercises().values())
MEAN = Exercise(
    id="99.1",
    title="the mean",
    hints=("Add up.", "Divide by the length."),
    solution=lambda numbers: sum(numbers) / len(numbers),
    cases=(([1, 2, 6],), ([4.0],)),
    mistakes=(Mistake("it adds up", sum, "Divide by how many there are."),),
)


@pytest.fixture(autouse=True)
def home(progress_file):
    return progress_file


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.id)
def test_the_solution_is_right_and_each_mistake_is_named(exercise):
    assert judge(exercise, exercise.solution).passed
    assert len(exercise.mistakes) >= 2
    for mistake in exercise.mistakes:
        outcome = judge(exercise, mistake.wrong)
        assert not outcome.passed
        assert f": {mistake.name}. {mistake.message}" in outcome.message


def test_an_exercise_is_whole():
    for one in ALL:
        assert len(one.hints) == 2 and all(hint[-1] in ".?" for hint in one.hints)
        names = [mistake.name for mistake in one.mistakes]
        assert len(set(names)) == len(names)


def test_a_change_of_words_that_are_not_there_is_refused(monkeypatch):
    words = {"99.1": {"title": "", "hints": ("", ""), "mistakes": {
        "none": {"says": "No.", "change": {"nowhere": "x"}}}}}  # fmt: skip
    monkeypatch.setattr("ftlab.teaching.exercises.read_data", lambda name: words)
    with pytest.raises(ConfigError, match="stub has no 'nowhere' to change"):
        exercise("99.1", stub)


def stub(numbers):
    """The stub as the notebook has it."""
    ...


def raises_not_implemented(numbers):
    raise NotImplementedError


@pytest.mark.parametrize("answer", [stub, raises_not_implemented, None, ...])
def test_a_stub_gets_the_first_hint(answer):
    outcome = judge(MEAN, answer)
    assert outcome.kind == "unwritten"
    assert outcome.message == "99.1 is not written yet: the mean. Hint 1: Add up."


def test_a_wrong_answer_shows_the_first_failing_case():
    outcome = judge(MEAN, lambda numbers: numbers[0])
    assert outcome.kind == "wrong"
    assert "(1 of 2 cases are)" in outcome.message
    assert "([1, 2, 6]) returned 1; wanted: 3.0." in outcome.message


def test_a_long_case_is_laid_out_in_lines():
    lines = judge(MEAN, lambda numbers: ["word " * 8] * 5).message.splitlines()
    assert lines[1] == "<lambda>([1, 2, 6]) returned"
    assert lines[2].startswith("['word") and lines[2].endswith("; wanted:")
    assert lines[3] == "3.0."


def test_an_exception_is_shown_with_its_case_and_without_a_traceback():
    def mean(numbers):
        return numbers / 0

    outcome = judge(MEAN, mean)
    assert outcome.kind == "raised"
    assert outcome.message.startswith("99.1 stopped at mean([1, 2, 6]): TypeError: unsupported")
    assert "Traceback" not in outcome.message


@pytest.mark.parametrize("stopper", [KeyboardInterrupt, SystemExit])
def test_stopping_is_an_answer_too(stopper):
    def mean(numbers):
        raise stopper

    assert judge(MEAN, mean).kind == "raised"


def test_printing_instead_of_returning_is_named():
    outcome = judge(MEAN, lambda numbers: print(sum(numbers) / len(numbers)))
    assert outcome.kind == "printed"
    assert "`return`" in outcome.message


def test_a_call_instead_of_the_function_is_named():
    assert judge(MEAN, 3.0).kind == "not a function"


def test_a_call_cannot_change_the_next_ones_arguments():
    def greedy(numbers):
        total, count = sum(numbers), len(numbers)
        numbers.clear()
        return total / count

    assert judge(MEAN, greedy).passed
    assert judge(MEAN, greedy).passed


def test_tensors_count_as_the_numbers_in_them():
    import torch

    assert judge(MEAN, lambda numbers: torch.tensor(numbers, dtype=torch.float64).mean()).passed


def test_an_unknown_exercise_suggests_the_nearest():
    with pytest.raises(ConfigError, match=r"Unknown exercise '00\.11'\. Did you mean '00\.1'\?"):
        find("00.11")
    with pytest.raises(ConfigError, match="no hint 3"):
        hint("00.1", 3)


def test_check_prints_one_message_and_keeps_the_progress(capsys, home):
    assert check("00.4", lambda low, high: 1) is None
    assert check("00.4", find("00.4").solution) is None
    check("00.4", lambda low, high: 1)
    check("00.4", None)  # not written: no try
    told = capsys.readouterr().out
    assert told.count("00.4 is right: read the interval of a difference.") == 1
    assert json.loads(home.read_text()) == {"00.4": {"passed": True, "tries": 3}}


def test_hint_prints_the_hint(capsys):
    hint("00.1", 2)
    assert capsys.readouterr().out == f"Hint 2 of 00.1: {find('00.1').hints[1]}\n"


def test_every_word_in_the_data_belongs_to_an_exercise():
    for lesson in LESSONS:
        words = read_data(f"exercises/{lesson}.yaml")
        known = {one.id: one for one in ALL if one.id.startswith(lesson)}
        assert list(words) == list(known)
        for id, one in known.items():
            assert list(words[id]["mistakes"]) == [mistake.name for mistake in one.mistakes]
