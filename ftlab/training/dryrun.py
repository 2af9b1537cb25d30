"""A training step that computes nothing: every tensor's size and life, and the work, are counted.

The model is built of torch's fake tensors, which have a shape and a type but no data. One step runs
through the real code of transformers, peft and autograd, while each storage that appears and goes
is noted. So what autograd keeps is counted, not guessed (by hand, for a plain transformer:
Korthikanti et al. 2022, "Reducing activation recomputation", section 4).

Layers of one shape are alike, so steps of one and of two layers say what n take. A step's memory
has its peak in one of three places, and each grows by the same amount with every layer:

    loss     all activations are held, and the logits     M(n) = M(2) + (n - 2) (M(2) - M(1))
    top      the last layer's gradients are made          M(n) = M(2) + (n - 2) (loss: M(2) - M(1))
    bottom   the first layer's, beside all the others'    M(n) = M(2) + (n - 2) (M(2) - M(1))

A third run says what one frozen layer more takes. Layers that differ in shape are all run.

>>> config = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
...     "num_attention_heads": 4, "num_hidden_layers": 8, "vocab_size": 1000}
>>> found = step(read(config), "full", batch_size=2, length=32)
>>> found.peak["logits"] >= 4 * 2 * 31 * 1000, found.peak["gradients"] <= 4 * found.trainable
(True, True)
"""

import contextlib
import copy
import functools
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftlab.errors import ConfigError, ModelError
from ftlab.training import methods

__all__ = ["Step", "read", "step"]

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


def read(config: Mapping[str, Any]) -> Any:
    """Return the transformers config that a `config.json` describes.

    Raises:
        ModelError: there is no such model type in transformers, or a value is of no use.
    """
    from transformers import AutoConfig

    values = dict(config)
    kind = values.pop("model_type", None)
    values.pop("quantization_config", None)  # what is held in 4 bits is the method's affair
    try:
        return AutoConfig.for_model(str(kind), **values)
    except Exception as error:  # each family checks its values in its own way
        raise ModelError(
            f"transformers knows no model of type {kind!r} with these values: "
            f"{_line(error)} The config.json of a causal LM is wanted."
        ) from error


def step(
    config: Any,
    method: str,
    *,
    batch_size: int,
    length: int,
    rank: int = 32,
    targets: str | Sequence[str] = "all-linear",
    frozen_layers: int | None = None,
    checkpointing: bool = False,
    compute: str = "float32",
    weights: str = "float32",
    eager: bool = True,
    loss_share: float = 1.0,
) -> Step:
    """Count one step of `ftlab.training.sft.train`.

    Args:
        config: a transformers config.
        method: one of `ftlab.training.methods.METHODS`.
        batch_size: records in the step.
        length: tokens in each record.
        rank: of an adapter's matrices.
        targets: the linear layers with an adapter.
        frozen_layers: how many of the lowest layers "frozen" keeps; by default half of them.
        checkpointing: keep each layer's input alone, and compute the rest again (Chen et al. 2016).
        compute: what mixed precision computes in; "float32" means none.
        weights: what the base's weights are held in.
        eager: attention as plain matrix products, as `train` does on a CPU; else a fused kernel
            that keeps no length × length matrix (Dao et al. 2022).
        loss_share: part of the tokens that carry loss; only they get logits.

    Raises:
        ConfigError: a method or layer that the model does not have.
        ModelError: transformers cannot build it as a causal LM, or its code asks for numbers where
            there are only shapes.
    """
    layers, alike = _layers(config)
    frozen = 0
    if method == "frozen":
        frozen = layers // 2 if frozen_layers is None else frozen_layers
        if not 0 <= frozen < layers:
            raise ConfigError(f"frozen_layers={frozen}, but the model has {layers} layers.")
    how = (
        method, batch_size, length, rank, targets, checkpointing, compute, weights, eager,
        loss_share,
    )  # fmt: skip
    try:
        if not alike or layers < 3:
            return _traced(config, layers, frozen, *how).whole()
        still = min(frozen, 1)
        one, two = (_traced(config, still + n, still, *how) for n in (1, 2))
        low = _traced(config, 3, 2, *how) if frozen > 1 else one
        return two.grown(one, low, layers - frozen - 2, frozen - still)
    except (NotImplementedError, RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(
            f"A step of {config.model_type!r} cannot be followed on shapes alone: {_line(error)}"
        ) from error


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _layers(config: Any) -> tuple[int, bool]:
    """Return how many layers the model has, and whether all are of one shape."""
    import torch

    with torch.device("meta"):
        blocks = _blocks(_build(config))
    shapes = [{name: tuple(p.shape) for name, p in b.named_parameters()} for b in blocks]
    return len(blocks), all(shape == shapes[0] for shape in shapes)


def _build(
    config: Any, layers: int | None = None, attention: str = "eager", weights: str = "float32"
) -> Any:
    """Return the causal LM, of so many layers."""
    import torch
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    inner = config.get_text_config()
    if layers is not None:
        inner.num_hidden_layers = layers
        if getattr(inner, "layer_types", None):
            inner.layer_types = inner.layer_types[:layers]
    try:
        return AutoModelForCausalLM.from_config(
            config, dtype=getattr(torch, weights), attn_implementation=attention
        )
    except Exception as error:  # a value of the config that its family's code cannot use
        raise ModelError(
            f"A {config.model_type!r} cannot be built as a causal LM: {_line(error)}"
        ) from error


def _blocks(model: Any) -> Any:
    """Return the list of the model's layers."""
    import torch

    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"{type(model).__name__} has no list of its {count} layers.")


def _traced(
    config: Any, layers: int, frozen: int, method: str, batch_size: int, length: int, rank: int,
    targets: Any, checkpointing: bool, compute: str, weights: str, eager: bool, loss_share: float,
) -> "_Ledger":  # fmt: skip
    """Run one step of so many layers, the lowest of them frozen; return what was noted."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from ftlab.training.trainer import SCALED

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peft and transformers: the real run shows its own
        with torch.device("meta"):
            causal = _build(config, layers, "eager" if eager else "sdpa", weights)
            base = {id(p) for p in causal.parameters()}
            model, four_bit = _prepared(causal, method, rank, targets, frozen, compute)
        if checkpointing:
            new = getattr(model, "activation_checkpointing_enable", None)  # transformers 5.2x
            (new or model.gradient_checkpointing_enable)({"use_reentrant": False})
        plain = hasattr(causal, "model") and hasattr(causal, "lm_head")  # as in `trainer`
        plain = plain and not any(getattr(config, name, None) for name in SCALED)
        vocabulary = config.get_text_config().vocab_size
        count = max(1, round(batch_size * (length - 1) * (loss_share if plain else 1)))
        ledger = _Ledger(model, base, four_bit, count * vocabulary, vocabulary)
        for block in _blocks(causal)[frozen:]:
            block.register_forward_hook(ledger.watch)
        with FakeTensorMode(allow_non_fake_inputs=True):
            _fill(model.train())
            ids = torch.zeros(batch_size, length, dtype=torch.long)
            inputs: dict[str, Any] = {"input_ids": ids, "use_cache": False}
            if eager:
                inputs["attention_mask"] = torch.zeros(batch_size, 1, length, length)
            where = torch.zeros(count, dtype=torch.long)
            mixed = torch.autocast("cpu", getattr(torch, compute), enabled=compute != "float32")
            with ledger.noting():
                with mixed:
                    if plain:
                        hidden = causal.model(**inputs).last_hidden_state[:, :-1].flatten(0, 1)
                        logits = causal.lm_head(hidden[where]).float()
                    else:
                        hidden, where = None, ids[:, 1:].flatten()
                        logits = model(**inputs).logits[:, :-1].flatten(0, 1).float()
                loss = torch.nn.functional.cross_entropy(logits, where, reduction="sum") / count
                del hidden, logits  # the trainer's function has returned by then
                loss.backward()
    ledger.close(layers - frozen)
    return ledger


def _prepared(
    causal: Any, method: str, rank: int, targets: Any, frozen: int, compute: str
) -> tuple[Any, set[int]]:
    """Return the model as `train` prepares it, and which of its weights are held in 4 bits."""
    import torch

    four_bit = _quantise(causal, compute) if method == "qlora" else set()
    adapter = methods.prepare(
        causal, "lora" if method == "qlora" else method, rank=rank, targets=targets,
        frozen_layers=frozen if method == "frozen" else None,
    )  # fmt: skip
    if adapter is None:
        return causal, four_bit
    from peft import get_peft_model

    model = get_peft_model(causal, adapter)
    for p in model.parameters():
        if p.requires_grad and method == "qlora":  # as TRL holds adapters beside 4-bit weights
            p.data = p.data.to(torch.bfloat16)
    return model, four_bit


def _fill(model: Any) -> None:
    """Put fake tensors of the CPU, which autocast and its kernels know, in place of meta ones."""
    import torch

    made: dict[int, Any] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, old in held.items():
                if old is None:
                    continue
                if id(old) not in made:  # tied weights stay one
                    new = torch.empty(old.shape, dtype=old.dtype)
                    if held is module._parameters:
                        new = torch.nn.Parameter(new, requires_grad=old.requires_grad)
                    made[id(old)] = new
                held[name] = made[id(old)]


def _quantise(model: Any, compute: str) -> set[int]:
    """Let the inner linear layers dequantise at every use, as bitsandbytes does; return them."""
    import torch

    kind = getattr(torch, compute)

    class FourBit(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any) -> Any:
            ctx.weight = weight
            return x @ torch.empty_like(weight, dtype=x.dtype).t()

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return grads[0] @ torch.empty_like(ctx.weight, dtype=grads[0].dtype), None

    def four_bit(module: Any, x: Any) -> Any:
        return FourBit.apply(x.to(kind), module.weight).to(x.dtype)

    head, found = model.get_output_embeddings(), set()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            module.forward = functools.partial(four_bit, module)  # type: ignore[method-assign]
            found.add(id(module.weight))
    return found


class _Ledger:
    """Notes each storage that appears and goes, each layer's gradient, and the work."""

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

    def whole(self) -> Step:
        """Return the step as it was run."""
        return Step(peak=max(self.peaks, key=_sum), flops=self.work, **self.counts)

    def grown(self, one: "_Ledger", low: "_Ledger", more: int, still: int) -> Step:
        """Return the step of a model with more layers, by what single layers add.

        Args:
            one: the same with one layer less.
            low: as `one`, with one frozen layer more; or `one` itself, if none is frozen.
            more: further layers that move.
            still: further layers that do not.
        """

        def add(start: Any, two: Any, one: Any, low: Any, alone: Any) -> Any:
            return start + more * (two - one) + still * (low - alone)

        def parts(start: dict[str, float], two: dict[str, float], one_: dict[str, float]) -> Any:
            lower, alone = low.peaks[0], one.peaks[0]
            return {p: add(start[p], two[p], one_[p], lower[p], alone[p]) for p in PARTS}

        loss, top, bottom = self.peaks
        stretches = (
            parts(loss, loss, one.peaks[0]),
            parts(top, loss, one.peaks[0]),
            parts(bottom, bottom, one.peaks[1]),
        )
        counts = {
            name: add(value, value, one.counts[name], low.counts[name], one.counts[name])
            for name, value in self.counts.items()
        }
        work = [ledger.work for ledger in (self, self, one, low, one)]
        return Step(
            peak={p: max(0.0, v) for p, v in max(stretches, key=_sum).items()},
            flops=add(*work),
            **counts,
        )


def _key(tensor: Any) -> int:
    return tensor.untyped_storage()._cdata


def _sum(parts: Mapping[str, float]) -> float:
    return sum(parts.values())
