import math

import pytest

from ftlab.errors import ModelError
from ftlab.evaluation.weight_change import Moved, between, by_layer, upper_share
from ftlab.records import Record
from ftlab.training import sft

RECORDS = [Record.of(f"Say {w}!", f"the {w}") for w in ("fox", "dog")]


def test_a_change_is_measured_against_the_layers_own_weights(make_model):
    import torch

    before, _ = make_model("chatml")
    after, _ = make_model("chatml")
    with torch.no_grad():
        for name, weight in after.named_parameters():
            if "layers.1." in name:
                weight *= 1.25  # norms too: they do not count
    moved = by_layer(before, after)
    assert list(moved) == ["embeddings", "0", "1"]  # the head is the embeddings
    assert moved["1"].relative == pytest.approx(0.25, rel=1e-5)
    assert moved["0"].change == moved["embeddings"].change == 0
    size = sum(w.square().sum().item() for n, w in before.named_parameters()
               if "layers.1." in n and w.ndim == 2)  # fmt: skip
    assert moved["1"].size == pytest.approx(math.sqrt(size), rel=1e-5)
    assert upper_share(moved) == 1


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_an_adapter_counts_as_what_it_makes_of_its_base(make_model, method, tmp_path):
    import torch

    model, tokenizer = make_model("chatml", tie_word_embeddings=False)
    model.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    model.name_or_path = str(tmp_path / "base")
    old = {n: w.detach().clone() for n, w in model.named_parameters()}
    run = sft.train(model, tokenizer, RECORDS, method=method, rank=2, epochs=2)
    moved = between(tmp_path / "base", run.save(tmp_path / "tuned"))
    assert list(moved) == ["embeddings", "0", "1", "head"]
    total = 0.0
    for name, module in run.model.get_base_model().named_modules():
        if hasattr(module, "lora_A") and "layers.1." in name:
            module.merge()
            total += (module.weight - old[f"{name}.weight"]).square().sum().item()
    assert moved["1"].change == pytest.approx(math.sqrt(total), rel=1e-4) and total > 0
    assert torch.equal(old["lm_head.weight"], run.model.get_base_model().lm_head.weight)
    assert moved["head"].change == 0


def test_models_of_two_shapes_and_no_change_at_all(make_model):
    one, two = make_model("chatml")[0], make_model("chatml", hidden_size=64)[0]
    with pytest.raises(ModelError, match="not of one shape"):
        by_layer(one, two)
    assert math.isnan(upper_share({"0": Moved(0, 1), "1": Moved(0, 1)}))
