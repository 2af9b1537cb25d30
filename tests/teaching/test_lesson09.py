"""Lesson 09: its reference is the tuned start, its grid holds what it reads."""

import importlib
import json
import re
from pathlib import Path

import pandas
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from trl import DPOTrainer

import ftlab
from ftlab import data, tasks
from ftlab.files import data_path
from ftlab.teaching.exercises import find
from ftlab.teaching.lesson09 import examine

SOURCE = (Path(__file__).parents[2] / "notebooks/source/09_preferences.py").read_text("utf-8")
ASK = [{"role": "user", "content": "Say fox!"}]
PAIR = find("09.1").solution(ASK, ["Paris", "lazy dog"], [1, 0])


@pytest.fixture
def start(make_model, tmp_path):
    """Return a tuned start: an adapter that is not zero, loaded to be trained."""
    model, tokenizer = make_model("chatml")
    tuned = get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"]))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    tuned.save_pretrained(tmp_path / "start")
    base = make_model("chatml")[0]
    return PeftModel.from_pretrained(base, tmp_path / "start", is_trainable=True), tokenizer


def test_the_reference_is_a_copy_of_the_starts_adapter_and_stays_so(start, tmp_path):
    model, tokenizer = start
    args = ftlab.dpo_config(
        output_dir=str(tmp_path / "run"), max_steps=3, learning_rate=1e-2, beta=0.1, bf16=False,
        precompute_ref_log_probs=True,
    )  # fmt: skip
    rows = Dataset.from_list([PAIR] * 4)
    trainer = DPOTrainer(model, args=args, train_dataset=rows, processing_class=tokenizer)
    weights = dict(trainer.model.named_parameters())
    before = {n: w.detach().clone() for n, w in weights.items() if ".default." in n}
    assert list(trainer.model.peft_config) == ["default", "ref"] and before
    trainer.train()
    (first, *_, last) = [log for log in trainer.state.log_history if "rewards/margins" in log]
    assert float(first["loss"]) == pytest.approx(0.6931, abs=1e-3)
    assert float(last["rewards/margins"]) > float(first["rewards/margins"]) == 0
    assert all(torch.equal(weights[n.replace(".default.", ".ref.")], w) for n, w in before.items())
    assert any(not torch.equal(weights[n], w) for n, w in before.items())
    trainer.model.save_pretrained(tmp_path / "dpo", selected_adapters=["default"])
    assert not (tmp_path / "dpo" / "ref").exists()


def test_the_loss_of_the_exercise_is_that_of_trl(start, tmp_path):
    model, tokenizer = start
    args = ftlab.dpo_config(output_dir=str(tmp_path), max_steps=2, learning_rate=1e-2, bf16=False)
    rows = Dataset.from_list([PAIR])
    trainer = DPOTrainer(model, args=args, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    logs = trainer.evaluate(rows)
    margin = logs["eval_rewards/margins"] / args.beta
    assert find("09.2").solution(margin, 0, 0, 0, args.beta) == pytest.approx(logs["eval_loss"])
    assert abs(margin) > 1e-3


def test_what_the_table_names_is_in_trl(tmp_path):
    for name in re.findall(r"`(\w+Trainer)`", SOURCE):
        assert hasattr(importlib.import_module("trl"), name), name
    assert importlib.import_module("trl.experimental.orpo").ORPOTrainer
    kinds = set(re.findall(r'`loss_type="(\w+)"`', SOURCE))
    assert kinds == {"ipo", "robust", "sigmoid_norm"}
    for kind in kinds:
        assert ftlab.dpo_config(output_dir=str(tmp_path), loss_type=kind).loss_type


def test_the_grid_has_every_arm_and_mark_that_the_lesson_reads():
    path = data_path("grids/preferences.csv")
    assert path.read_text("utf-8").startswith("# python experiments/preferences.py")
    grid = pandas.read_csv(path, comment="#")
    whole = grid.groupby("seed").arm.nunique() == grid.arm.nunique()
    assert whole.any() and not grid.duplicated(["arm", "seed"]).any()
    assert {"start", "dpo", "sft", "long"} <= set(grid.arm)
    for column in ("right", "sampled"):
        marks = grid[f"{column}_marks"].str[1:]
        assert (marks.str.len() == grid.of).all() and (marks.str.count("1") == grid[column]).all()


def test_the_kept_answers_have_the_marks_of_the_check():
    kindness = tasks.get("kindness")
    lines = data_path("grids/preferences_answers.jsonl").read_text("utf-8").splitlines()
    for seed in {json.loads(line)["seed"] for line in lines}:
        rows = {data.prompt(r)[-1]["content"]: r for r in kindness.examples(80, seed=seed)}
        for line in (x for x in map(json.loads, lines) if x["seed"] == seed):
            row = rows[line["problem"]]
            marks = [int(kindness.score(row, text)["helpful"].num) for text in line["answers"]]
            assert marks == line["right"]
    assert len(lines) >= 64


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rejected": PAIR["chosen"]}, "the same answer twice"),
        ({"chosen": [*ASK, *PAIR["chosen"]]}, "repeats the prompt"),
        ({"chosen": ASK}, "not the assistant's"),
        ({"prompt": "Say fox!"}, "no prompt"),
    ],
)
def test_a_pair_that_cannot_be_used_is_named(change, told):
    assert (
        told in examine([PAIR, PAIR | change])[0] and "line 2" in examine([PAIR, PAIR | change])[0]
    )


def test_pairs_that_teach_length_are_noticed():
    long = find("09.1").solution(ASK, ["a word more", "a word"], [1, 0])
    short = find("09.1").solution(ASK, ["a word", "a word more"], [1, 0])
    assert "match it" in examine([long] * 20)[2] and "100%" in examine([long] * 20)[2]
    assert "match it" not in examine([long, short] * 10)[2]
    assert any("Fewer than 30" in line for line in examine([long] * 20))
