import math

import pytest

from ftlab.errors import DataError
from ftlab.evaluation.forgetting import bits_per_character, forgotten, general_text
from ftlab.tasks import Ratio

TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.mark.parametrize("family", ["chatml", "llama3"])  # without and with a bos token
def test_bits_are_the_models_own_log_likelihood(make_model, family):
    import torch

    model, tokenizer = make_model(family)
    (got,) = bits_per_character(model, tokenizer, [TEXT])
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    if tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id, *ids]
        assert got.den == len(TEXT)
    with torch.inference_mode():
        chances = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    bits = -sum(chances[i, token].item() for i, token in enumerate(ids[1:])) / math.log(2)
    assert got.num == pytest.approx(bits, rel=1e-4)
    assert got.den == len(tokenizer.decode(ids[1:]))


def test_a_model_that_knows_nothing_needs_log2_of_its_vocabulary_a_token(make_model):
    import torch

    model, tokenizer = make_model("chatml")
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    (got,) = bits_per_character(model, tokenizer, [TEXT])
    tokens = len(tokenizer(TEXT)["input_ids"]) - 1
    assert got.num == pytest.approx(tokens * math.log2(len(tokenizer)), rel=1e-5)


def test_a_text_longer_than_the_context_is_cut_and_an_empty_one_refused(make_model):
    model, tokenizer = make_model("chatml", max_position_embeddings=16)
    (got,) = bits_per_character(model, tokenizer, [TEXT * 20])
    assert 0 < got.den < len(TEXT) * 2
    with pytest.raises(DataError, match="too short"):
        bits_per_character(model, tokenizer, [""])


def test_differences_are_paired_and_above_zero_where_it_got_worse():
    base = [Ratio(100.0 + 30 * i, 50) for i in range(10)]
    worse = [Ratio(r.num + 5, r.den) for r in base]
    found = forgotten({"base": base, "tuned": worse, "same": base})
    assert list(found["differences"]) == ["tuned", "same"]
    gap = found["differences"]["tuned"]
    assert gap.low == pytest.approx(0.1) == gap.high
    assert found["differences"]["same"].value == 0
    assert forgotten({}) == {"models": {}, "differences": {}}


def test_the_general_text_is_of_many_kinds_and_short_enough_for_a_small_model():
    passages = general_text()
    assert len({kind for kind, _ in passages}) == len(passages) >= 12
    assert all(200 < len(text) < 700 for _, text in passages)
