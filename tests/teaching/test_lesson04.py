"""Lesson 04 counts, measures and draws what it says it does."""

import math
from functools import partial

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from ftlab import data
from ftlab.teaching import plots_weights
from ftlab.teaching.exercises import find
from ftlab.teaching.lesson04 import (
    SHAPES,
    batch_of,
    counted,
    kept_for_backward,
    shipped,
)
from ftlab.templates import encode

RECORDS = [data.example("Say hi!", "fox"), data.example("Say it again, Paris!", "user and model")]


@pytest.mark.parametrize(
    ("name", "billions"),
    [("Qwen2.5-0.5B", 0.494), ("Llama-3.2-1B", 1.236), ("Llama-3-8B", 8.03), ("LLaMA-65B", 65.29)],
)
def test_the_shapes_are_those_of_models_of_that_size(name, billions):
    assert counted(SHAPES[name])[0] / 1e9 == pytest.approx(billions, rel=1e-3)


def test_an_adapter_has_as_many_numbers_as_the_exercise_says():
    from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model

    from ftlab import models

    model, _ = models.load("ftlab-1m", device="cpu")
    whole, linear = counted(shipped("ftlab-1m"))
    assert whole == sum(weight.numel() for weight in model.parameters())
    options = LoraConfig(r=3, target_modules="all-linear", task_type="CAUSAL_LM")
    names = sorted({n.split(".")[-1] for n, _ in model.named_modules() if n.endswith("_proj")})
    options.target_modules = names
    adapter = get_peft_model_state_dict(inject_adapter_in_model(options, model))
    numbers = find("04.1").solution
    assert sum(numbers(b, a, 3) for a, b in linear) == sum(w.numel() for w in adapter.values())


def test_a_batch_is_padded_where_no_loss_is(make_model):
    model, tokenizer = make_model("chatml")
    batch = batch_of(RECORDS, tokenizer)
    short = len(encode(tokenizer, RECORDS[0]).input_ids)
    assert batch["input_ids"].shape == batch["labels"].shape
    assert set(batch["input_ids"][0, short:].tolist()) == {tokenizer.pad_token_id}
    assert set(batch["labels"][0, short:].tolist()) == {-100}
    mask = [t != -100 for t in batch["labels"][1].tolist()]
    assert mask == [bool(kept) for kept in encode(tokenizer, RECORDS[1]).loss_mask]
    assert math.isfinite(model(**batch).loss.item())


def test_checkpointing_keeps_less_and_gives_the_same_gradient(make_model):
    sizes, grads = [], []
    for checkpointed in (False, True):
        model, tokenizer = make_model("chatml", num_hidden_layers=4)
        model.train()
        if checkpointed:
            for layer in model.model.layers:
                layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        batch = batch_of(RECORDS * 4, tokenizer) | {"use_cache": False}
        size, loss = kept_for_backward(model, batch, words=len(tokenizer))
        sizes.append(size["activations"])
        tokens = batch["input_ids"].numel()
        assert size["logits"] % (4 * tokens * len(tokenizer)) == 0 < size["logits"]
        grads.append(model.model.layers[0].mlp.up_proj.weight.grad)
    assert sizes[1] < sizes[0] / 2
    assert torch.allclose(*grads, atol=1e-6)
    assert loss == pytest.approx(model.eval()(**batch).loss.item(), rel=1e-5)


def test_what_autograd_keeps_of_one_product_is_its_input():
    class Square(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(10, 10))

        def forward(self, x):
            outputs = (x @ self.weight).exp()
            return type("Output", (), {"loss": outputs.sum()})

    size, loss = kept_for_backward(Square(), {"x": torch.zeros(5, 10)})
    assert loss == 50
    # x, of which the weight's gradient is made, and what exp gave
    assert size == {"activations": 4 * (50 + 50), "logits": 0}


def test_lines_show_every_point_and_the_levels_across():
    picture = plots_weights.lines(
        {"full": {1: 2.0, 8: 1.0}, "LoRA": {1: 3.0, 8: 1.5}},
        title="Rank", xlabel="rank", ylabel="nats", log="x", across={"base": 4.0},
    )  # fmt: skip
    (axes,) = picture.figure.axes
    assert [list(line.get_ydata()) for line in axes.lines[:2]] == [[2.0, 1.0], [3.0, 1.5]]
    assert axes.get_xscale() == "log" and axes.get_yscale() == "linear"
    assert picture.alt == (
        "Lines over rank, nats: full: 1 2, 8 1; LoRA: 1 3, 8 1.5; base: 4 across."
    )
    assert picture.png().startswith(b"\x89PNG")


def test_levels_say_where_the_weights_are():
    picture = plots_weights.levels(
        [-1.0, -0.1, 0.0, 0.2], {"even": [-1, 0, 1], "NF4": [-1, -0.1, 0.1, 1]}, title="Levels"
    )
    (axes,) = picture.figure.axes
    assert [list(line.get_xdata()) for line in axes.lines] == [[-1, 0, 1], [-1, -0.1, 0.1, 1]]
    assert "75% lie nearer to 0" in picture.alt and "4 levels of NF4" in picture.alt
    assert picture.png()


def test_matrices_share_one_scale_of_colours():
    shown = {"a": torch.tensor([[0.0, 2.0]]), "b": torch.tensor([[-4.0, 1.0]])}
    picture = plots_weights.matrices(shown, title="Two")
    assert {axes.images[0].get_clim() for axes in picture.figure.axes} == {(-4.0, 4.0)}
    assert picture.alt == "Two: pictures of matrices, a, b."
    assert picture.png()


def test_stacked_parts_begin_where_the_part_before_ends():
    picture = plots_weights.stacked(
        {"full": {"weights": 3.0, "optimiser": 6.0}, "lora": {"weights": 3.5, "optimiser": 0.5}},
        title="Memory", xlabel="MB",
    )  # fmt: skip
    (axes,) = picture.figure.axes
    assert [bar.get_x() for bar in axes.containers[1]] == [3.0, 3.5]
    assert "full 9 (weights 3, optimiser 6)" in picture.alt
    assert picture.png()
