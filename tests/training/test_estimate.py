import json

import pytest

from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.training import dryrun, methods
from ftlab.training.estimate import NF4_BYTES, config_of, estimate, table

TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 6, "vocab_size": 512,
    "tie_word_embeddings": True,
}  # fmt: skip
BIG = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip
STEP = {"length": 32, "batch_size": 2, "gpu": "T4"}


def made(config=TINY, method="full", **how):
    return estimate(config, method, **(STEP | how))


def test_static_parts_follow_the_formulas():
    full, lora, dora, qlora = (made(method=m, rank=8) for m in ("full", "lora", "dora", "qlora"))
    linear = 6 * (64 * 64 * 2 + 64 * 32 * 2 + 64 * 128 * 3)
    added = 6 * 8 * ((64 + 64) * 2 + (64 + 32) * 2 + (64 + 128) * 3)
    whole = linear + 512 * 64 + 64 * 13  # embeddings, held once, and the norms
    assert full.parameters == full.trainable == whole
    assert full.parts["weights"] == 4 * whole and full.parts["optimiser"] == 8 * whole
    assert lora.trainable == added and lora.parameters == whole + added
    assert lora.parts["adapters"] == 4 * added and lora.parts["optimiser"] == 8 * added
    assert dora.trainable == added + 6 * (64 * 2 + 32 * 2 + 128 * 2 + 64)
    assert qlora.parts["quantised"] == pytest.approx(linear * NF4_BYTES)
    assert qlora.parts["weights"] == 4 * (whole - linear)
    assert qlora.parts["adapters"] == 2 * added


@pytest.mark.parametrize("method", ["full", "frozen", "lora", "dora"])
def test_counts_are_those_of_the_real_model(method):
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(dryrun.read(TINY))
    adapter = methods.prepare(model, method, rank=4)
    model = get_peft_model(model, adapter) if adapter else model
    found = made(method=method, rank=4)
    assert found.trainable == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert found.parameters == sum(p.numel() for p in model.parameters())


def test_layers_are_extrapolated_as_they_would_be_counted(monkeypatch):
    how = {"batch_size": 4, "length": 48}
    few = dryrun.step(dryrun.read(TINY | {"num_hidden_layers": 3}), "full", **how)
    many = dryrun.step(dryrun.read(TINY), "full", **how)
    real = dryrun._traced
    monkeypatch.setattr(
        dryrun, "_traced", lambda c, m, layers, *rest: real(c, m, layers + 3, *rest)
    )
    counted = dryrun.step(dryrun.read(TINY | {"num_hidden_layers": 3}), "full", **how)
    assert sum(counted.values()) == pytest.approx(sum(many.values()), rel=1e-6)
    assert sum(many.values()) > sum(few.values())


def test_activations_grow_as_they_should():
    config = dryrun.read(TINY)

    def step(method="full", **how):
        return sum(dryrun.step(config, method, **({"batch_size": 4, "length": 64} | how)).values())

    plain = step()
    assert step(batch_size=8) == pytest.approx(2 * plain, rel=0.05)
    assert step(length=128) > 2.05 * plain  # eager attention keeps length × length
    assert step(length=128, eager=False) < 2.05 * step(eager=False)
    assert step(checkpointing=True) < plain and step("frozen", trainable_layers=2) < plain
    assert step(loss_share=0.1) < plain


def test_mixed_precision_halves_what_is_kept_and_holds_casts():
    config = dryrun.read(TINY)
    how = {"batch_size": 8, "length": 64, "eager": False, "loss_share": 0.02}
    plain, mixed = (
        dryrun.step(config, "full", compute=kind, **how) for kind in ("float32", "bfloat16")
    )
    assert plain["casts"] == 0 < mixed["casts"]
    assert mixed["activations"] < plain["activations"]


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", methods.METHODS)
def test_every_method_can_be_checkpointed(method, compute):
    how = {"batch_size": 4, "length": 64, "compute": compute, "eager": False, "rank": 4}
    how |= {"trainable_layers": 3} if method == "frozen" else {}
    less = dryrun.step(dryrun.read(TINY), method, checkpointing=True, **how)
    more = dryrun.step(dryrun.read(TINY), method, **how)
    assert less["activations"] < more["activations"]


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "gemma2", "mistral", "phi3"])
def test_other_families_are_followed_too(kind):
    found = made(TINY | {"model_type": kind, "head_dim": 16, "pad_token_id": 0}, "lora")
    assert found.parts["activations"] > 0 and found.fits


def test_what_does_not_fit_is_told_what_would_make_it_fit():
    found = made(BIG, "full", length=512, batch_size=4, gpu="A100-40")
    assert found.fits is False and found.total > 100e9
    assert 1 <= len(found.changes) <= 3
    assert all(size <= found.capacity for _, size in found.changes)
    assert "does not fit A100-40" in str(found) and found.changes[0][0] in str(found)


def test_time_and_money_follow_the_table():
    rows = table()
    one = made(BIG, "lora", length=512, gpu="H100", records=1000, epochs=2)
    assert one.steps == 1000
    gpu = rows.gpus["H100"]
    assert one.step_seconds == pytest.approx(
        one.step_flops / (gpu.tflops * 1e12 * rows.share_of_peak)
    )
    assert one.cost == pytest.approx(one.seconds / 3600 * gpu.per_hour)
    # frozen weights need no gradient: about 4 FLOPs a weight and token, not 6 (Kaplan 2020)
    tokens = 2 * 512
    assert one.step_flops / tokens / 7.5e9 == pytest.approx(4.2, rel=0.1)
    full = made(BIG, "full", length=512, gpu="H100")
    assert full.step_flops / tokens / 7.5e9 == pytest.approx(6.2, rel=0.1)


def test_a_config_comes_from_anywhere(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    assert config_of(tmp_path) == config_of(tmp_path / "config.json") == config_of(TINY) == TINY
    assert config_of("ftlab-1m")["hidden_size"] == 96
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="JSON object"):
        config_of(tmp_path)
    with pytest.raises(ModelError, match="Did you mean 'ftlab-7m'"):
        config_of("ftlab-8m")


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match=r"length must be 2 or more.*batch_size must be 1"):
        made(length=1, batch_size=0)
    with pytest.raises(ConfigError, match=r"Unknown GPU 'H10O'. Did you mean 'H100'"):
        made(gpu="H10O")
    with pytest.raises(ConfigError, match="Unknown method"):
        made(method="loraa")
    with pytest.raises(ConfigError, match="too coarse"):
        made(weights="bfloat16")
    with pytest.raises(ConfigError, match="has 6 layers"):
        made(method="frozen", frozen_layers=6)
    with pytest.raises(ConfigError, match="Unknown linear layer 'q_prj'"):
        made(method="lora", targets=["q_prj"])
    with pytest.raises(ModelError, match="no model of type 'lama'"):
        made(TINY | {"model_type": "lama"})


def test_a_table_of_ones_own(tmp_path):
    file = tmp_path / "gpus.json"
    file.write_text('{"date": "2026-01-01", "share_of_peak": 0.5, "gpus": {"X": {"tflops": -1}}}')
    with pytest.raises(DataError, match=r"gpus\.X\.memory_gb"):
        table(file)
    gpu = {"memory_gb": 1, "tflops": 100, "per_hour": 2}
    file.write_text(json.dumps({"date": "2026-01-01", "share_of_peak": 0.5, "gpus": {"X": gpu}}))
    assert made(gpu="X", gpus=table(file), records=10).cost > 0


def test_the_widget_follows_its_choices():
    from ftlab.training.estimate_widget import sliders

    box = sliders(TINY, gpu="T4", length=64)
    shown = box.children[-1]
    before = shown.value
    box.children[0].value = "full"
    assert "together" in shown.value and shown.value != before
    box.children[1].value = "H100"
    assert "fits H100" in shown.value
