import json

import pytest

from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.training.estimate import NF4_BYTES, config_of, estimate
from ftlab.training.gpus import table
from ftlab.training.ledger import PARTS, Step

TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 6, "vocab_size": 512,
    "tie_word_embeddings": True,
}  # fmt: skip


def made(method="full", config=TINY, **how):
    return estimate(config, method, **({"length": 16, "batch_size": 2, "gpu": "T4"} | how))


def test_static_parts_follow_the_formulas():
    full, lora, qlora = (made(method, rank=8) for method in ("full", "lora", "qlora"))
    linear = 6 * (64 * 64 * 2 + 64 * 32 * 2 + 64 * 128 * 3)
    added = 6 * 8 * ((64 + 64) * 2 + (64 + 32) * 2 + (64 + 128) * 3)
    whole = linear + 512 * 64 + 64 * 13  # embeddings, held once, and the norms
    assert full.parameters == full.trainable == whole
    assert full.parts["weights"] == 4 * whole and full.parts["optimiser"] == 8 * whole
    assert lora.trainable == added and lora.parameters == whole + added
    assert lora.parts["adapters"] == 4 * added and lora.parts["optimiser"] == 8 * added
    assert qlora.trainable == added
    assert qlora.parts["quantised"] == pytest.approx(linear * NF4_BYTES)
    assert qlora.parts["weights"] == 4 * (whole - linear)
    assert qlora.parts["adapters"] == 4 * added  # a T4 computes in float16
    assert made("qlora", rank=8, gpu="L4").parts["adapters"] == 2 * added  # in bfloat16
    assert "optimiser" in str(full) and "fits T4" in str(full)


@pytest.mark.parametrize("kind", ["gemma2", "gpt2"])
def test_other_families_are_followed_too(kind):
    config = TINY | {"model_type": kind, "head_dim": 16, "pad_token_id": 0}
    if kind == "gpt2":
        config = {"model_type": kind, "n_embd": 64, "n_head": 4, "n_layer": 6, "vocab_size": 512}
    found = made("full", config)
    assert found.parts["activations"] > 0 and found.fits


def test_what_does_not_fit_is_told_what_would_make_it_fit(monkeypatch):
    size = {"full": 130e9, "lora": 60e9, "qlora": 30e9}

    def step(config, method, *, weights, **how):
        held = size[method] / (2 if weights == "bfloat16" else 1)
        return Step(dict.fromkeys(PARTS, 0.0), held, 0, 0.0, 1.0, 8, 4, 1e12)

    monkeypatch.setattr("ftlab.training.dryrun.step", step)
    config = TINY | {"vocab_size": 600}  # not one that was counted before
    found = made("full", config, gpu="A100-80")
    assert found.fits is False and found.total > 130e9
    assert [what for what, _ in found.changes] == [
        "method='lora'", "method='qlora'", "method='lora', weights in bfloat16",
    ]  # fmt: skip
    assert all(size <= found.capacity for _, size in found.changes)
    assert "does not fit A100-80" in str(found) and "- method='lora': 63.00 GB" in str(found)
    assert (
        made("qlora", config, gpu="T4", length=8).changes[-1][0].startswith("another GPU, A100-40")
    )


def test_time_and_money_follow_the_table():
    rows, gpu = table(), table().gpus["H100"]
    one = made(gpu="H100", records=1000, epochs=2)
    assert one.steps == 1000
    assert one.step_seconds == pytest.approx(
        one.step_flops / (gpu.tflops * 1e12 * rows.share_of_peak)
    )
    assert one.cost == pytest.approx(one.seconds / 3600 * gpu.per_hour)


def test_a_config_comes_from_anywhere(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    assert config_of(tmp_path) == config_of(tmp_path / "config.json") == config_of(TINY) == TINY
    assert config_of("ftlab-1m")["hidden_size"] == 96
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="JSON object"):
        config_of(tmp_path)
    with pytest.raises(ModelError, match="Did you mean 'ftlab-1m'"):
        config_of("ftlab-8m")


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match=r"length must be 2 or more.*batch_size must be 1"):
        made(length=1, batch_size=0)
    with pytest.raises(ConfigError, match=r"Unknown GPU 'H10O'. Did you mean 'H100'"):
        made(gpu="H10O")
    with pytest.raises(ConfigError, match="Unknown method"):
        made("loraa")
    with pytest.raises(ConfigError, match="too coarse"):
        made(weights="bfloat16")
    with pytest.raises(ConfigError, match="both must be positive"):
        made(records=0)


def test_a_table_of_ones_own(tmp_path):
    file = tmp_path / "gpus.json"
    file.write_text('{"date": "2026-01-01", "share_of_peak": 0.5, "gpus": {"X": {"tflops": -1}}}')
    with pytest.raises(DataError, match=r"gpus\.X\.memory_gb"):
        table(file)
    gpu = {"memory_gb": 1, "tflops": 100, "per_hour": 2}
    file.write_text(json.dumps({"date": "2026-01-01", "share_of_peak": 0.5, "gpus": {"X": gpu}}))
    assert made(gpu="X", gpus=table(file), records=10).cost > 0
