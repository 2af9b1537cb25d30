import warnings

import pytest
import torch

from ftlab import data, models
from ftlab.errors import ConfigError, ModelError
from ftlab.generation import generate
from ftlab.training import sft
from ftlab.training.adapters import Adapters, merge

PROMPT = data.prompt(data.example("Say hi!", ""))


@pytest.fixture(scope="module")
def home(make_model, tmp_path_factory):
    """A tiny base and two adapters of it that learned different answers."""
    folder = tmp_path_factory.mktemp("adapters")
    model, tokenizer = make_model("chatml")
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    for word in ("fox", "Paris"):
        base, tokenizer = models.load(folder / "base")
        run = sft.train(
            base, tokenizer, [data.example("Say hi!", word)] * 4, method="lora", epochs=20,
            batch_size=4, learning_rate=2e-2, rank=4,
        )  # fmt: skip
        run.save(folder / word)
    return folder


def test_each_adapter_answers_as_it_learned_and_none_as_the_base(home):
    base, tokenizer = models.load(home / "base")
    plain = generate(base, tokenizer, [PROMPT], max_new_tokens=6)
    adapters = Adapters(home / "base", {"animal": home / "fox", "city": home / "Paris"})
    for _ in range(2):
        for name, word in (("animal", "fox"), ("city", "Paris")):
            with adapters(name) as model:
                assert generate(model, adapters.tokenizer, [PROMPT], max_new_tokens=6) == [word]
    with adapters(None) as model:
        assert generate(model, adapters.tokenizer, [PROMPT], max_new_tokens=6) == plain


def test_an_adapter_is_switched_off_even_when_something_fails(home):
    adapters = Adapters(home / "base", {"animal": home / "fox", "city": home / "Paris"})
    before = adapters.model.active_adapter
    with pytest.raises(RuntimeError), adapters("city"):
        raise RuntimeError
    assert adapters.model.active_adapter == before == "animal"


def test_what_is_no_adapter_is_said(home):
    with pytest.raises(ConfigError, match="at least one"):
        Adapters(home / "base", {})
    with pytest.raises(ModelError, match="adapter_config"):
        Adapters(home / "base", {"animal": home / "base"})
    with (
        pytest.raises(ConfigError, match="Did you mean 'animal'"),
        Adapters(home / "base", {"animal": home / "fox"})("animl"),
    ):
        pass


def test_a_pickled_adapter_is_refused_before_peft_opens_it(home, tmp_path):
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "adapter_config.json").write_text((home / "fox" / "adapter_config.json").read_text())
    (folder / "adapter_model.bin").write_bytes(b"not to be opened")
    with pytest.raises(ModelError, match=r"only pickled weights .*can run code"):
        Adapters(home / "base", {"animal": home / "fox", "theirs": folder})


def test_merged_is_base_plus_the_product_and_agrees(home):
    model, tokenizer = models.load(home / "fox")
    layer = model.get_base_model().model.layers[0].self_attn.q_proj
    wanted = layer.weight + layer.scaling["default"] * (
        layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    )
    merged, agreement = merge(model, tokenizer)
    assert torch.allclose(merged.model.layers[0].self_attn.q_proj.weight, wanted, atol=1e-6)
    assert agreement and agreement.difference < 1e-3
    assert generate(merged, tokenizer, [PROMPT], max_new_tokens=6) == ["fox"]


def test_a_merge_that_changes_answers_is_noticed(home, monkeypatch):
    model, tokenizer = models.load(home / "fox")
    tuner = type(model.base_model)
    monkeypatch.setattr(tuner, "merge_and_unload", lambda self, **_: self.unload())
    _, agreement = merge(model, tokenizer, ["Say hi!"])
    assert not agreement and "OTHER ANSWERS" in str(agreement)


def test_nothing_to_merge_is_said(home):
    with pytest.raises(ModelError, match="no adapter"):
        merge(*models.load(home / "base"))


def test_adapters_are_put_together_without_a_warning(home):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", FutureWarning)
        Adapters(home / "base", {"animal": home / "fox"})
    assert [str(one.message) for one in told] == []
