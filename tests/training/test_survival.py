import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import types

import pytest

from ftlab import models
from ftlab.errors import ConfigError, DataError, TrainingError
from ftlab.records import Record
from ftlab.training import sft, survival

WORDS = ("fox", "dog", "capital", "Paris", "hi", "lazy", "brown")
RECORDS = [Record.of(f"Say {w}!", f"the {w} " * (1 + i % 3)) for i, w in enumerate(WORDS)]
HELD_OUT = [Record.of("Say jumps!", "the jumps"), Record.of("Say over!", "the over")]
SETTINGS = {"epochs": 3, "batch_size": 2, "seed": 3, "learning_rate": 5e-3, "rank": 4}
STEPS = 12

# What is killed: the run that `go` makes, in a process of its own, on a model that has dropout.
CHILD = """
import os, signal, sys
from pathlib import Path
import ftlab.hardware
ftlab.hardware.bf16_speedup = lambda **_: 1.0
from ftlab import models
from ftlab.records import Record
from ftlab.training import sft, survival
sys.path.insert(0, sys.argv[1])
from test_survival import go
at, where = int(sys.argv[4]), sys.argv[5]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "writing":  # half of the checkpoint is on the disk
    import torch
    save = torch.save
    def cut(obj, path, *args, **kwargs):
        if f"checkpoint-{at}" in str(path) and "optimizer" in str(path):
            Path(path).write_bytes(b"half")
            die()
        return save(obj, path, *args, **kwargs)
    torch.save = cut
go(models.load(sys.argv[2], dtype="float32"), method=sys.argv[6], checkpoints=sys.argv[3],
   save_every=1, on_step=lambda step, *_: die() if step == at and where == "step" else None)
"""


def go(loaded, **settings):
    return sft.train(*loaded, RECORDS, eval_records=HELD_OUT, **(SETTINGS | settings))


def weights(run):
    import torch

    return torch.cat([p.detach().flatten() for p in run.model.parameters()])


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setattr("ftlab.hardware.bf16_speedup", lambda **_: 1.0)


@pytest.fixture(scope="module")
def base(save_model):
    """Return a folder with a tiny model that draws random numbers at each step."""
    return save_model(attention_dropout=0.1)


def fresh(base):
    return models.load(base, dtype="float32")


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("full", "step"),
        pytest.param("full", "writing", marks=pytest.mark.slow),
        pytest.param("lora", "step", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_at_a_random_step_ends_with_the_same_weights(base, tmp_path, method, where):
    import torch

    at = random.SystemRandom().choice([s for s in range(2, STEPS) if where == "step" or s % 4])
    folder = tmp_path / "kept"
    child = subprocess.run(
        [sys.executable, "-c", CHILD, os.path.dirname(__file__), base, folder, str(at), where,
         method], capture_output=True, text=True,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert survival.newest(folder).name == f"checkpoint-{at - 1}", at
    assert (folder / ".part").exists() == (where == "writing")
    told = []
    again = go(
        fresh(base), method=method, checkpoints=folder, save_every=1,
        on_step=lambda *args: told.append(args), on_start=told.append,
    )  # fmt: skip
    assert f"going on from {folder / f'checkpoint-{at - 1}'}" in told
    assert [t[0] for t in told if isinstance(t, tuple)] == list(range(at, STEPS + 1))
    whole = go(fresh(base), method=method)
    assert torch.equal(weights(again), weights(whole)), f"killed at step {at}"
    assert again.history == whole.history and again.evals == whole.evals
    assert again.steps == whole.steps == STEPS and again.eval_loss == whole.eval_loss
    assert not (folder / ".part").exists()


def test_the_dropout_of_the_test_model_is_felt(base):
    import torch

    plain, tokenizer = fresh(base)
    for layer in plain.model.layers:
        layer.self_attn.attention_dropout = 0.0
    without = go((plain, tokenizer), epochs=1)
    assert not torch.equal(weights(without), weights(go(fresh(base), epochs=1)))


def test_a_finished_run_is_not_trained_again(base, tmp_path):
    import torch

    first = go(fresh(base), epochs=1.5, checkpoints=tmp_path / "kept")
    told = []
    second = go(
        fresh(base), epochs=1.5, checkpoints=tmp_path / "kept", on_step=lambda *_: told.append(1)
    )
    assert not told and second.steps == first.steps == 6
    assert torch.equal(weights(first), weights(second)) and second.history == first.history
    assert second.seconds >= first.seconds - 0.5


def test_only_the_same_run_goes_on(base, tmp_path):
    folder = tmp_path / "kept"
    go(fresh(base), epochs=1, checkpoints=folder)
    other = f"{folder} are of another run"
    with pytest.raises(ConfigError, match=f"{other}: epochs was 1, is 2. Take the same"):
        go(fresh(base), epochs=2, checkpoints=folder)
    with pytest.raises(ConfigError, match=rf"{other}: data was \w{{8}}…, is .*records was 7, is 6"):
        sft.train(
            *fresh(base), RECORDS[1:], eval_records=HELD_OUT, checkpoints=folder,
            **(SETTINGS | {"epochs": 1}),
        )  # fmt: skip
    moved, tokenizer = fresh(base)
    moved.model.norm.weight.data += 1
    with pytest.raises(ConfigError, match="base model was"):
        go((moved, tokenizer), epochs=1, checkpoints=folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(DataError, match="not an empty folder"):
        go(fresh(base), checkpoints=tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_checkpoints_are_plain_folders_that_load(base, tmp_path, method):
    import torch

    folder = tmp_path / "kept"
    run = go(fresh(base), method=method, epochs=2, checkpoints=folder, save_every=3, keep=3)
    assert sorted(p.name for p in folder.iterdir()) == [
        "checkpoint-4", "checkpoint-6", "checkpoint-8", "run.json"
    ]  # fmt: skip
    last, tokenizer = models.load(folder / "checkpoint-8", dtype="float32")
    ids = torch.tensor([tokenizer("the fox")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(last(ids).logits, run.model(ids).logits)
        middle = models.load(folder / "checkpoint-4", dtype="float32")[0]
        assert not torch.equal(middle(ids).logits, run.model(ids).logits)
    told = json.loads((folder / "checkpoint-4" / "training.json").read_text())
    assert told["steps"] == 4 and len(told["history"]) == 4 and len(told["evals"]) == 1


@pytest.mark.parametrize("limit", [20_000, 180_000])  # within the weights; within the optimiser
def test_a_full_disk_keeps_the_last_good_checkpoint(base, tmp_path, limit):
    resource = pytest.importorskip("resource")
    import torch

    folder = tmp_path / "kept"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(step, *_):
        if step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

    try:
        with pytest.raises(
            TrainingError, match="checkpoint of step 4 could not be written"
        ) as told:
            go(fresh(base), checkpoints=folder, save_every=2, on_step=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{folder / 'checkpoint-2'} is whole" in str(told.value), told.value
    assert "GB are free" in str(told.value)
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoint-2", "run.json"]
    again = go(fresh(base), checkpoints=folder, save_every=2)
    assert torch.equal(weights(again), weights(go(fresh(base))))


def test_a_full_disk_at_the_end_leaves_nothing_half_saved(base, tmp_path):
    resource = pytest.importorskip("resource")
    run = go(fresh(base), epochs=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(DataError, match="Could not save"):
            run.save(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_waits_for_a_checkpoint(base, tmp_path, number):
    import torch

    folder = tmp_path / "kept"
    before = signal.getsignal(number)

    def stop(step, *_):
        if step == 5:
            os.kill(os.getpid(), number)

    with pytest.raises(TrainingError, match=r"at step 6 of 12\. .*checkpoint-6 is whole"):
        go(fresh(base), checkpoints=folder, on_step=stop)
    assert signal.getsignal(number) is before
    again = go(fresh(base), checkpoints=folder)
    assert torch.equal(weights(again), weights(go(fresh(base))))


def test_the_second_signal_ends_at_once(base, tmp_path):
    def stop(step, *_):
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingError, match=r"at step 6 of 12.*checkpoint-4 is whole"):
        go(fresh(base), checkpoints=tmp_path / "kept", on_step=stop)


def test_weights_that_are_no_numbers_are_never_saved(base, tmp_path):
    model, tokenizer = fresh(base)

    def spoil(step, *_):
        if step == 6:
            model.model.norm.weight.data.fill_(math.nan)

    folder = tmp_path / "kept"
    with pytest.raises(
        TrainingError, match=r"no numbers after step 6.*checkpoint-4 is from before"
    ):
        go((model, tokenizer), checkpoints=folder, save_every=2, on_step=spoil)
    model, tokenizer = fresh(base)
    with pytest.raises(TrainingError, match=r"loss is nan at step 7.*Lower the learning rate"):
        go((model, tokenizer), checkpoints=folder, save_every=4, on_step=spoil)
    assert survival.newest(folder).name == "checkpoint-4"


@pytest.mark.parametrize(
    ("error", "method"),
    [
        (MemoryError(), "full"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "lora",
        ),
        ("OutOfMemoryError", "lora"),
    ],
)
def test_too_little_memory_names_three_changes(base, tmp_path, error, method, monkeypatch):
    import torch

    if isinstance(error, str):
        error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    step, count = torch.nn.functional.cross_entropy, []

    def full(*args, **kwargs):
        count.append(1)
        if len(count) == 6:
            raise error
        return step(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", full)
    with pytest.raises(TrainingError, match=r"Out of memory at step 6 of 12") as told:
        sft.train(*fresh(base), RECORDS, method=method, checkpoints=tmp_path / "kept", **SETTINGS)
    text = str(told.value)
    assert "(1) gradient_accumulation=2" in text and "(2) gradient_checkpointing" in text
    assert "(3)" in text and "(4)" not in text and "MB" in text
    assert ("method='lora'" if method == "full" else "method='qlora'") in text
    assert f"{tmp_path / 'kept' / 'checkpoint-4'} is whole" in text


def test_other_errors_are_not_called_memory(base):
    def wrong(*_):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        go(fresh(base), on_step=wrong)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_early_stopping_puts_the_best_weights_back(base, tmp_path, method):
    import torch

    settings = {"method": method, "epochs": 20, "learning_rate": 3e-2}
    run = go(fresh(base), early_stopping=2, **settings)
    losses = [e["eval_loss"] for e in run.evals]
    assert len(losses) < 20 and losses.index(min(losses)) == len(losses) - 3
    assert run.eval_loss == min(losses)
    rows = sft.prepare(run.tokenizer, HELD_OUT, max_length=512)
    total = count = 0.0
    for row in rows:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
        with torch.no_grad():
            loss = run.model(input_ids=ids, labels=labels).loss.item()
        marked = sum(label != -100 for label in row["labels"])
        total, count = total + loss * marked, count + marked
    assert total / count == pytest.approx(run.eval_loss, rel=1e-4)
    kept = go(fresh(base), early_stopping=2, checkpoints=tmp_path / "kept", keep=1, **settings)
    again = go(fresh(base), early_stopping=2, checkpoints=tmp_path / "kept", keep=1, **settings)
    assert torch.equal(weights(kept), weights(run)) and torch.equal(weights(again), weights(run))
    names = {p.name for p in (tmp_path / "kept").glob("checkpoint-*")}
    assert names == {f"checkpoint-{survival.best(run.evals)}", f"checkpoint-{run.steps}"}
    assert survival.remark(run).startswith("Overfitting")


def test_early_stopping_wants_something_to_watch(base):
    with pytest.raises(ConfigError, match="needs eval_records"):
        sft.train(*fresh(base), RECORDS, early_stopping=1)
    with pytest.raises(ConfigError, match="save_every must be positive, got 0"):
        go(fresh(base), save_every=0)


@pytest.mark.parametrize(
    ("held_out", "training", "words"),
    [
        ([2.0, 1.0, 1.5], [2.0, 1.0, 0.5], "Overfitting: .* from 1.000 at step 2 to 1.500"),
        ([2.0, 1.0, 1.5], [2.0, 1.0, 1.5], "not overfitting but a rate that is too high"),
        ([2.0, 1.0, 0.5], [2.0, 1.0, 0.5], "more epochs may help"),
        ([1.0, 0.5, 0.501], [2.0, 1.0, 0.5], "level .* gain little"),
        ([1.0, 0.5, 0.499], [2.0, 1.0, 0.5], "level .* gain little"),
        ([1.0], [1.0], "one value shows no trend"),
        ([], [1.0], "No held-out loss"),
    ],
)
def test_what_the_losses_show_is_said_in_words(held_out, training, words):
    run = types.SimpleNamespace(
        evals=[{"step": i, "eval_loss": loss} for i, loss in enumerate(held_out, 1)],
        history=[{"step": i, "loss": loss} for i, loss in enumerate(training, 1)],
    )
    assert re.search(words, survival.remark(run)), survival.remark(run)


def test_the_command_goes_on_where_it_was_stopped(base, tmp_path, monkeypatch, capsys):
    from ftlab import demo, records
    from ftlab.cli.models import train

    data, out, side = tmp_path / "a.jsonl", tmp_path / "out", tmp_path / "out-checkpoints"
    records.write(data, RECORDS)
    settings = {"model": str(base), "epochs": 2, "batch_size": 2, "eval_data": data}

    def stop(step, *_):
        if step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="checkpoint-4 is whol"):
        patch.setattr(demo, "every", lambda *_: stop)
        train(data, out, **settings)
    assert not out.exists()
    with pytest.raises(ConfigError, match="epochs was 2, is 3"):
        train(data, out, **(settings | {"epochs": 3}))
    train(data, out, **settings)
    told = capsys.readouterr().out
    assert "going on from" in told and "held-out loss" in told
    assert len(json.loads((out / "training.json").read_text())["history"]) == 8
    assert not side.exists()
    train(data, tmp_path / "two", keep=1, **settings)
    assert (tmp_path / "two-checkpoints" / "checkpoint-8" / "model.safetensors").exists()
