import gc
import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from trl import SFTTrainer

from ftlab import data
from ftlab.errors import ConfigError, DataError, ModelError
from ftlab.training import shapes
from ftlab.training.config import sft_config
from ftlab.training.estimate import NF4_BYTES, Plan, _kept_by_a_layer, estimate, gpu_table
from ftlab.training.fast import all_linear, faster_on_cpu
from ftlab.training.finetune import encoded

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


FAMILIES = {
    "llama": {}, "qwen3": {"head_dim": 32}, "gemma3_text": {"head_dim": 32},
    "qwen3_moe": {"moe_intermediate_size": 96, "num_experts": 4, "num_experts_per_tok": 2},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:The following:RuntimeWarning")
@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_keeps_what_the_formula_says(family, method):
    config = shapes.config_of(TINY | {"hidden_size": 128, "intermediate_size": 512} |
                              {"model_type": family} | FAMILIES[family])  # fmt: skip
    batch, length, kept = 2, 32, {}

    def keep(tensor):
        kept[tensor.untyped_storage()._cdata] = tensor  # held, so that no address comes twice
        return tensor

    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    if method == "lora":
        try:
            where = all_linear(model)
        except ModelError as error:
            pytest.skip(str(error))
        lora = LoraConfig(r=8, task_type="CAUSAL_LM", **where)
        model = get_peft_model(model, lora)
    ids = torch.zeros(batch, length, dtype=torch.long)
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.train().get_base_model() if method == "lora" else model.train()
        hidden.model(input_ids=ids, use_cache=False)
    measured = sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in own)
    sizes = shapes.sizes(config, method, rank=8)
    layer = _kept_by_a_layer(sizes, Plan(method, length, batch, rank=8), "float32", eager=True)
    whole = sizes.layers * (batch * length * layer + sizes.merged)
    assert whole == pytest.approx(measured, rel=0.1)


def test_a_real_run_takes_what_was_counted(make_model, monkeypatch, tmp_path):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setattr("ftlab.hardware.matmuls", lambda **_: (1.0, 50.0))
    monkeypatch.setattr("ftlab.hardware._found", {})  # an earlier test may have looked, in bf16
    model, tokenizer = make_model("chatml")
    record = data.example("What is the capital?", "Paris. " * 12)
    model.set_attn_implementation("eager")
    rows = encoded(tokenizer, [record] * 16)
    length, counted = len(rows[0]["labels"]), sum(label != -100 for label in rows[0]["labels"])
    plan = estimate(
        model.config, "lora", length=length, batch_size=8, rank=4, loss_share=counted / (length - 1)
    )
    gc.collect()  # what earlier tests left would be freed below, and counted
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        trainer = SFTTrainer(
            model, args=sft_config(output_dir=str(tmp_path), num_train_epochs=1),
            train_dataset=rows, processing_class=tokenizer,
            peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
        )  # fmt: skip
        faster_on_cpu(trainer).train()
    live, most = 0, 0
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        most = max(most, live)
    assert plan.total - plan.parts["weights"] == pytest.approx(most, rel=0.1)


def test_the_work_is_that_of_the_formulas():
    # Kaplan et al. 2020: 6 FLOPs a weight and token, 4 where the weights are frozen
    weights = 6 * (64 * 64 * 2 + 64 * 32 * 2 + 64 * 128 * 3) + 512 * 64
    for method, wanted in {"full": 6, "lora": 4}.items():
        plan = made(method, rank=1)
        assert plan.step_flops / (2 * 16) / weights == pytest.approx(wanted, rel=0.12)


def test_checkpointing_and_accumulation_take_less_memory():
    plain = made("lora", batch_size=8, length=128)
    again = made("lora", batch_size=8, length=128, gradient_checkpointing=True)
    parts = made("lora", batch_size=8, length=128, gradient_accumulation=4)
    assert again.parts["activations"] < plain.parts["activations"] / 2
    assert again.step_flops > plain.step_flops == parts.step_flops
    assert parts.parts["activations"] == plain.parts["activations"] / 4
    assert parts.parts["gradients"] > plain.parts["gradients"] == 0
    assert plain.parts["casts"] > 0 == made("lora", weights="float16").parts["casts"]


def test_what_does_not_fit_is_told_what_would_make_it_fit():
    large = shapes.SHAPES["Llama-3-8B"]
    found = made("full", large, gpu="A100-80")
    assert found.fits is False and found.total > 128e9
    assert [what for what, _ in found.changes] == [
        "method='lora'", "method='qlora'", "method='lora', weights in bfloat16",
    ]  # fmt: skip
    assert all(size <= found.capacity for _, size in found.changes)
    assert "does not fit A100-80" in str(found) and "- method='lora': " in str(found)
    found = made("lora", large, gpu="T4", weights="float16")
    assert found.changes[-1][0].startswith("another GPU, L4")


def test_time_and_money_follow_the_table():
    rows, gpu = gpu_table(), gpu_table().gpus["H100"]
    one = made(gpu="H100", records=1000, epochs=2)
    assert one.steps == 1000
    assert one.step_seconds == pytest.approx(
        one.step_flops / (gpu.tflops * 1e12 * rows.share_of_peak)
    )
    assert one.cost == pytest.approx(1000 * one.step_seconds / 3600 * gpu.per_hour)


def test_a_config_comes_from_anywhere(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    for place in (tmp_path, str(tmp_path / "config.json"), TINY, shapes.config_of(TINY)):
        assert shapes.config_of(place).hidden_size == 64
    assert shapes.config_of("ftlab-1m").hidden_size == 96
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"no config of .*The config.json of a causal LM"):
        shapes.config_of(tmp_path)
    with pytest.raises(ModelError, match="no config of type 'lama'"):
        shapes.config_of(TINY | {"model_type": "lama"})
    with pytest.raises(ModelError, match="Did you mean 'ftlab-1m'"):
        shapes.config_of("ftlab-8m")


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
        gpu_table(file)
    gpu = {"memory_gb": 1, "tflops": 100, "per_hour": 2}
    file.write_text(json.dumps({"date": "2026-01-01", "share_of_peak": 0.5, "gpus": {"X": gpu}}))
    assert made(gpu="X", gpus=gpu_table(file), records=10).cost > 0
