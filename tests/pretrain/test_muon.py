import pytest
import torch

from ftlab.pretrain.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(8, 8), (8, 24), (24, 8)])
def test_singular_values_come_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape), dtype=torch.float32))
    assert values.min() > 0.5
    assert values.max() < 1.5


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has no Muon to compare with")
def test_steps_are_those_of_torch_up_to_bf16():
    torch.manual_seed(0)
    start, gradients = torch.randn(16, 40), torch.randn(3, 16, 40)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optims = [
        Muon([ours], lr=0.02, dtype=torch.float32, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ]
    for gradient in gradients:
        for weight, optim in zip((ours, theirs), optims, strict=True):
            weight.grad = gradient.clone()
            optim.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved
