"""What a training step holds and when: each tensor's birth and end, and where the peak is.

Layers of one shape are alike, so steps of one and of two layers say what n take. A step's memory
has its peak in one of three places, and each grows by the same amount with every layer:

    loss     all activations are held, and the logits     M(n) = M(2) + (n - 2) (M(2) - M(1))
    top      the last layer's gradients are made          M(n) = M(2) + (n - 2) (loss: M(2) - M(1))
    bottom   the first layer's, beside all the others'    M(n) = M(2) + (n - 2) (M(2) - M(1))
"""

import contextlib
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Ledger", "Step"]

PARTS = ("gradients", "activations", "casts", "logits")


@dataclass(frozen=True)
class Step:
    """What one training step takes."""

    peak: dict[str, float]
    """Bytes by part, beside the weights and the optimiser, when the most is held."""
    weights: float
    """Bytes of the weights that are not held in 4 bits, without adapters."""
    quantised: int
    """Weights that are held in 4 bits."""
    adapters: float
    """Bytes of the adapters."""
    trainable_bytes: float
    """Bytes of all weights that move."""
    parameters: int
    trainable: int
    flops: float
    """Floating-point operations: two for each multiplication with its addition."""


class Ledger:
    """Notes each storage that appears and goes, each layer's gradient, and the work.

    Args:
        model: on the CPU or of fake tensors; its weights are counted, not noted.
        base: ids of the parameters that are no adapter's.
        four_bit: ids of those that are held in 4 bits.
        logits: how many numbers the logits have.
        vocabulary: the last dimension of the logits.
    """

    def __init__(
        self, model: Any, base: set[int], four_bit: set[int], logits: int, vocabulary: int
    ) -> None:
        self.model, self.logits, self.vocabulary = model, logits, vocabulary
        self.live: dict[int, int] = {}  # storage -> its number
        self.born: list[tuple[int, str]] = []  # bytes, part
        self.events: list[tuple[int, int]] = []  # (number, +1 or -1); (-1, 0) is a layer's gradient
        self.work = 0.0
        self.on = self.backward = False
        own = [p for p in model.parameters() if id(p) in base]
        moving = [p for p in model.parameters() if p.requires_grad]
        self.counts = {
            "weights": float(sum(p.nbytes for p in own if id(p) not in four_bit)),
            "quantised": sum(p.numel() for p in own if id(p) in four_bit),
            "adapters": float(sum(p.nbytes for p in model.parameters() if id(p) not in base)),
            "trainable_bytes": float(sum(p.nbytes for p in moving)),
            "parameters": sum(p.numel() for p in model.parameters()),
            "trainable": sum(p.numel() for p in moving),
        }

    def watch(self, block: Any, args: Any, out: Any) -> None:
        """Ask a layer's output to tell when its gradient arrives."""
        out = out[0] if isinstance(out, tuple) else out
        if out.requires_grad and not self.backward:
            out.register_hook(lambda _: self._cut())

    def _cut(self) -> None:
        self.backward = True
        self.events.append((-1, 0))

    def _note(self, tensor: Any, cast: bool) -> None:
        storage = tensor.untyped_storage()
        key, number = storage._cdata, len(self.born)
        if key in self.live or key in self.held:
            return
        shaped = tensor.dim() and tensor.shape[-1] == self.vocabulary
        part = "logits" if shaped and tensor.numel() >= self.logits else "activations"
        self.born.append((storage.nbytes(), "casts" if cast else part))
        self.live[key] = number
        self.events.append((number, 1))
        weakref.finalize(storage, self._gone, key, number)

    def _gone(self, key: int, number: int) -> None:
        if self.on:
            self.live.pop(key, None)
            self.events.append((number, -1))

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Note what every operation makes."""
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode
        from torch.utils._pytree import tree_leaves
        from torch.utils.flop_counter import flop_registry

        ledger = self

        class Watch(TorchDispatchMode):
            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
                kwargs = kwargs or {}
                out = func(*args, **kwargs)
                if func._overloadpacket in flop_registry:
                    work = flop_registry[func._overloadpacket](*args, **kwargs, out_val=out)
                    ledger.work += work
                known = {_key(x) for x in tree_leaves(args) if isinstance(x, torch.Tensor)}
                cast = func is torch.ops.aten._to_copy.default and bool(known & ledger.held)
                for x in tree_leaves(out):
                    if isinstance(x, torch.Tensor) and _key(x) not in known:
                        ledger._note(x, cast)
                return out

        self.held = {_key(p) for p in self.model.parameters()}
        self.on = True
        with Watch():
            yield
        self.on = False

    def close(self, layers: int) -> None:
        """Work out the peak of each stretch: until the first cut, and after each."""
        kept = {_key(p.grad) for p in self.model.parameters() if p.grad is not None}
        gradients = {self.live[key] for key in kept if key in self.live}
        now, self.peaks = dict.fromkeys(PARTS, 0.0), [dict.fromkeys(PARTS, 0.0)]
        for number, sign in self.events:
            if number < 0:
                self.peaks.append(dict(now))
                continue
            size, part = self.born[number]
            now["gradients" if number in gradients else part] += sign * size
            if sum(now.values()) > sum(self.peaks[-1].values()):
                self.peaks[-1] = dict(now)
        if len(self.peaks) != layers + 1:
            raise RuntimeError(f"{len(self.peaks) - 1} of {layers} layers were seen in reverse")
        del self.model, self.live

    def whole(self, parts: int = 1) -> Step:
        """Return the step as it was run, `parts` times on the same gradients."""
        return _step(self.peaks, self.work, self.counts, parts)

    def grown(self, one: "Ledger", more: int, parts: int = 1) -> Step:
        """Return the step of a model with more layers, by what a single layer adds.

        Args:
            one: the same with one layer less.
            more: further layers.
            parts: how often the step is run on the same gradients.
        """

        def add(start: Any, two: Any, one: Any) -> Any:
            return {name: start[name] + more * (two[name] - one[name]) for name in start}

        loss, top, bottom = self.peaks
        stretches = (
            add(loss, loss, one.peaks[0]),
            add(top, loss, one.peaks[0]),
            add(bottom, bottom, one.peaks[1]),
        )
        work = self.work + more * (self.work - one.work)
        return _step(stretches, work, add(self.counts, self.counts, one.counts), parts)


def _step(
    stretches: Iterable[Mapping[str, float]], flops: float, counts: dict[str, Any], parts: int
) -> Step:
    """Return the step whose peak is the highest of the stretches'.

    With several parts, all gradients are there from the first one on.
    """
    held = counts["trainable_bytes"] if parts > 1 else 0.0
    full = [dict(s) | {"gradients": max(s["gradients"], held)} for s in stretches]
    peak = {part: max(0.0, size) for part, size in max(full, key=_sum).items()}
    return Step(peak=peak, flops=flops * parts, **counts)


def _key(tensor: Any) -> int:
    return tensor.untyped_storage()._cdata


def _sum(parts: Mapping[str, float]) -> float:
    return sum(parts.values())
