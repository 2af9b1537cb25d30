"""What is shown while a trainer trains: lines, a picture, and a history that is complete."""

import base64
import re

import pytest
from datasets import Dataset
from transformers import TrainerCallback, TrainerState
from trl import SFTTrainer

import ftlab
from ftlab import data
from ftlab.training import callbacks
from ftlab.training.callbacks import LiveCurve, ProgressLines, quiet
from ftlab.training.config import sft_config
from ftlab.training.preflight import preflight

ROWS = [
    data.example(f"Say {word}", word) for word in ("fox", "dog", "Paris", "France", "user", "model")
]


def log(callback, step, **logs):
    state = TrainerState(global_step=step, max_steps=100)
    callback.on_log(None, state, None, logs=logs)


@pytest.fixture
def train(make_model, tmp_path):
    """Return `train(callback)`: a trainer of three steps an epoch, trained for two."""

    def run(callback, silent=quiet):
        model, tokenizer = make_model()
        args = sft_config(
            output_dir=str(tmp_path), bf16=False, num_train_epochs=2, eval_strategy="epoch",
            per_device_train_batch_size=2,
        )  # fmt: skip
        trainer = SFTTrainer(
            model, args=args, train_dataset=Dataset.from_list(ROWS),
            eval_dataset=Dataset.from_list(ROWS[:2]), processing_class=tokenizer,
            callbacks=[callback],
        )  # fmt: skip
        silent(trainer)
        trainer.train()
        return trainer

    return run


@pytest.mark.parametrize("callback", [ProgressLines(every=0), LiveCurve(every=0)])
def test_a_terminal_gets_lines_and_nothing_else(train, capsys, callback):
    trainer = train(callback)
    trainer.evaluate()  # after the training: nothing is shown
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8  # six steps, two evaluations
    assert lines[0].startswith("step 1/6  loss ") and lines[0].endswith(" s left")
    assert lines[3].startswith("step 3/6  held-out loss ")
    assert [h["loss"] for h in callback.history if "loss" in h] == [
        h["loss"] for h in trainer.state.log_history if "loss" in h
    ]


def test_without_quiet_transformers_prints_its_dicts(train, capsys):
    train(ProgressLines(every=1e9), silent=lambda _: None)
    assert "{'loss'" in capsys.readouterr().out


def test_preflight_takes_the_dicts_away_where_lines_are_shown(train, capsys):
    def look(trainer):
        preflight(trainer, strict=False)
        capsys.readouterr()

    train(ProgressLines(every=1e9), silent=look)
    assert "{'" not in capsys.readouterr().out
    train(TrainerCallback(), silent=look)
    assert "{'loss'" in capsys.readouterr().out


def test_lines_are_sparing_and_the_last_one_is_shown(capsys):
    lines = ProgressLines(every=3600)
    state = TrainerState(global_step=0, max_steps=100)
    lines.on_train_begin(None, state, None)
    for step in range(1, 100):
        log(lines, step, loss=1.0)
    state.global_step = 99
    lines.on_train_end(None, state, None)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 and shown[1] == "step 99/100  loss 1.000"
    assert len(lines.history) == 99


def test_other_processes_show_nothing(capsys):
    lines = ProgressLines(every=0)
    state = TrainerState(global_step=1, max_steps=2, is_world_process_zero=False)
    lines.on_log(None, state, None, logs={"loss": 1.0})
    lines.on_train_end(None, state, None)
    assert capsys.readouterr().out == "" and not lines.history


def test_a_run_that_goes_on_keeps_what_was_logged_before():
    curve = LiveCurve()
    before = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    state = TrainerState(global_step=2, max_steps=4, log_history=before)
    curve.on_train_begin(None, state, None)
    log(curve, 3, loss=0.5)
    assert [line["step"] for line in curve.history] == [1, 2, 3]
    assert curve.picture().alt == "Loss curve over 3 steps, from 2.00 to 0.50."


def test_a_notebook_gets_one_picture_that_is_redrawn(monkeypatch, train, capsys):
    shown = []

    class Handle:
        def update(self, picture):
            shown.append(("update", picture))

    def display(picture, display_id):
        assert display_id
        shown.append(("display", picture))
        return Handle()

    monkeypatch.setattr(callbacks, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    curve = LiveCurve("Mine", every=0)
    train(curve)
    assert capsys.readouterr().out == ""
    assert [kind for kind, _ in shown] == ["display"] + ["update"] * (len(shown) - 1)
    last = shown[-1][1]._repr_mimebundle_()
    alt, picture = re.fullmatch(
        '<img alt="(.+)" src="data:image/png;base64,([^"]+)" style=.+>', last["text/html"]
    ).groups()
    assert base64.b64decode(picture).startswith(b"\x89PNG") and alt == last["text/plain"]
    assert last["text/plain"].startswith("Loss curve over 6 steps, from ")
    assert "held-out loss" in last["text/plain"]


def test_a_loss_of_pairs_says_so():
    curve = LiveCurve()
    curve.on_train_begin(ftlab.dpo_config(), TrainerState(global_step=0, max_steps=4), None)
    log(curve, 4, loss=0.5)
    assert curve.picture().figure.axes[0].get_ylabel() == "loss (nats per pair)"


def test_the_picture_has_units_a_legend_and_held_out_points():
    curve = LiveCurve("Mine")
    assert curve.picture().alt == "Loss curve without a step yet."
    for step in (1, 2, 3):
        log(curve, step, loss=3.0 - step)
    log(curve, 3, eval_loss=1.5)
    log(curve, 4, loss=float("nan"))
    axes = curve.picture(total=10, note=", soon").figure.axes[0]
    assert axes.get_xlabel() == "optimiser step" and "nats" in axes.get_ylabel()
    assert axes.get_title(loc="left") == "Mine, soon" and axes.get_xlim() == (0, 10)
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["each step", "smoothed", "held out"]
    assert list(axes.lines[2].get_ydata()) == [1.5]
    assert len(axes.lines[0].get_xdata()) == 3  # the one that is no number is left out
