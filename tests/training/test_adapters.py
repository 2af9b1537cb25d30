import pytest
import torch
from peft import LoraConfig, get_peft_model

from ftlab import models
from ftlab.errors import ModelError
from ftlab.generation import generate
from ftlab.training import folder
from ftlab.training.folder import check_saved, merge

PROMPT = [{"role": "user", "content": "Say hi!"}]


@pytest.fixture
def adapted(make_model):
    """A tiny model with a random adapter, and its tokenizer."""
    model, tokenizer = make_model("chatml")
    config = LoraConfig(
        r=4, lora_alpha=64, target_modules=["q_proj", "up_proj"], init_lora_weights=False
    )
    torch.manual_seed(1)  # some random adapters leave the answers as they are
    return get_peft_model(model, config).eval(), tokenizer


def test_merged_is_base_plus_the_product_and_agrees(adapted):
    model, tokenizer = adapted
    said = generate(model, tokenizer, [PROMPT], max_new_tokens=6)
    layer = model.get_base_model().model.layers[0].self_attn.q_proj
    wanted = layer.weight + layer.scaling["default"] * (
        layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    )
    merged, agreement = merge(model, tokenizer)
    assert torch.allclose(merged.model.layers[0].self_attn.q_proj.weight, wanted, atol=1e-6)
    assert agreement and agreement.difference < 1e-3
    assert generate(merged, tokenizer, [PROMPT], max_new_tokens=6) == said


def test_a_merge_that_changes_answers_is_noticed(adapted, monkeypatch):
    model, tokenizer = adapted
    tuner = type(model.base_model)
    monkeypatch.setattr(tuner, "merge_and_unload", lambda self, **_: self.unload())
    _, agreement = merge(model, tokenizer, ["Say hi!"])
    assert not agreement and "OTHER ANSWERS" in str(agreement)


def test_nothing_to_merge_is_said(make_model):
    with pytest.raises(ModelError, match="no adapter"):
        merge(*make_model("chatml"))


def test_what_was_merged_is_loaded_again_and_compared(model_folder, tmp_path, command, monkeypatch):
    base, tokenizer = models.load(model_folder)
    torch.manual_seed(1)
    config = LoraConfig(target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    folder.save(tmp_path / "adapter", get_peft_model(base, config), tokenizer, {})
    code, out, err = command("merge", tmp_path / "adapter", "--out", tmp_path / "merged")
    assert code == 0 and "loaded again and compared: the same" in out, err
    other, _ = models.load(model_folder)
    with pytest.raises(ModelError, match=r"merged is not what was in memory: its logits differ"):
        check_saved(tmp_path / "merged", other, [1, 2, 3])

    save = folder.save
    monkeypatch.setattr(folder, "save", lambda out, model, *rest: save(out, other, *rest))
    code, _, err = command("merge", tmp_path / "adapter", "--out", tmp_path / "again")
    assert code == 2 and "is not what was in memory" in err
