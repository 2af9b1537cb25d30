"""Lesson 06: its grid holds what it reads, its weighted loss is TRL's, its last step is checked."""

import csv
import json
from pathlib import Path

import pandas
import pytest
import torch
from datasets import Dataset

import ftlab
from ftlab import data, tasks
from ftlab.curation import doctor
from ftlab.files import data_path
from ftlab.teaching.exercises import find
from ftlab.teaching.labels import Labels, read_labels
from ftlab.teaching.lesson06 import still_open

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data_quality(monkeypatch):
    """The script of the grid."""
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    import data_quality

    return data_quality


# The grid.


def grid():
    return pandas.read_csv(data_path("grids/data_quality.csv"), comment="#", dtype=str)


def test_each_line_of_the_grid_answers_what_the_lesson_asks():
    table = grid()
    task = tasks.get("triage")
    asked = task.sizes["test"] + 30
    for line in table.itertuples():
        if line.part in ("capitals", "linear, punctuation"):
            pairs = [pair.split("/") for pair in line.answers.split()]
            assert all(0 <= float(num) <= float(den) for num, den in pairs)
        elif line.part == "short":
            assert all(int(words) >= 0 for words in line.answers.split())
        else:
            assert len(line.answers) == asked and set(line.answers) <= set("0123456-")
    assert not table.duplicated(["part", "arm", "seed"]).any()


def test_the_grid_has_every_arm_that_a_cell_names():
    arms = set(grid()[["part", "arm"]].itertuples(index=False, name=None))
    wanted = {("spread", arm) for arm in ("spread", "near copies", "two topics", "production")}
    wanted |= {("kinds", "plain"), ("kinds", "mixed")}
    wanted |= {("curve", size) for size in ("0", "25", "50", "100", "200", "400")}
    wanted |= {("linear", size) for size in ("25", "50", "100", "200", "400")}
    wanted |= {("linear, punctuation", size) for size in ("50", "100", "200")}
    wanted |= {("wrong", dose) for dose in ("10", "20", "40")}
    wanted |= {("weight", arm) for arm in ("as they come", "read more often", "weighted")}
    wanted |= {("short", "full"), ("short", "first sentence")}
    wanted |= {("capitals", f"left in, asked {how}") for how in ("with", "without")}
    assert wanted - arms == set()


def test_no_run_of_the_grid_trains_on_a_message_that_is_asked(data_quality):
    asked = {ticket["text"] for ticket in data_quality.asked_of()}
    for part, arm in data_quality.ARMS:
        if part in ("curve", "spread", "wrong", "kinds", "weight") and arm != "near copies":
            rows = data_quality.triage_rows(part, arm, seed=1)
            assert not asked & {data.prompt(row)[-1]["content"] for row in rows}, (part, arm)


def test_a_larger_dose_of_wrong_labels_only_adds(data_quality):
    clean = data_quality.spread(data_quality.pool(), 0)[:60]
    wrong = {}
    for share in (0.1, 0.2, 0.4):
        spoilt = data_quality.mislabelled(clean, share, 0)
        pairs = enumerate(zip(clean, spoilt, strict=True))
        wrong[share] = {i for i, (a, b) in pairs if a["topic"] != b["topic"]}
        assert len(wrong[share]) == round(60 * share)
    assert wrong[0.1] < wrong[0.2] < wrong[0.4]


# The weighted loss.


def weighted(trainer_of, model, tokenizer, rows, weights):
    """Return the grid's weighted loss of one batch, and the model's own."""
    args = ftlab.sft_config(max_steps=1, per_device_train_batch_size=4)
    trainer = trainer_of(
        model, args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(rows))])
    own = model(**batch).loss.item()
    loss = trainer.compute_loss(model, {**batch, "weight": torch.tensor(weights)}).item()
    return loss, own


def test_equal_weights_give_the_models_own_loss_and_others_do_not(make_model, data_quality):
    model, tokenizer = make_model("llama3")
    rows = [data.example("a short one", "bug"), data.example("one that is longer", "a refund")]
    rows = [{key: row[key] for key in ("prompt", "completion")} for row in rows]
    loss, own = weighted(data_quality.Weighted, model, tokenizer, rows, [1.0, 1.0])
    assert loss == pytest.approx(own, rel=1e-5)
    alone, only = weighted(data_quality.Weighted, model, tokenizer, rows[:1], [5.0])
    assert alone == pytest.approx(only, rel=1e-5)
    heavy, _ = weighted(data_quality.Weighted, model, tokenizer, rows, [1000.0, 1.0])
    assert heavy == pytest.approx(only, rel=2e-2) and heavy != pytest.approx(own, rel=1e-5)


def test_the_exercise_and_the_trainer_compute_the_same():
    mean = find("06.3").solution
    losses, labels = torch.rand(3, 5), torch.tensor([[1, -100, 2, 3, -100]] * 3)
    assert mean(losses, labels, torch.ones(3)) == pytest.approx(losses[:, [0, 2, 3]].mean().item())


# Labels by hand.


def test_a_learner_labels_with_keys_and_the_file_is_whole_after_each(tmp_path):
    topics = {str(n): topic for n, topic in enumerate(("bug", "login"), start=1)}
    mine = Labels({"a": "It breaks.", "b": "I am shut out."}, topics, tmp_path / "labels.csv")
    box = mine.widget()
    keys = next(part for part in box.children if type(part).__name__ == "Text")
    keys.value = "1"
    assert read_labels(mine.path) == {"me": {"a": "1"}}
    keys.value = "x"  # no key of any topic
    keys.value = "2"
    assert mine.labels == {"a": "1", "b": "2"} and mine.open == []
    assert "All are labelled" in box.children[0].value


# Your turn.


@pytest.fixture
def reports(tmp_path):
    """A report on a file with a copy and an empty answer, and on the mended one."""
    row = {"prompt": "Where is it?", "completion": "delivery"}
    empty = {"prompt": "And now?", "completion": ""}
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, [row, row, empty])) + "\n")
    doctor.fix(path, tmp_path / "mended.jsonl")
    return doctor.examine(path), doctor.examine(tmp_path / "mended.jsonl")


def test_every_finding_wants_a_decision(reports):
    before, after = reports
    told = {one.check for one in before.findings}
    assert {"exact_duplicates", "empty_content"} <= told
    assert {line.split(":")[0] for line in still_open(before, after, {})} >= told
    assert still_open(before, after, dict.fromkeys(told, "dropped by --fix")) == []


def test_an_error_that_is_left_and_a_decision_about_nothing_are_named(reports):
    before, _ = reports
    decisions = dict.fromkeys([one.check for one in before.findings], "read, and left")
    missing = still_open(before, before, decisions | {"mojibake": "mended"})
    assert missing == [
        "empty_content: still an error, in 1 lines of the mended file",
        "mojibake: the doctor found no such thing",
    ]


def test_a_fault_that_the_mending_brought_is_named(reports):
    before, after = reports
    decisions = dict.fromkeys([one.check for one in after.findings], "read, and left")
    missing = still_open(after, before, decisions)
    assert "exact_duplicates: new since the mending, look again" in missing


def test_the_grid_says_how_it_was_made():
    lines = data_path("grids/data_quality.csv").read_text("utf-8").splitlines()
    assert lines[0] == "# python experiments/data_quality.py"
    fields = next(csv.reader([next(line for line in lines if not line.startswith("#"))]))
    assert fields == ["part", "arm", "seed", "records", "seconds", "answers"]
