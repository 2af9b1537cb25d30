"""A mixture of experts, and a model with an image tower: its text part is estimated and tuned."""

import peft
import pytest
import torch
import transformers
from packaging.version import Version
from safetensors import safe_open

from ftlab import data, models
from ftlab.errors import ConfigError, ModelError
from ftlab.generation import generate
from ftlab.models import folders
from ftlab.models.folders import parameters
from ftlab.training.estimate import estimate
from ftlab.training.fast import upper_half
from ftlab.training.finetune import finetune

SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 512,
}  # fmt: skip
MOE = {**SMALL, "moe_intermediate_size": 16, "num_experts": 4, "num_local_experts": 4,
       "num_experts_per_tok": 2}  # fmt: skip
TOWER = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 14, "model_type": "siglip_vision_model",
}  # fmt: skip
ROWS = [data.example(f"Say {word}!", f"{word}.") for word in ("one", "two", "six", "ten")]
EXPERTS = ("Qwen3Moe", "Mixtral")


@pytest.fixture(params=[*EXPERTS, "Gemma3", "Llava"])
def folder(request, make_tokenizer, tmp_path):
    """The folder of a tiny random model of the family."""
    tokenizer = make_tokenizer("chatml")
    size = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}  # fmt: skip
    name = request.param
    if name in EXPERTS:
        config = getattr(transformers, f"{name}Config")(**MOE, **size)
        kind = getattr(transformers, f"{name}ForCausalLM")
    else:
        text = {**SMALL, **size, "model_type": "gemma3_text" if name == "Gemma3" else "llama"}
        special = {"image_token_id": 5} if name == "Gemma3" else {"image_token_index": 5}
        more = {"mm_tokens_per_image": 4} if name == "Gemma3" else {}
        config = getattr(transformers, f"{name}Config")(
            text_config=text, vision_config=dict(TOWER), **special, **more
        )
        kind = getattr(transformers, f"{name}ForConditionalGeneration")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(config).save_pretrained(tmp_path / name)
    tokenizer.save_pretrained(tmp_path / name)
    return tmp_path / name


def test_it_is_estimated_tuned_and_answers(folder, tmp_path, capsys):
    if folder.name == "Llava":  # of which transformers has no class that reads text alone
        with pytest.raises(ModelError, match="'llava' cannot be built as a causal LM") as said:
            estimate(folder, "lora", length=64, batch_size=2)
        assert len(str(said.value).splitlines()) == 1
        with pytest.raises(ModelError, match=r"Llava cannot be loaded.*not be a causal LM\.$"):
            models.load(folder)
        return
    if folder.name in EXPERTS and Version(peft.__version__) < Version("0.21"):
        with pytest.raises(ModelError, match=r"mixture of experts.*peft>=0\.21"):
            estimate(folder, "lora", length=64, batch_size=2)
        with pytest.raises(ModelError, match=r"mixture of experts.*peft>=0\.21"):
            finetune(ROWS, tmp_path / "out", model=folder, epochs=1, batch_size=2)
        return
    plan = estimate(folder, "lora", length=64, batch_size=2)
    whole = sum(map(parameters, folder.glob("*.safetensors")))
    assert plan.parameters >= whole
    finetune(ROWS, tmp_path / "out", model=folder, epochs=1, batch_size=2)
    said = capsys.readouterr().out
    assert ("vision_tower gets no adapter" in said) == (folder.name == "Gemma3")
    with safe_open(tmp_path / "out/adapter_model.safetensors", "pt") as held:
        names = list(held.keys())
    assert any("self_attn.q_proj" in name for name in names)
    assert not any("vision" in name for name in names)
    model, tokenizer = models.load(tmp_path / "out")
    assert generate(model, tokenizer, [data.prompt(ROWS[0])], max_new_tokens=3)
    assert set(upper_half(models.load(folder)[0])["layers_to_transform"]) == {1}


def test_the_context_is_that_of_the_text_part(folder):
    assert folders._card("x", folder).context == 512
    if folder.name != "Llava":
        with pytest.raises(ConfigError, match="512"):
            generate(*models.load(folder), [data.prompt(data.example("Say " * 600, "no"))])
