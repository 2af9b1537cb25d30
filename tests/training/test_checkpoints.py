"""The newest whole checkpoint, and a run that is killed and goes on as if nothing had happened."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import Dataset
from peft import LoraConfig
from trl import SFTTrainer

from ftlab import data
from ftlab.training.checkpoints import newest_whole, problem
from ftlab.training.config import sft_config

STEPS = 12
WORDS = ["fox", "dog", "Paris", "France", "user", "model"]
ROWS = [data.example(f"Say {w}" * (1 + n % 2), f"{w} {n}") for n, w in enumerate(WORDS * 2)]


def build(folder, model, tokenizer, lora=True):
    """A run of `STEPS` steps over two epochs that saves at every third."""
    args = sft_config(
        output_dir=str(folder), bf16=False, max_steps=STEPS, per_device_train_batch_size=2,
        learning_rate=1e-2, save_strategy="steps", save_steps=3, warmup_steps=2,
        lr_scheduler_type="cosine", seed=7,
    )  # fmt: skip
    config = LoraConfig(r=2, lora_dropout=0.1, target_modules="all-linear") if lora else None
    return SFTTrainer(
        model, args=args, train_dataset=Dataset.from_list(ROWS), processing_class=tokenizer,
        peft_config=config,
    )  # fmt: skip


def log_of(trainer, name):
    return [line[name] for line in trainer.state.log_history if name in line]


@pytest.fixture(scope="module")
def finished(make_model, tmp_path_factory):
    """The folder of a run that was never stopped, and its trainer."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    trainer = build(folder, *make_model())
    trainer.train()
    return folder, trainer


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


DAMAGE = {
    "no state": lambda c: (c / "trainer_state.json").unlink(),
    "half a state": lambda c: cut(c / "trainer_state.json"),
    "half the weights": lambda c: cut(c / "adapter_model.safetensors"),
    "no weights": lambda c: (c / "adapter_model.safetensors").unlink(),
    "an empty file": lambda c: (c / "adapter_model.safetensors").write_bytes(b""),
    "half an optimiser": lambda c: cut(c / "optimizer.pt"),
    "no scheduler": lambda c: (c / "scheduler.pt").unlink(),
    "no random state": lambda c: (c / "rng_state.pth").unlink(),
    "another step's state": lambda c: shutil.copy(
        c.parent / "checkpoint-9" / "trainer_state.json", c
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over(copy, damage):
    newest = copy / "checkpoint-12"
    assert newest_whole(copy) == str(newest) and problem(newest) == ""
    DAMAGE[damage](newest)
    assert problem(newest)
    assert newest_whole(copy) == str(copy / "checkpoint-9")


def test_what_is_no_checkpoint_is_not_looked_at(copy, tmp_path):
    (copy / "checkpoint-99x").mkdir()
    (copy / "checkpoint-100").write_text("a file")
    (copy / "checkpoint-20").mkdir()  # a save that was killed at once
    assert newest_whole(copy) == str(copy / "checkpoint-12")
    assert newest_whole(tmp_path / "nothing here") is None
    # two processes keep two random states, and a run of one has one
    assert "rng_state_0" in problem(copy / "checkpoint-12", processes=2)


def test_a_whole_model_in_parts_is_whole_only_with_all_of_them(make_model, tmp_path):
    trainer = build(tmp_path, *make_model(), lora=False)
    trainer.args.max_steps = 3
    trainer.train()
    folder = tmp_path / "checkpoint-3"
    assert problem(folder) == ""
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shutil.copy(
        folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors"
    )
    index = {
        "weight_map": {
            "a": "model-00001-of-00002.safetensors",
            "b": "model-00002-of-00002.safetensors",
        }
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert problem(folder) == ""
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002" in problem(folder)


@pytest.mark.parametrize("step", [3, 9])
def test_a_resumed_run_has_the_losses_and_rates_of_one_never_stopped(
    finished, copy, make_model, step
):
    for path in copy.glob("checkpoint-*"):
        if int(path.name.split("-")[1]) > step:
            shutil.rmtree(path)
    again = build(copy, *make_model())
    again.train(resume_from_checkpoint=newest_whole(copy))
    whole = finished[1]
    assert len(log_of(again, "loss")) == STEPS
    assert log_of(again, "loss") == pytest.approx(log_of(whole, "loss"), abs=1e-6)
    # transformers#34053: after a resume the rate was once that of another step
    assert log_of(again, "learning_rate") == pytest.approx(log_of(whole, "learning_rate"), rel=1e-9)
    assert log_of(whole, "loss")[-1] < log_of(whole, "loss")[0]


CHILD = """
import os, signal, sys
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
sys.path.insert(0, {tests!r})
from test_checkpoints import build

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        print("step", state.global_step, flush=True)
        if state.global_step == {step}:
            os.kill(os.getpid(), signal.SIGKILL)

model = AutoModelForCausalLM.from_pretrained({base!r})
trainer = build({folder!r}, model, AutoTokenizer.from_pretrained({base!r}))
trainer.add_callback(Kill())
trainer.train()
"""


def start(base, folder, step=-1):
    code = CHILD.format(
        tests=str(Path(__file__).parent), base=str(base), folder=str(folder), step=step
    )
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
                            env=environment, stderr=subprocess.DEVNULL)  # fmt: skip


@pytest.mark.slow
def test_killed_runs_go_on_as_if_nothing_had_happened(finished, make_model, tmp_path):
    base = tmp_path / "base"
    model, tokenizer = make_model()
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)

    # at a fixed step: between the checkpoints of steps 6 and 9
    fixed = tmp_path / "fixed"
    with start(base, fixed, step=8) as child:
        assert child.wait(120) == -signal.SIGKILL
    assert newest_whole(fixed) == str(fixed / "checkpoint-6")

    # at random moments, a save's among them
    folders = [fixed]
    for seed in range(3):
        folder = tmp_path / f"random{seed}"
        with start(base, folder) as child:
            chance = random.Random(seed)
            last = chance.randrange(4, STEPS)
            for line in child.stdout:
                if line.strip() == f"step {last}":
                    break
            time.sleep(chance.uniform(0, 0.05))
            child.kill()
        folders.append(folder)

    for folder in folders:
        again = build(folder, *make_model())
        again.train(resume_from_checkpoint=newest_whole(folder))
        assert log_of(again, "loss") == pytest.approx(log_of(finished[1], "loss"), abs=1e-6)
