import pytest
import torch

from ftlab import data, models
from ftlab.errors import ConfigError
from ftlab.generation import generate
from ftlab.hardware import four_bit_works, profile
from ftlab.training import methods, sft

RECORDS = [
    data.example(f"Say {w}!", f"the {w} {w}") for w in ("fox", "dog", "capital", "Paris", "hi")
]
FAST = {"epochs": 2, "batch_size": 2, "seed": 3}


@pytest.fixture
def folder(save_model, packable):
    return save_model(**packable)


def moved(before, model):
    """Names of the weights that are no longer what they were."""
    now = dict(model.named_parameters())
    return {name for name, old in before.items() if not torch.equal(old, now[name])}


def test_frozen_moves_the_upper_layers_alone(make_model):
    model, tokenizer = make_model("chatml")
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    layers = len(model.model.layers)
    run = sft.train(model, tokenizer, RECORDS, method="frozen", frozen_layers=layers - 1, **FAST)
    changed = moved(before, run.model)
    assert any(f"layers.{layers - 1}." in name for name in changed)
    assert not [
        n for n in changed if "embed" in n or any(f"layers.{i}." in n for i in range(layers - 1))
    ]
    assert 0 < run.trainable < run.parameters


@pytest.mark.parametrize("method", ["lora", "rslora", "dora"])
def test_an_adapter_trains_beside_weights_that_stay(make_model, method):
    model, tokenizer = make_model("chatml")
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    run = sft.train(model, tokenizer, RECORDS, method=method, rank=4, alpha=4, **FAST)
    for name, old in before.items():
        place, _, kind = name.rpartition(".")
        now = dict(run.model.get_base_model().named_parameters())
        kept = now.get(name, now.get(f"{place}.base_layer.{kind}"))
        assert torch.equal(old, kept), name
    assert run.settings["rank"] == 4 and run.settings["alpha"] == 4
    names = {n for n, p in run.model.named_parameters() if p.requires_grad}
    assert names and all("lora_" in name for name in names)
    assert any("magnitude" in name for name in names) == (method == "dora")


def test_rank_stabilised_scaling_is_by_the_square_root(make_model):
    scales = {}
    for method in ("lora", "rslora"):
        model, tokenizer = make_model("chatml")
        run = sft.train(model, tokenizer, RECORDS, method=method, rank=16, alpha=16, **FAST)
        layer = next(m for m in run.model.modules() if hasattr(m, "lora_A"))
        scales[method] = layer.scaling["default"]
    assert scales == {"lora": 1.0, "rslora": 4.0}


def test_targets_choose_the_layers(make_model):
    model, tokenizer = make_model("chatml")
    run = sft.train(model, tokenizer, RECORDS, method="lora", targets=["q_proj"], rank=2, **FAST)
    names = {n for n, p in run.model.named_parameters() if p.requires_grad}
    assert names and all(".q_proj." in name for name in names)


@pytest.mark.skipif(not four_bit_works("cpu")[0], reason="bitsandbytes has no 4 bits here")
def test_qlora_trains_beside_four_bits_and_comes_back_from_disk(folder, tmp_path):
    model, tokenizer = models.load(folder, bits=4)
    assert model.is_loaded_in_4bit
    run = sft.train(model, tokenizer, RECORDS, method="qlora", rank=4, **FAST | {"epochs": 20})
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    moved = {p.dtype for p in run.model.parameters() if p.requires_grad}
    halved = profile().dtype == "bfloat16"  # float16's scaler cannot take bf16 weights
    assert moved == {torch.bfloat16 if halved else torch.float32}
    whole = sum(p.numel() for p in models.load(folder)[0].parameters())
    assert run.parameters == whole + run.trainable
    saved = run.save(tmp_path / "adapter")
    again, _ = models.load(saved, bits=4)
    prompts = [data.prompt(r) for r in RECORDS]
    told = {"max_new_tokens": 8}
    assert generate(again, tokenizer, prompts, **told) == generate(
        run.model, tokenizer, prompts, **told
    )


def test_what_does_not_fit_is_said(make_model, folder):
    model, tokenizer = make_model("chatml")
    with pytest.raises(ConfigError, match=r"models.load\(name, bits=4\)"):
        sft.train(model, tokenizer, RECORDS, method="qlora")
    with pytest.raises(ConfigError, match="Did you mean 'q_proj'"):
        sft.train(model, tokenizer, RECORDS, method="lora", targets="q_prj")
    with pytest.raises(ConfigError, match="layers: 0 to"):
        sft.train(model, tokenizer, RECORDS, method="frozen", frozen_layers=99)
    with pytest.raises(ConfigError, match="bits=3"):
        models.load(folder, bits=3)
    if four_bit_works("cpu")[0]:
        with pytest.raises(ConfigError, match="qlora"):
            methods.prepare(models.load(folder, bits=4)[0], "full")
