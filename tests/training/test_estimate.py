import pytest

from ftlab.training.estimate import NF4_BYTES, estimate

TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 6, "vocab_size": 512,
    "tie_word_embeddings": True,
}  # fmt: skip


def made(method, **how):
    return estimate(TINY, method, **({"length": 16, "batch_size": 2, "gpu": "T4"} | how))


def test_static_parts_follow_the_formulas():
    full, lora, dora, qlora = (made(method, rank=8) for method in ("full", "lora", "dora", "qlora"))
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
    assert "optimiser" in str(lora) and "fits T4" in str(lora)
