"""What saves memory changes nothing that is learned, and what does nothing is refused."""

import pytest

from ftlab.errors import ConfigError
from ftlab.records import Record
from ftlab.training import sft

WORDS = ("fox", "dog", "capital", "Paris", "hi", "lazy", "brown")
RECORDS = [Record.of(f"Say {w}!", f"the {w} " * (1 + i % 3)) for i, w in enumerate(WORDS)]
SETTINGS = {"epochs": 2, "batch_size": 4, "seed": 3, "learning_rate": 5e-3, "rank": 4}


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setattr("ftlab.hardware._found", {})
    monkeypatch.setattr("ftlab.hardware.bf16_speedup", lambda **_: 1.0)


def go(loaded, **settings):
    """Train; return the run and the shapes of what came by the first layer's MLP."""
    model, tokenizer = loaded
    shapes = []
    mlp = model.model.layers[0].mlp
    hook = mlp.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    run = sft.train(model, tokenizer, RECORDS, **(SETTINGS | settings))
    hook.remove()
    return run, shapes


def losses(run):
    return [entry["loss"] for entry in run.history]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_checkpointing_computes_layers_twice_and_learns_the_same(make_model, method):
    usual, once = go(make_model("chatml"), method=method)
    run, twice = go(make_model("chatml"), method=method, gradient_checkpointing=True)
    assert len(once) == run.steps == 4 and len(twice) == 2 * len(once)
    assert losses(run) == pytest.approx(losses(usual), rel=1e-5)
    assert run.settings["gradient_checkpointing"]
    assert not any(getattr(m, "gradient_checkpointing", False) for m in run.model.modules())


def test_a_batch_in_parts_is_the_same_batch(make_model):
    whole, shapes = go(make_model("chatml"))
    run, parts = go(make_model("chatml"), gradient_accumulation=4)
    assert {shape[0] for shape in shapes} == {4, 3} and {shape[0] for shape in parts} == {1}
    assert len(parts) == 2 * len(RECORDS) and run.steps == whole.steps
    assert losses(run) == pytest.approx(losses(whole), rel=1e-4)


def test_packed_records_are_one_row_and_learn_the_same(make_model):
    padded, _ = go(make_model("chatml"), eval_records=RECORDS[:3])
    run, shapes = go(make_model("chatml"), eval_records=RECORDS[:3], packing=True)
    assert {shape[0] for shape in shapes} == {1} and max(shape[1] for shape in shapes) > 60
    assert losses(run) == pytest.approx(losses(padded), rel=1e-4)
    assert run.eval_loss == pytest.approx(padded.eval_loss, rel=1e-4)


def test_packing_is_refused_where_records_would_see_each_other(make_tokenizer):
    import transformers

    tokenizer = make_tokenizer("chatml")
    model = transformers.MambaForCausalLM(
        transformers.MambaConfig(
            vocab_size=len(tokenizer), hidden_size=32, state_size=4, num_hidden_layers=2
        )
    )
    with pytest.raises(ConfigError, match=r"MambaForCausalLM .* differently than alone"):
        sft.train(model, tokenizer, RECORDS, packing=True, **SETTINGS)


def test_what_would_do_nothing_here_is_refused_with_the_reason(make_model):
    with pytest.raises(ConfigError, match=r"CUDA GPU's memory .* this run is on cpu"):
        go(make_model("chatml"), activation_offloading=True)
    with pytest.raises(ConfigError, match=r"batch_size=4 .* 1 process\(es\) in 3 part\(s\)"):
        go(make_model("chatml"), gradient_accumulation=3)


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


@pytest.mark.gpu
def test_float16_scales_its_gradients_and_activations_can_wait_outside(make_model, monkeypatch):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA GPU")
    monkeypatch.setenv("FTLAB_PROFILE", "t4")
    scales, usual = [], torch.amp.GradScaler.step

    def step(self, *args, **kwargs):
        scales.append(self.get_scale())
        return usual(self, *args, **kwargs)

    monkeypatch.setattr(torch.amp.GradScaler, "step", step)
    model, tokenizer = make_model("chatml")
    run, _ = go((model.to("cuda"), tokenizer))
    assert run.settings["precision"] == "float16" and len(scales) == run.steps and min(scales) > 1
    model, tokenizer = make_model("chatml")
    offloaded, _ = go((model.to("cuda"), tokenizer), activation_offloading=True)
    assert losses(offloaded) == pytest.approx(losses(run), rel=1e-3)
