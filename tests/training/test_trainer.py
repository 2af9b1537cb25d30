"""The trainer's precision, its early stopping, and what it says when it cannot go on."""

import re
import types

import pytest

from ftlab import data
from ftlab.errors import ConfigError, TrainingError
from ftlab.training import sft
from ftlab.training.run import remark

WORDS = ("fox", "dog", "capital", "Paris", "hi", "lazy", "brown")
RECORDS = [data.example(f"Say {w}!", f"the {w} " * (1 + i % 3)) for i, w in enumerate(WORDS)]
HELD_OUT = [data.example("Say jumps!", "the jumps"), data.example("Say over!", "the over")]
SETTINGS = {"epochs": 2, "batch_size": 4, "seed": 3, "learning_rate": 5e-3, "rank": 4}


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setattr("ftlab.hardware._found", {})
    monkeypatch.setattr("ftlab.hardware.bf16_speedup", lambda **_: 1.0)


@pytest.mark.parametrize(("speedup", "precision"), [(1.0, "float32"), (2.0, "bfloat16")])
def test_the_precision_is_the_one_that_was_timed_to_be_faster(
    make_model, monkeypatch, speedup, precision
):
    monkeypatch.setattr("ftlab.hardware.bf16_speedup", lambda **_: speedup)
    model, tokenizer = make_model("chatml")
    seen = set()
    projection = model.model.layers[0].mlp.up_proj
    hook = projection.register_forward_hook(lambda _, __, output: seen.add(str(output.dtype)))
    run = sft.train(model, tokenizer, RECORDS, **(SETTINGS | {"epochs": 1}))
    hook.remove()
    assert seen == {f"torch.{precision}"} and run.settings["precision"] == precision
    assert {str(p.dtype) for p in run.model.parameters()} == {"torch.float32"}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_early_stopping_puts_the_best_weights_back(make_model, method):
    import torch

    settings = SETTINGS | {"method": method, "epochs": 20, "learning_rate": 3e-2, "batch_size": 2}
    run = sft.train(
        *make_model("chatml"), RECORDS, eval_records=HELD_OUT, early_stopping=2, **settings
    )
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


def test_early_stopping_wants_something_to_watch(make_model):
    with pytest.raises(ConfigError, match="needs eval_records"):
        sft.train(*make_model("chatml"), RECORDS, early_stopping=1)


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_too_little_memory_is_one_message_and_other_errors_are_not(make_model, error):
    def full(step, *_):
        if step == 2:
            raise error

    with pytest.raises(TrainingError, match=r"Out of memory at step 3 of 4.*batch_size"):
        sft.train(*make_model("chatml"), RECORDS, on_step=full, **SETTINGS)

    def wrong(*_):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        sft.train(*make_model("chatml"), RECORDS, on_step=wrong, **SETTINGS)


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
    assert re.search(words, remark(run)), remark(run)
