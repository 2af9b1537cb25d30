"""Lesson 05 asks for nothing that is not recorded, and its tables are what the grids hold."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from ftlab.files import data_path, read_text
from ftlab.recorded import read_recorded, request_hash
from ftlab.teaching import lesson05

SOURCE = Path(__file__).parents[2] / "notebooks" / "source" / "05_making_data.py"


@pytest.fixture(scope="module")
def replies():
    """The recorded replies to everything that the lesson asks the teacher, by kind."""
    rows = read_recorded(data_path("recorded/teacher.jsonl"))
    known = {row["hash"]: row["reply"] for row in rows}
    asked = set()

    def answers(prompts):
        hashes = [request_hash([{"role": "user", "content": prompt}]) for prompt in prompts]
        asked.update(hashes)
        return [known[name] for name in hashes]

    found = {kind: answers(prompts) for kind, prompts in lesson05.requests().items()}
    found["back"] = answers([lesson05.WORDS["back"].format(text=t) for t in found["there"]])
    assert asked == set(known), "something is recorded that the lesson does not ask for"
    return found


def test_every_request_of_the_default_run_is_recorded_and_every_record_is_asked_for(replies):
    assert {kind: len(some) for kind, some in replies.items()} == {
        "paraphrase": 84, "there": 42, "new": 42, "code": 30, "calls": 24, "back": 42
    }  # fmt: skip


def test_the_small_model_is_asked_for_recorded_prompts_by_its_own_name():
    # Under the name "recorded" they would be answered from the file.
    assert 'partial(lesson05.text_of, local, "small"' in SOURCE.read_text(encoding="utf-8")


def test_each_recorded_list_has_five_messages(replies):
    assert {len(lesson05.messages_in(reply)) for reply in replies["new"]} == {5}


def test_candidates_are_told_from_what_stands_around_them(replies):
    made = lesson05.candidates(replies)
    assert Counter(way for way, *_ in made) == {
        "paraphrase": 84, "back-translation": 42, "new": 210
    }  # fmt: skip
    seeds = {seed["text"]: seed["topic"] for seed in lesson05.WORDS["seeds"]}
    assert all(seeds[source] == topic for _, topic, source, _ in made if source)
    assert not [text for *_, text in made if "\n" in text or text.lower().startswith("sure")]


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
