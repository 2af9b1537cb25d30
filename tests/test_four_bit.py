"""4-bit weights on both kinds of CPU.

A CPU with AVX-512-bf16 cannot be had here. But what bitsandbytes does there before its kernel, the
packing, is plain torch: with its own question answered yes, it packs, and refuses thin layers, here
too. (The kernel itself is not here, so that what a packed layer computes means nothing.)
"""

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from trl import SFTConfig, SFTTrainer

from ftlab import models
from ftlab.errors import ConfigError
from ftlab.hardware import four_bit_works, keep_unpacked
from ftlab.training.preflight import preflight

modules = pytest.importorskip("bitsandbytes.nn.modules")
pytestmark = pytest.mark.skipif(not four_bit_works("cpu")[0], reason="no 4 bits on this CPU")
THIN = {"hidden_size": 96, "intermediate_size": 864, "num_attention_heads": 3,
        "num_key_value_heads": 3, "head_dim": 32}  # fmt: skip


@pytest.fixture
def avx512(monkeypatch):
    """Let bitsandbytes take this CPU for one with AVX-512-bf16."""
    monkeypatch.setattr(modules, "has_avx512bf16", lambda: True)
    four_bit_works.cache_clear()
    yield
    four_bit_works.cache_clear()


def plain(folder):
    """Load as a learner does who writes the configuration."""
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=config, device_map="cpu"
    )


def logits(model):
    with torch.no_grad():
        return model(input_ids=torch.arange(12)[None]).logits


def gradient(model):
    """Return the gradient that reaches the embeddings through all layers."""
    model.train()
    model.get_input_embeddings().weight.requires_grad_(True)
    ids = torch.arange(12)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    return model.get_input_embeddings().weight.grad


def test_a_thin_layer_fails_where_weights_are_packed(avx512, save_model):
    """What a machine of the other kind does: these tests can fail."""
    with pytest.raises((RuntimeError, AssertionError)):
        logits(plain(save_model(**THIN)))


@pytest.mark.parametrize("sizes", [THIN, None], ids=["thin", "packable"])
def test_a_loaded_model_answers_and_trains_alike_on_both_kinds(
    save_model, packable, monkeypatch, sizes
):
    folder = save_model(**(sizes or packable))
    here = models.load(folder, bits=4, device="cpu")[0]
    monkeypatch.setattr(modules, "has_avx512bf16", lambda: True)
    there = models.load(folder, bits=4, device="cpu")[0]
    assert torch.equal(logits(here), logits(there))
    assert torch.equal(gradient(here), gradient(there))
    assert torch.equal(logits(here.eval()), logits(there.eval()))


def test_a_model_of_ones_own_configuration_can_be_kept_unpacked(avx512, save_model, packable):
    folder = save_model(**packable)
    packed, unpacked = plain(folder), keep_unpacked(plain(folder))
    wanted = models.load(folder, device="cpu")[0]
    logits(packed), logits(unpacked)
    states = [
        {bool(getattr(layer.weight.quant_state, "packing_format_for_cpu", False))
         for layer in model.modules() if isinstance(layer, modules.Linear4bit)}
        for model in (packed, unpacked)
    ]  # fmt: skip
    assert states == [{True}, {False}]
    off = (logits(unpacked).float() - logits(wanted)).norm() / logits(wanted).norm()
    assert off < 0.3


def test_a_machine_without_four_bits_says_so(avx512, save_model, monkeypatch, packable):
    folder = save_model(**packable)
    assert four_bit_works("cpu") == (True, "")
    four_bit_works.cache_clear()
    monkeypatch.setattr("bitsandbytes.nn.Linear4bit", None)
    with pytest.raises(ConfigError, match=r"do not work on cpu: bitsandbytes fails"):
        models.load(folder, bits=4, device="cpu")
    with pytest.raises(ConfigError, match="bits=3"):
        models.load(folder, bits=3, device="cpu")


def test_preflight_sees_layers_that_pack(avx512, save_model, packable, tmp_path):
    from peft import LoraConfig

    def finding(folder, prepare):
        model = plain(folder)
        prepare(model)
        tokenizer = models.load(folder, device="cpu")[1]
        trainer = SFTTrainer(
            model,
            args=SFTConfig(
                output_dir=str(tmp_path), report_to="none", use_cpu=True, bf16=False,
                gradient_checkpointing=False, learning_rate=1e-3, disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([{"text": "the fox"}] * 4),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
        )  # fmt: skip
        report = preflight(trainer, strict=False)
        return next(f for f in report.findings if f.what == "4 bits")

    folder = save_model(**packable)
    assert finding(folder, logits).status == "error"
    will = finding(folder, lambda model: None)
    assert will.status == "warning" and "keep_unpacked" in will.cure
    assert "cannot be packed" in finding(save_model(**THIN), lambda model: None).found
    assert finding(folder, keep_unpacked).status == "ok"
