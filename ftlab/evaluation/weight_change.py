"""How far each layer of a model moved in training: the length of the change over the weights'.

    change of a layer = ||W' - W|| / ||W||      (Frobenius norms over all the layer's matrices)

Vectors (norms, biases) are left out: they are a few numbers of another size. An adapter is folded
into its base first, so that W' is what the model computes with; one that was trained beside 4-bit
weights is folded into the base as it was before it was quantised.

"Fine-tuning changes only the last layers" is then a question with an answer: `upper_share`.

>>> round(upper_share({"0": Moved(3.0, 9.0), "1": Moved(4.0, 9.0)}), 2)   # 16 of 9 + 16
0.64
"""

import math
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ftlab.errors import ModelError

__all__ = ["Moved", "between", "by_layer", "upper_share"]

LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


class Moved(NamedTuple):
    """How far the matrices of one layer moved."""

    change: float
    """||W' - W||"""
    size: float
    """||W||, before."""

    @property
    def relative(self) -> float:
        """The change as a share of what was there."""
        return self.change / self.size if self.size else math.nan


def by_layer(before: Any, after: Any) -> dict[str, Moved]:
    """Compare two models of one shape, layer by layer.

    Args:
        before: the base.
        after: the tuned model, without adapters.

    Returns:
        "embeddings", then the layers "0", "1", …, then "head" where it is not the embeddings again.

    Raises:
        ModelError: the two do not have the same matrices.
    """
    old = {name: weight for name, weight in before.named_parameters() if weight.ndim == 2}
    new = {name: weight for name, weight in after.named_parameters() if weight.ndim == 2}
    unlike = sorted(
        name for name in old.keys() | new.keys()
        if name not in old or name not in new or old[name].shape != new[name].shape
    )  # fmt: skip
    if unlike:
        raise ModelError(
            f"The two models are not of one shape: {len(unlike)} matrices differ (first "
            f"{unlike[0]}). Compare a model with the base that it was tuned from."
        )
    sums: dict[str, list[float]] = {}
    for name, weight in old.items():
        found = LAYER.search(name)
        place = found[1] if found else "embeddings" if "embed" in name else "head"
        total = sums.setdefault(place, [0.0, 0.0])
        a = weight.detach().float()
        b = new[name].detach().to(a.device).float()
        total[0] += (b - a).norm().item() ** 2
        total[1] += a.norm().item() ** 2
    order = {"embeddings": -1.0, "head": math.inf}
    return {
        place: Moved(math.sqrt(sums[place][0]), math.sqrt(sums[place][1]))
        for place in sorted(sums, key=lambda p: order[p] if p in order else int(p))
    }


def between(base: str | os.PathLike[str], tuned: str | os.PathLike[str]) -> dict[str, Moved]:
    """Load a base and a model or adapter tuned from it on the CPU, and compare them.

    Raises:
        ModelError: one of them cannot be read, or they are not of one shape.
    """
    from ftlab import models

    before, _ = models.load(base, device="cpu")
    after, _ = models.load(tuned, device="cpu")
    if hasattr(after, "merge_and_unload"):
        after = after.merge_and_unload()
    return by_layer(before, after)


def upper_share(moved: Mapping[str, Moved]) -> float:
    """Return how much of the layers' squared change lies in their upper half.

    An even spread gives a half; with an odd number of layers, the middle one counts as upper, and
    an even spread gives a little more. Embeddings and head are left out; nan where nothing moved.
    """
    layers = [moved[place] for place in sorted((p for p in moved if p.isdecimal()), key=int)]
    squares = [layer.change**2 for layer in layers]
    total = sum(squares)
    return sum(squares[len(squares) // 2 :]) / total if total else math.nan
