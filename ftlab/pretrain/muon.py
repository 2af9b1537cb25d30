"""Muon: steps along orthogonalised momentum, for the matrices inside the layers.

As `torch.optim.Muon`, which always iterates in bf16; that is a hundred times slower than float32
on a CPU without units for it, so here the iteration is done in a type of the caller's choice.

Sources: Jordan et al. 2024 (Muon, the coefficients); Liu et al. 2025, arXiv 2502.16982 (the factor
that gives a step the root mean square of AdamW's, so that both share one scale of rates).
"""

from collections.abc import Iterable

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: torch.Tensor, *, dtype: torch.dtype, steps: int = 5) -> torch.Tensor:
    """Return `matrix` with its singular values brought near one, by Newton-Schulz iteration.

    Args:
        matrix: shape (rows, columns).
        dtype: what to iterate in.
        steps: how many iterations.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.size(0) > matrix.size(1)
    x = (matrix.T if tall else matrix).to(dtype)
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay.

    Args:
        params: matrices.
        lr: rate, on AdamW's scale.
        dtype: what the orthogonalisation computes in.
        momentum: of the gradients.
        weight_decay: share of a weight that a step at rate one takes away.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        *,
        lr: float,
        dtype: torch.dtype,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step with the gradients at hand."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(state["momentum"], group["momentum"])
                update = orthogonalise(update, dtype=self.dtype).to(weight.dtype)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * 0.2 * max(weight.shape) ** 0.5)
