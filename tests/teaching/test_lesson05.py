"""Lesson 05 asks for nothing that is not recorded, and its tables are what the grids hold."""

import csv
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import build_lessons as build
import pytest

from ftlab import data, tasks
from ftlab.files import data_path, read_data, read_text
from ftlab.recorded import read_recorded, request_hash
from ftlab.teaching.lesson05 import messages_in

SOURCE = Path(__file__).parents[2] / "notebooks" / "source" / "05_making_data.py"
WORDS = read_data("lessons/teacher.yaml")


class Recorded:
    """Gives recorded replies, and refuses all other requests."""

    def __init__(self):
        rows = read_recorded(data_path("recorded/teacher.jsonl"))
        self.replies = {row["hash"]: row["reply"] for row in rows}
        self.asked = Counter()

    def ask(self, prompt):
        name = request_hash([{"role": "user", "content": prompt}])
        assert name in self.replies, prompt
        self.asked[name] += 1
        return self.replies[name]


@pytest.fixture(scope="module")
def cells():
    notebook = build.make(SOURCE.read_text(encoding="utf-8"), lesson="05", solved=True)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def run(cells, opening, names):
    """Execute the one cell that has some words in it."""
    (cell,) = [source for source in cells if opening in source]
    exec(cell, names)


@pytest.fixture(scope="module")
def lesson(cells):
    """The names of the lesson after its requests were answered, with recorded replies alone."""
    cache = Recorded()
    names = {"words": WORDS, "seeds": WORDS["seeds"], "data": data, "tasks": tasks, "cache": cache,
             "ThreadPoolExecutor": ThreadPoolExecutor}  # fmt: skip
    names["paraphrases"] = [
        cache.ask(WORDS["paraphrase"].format(text=seed["text"], manner=manner))
        for seed in WORDS["seeds"]
        for manner in WORDS["manners"]
    ]
    run(cells, "asked = {", names)
    return names


def test_every_request_of_the_default_run_is_recorded_and_every_record_is_asked_for(lesson):
    assert set(lesson["cache"].asked) == set(lesson["cache"].replies)
    counts = {kind: len(some) for kind, some in lesson["replies"].items()}
    assert counts == {
        "paraphrase": 84, "there": 42, "new": 42, "code": 30, "calls": 24, "back": 42
    }  # fmt: skip


def test_the_small_model_is_asked_for_recorded_prompts_by_its_own_name(cells):
    # Under the name "recorded" they would be answered from the file.
    assert any('ask_all(prompts, "small", local' in cell for cell in cells)


def test_each_recorded_list_has_five_messages(lesson):
    assert {len(messages_in(reply)) for reply in lesson["replies"]["new"]} == {5}


@pytest.mark.parametrize(
    ("name", "key"), [("amplify", ("arm", "seed")), ("self_training", ("kept", "round", "seed"))]
)
def test_a_grid_holds_each_run_once_and_as_many_marks_as_messages(name, key):
    text = read_text(data_path(f"grids/{name}.csv"))
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert max(Counter(tuple(row[k] for k in key) for row in rows).values()) == 1
    count = "right" if name == "amplify" else "helpful"
    for row in rows:
        assert len(row["answers"]) == 1 + int(row["of"])
        assert row["answers"].count("1") == int(row[count])
