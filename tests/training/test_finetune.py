"""One fine-tune from rows to a saved folder: what is saved, what goes on, and two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import TrainerCallback

from ftlab import data, models, templates
from ftlab.errors import ConfigError, DataError, ModelError, TrainingError
from ftlab.hardware import four_bit_works, profile
from ftlab.training import finetune as room
from ftlab.training.finetune import encoded, finetune

WORDS = ["fox", "dog", "Paris", "France", "user", "model", "system", "quick"]
ROWS = [data.example(f"Say {word}!", f"the {word}", id=word) for word in WORDS]
EVAL = [data.example("Say lazy!", "the lazy")]
QUICK = {"epochs": 2, "batch_size": 2, "learning_rate": 1e-2}


class Stop(TrainerCallback):
    """A learner who presses Ctrl-C after a step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_run_leaves_a_folder_that_loads_and_says_what_it_is(model_folder, tmp_path, method):
    out = tmp_path / "tuned"
    summary = finetune(ROWS, out, model=model_folder, method=method, eval_rows=EVAL, rank=4,
                       **QUICK)  # fmt: skip
    held = json.loads((out / "training.json").read_text())
    assert held["settings"]["method"] == method and held["steps"] == 8
    assert held["settings"]["data"] == data.fingerprint(ROWS)
    assert len(held["history"]) == 8 and len(held["evals"]) == 2
    assert held["history"][-1]["loss"] < held["history"][0]["loss"]
    tokenizer = models.tokenizer(out)
    lengths = [templates.encode(tokenizer, row) for row in ROWS]
    assert held["total_tokens"] == 2 * sum(len(one.input_ids) for one in lengths)
    assert held["supervised_tokens"] == 2 * sum(sum(one.loss_mask) for one in lengths)
    assert held["eval_loss"] == summary["eval_loss"] and "torch" in held["versions"]
    assert (held["trainable"] == held["parameters"]) == (method == "full")
    adapter = (out / "adapter_config.json").exists()
    assert adapter == (method == "lora")
    card = (out / "README.md").read_text()
    assert ("peft" if adapter else "transformers") in card and "8 records" in card
    assert not (tmp_path / "tuned-checkpoints").exists()
    model, _ = models.load(out, device="cpu")
    assert hasattr(model, "peft_config") == adapter


def test_rows_of_both_forms_and_weights_of_zero_are_learned_as_they_say(make_tokenizer):
    tokenizer = make_tokenizer()
    turns = [
        {"role": "user", "content": "Say fox!"},
        {"role": "assistant", "content": "dog", "weight": 0},
        {"role": "user", "content": "No."},
        {"role": "assistant", "content": "fox"},
    ]
    rows = [ROWS[0], {"messages": turns}]
    made = encoded(tokenizer, rows)
    for row, columns in zip(rows, made, strict=True):
        wanted = templates.encode(tokenizer, row)
        assert columns["input_ids"] == list(wanted.input_ids)
        assert [t != -100 for t in columns["labels"]] == [bool(x) for x in wanted.loss_mask]
    learned = tokenizer.decode([t for t in made[1]["labels"] if t != -100])
    assert "fox" in learned and "dog" not in learned


def test_adapters_on_the_upper_half_alone(make_model, tmp_path):
    base = tmp_path / "base"
    model, tokenizer = make_model(num_hidden_layers=4)
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    finetune(ROWS, tmp_path / "out", model=base, layers="upper-half", **QUICK)
    with safe_open(tmp_path / "out" / "adapter_model.safetensors", "pt") as weights:
        layers = {name.split(".layers.")[1].split(".")[0] for name in weights.keys()}  # noqa: SIM118
    assert layers == {"2", "3"}


def test_a_stopped_run_goes_on_with_the_same_losses_and_no_other_settings(model_folder, tmp_path):
    whole = finetune(ROWS, tmp_path / "whole", model=model_folder, **QUICK)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        finetune(ROWS, out, model=model_folder, callbacks=[Stop(5)], **QUICK)
    assert not out.exists() and (tmp_path / "out-checkpoints" / "checkpoint-4").is_dir()
    with pytest.raises(DataError, match="--resume"):
        finetune(ROWS, out, model=model_folder, **QUICK)
    with pytest.raises(TrainingError, match="other settings: data, records"):
        finetune(ROWS[:-1], out, model=model_folder, resume=True, **QUICK)
    again = finetune(ROWS, out, model=model_folder, resume=True, **QUICK)
    losses = [[line["loss"] for line in run["history"]] for run in (whole, again)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-6) and len(losses[0]) == 8
    rates = [[line["learning_rate"] for line in run["history"]] for run in (whole, again)]
    assert rates[1] == pytest.approx(rates[0], rel=1e-9)


@pytest.mark.skipif(not four_bit_works("cpu")[0], reason="bitsandbytes has no 4 bits here")
def test_qlora_trains_beside_four_bits_and_comes_back_from_disk(save_model, packable, tmp_path):
    base = save_model(**packable)
    out = tmp_path / "out"
    summary = finetune(ROWS, out, model=base, method="qlora", rank=4, **QUICK)
    assert summary["history"][-1]["loss"] < summary["history"][0]["loss"]
    with safe_open(out / "adapter_model.safetensors", "pt") as weights:
        kinds = {weights.get_tensor(name).dtype for name in weights.keys()}  # noqa: SIM118
    halved = profile().dtype == "bfloat16"  # float16's scaler cannot take bf16 weights
    assert kinds == {torch.bfloat16 if halved else torch.float32}
    whole = sum(p.numel() for p in models.load(base)[0].parameters())
    assert summary["parameters"] == whole
    assert models.load(out, bits=4)[0].is_loaded_in_4bit


def test_what_cannot_be_is_said_before_anything_is_loaded(tmp_path):
    for settings, error, words in (
        ({"method": "lorra"}, ConfigError, "'lora'"),
        ({"layers": "lower"}, ConfigError, "upper-half"),
        ({"method": "full", "layers": "upper-half"}, ConfigError, "for adapters"),
        ({"model": tmp_path / "none"}, ModelError, "none"),
    ):
        with pytest.raises(error, match=words):
            finetune(ROWS, tmp_path / "out", **settings)
    with pytest.raises(DataError, match="no row"):
        finetune([], tmp_path / "out")
    with pytest.raises(DataError, match="not an empty folder"):
        finetune(ROWS, tmp_path.parent)
    assert list(tmp_path.iterdir()) == []


def test_a_rate_that_breaks_the_loss_is_an_error(model_folder, tmp_path):
    how = {"epochs": 4, "batch_size": 2, "learning_rate": 1e18, "max_grad_norm": 0.0}
    how["logging_nan_inf_filter"] = False
    with pytest.raises(TrainingError, match="rate 1e\\+18 is probably too high"):
        finetune(ROWS, tmp_path / "out", model=model_folder, method="full", **how)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_at_the_end_leaves_no_half_folder(model_folder, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", full)
    with pytest.raises(DataError, match="No space left"):
        finetune(ROWS, tmp_path / "out", model=model_folder, method="full", save_strategy="no",
                 **QUICK)  # fmt: skip
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".saving-*"))


def test_a_folder_that_is_not_what_was_trained_is_reported(model_folder, tmp_path, monkeypatch):
    real = models.load

    def other(name, **options):
        model, tokenizer = real(name, **options)
        if name == tmp_path / "out":  # as if the adapter had been left out
            model = real(model_folder)[0]
        return model, tokenizer

    monkeypatch.setattr(room.models, "load", other)
    with pytest.raises(ModelError, match="not what was in memory"):
        finetune(ROWS, tmp_path / "out", model=model_folder, **QUICK)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(model_folder, tmp_path):
    rows = tmp_path / "rows.jsonl"
    data.write(rows, ROWS)
    common = ["--model", str(model_folder), "--epochs", "2", "--learning-rate", "0.01"]
    config = Path(__file__).parents[2] / "configs" / "accelerate" / "ddp.yaml"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    found = []
    for processes, batch in ((1, 4), (2, 2)):
        out = tmp_path / f"out{processes}"
        start = [*launch, "--num_processes", str(processes)] if processes > 1 else [sys.executable]
        done = subprocess.run(
            [*start, "-m", "ftlab.cli", "train", str(rows), "--out", str(out),
             "--batch-size", str(batch), *common],
            env=os.environ | {"OMP_NUM_THREADS": "1", "FTLAB_PROFILE": "cpu"},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert done.stdout.count("Saved in") == 1
        found.append(json.loads((out / "training.json").read_text()))
    one, two = found
    assert one["settings"]["processes"] == 1 and two["settings"]["processes"] == 2
    assert one["steps"] == two["steps"] == 4
    losses = [[line["loss"] for line in run["history"]] for run in found]
    # Where bf16 is fast, it rounds.
    assert losses[1] == pytest.approx(losses[0], abs=2e-3)
