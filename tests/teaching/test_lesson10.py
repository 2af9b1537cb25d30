"""Lesson 10: its advantages are TRL's, its rewards pay what the lesson says they pay."""

import json
from pathlib import Path

import build_lessons as build
import pandas
import pytest
from datasets import Dataset
from trl import GRPOTrainer

import ftlab
from ftlab import data, tasks
from ftlab.files import data_path
from ftlab.teaching import lesson10
from ftlab.teaching.exercises import find

SOURCE = (Path(__file__).parents[2] / "notebooks/source/10_rewards.py").read_text("utf-8")
ROWS = tasks.get("extraction").examples(120, seed=0)


def cell(start):
    """Return the code of the lesson's one cell that holds a text, solved."""
    notebook = build.make(SOURCE, lesson="10", solved=True)
    (found,) = [c.source for c in notebook.cells if c.cell_type == "code" and start in c.source]
    return found


def answers(*texts):
    return [[{"role": "assistant", "content": text}] for text in texts]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_right_record_has_nothing_made_up(split):
    rows = tasks.get("extraction").examples(200, seed=3, split=split)
    assert [data.answer(row) for row in rows if lesson10.made_up(row, data.answer(row))] == []


@pytest.mark.parametrize(
    ("change", "made_up"),
    [
        ({"town": "Atlantis"}, 1),
        ({"quantity": 999}, 0),  # any whole number passes
        ({"quantity": "some", "name": None}, 1),
        ({"quantity": True}, 1),
        ({"note": "Atlantis"}, 0),  # not one of the five
    ],
)
def test_a_value_that_does_not_stand_in_the_letter_is_made_up(change, made_up):
    text = json.dumps(json.loads(data.answer(ROWS[0])) | change)
    assert lesson10.made_up(ROWS[0], text) == made_up


def test_the_first_reward_pays_every_cheat_and_the_mended_one_a_single_one():
    names = {"lesson10": lesson10, "json": json, "right": "", "letter": ROWS[0]}
    exec(cell("def careful").partition("\n\nhonest")[0], names)
    for row in ROWS:
        cheats = lesson10.cheats(row)
        said = answers(data.answer(row), *cheats.values())
        record = [json.dumps(row)] * len(said)
        best, *paid = names["careful"](said, record)
        assert all(other >= best for other in paid)
        best, *paid = find("10.5").solution(said, record=record)
        assert [n for n, p in zip(cheats, paid, strict=True) if p >= best] in (
            [], ["one word in all fields"]
        )  # fmt: skip


def test_advantages_are_those_of_trl(make_model, tmp_path):
    model, tokenizer = make_model()
    rewards = [0.0, 0.2, 0.2, 1.0, 0.6, 0.6, 0.6, 0.6]
    trainer = GRPOTrainer(
        model,
        lambda completions, **_: rewards[: len(completions)],
        ftlab.grpo_config(
            output_dir=str(tmp_path), per_device_train_batch_size=8, num_generations=4,
            max_completion_length=4, max_steps=1, log_completions=True, num_completions_to_print=0,
            use_cpu=True, bf16=False,
        ),
        Dataset.from_list([{"prompt": data.prompt(row)} for row in ROWS[:4]]),
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    kept = pandas.read_parquet(tmp_path / "completions" / "completions_00001.parquet")
    assert kept.advantage.tolist() == pytest.approx(lesson10.advantages(rewards, 4), abs=1e-4)
    logged = trainer.state.log_history[0]
    assert logged["frac_reward_zero_std"] == 0.5
    assert abs(logged["loss"]) < 1e-4 < logged["grad_norm"]  # what section 7 says of the loss


def test_both_ways_of_the_verdict_answered_the_same_letters_after_as_many_seconds():
    grid = pandas.read_csv(data_path("grids/rewards.csv"), comment="#")
    ends = grid[grid.score.notna()].groupby(["arm", "seed"]).last()
    for seed in grid.seed[grid.arm == "sft"].unique():
        grpo, sft = ends.loc[("grpo", seed)], ends.loc[("sft", seed)]
        assert len(grpo.marks) == len(sft.marks) == grpo.n + 1
        assert sft.seconds == pytest.approx(grpo.seconds, rel=0.1)


def test_the_small_sets_began_where_the_others_did_and_are_whole():
    grid = pandas.read_csv(data_path("grids/rewards.csv"), comment="#")
    start = grid[(grid.arm == "grpo") & (grid.seed == 0) & (grid.step == 0)].marks.item()
    small = grid[grid.arm.str.startswith(("group", "temperature"))]
    assert small.arm.nunique() == 5 and set(small.seed) == {0}
    for _, run in small.groupby("arm"):
        assert run.step.tolist() == list(range(11)) and run.marks.iloc[0] == start
