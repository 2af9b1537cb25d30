"""The loss of held-out records is that of their answers' tokens, record by record."""

import math

import pytest
import torch

from ftlab import data
from ftlab.templates import encode
from ftlab.training import held_out

RECORDS = [data.example("Say hi!", "fox"), data.example("Say it again, Paris!", "user and model")]


def test_nats_are_those_of_the_answers_tokens(make_model):
    model, tokenizer = make_model("chatml")
    found = held_out.nats(model, tokenizer, RECORDS)
    for record, ratio in zip(RECORDS, found, strict=True):
        encoded = encode(tokenizer, record)
        ids = torch.tensor([encoded.input_ids])
        logs = model(input_ids=ids).logits[0].log_softmax(-1)
        places = [i for i, kept in enumerate(encoded.loss_mask) if kept]
        wanted = -sum(logs[i - 1, encoded.input_ids[i]].item() for i in places)
        assert ratio.num == pytest.approx(wanted, rel=1e-4)
        assert ratio.den == len(places)
    assert all(one == pytest.approx(other, rel=1e-5) for one, other in zip(
        found, held_out.nats(model, tokenizer, RECORDS[::-1], batch_size=1)[::-1], strict=True
    ))  # fmt: skip
    # an untrained model guesses among all words
    mean = sum(r.num for r in found) / sum(r.den for r in found)
    assert mean == pytest.approx(math.log(len(tokenizer)), abs=0.5)
