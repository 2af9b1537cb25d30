"""A capstone's folder says what is missing, and its card cannot promise more than its verdict."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from ftlab import data, tasks
from ftlab.cli import app
from ftlab.errors import DataError
from ftlab.evaluation.compare import compare
from ftlab.teaching import capstone
from ftlab.teaching.board import board

FORM = {
    "author": "Ada",
    "title": "Mail <b>",
    "task": "In goes a message, out comes a topic.",
    "why": "The base does not keep to the topics.",
    "base": "smollm2-135m, Apache-2.0",
    "machine": "a laptop, 2 GB",
    "cheats": "none: one word of seven",
    "data": {"source": "written", "licence": "Apache-2.0", "personal": "none"},
    "measure": "right",
    "rivals": ["base"],
    "tuned": "tuned",
    "ship_if": {"at_least": 0.5, "better_by": 0.0},
    "stop_if": "after two rounds",
}
CARD = "# Use\nmail\n# Data\nours\n# Result\n{}\n# Limits\nsome\n# Decision\n{}\n"
RESULT = "tuned: 0.75 (0.61 to 0.89), base: 0.00"


def write(folder, form):
    (folder / "proposal.yaml").write_text(yaml.safe_dump(form))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a folder in which everything is done."""
    folder = tmp_path_factory.mktemp("class") / "mail"
    folder.mkdir()
    write(folder, FORM)
    task = tasks.get("triage")
    rows = task.examples(40, seed=0, split="test")
    data.write(folder / "train.jsonl", task.examples(30, seed=0))
    data.write(folder / "test.jsonl", rows)
    right = [data.answer(row) if i % 4 else "x" for i, row in enumerate(rows)]
    verdict = compare(task, rows, {"base": ["x"] * 40, "tuned": right})
    verdict.save(folder / "verdict")
    mine = verdict.systems["tuned"]["right"]
    result = f"tuned: {mine.value:.2f} ({mine.low:.2f} to {mine.high:.2f})"
    (folder / "card.md").write_text(CARD.format(result, "ship"))
    (folder / "reviews").mkdir()
    review = {"reviewer": "Ben"} | {n: {"score": 1, "why": "so"} for n in capstone.WORDS["rubric"]}
    (folder / "reviews/ben.yaml").write_text(yaml.safe_dump(review))
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    import shutil

    return shutil.copytree(finished, tmp_path / "mail")


def state(folder):
    return {step.name: step for step in capstone.check(folder)}


def test_a_whole_folder_is_done(folder):
    steps = capstone.check(folder)
    assert [step.name for step in steps if not step.done] == [], steps
    assert "ship" in state(folder)["verdict"].message
    assert CliRunner().invoke(app, ["capstone", "check", str(folder)]).exit_code == 0


def test_an_empty_form_names_every_line(tmp_path):
    capstone.new(tmp_path)
    steps = state(tmp_path)
    assert not any(step.done for step in steps.values())
    for name in ("author", "base", "cheats", "data: licence", "rivals", "at_least", "stop_if"):
        assert name in steps["proposal"].message
    with pytest.raises(DataError, match="exists already"):
        capstone.new(tmp_path)
    assert CliRunner().invoke(app, ["capstone", "check", str(tmp_path)]).exit_code == 1


@pytest.mark.parametrize(
    ("change", "step", "said"),
    [
        ({"task": "It sorts mail. It also answers it."}, "proposal", "one narrow task"),
        ({"stop_if": "when it is enough"}, "proposal", "no number"),
        ({"ship_if": {"at_least": 60, "better_by": 0}}, "proposal", "at_least is 60"),
        ({"ship_if": None}, "proposal", "at_least is None"),
        ({"rivals": "base"}, "proposal", "rivals names no system"),
        ({"rivals": ["gpt"]}, "verdict", "the proposal names gpt"),
        ({"measure": "valid"}, "verdict", "the verdict compares by right"),
        ({"author": "ben"}, "review", "somebody else"),
    ],
)
def test_a_proposal_that_cannot_be_kept(folder, change, step, said):
    write(folder, FORM | change)
    found = state(folder)[step]
    assert not found.done and said in found.message


def test_a_leak_and_too_few_records_are_found(folder):
    rows = data.read(folder / "test.jsonl")
    data.write(folder / "test.jsonl", rows[:8], overwrite=True)
    steps = state(folder)
    assert "8 test records" in steps["data"].message
    assert "not in test.jsonl" in steps["verdict"].message
    data.write(folder / "train.jsonl", rows, overwrite=True)
    assert "leak" in state(folder)["data"].message


@pytest.mark.parametrize(
    ("result", "decision", "said"),
    [("tuned: 0.99", "ship", "the result has no 0.75"), (None, "stop", "by your rule ship"),
     (None, "of course", "not there")],
)  # fmt: skip
def test_a_card_says_what_the_verdict_says(folder, result, decision, said):
    whole = (folder / "card.md").read_text().split("# Result\n")[1].split("\n# Limits")[0]
    (folder / "card.md").write_text(CARD.format(result or whole, decision))
    found = state(folder)["card"]
    assert not found.done and said in found.message


@pytest.mark.parametrize(
    ("figure", "gain", "decision"),
    [((0.6, 0.8), (0.1, 0.3), "ship"), ((0.4, 0.8), (0.1, 0.3), "improve"),
     ((0.6, 0.8), (-0.1, 0.3), "improve"), ((0.1, 0.4), (0.1, 0.3), "stop"),
     ((0.6, 0.8), (-0.3, -0.1), "stop")],
)  # fmt: skip
def test_the_rule_decides_by_intervals(figure, gain, decision):
    assert capstone.decide({"at_least": 0.5, "better_by": 0}, figure, [gain])[0] == decision


@pytest.mark.parametrize(
    ("file", "text"),
    [("proposal.yaml", "[1, 2"), ("proposal.yaml", "- a"), ("verdict/verdict.json", "{"),
     ("verdict/verdict.json", "[]"), ("reviews/ben.yaml", "nothing"), ("train.jsonl", "{}\n"),
     ("card.md", "")],
)  # fmt: skip
def test_damaged_files_are_open_steps_and_no_traceback(folder, file, text):
    (folder / file).write_text(text)
    assert any(not step.done for step in capstone.check(folder))
    assert "Class board" in board([folder])[0]


def test_a_review_form_has_a_place_for_every_line(folder):
    invoked = CliRunner().invoke(app, ["capstone", "review", str(folder), "--name", 'Bea "B"'])
    assert invoked.exit_code == 0, invoked.output
    held = yaml.safe_load((folder / "reviews/bea-b.yaml").read_text())
    assert set(held) == {"reviewer", *capstone.WORDS["rubric"]}
    assert "no score of 0, 1 or 2" in state(folder)["review"].message


def test_the_board_of_a_class(folder, tmp_path):
    learner = {"kind": "ftlab progress", "name": "Zoë", "done": {"00.1": {"passed": True}}}
    (tmp_path / "zoe.json").write_text(json.dumps(learner))
    (tmp_path / "other.json").write_text("{}")
    text, skipped = board([tmp_path])
    for said in ("Mail &lt;b&gt;", "decision", "Zoë", "0.75"):
        assert said in text
    assert "http" not in text and [line[:10] for line in skipped] == ["other.json"]
    out = tmp_path / "board.html"
    assert CliRunner().invoke(app, ["board", str(tmp_path), "--out", str(out)]).exit_code == 0
    assert out.read_text("utf-8") == text
    (empty := tmp_path / "empty").mkdir()
    for wrong in (empty, tmp_path / "nowhere"):
        with pytest.raises(DataError):
            board([wrong])
