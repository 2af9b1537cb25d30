"""The benchmark of lesson 02 is fit to be asked."""

from ftlab.files import read_data


def test_each_question_has_four_options_and_is_asked_once():
    questions = read_data("lessons/benchmark.yaml")
    assert len({item["question"] for item in questions}) == len(questions) == 48
    assert all(len(set(item["options"])) == 4 for item in questions)
    assert all(item["question"].endswith("?") for item in questions)


def test_the_right_option_is_not_given_away_by_its_length():
    questions = read_data("lessons/benchmark.yaml")
    longest = sum(
        len(item["options"][0]) > max(map(len, item["options"][1:])) for item in questions
    )
    shortest = sum(
        len(item["options"][0]) < min(map(len, item["options"][1:])) for item in questions
    )
    assert max(longest, shortest) < len(questions) / 3
