"""Lesson 08: its app can be tested, its requests are recorded, its rules keep what they say."""

import pytest

from ftlab import agents, data, tasks
from ftlab.files import data_path, read_data
from ftlab.recorded import read_recorded
from ftlab.teaching import lesson08

WORDS = read_data("lessons/project.yaml")


def test_the_app_and_the_learners_files_hold_functions_that_the_agent_finds(tmp_path):
    for files in (WORDS["app"], WORDS["mine"]):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    names = [f.name for f in agents.functions_of(tmp_path / "app")]
    assert names == ["initials", "palindrome", "longest", "discount", "shipping", "factorial",
                     "fibonacci", "reverse"]  # fmt: skip
    assert len(agents.functions_of(tmp_path / "marks.py")) == 2
    style = agents.read_standards(WORDS["mine"]["standards.md"])
    assert len(style.compiled) == 3 and len(style.loose) == 1


def test_the_simple_functions_requests_are_recorded():
    kept = {r["messages"][0]["content"] for r in read_recorded(data_path("recorded/project.jsonl"))}
    prompt = read_data("lessons/teacher.yaml")["unit_tests"]
    code = WORDS["app"]["app/simple.py"].strip().split("\n\n\n")
    assert kept == {prompt.format(code=one) for one in code}


def test_the_functions_of_the_app_are_not_among_the_rows():
    drawn = tasks.get("unit_tests").examples(24, seed=8)
    asked = {data.prompt(row)[-1]["content"].partition("\n\n")[2].strip() for row in drawn}
    ours = {one for text in WORDS["app"].values() for one in text.strip().split("\n\n\n")}
    assert not asked & ours


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("f(2)\nf(2)\nf(3)", ["f(2)", "f(3)"]),  # one of them twice
        ("f(-1)", ["f(-1)"]),  # what the function raises
        ("f('a')", []),  # what it does not
        ("g(1)\nf(x)\nf(open('a'))\nSure!\nf(", []),
    ],
)
def test_a_call_is_valid_if_it_runs_with_values_written_out(text, valid):
    source = "def f(n):\n    if n < 0:\n        raise ValueError(n)\n    return n\n"
    assert lesson08.valid_calls(source, text) == valid


def test_rows_of_calls_keep_every_assertion():
    row = tasks.get("unit_tests").examples(1, seed=8)[0]
    module = data.answer(row)
    assert len(lesson08.calls_in(module)) == module.count("assertEqual")
