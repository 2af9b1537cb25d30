"""A training that a rehearsal kept is loaded with its weights and losses; any other is run."""

import pytest
import torch
import transformers
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTTrainer

from ftlab import data
from ftlab.training import kept
from ftlab.training.callbacks import ProgressLines
from ftlab.training.config import sft_config

ROWS = [data.example(f"Say {word}", word) for word in ("fox", "dog", "Paris", "France")]


class Own(TrainerCallback):
    pass


class OwnTrainer(SFTTrainer):
    pass


@pytest.fixture
def trained(make_model, tmp_path, monkeypatch):
    """Return `trained(…)`: a LoRA trainer that was trained where trainings are kept."""
    monkeypatch.setenv("FTLAB_KEPT", str(tmp_path / "kept"))
    monkeypatch.setattr(transformers.Trainer, "train", transformers.Trainer.train)

    def run(rate=1e-2, rows=ROWS, callback=None, kind=SFTTrainer, **settings):
        model, tokenizer = make_model()
        args = sft_config(
            output_dir=str(tmp_path / "out"), bf16=False, learning_rate=rate, num_train_epochs=2,
            per_device_train_batch_size=2, **settings,
        )  # fmt: skip
        torch.manual_seed(run.calls)  # another first matrix each time, as in another session
        run.calls += 1
        trainer = kind(
            model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
            peft_config=LoraConfig(r=4, target_modules="all-linear"),
            callbacks=[callback or ProgressLines(every=0)],
        )  # fmt: skip
        return trainer, trainer.train()

    run.calls = 0
    return run


def weights(trainer):
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters() if p.requires_grad}


def test_the_same_training_is_loaded(trained, capsys):
    first, out = trained()
    assert "Loaded" not in capsys.readouterr().out
    again, loaded = trained()
    assert "Loaded from the rehearsal" in capsys.readouterr().out
    assert loaded == out
    assert again.state.log_history == first.state.log_history
    kept = weights(first)
    assert all(torch.equal(kept[name], weight) for name, weight in weights(again).items())


@pytest.mark.parametrize(
    "change",
    [
        {"rate": 2e-2},
        {"rows": ROWS[:3]},
        {"save_strategy": "epoch"},
        {"callback": Own()},
        {"kind": OwnTrainer},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_training_is_run(trained, capsys, change):
    trained()
    trained(**change)
    assert "Loaded" not in capsys.readouterr().out


def test_every_row_counts(trained, capsys):
    trained(rows=ROWS * 13)
    trained(rows=[*ROWS * 12, *ROWS[:3], ROWS[0]])  # another row at place 52
    assert "Loaded" not in capsys.readouterr().out


def one(completions, **_):
    return [len(text) for text in completions]


def other(completions, **_):
    return [len(text) + 1 for text in completions]


def test_rewards_are_told_apart_by_what_they_say(trained):
    trainer, _ = trained()
    keys = []
    for reward in (one, other, one):
        trainer.reward_funcs = [reward]
        keys.append(kept._key(trainer))
    assert keys[0] == keys[2] != keys[1]
