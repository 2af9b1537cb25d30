import pytest
from torch import nn

from ftlab.training.heads import SCALED, is_plain


def test_a_head_alone_is_plain(make_model):
    assert is_plain(make_model()[0])


@pytest.mark.parametrize("name", SCALED)
def test_what_scales_logits_or_adds_a_loss_is_not(make_model, name):
    model = make_model()[0]
    setattr(model.config, name, 2.0)
    assert not is_plain(model)


def test_another_build_is_not_guessed_about():
    assert not is_plain(nn.Linear(2, 2))
