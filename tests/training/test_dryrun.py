import pytest
import torch
from peft import LoraConfig
from trl import SFTTrainer

from ftlab import data
from ftlab.errors import ModelError
from ftlab.training import dryrun
from ftlab.training.config import sft_config
from ftlab.training.fast import faster_on_cpu
from ftlab.training.finetune import encoded

TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 5, "vocab_size": 96, "tie_word_embeddings": True,
}  # fmt: skip


def step(method="full", config=TINY, **how):
    how = {"batch_size": 4, "length": 32, "rank": 4} | how
    return dryrun.step(dryrun.read(config), method, **how)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_few_layers_say_what_all_of_them_take(method, monkeypatch):
    how = {"compute": "bfloat16", "eager": False, "checkpointing": True}
    grown = step(method, **how)
    monkeypatch.setattr(dryrun, "_layers", lambda config: (5, False))
    whole = step(method, **how)
    assert (grown.flops, grown.parameters, grown.trainable) == (
        whole.flops, whole.parameters, whole.trainable,
    )  # fmt: skip
    # the moment of the peak may move from one operation to the next as layers are added
    assert sum(grown.peak.values()) == pytest.approx(sum(whole.peak.values()), rel=0.05)


def test_checkpointing_and_mixed_precision_change_what_is_kept():
    plain, again = step(eager=False), step(eager=False, checkpointing=True)
    mixed = step(eager=False, compute="bfloat16")
    assert again.peak["activations"] < plain.peak["activations"] / 2
    assert again.flops > plain.flops
    assert plain.peak["casts"] == 0 < mixed.peak["casts"]
    assert mixed.peak["activations"] < plain.peak["activations"]


def test_the_work_is_that_of_the_formulas():
    # Kaplan et al. 2020: 6 FLOPs a weight and token, 4 where the weights are frozen
    config = TINY | {"hidden_size": 256, "intermediate_size": 1024}
    weights = 5 * (256 * 256 * 2 + 256 * 128 * 2 + 256 * 1024 * 3) + 96 * 256
    tokens = 4 * 32
    assert step(config=config).flops / tokens / weights == pytest.approx(6, rel=0.05)
    assert step("lora", config).flops / tokens / weights == pytest.approx(4, rel=0.1)


def test_a_real_run_takes_what_was_counted(make_model, monkeypatch, tmp_path):
    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setattr("ftlab.hardware.matmuls", lambda **_: (1.0, 50.0))
    monkeypatch.setattr("ftlab.hardware._found", {})  # an earlier test may have looked, in bf16
    model, tokenizer = make_model("chatml")
    record = data.example("What is the capital?", "Paris. " * 12)
    model.set_attn_implementation("eager")
    rows = encoded(tokenizer, [record] * 16)
    length, counted = len(rows[0]["labels"]), sum(label != -100 for label in rows[0]["labels"])
    found = step(
        "lora", model.config.to_dict(), length=length, batch_size=8,
        loss_share=counted / (length - 1),
    )  # fmt: skip
    predicted = found.adapters + 2 * found.trainable_bytes + sum(found.peak.values())
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
    assert predicted == pytest.approx(most, rel=0.1)


def test_what_cannot_be_followed_is_named():
    with pytest.raises(ModelError, match="no model of type 'lama'"):
        step(config=TINY | {"model_type": "lama"})
