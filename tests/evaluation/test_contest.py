import json

import pytest

from ftlab import tasks
from ftlab.errors import ConfigError
from ftlab.evaluation import contest as room
from ftlab.evaluation.contest import contest
from ftlab.evaluation.systems import System, few_shot_examples, lineup

TASK = tasks.get("triage")
TRAIN = TASK.examples(60, 0)
ROWS = TASK.examples(4, 0, split="test")


@pytest.fixture
def short(monkeypatch):
    """Tickets are long for a tiny tokenizer: give its model room."""
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")


@pytest.fixture(scope="module")
def folder(save_model):
    return str(save_model(max_position_embeddings=4096))


def run(folder, out, **more):
    given = {"train_records": TRAIN, "max_new_tokens": 3, "folder": out, **more}
    who = lineup(
        folder, instructions="Sort.", examples=few_shot_examples(TRAIN, ROWS, 2), baseline=TASK,
    )  # fmt: skip
    return contest(TASK, ROWS, who, **given)


def test_a_whole_contest_has_costs_general_text_and_provenance(folder, short, tmp_path):
    told = []
    verdict = run(folder, tmp_path, say=told.append)
    assert list(verdict.systems) == [
        folder, f"{folder} + instructions", f"{folder} + 2 examples", "triage baseline"
    ]  # fmt: skip
    counted = verdict.costs["systems"]
    assert counted[f"{folder} + 2 examples"]["tokens_in"] > counted[folder]["tokens_in"]
    assert counted["triage baseline"]["tokens_in"] is None
    assert verdict.forgetting["general"]["models"][folder].value > 0
    made = verdict.provenance
    assert made["models"][folder].startswith("sha256 ") and "cpu, float32" in made["device"]
    assert made["asked"][f"{folder} + instructions"]["instructions"] == "Sort."
    assert len(made["asked"][f"{folder} + 2 examples"]["examples"]) == 2
    assert any("s left" in line for line in told) and len(verdict.pairs) == 6
    page = verdict.save(tmp_path)
    assert json.loads(page.with_name("verdict.json").read_text("utf-8"))["n"] == 4
    text = page.read_text("utf-8")
    assert all(title in text for title in ("At what price", "What got worse", "How sure"))


def test_answers_that_are_there_are_not_made_again(folder, short, tmp_path, monkeypatch):
    first = run(folder, tmp_path)
    asked = []
    monkeypatch.setattr(room, "answer", lambda *a, **k: asked.append(a))
    again = run(folder, tmp_path)
    assert asked == [] and again.examples == first.examples and again.costs["prices"]
    seconds = [v.costs["systems"][folder]["seconds"] for v in (first, again)]
    assert seconds[0] == seconds[1]
    with pytest.raises(AttributeError):  # another limit asks anew, and our stand-in gives nothing
        run(folder, tmp_path, max_new_tokens=2)
    assert len(asked) == 1


def test_bad_line_ups_are_refused_before_a_model_is_read():
    with pytest.raises(ConfigError, match="name of their own"):
        contest(TASK, ROWS, [System("a", "x"), System("a", "y")])
    with pytest.raises(ConfigError, match="name of their own"):
        contest(TASK, ROWS, [])
    with pytest.raises(ConfigError, match="no records"):
        contest(TASK, [], [System("a", "x")])
