"""A training step on shapes alone: every tensor's size and life, and no numbers.

The model is built on torch's meta device, where a tensor has a shape and a type but no data, with
few layers. One step runs through the real code of transformers and peft, while each storage that
appears and goes is noted. So what autograd keeps is counted, not guessed (the count by hand for a
plain transformer: Korthikanti et al. 2022, "Reducing activation recomputation", section 4).

Layers are alike, so what two and three of them take says what any number does:

    M(n) = M(3) + (n - 3) (M(3) - M(2))

This holds in each stretch of the step by itself, from one layer's gradient to the next; the peak is
the largest stretch's (a large vocabulary peaks at the loss, a small batch at the last gradient).

>>> config = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
...     "num_attention_heads": 4, "num_hidden_layers": 8, "vocab_size": 1000}
>>> peak = step(read(config), "full", batch_size=2, length=32)
>>> peak["logits"] >= 4 * 2 * 31 * 1000
True
"""

import contextlib
import copy
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from ftlab.errors import ModelError
from ftlab.training import methods

TAGS = ("gradients", "activations", "casts", "logits")


def read(config: Mapping[str, Any]) -> Any:
    """Return the transformers config that a `config.json` describes.

    Raises:
        ModelError: there is no such model type in transformers, or a value is of no use.
    """
    from transformers import AutoConfig

    values = dict(config)
    kind = values.pop("model_type", None)
    try:
        return AutoConfig.for_model(str(kind), **values)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(
            f"transformers knows no model of type {kind!r} with these values: "
            f"{str(error).splitlines()[0][:200]} The config.json of a causal LM is wanted."
        ) from error


def build(config: Any, *, layers: int | None = None, attention: str = "eager") -> Any:
    """Return the model on the meta device: all its shapes, none of its numbers.

    Args:
        config: a transformers config.
        layers: how many of them; by default all.
        attention: the attention's implementation.

    Raises:
        ModelError: it is no causal LM that transformers can build.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(config)
    inner = config.get_text_config()
    if layers is not None:
        inner.num_hidden_layers = layers
        if getattr(inner, "layer_types", None):
            inner.layer_types = inner.layer_types[:layers]
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(
                config, dtype=torch.float32, attn_implementation=attention
            )
    except (ValueError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        raise ModelError(
            f"A {config.model_type!r} cannot be built as a causal LM: "
            f"{str(error).splitlines()[0][:200]}"
        ) from error


def step(
    config: Any,
    method: str,
    *,
    batch_size: int,
    length: int,
    rank: int = 32,
    targets: Any = "all-linear",
    trainable_layers: int | None = None,
    checkpointing: bool = False,
    compute: str = "float32",
    weights: str = "float32",
    eager: bool = True,
    loss_share: float = 1.0,
) -> dict[str, float]:
    """Return what the peak of a step adds to weights and optimiser, in bytes by part.

    Args:
        config: a transformers config.
        method: one of `ftlab.training.methods.METHODS`.
        batch_size: records in the step.
        length: tokens in each record.
        rank: of an adapter's matrices.
        targets: the linear layers with an adapter.
        trainable_layers: how many of the upper layers move, for "frozen".
        checkpointing: keep each layer's input alone, and compute the rest again.
        compute: what mixed precision computes in; "float32" means none.
        weights: what the base's weights are held in.
        eager: attention as plain matrix products, as on a CPU; else a fused kernel that keeps no
            length × length matrix (Dao et al. 2022).
        loss_share: part of the tokens that carry loss; only they get logits.

    Returns:
        `gradients`, `activations`, `casts` (weights in the type computed in) and `logits`.

    Raises:
        ModelError: the model's code needs numbers (routing to experts may), so shapes are not
            enough.
    """
    total = config.get_text_config().num_hidden_layers
    fixed = 1 if method == "frozen" else 0
    moving = (trainable_layers or total) if fixed else total
    found = []
    for layers in (2, 3):
        try:
            found.append(
                _traced(
                    config, method, layers + fixed, fixed, batch_size, length, rank, targets,
                    checkpointing, compute, weights, eager, loss_share,
                )
            )  # fmt: skip
        except (NotImplementedError, RuntimeError) as error:
            raise ModelError(
                f"A step of {config.model_type!r} cannot be followed on shapes alone: "
                f"{str(error).splitlines()[0][:200]}"
            ) from error
    stretches = [
        {tag: max(0.0, three[tag] + (moving - 3) * (three[tag] - two[tag])) for tag in TAGS}
        for two, three in zip(*found, strict=True)
    ]
    return max(stretches, key=lambda parts: sum(parts.values()))


def _traced(
    config: Any, method: str, layers: int, fixed: int, batch_size: int, length: int, rank: int,
    targets: Any, checkpointing: bool, compute: str, weights: str, eager: bool, loss_share: float,
) -> list[dict[str, float]]:  # fmt: skip
    """Run one step; return the bytes by tag at the peak of each of its stretches."""
    import torch

    from ftlab.training.sft import SCALED

    if not eager:
        _register_fused()
    model = build(config, layers=layers, attention="eager" if eager else "ftlab_fused")
    if method in methods.ADAPTERS:
        model.to(getattr(torch, weights))
    blocks = model.model.layers if hasattr(model, "model") else []
    how = {"rank": rank, "targets": targets}
    if method == "qlora":
        _quantise(model, compute)
    adapter = methods.prepare(
        model, "lora" if method == "qlora" else method,
        frozen_layers=fixed if fixed else None, **how,
    )  # fmt: skip
    head, vocabulary = model.get_output_embeddings(), config.get_text_config().vocab_size
    plain = hasattr(model, "model") and hasattr(model, "lm_head")  # as in `sft`
    plain = plain and not any(getattr(config, name, None) for name in SCALED)
    if checkpointing:
        new = getattr(model, "activation_checkpointing_enable", None)  # transformers 5.2x
        (new or model.gradient_checkpointing_enable)({"use_reentrant": False})
        if adapter:
            model.enable_input_require_grads()
    if adapter:
        from peft import inject_adapter_in_model

        with torch.device("meta"):
            for parameter in model.parameters():
                parameter.requires_grad_(False)
            inject_adapter_in_model(adapter, model)
        for parameter in model.parameters():
            if parameter.requires_grad:  # as peft and, for 4 bits, TRL hold them
                kind = torch.bfloat16 if method == "qlora" else torch.float32
                parameter.data = parameter.data.to(kind)
    model.train()
    count = max(1, round(batch_size * (length - 1) * (loss_share if plain else 1)))
    ledger = _Ledger(count * vocabulary, vocabulary)
    for block in blocks[fixed:]:
        block.register_forward_hook(lambda _, __, out: _mark(out, ledger))
    with ledger.watching(), _mixed(getattr(torch, compute), ledger):
        ids = torch.zeros(batch_size, length, dtype=torch.long, device="meta")
        inputs: dict[str, Any] = {"input_ids": ids, "use_cache": False}
        if eager:
            inputs["attention_mask"] = torch.zeros(batch_size, 1, length, length, device="meta")
        where = torch.zeros(count, dtype=torch.long, device="meta")
        if plain:
            hidden = model.model(**inputs).last_hidden_state[:, :-1].flatten(0, 1)[where]
            logits = head(hidden).float()
        else:
            hidden = None
            logits = model(**inputs).logits[:, :-1].flatten(0, 1).float()
            where = ids[:, 1:].flatten()
        loss = torch.nn.functional.cross_entropy(logits, where, reduction="sum") / count
        del hidden, logits  # the trainer's function has returned by then
        torch.autograd.backward([loss])  # loss.backward() would step out of the mode
    gradients = {_key(p.grad) for p in model.parameters() if p.grad is not None}
    return ledger.peaks(gradients, layers - fixed)


def _mark(out: Any, ledger: "_Ledger") -> None:
    out = out[0] if isinstance(out, tuple) else out
    if out.requires_grad and not ledger.backward:
        out.register_hook(lambda _: ledger.cut())


def _key(tensor: Any) -> int:
    return tensor.untyped_storage()._cdata


class _Ledger:
    """Notes each storage that appears and goes, and the cuts between stretches."""

    def __init__(self, logits: int, vocabulary: int) -> None:
        self.logits, self.vocabulary = logits, vocabulary
        self.live: dict[int, int] = {}  # storage -> its number
        self.born: list[tuple[int, str]] = []  # bytes, tag
        self.last: dict[int, int] = {}  # storage -> the number it had last
        self.events: list[tuple[int, int]] = []  # (number, +1 or -1); (-1, 0) is a cut
        self.backward = False
        self.cast = False
        self.on = False

    def cut(self) -> None:
        self.backward = True
        self.events.append((-1, 0))

    def note(self, tensor: Any) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.live:
            return
        number = len(self.born)
        shaped = tensor.dim() and tensor.shape[-1] == self.vocabulary
        tag = "logits" if shaped and tensor.numel() >= self.logits else "activations"
        self.born.append((storage.nbytes(), "casts" if self.cast else tag))
        self.live[key] = self.last[key] = number
        self.events.append((number, 1))
        weakref.finalize(storage, self.gone, key, number)

    def gone(self, key: int, number: int) -> None:
        if self.live.get(key) == number:
            del self.live[key]
        if self.on:
            self.events.append((number, -1))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        import torch
        from torch.utils._python_dispatch import TorchDispatchMode
        from torch.utils._pytree import tree_leaves

        ledger = self

        class Watch(TorchDispatchMode):
            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
                out = func(*args, **(kwargs or {}))
                known = {_key(x) for x in tree_leaves(args) if isinstance(x, torch.Tensor)}
                for x in tree_leaves(out):
                    if isinstance(x, torch.Tensor) and _key(x) not in known:
                        ledger.note(x)
                return out

        self.on = True
        with Watch():
            yield
        self.on = False

    def peaks(self, gradients: set[int], layers: int) -> list[dict[str, float]]:
        """Return, for four stretches, the bytes by tag when the most is live."""
        grads = {self.last[key] for key in gradients if key in self.last}
        cuts = [i for i, (number, _) in enumerate(self.events) if number < 0]
        if len(cuts) != layers:
            raise RuntimeError(f"{len(cuts)} of {layers} layers were seen to get a gradient")
        edges = [0, cuts[0], cuts[-1], len(self.events) + 1]
        now = dict.fromkeys(TAGS, 0.0)
        best = [dict(now) for _ in range(4)]
        for i, (number, sign) in enumerate(self.events):
            if number < 0:
                continue
            size, tag = self.born[number]
            now["gradients" if number in grads else tag] += sign * size
            stretch = next(s for s in range(3) if i < edges[s + 1])
            if sum(now.values()) > sum(best[stretch].values()):
                best[stretch] = dict(now)
        best[3] = now | {"activations": 0.0, "casts": 0.0, "logits": 0.0}
        return best


# What mixed precision, a fused attention kernel and 4-bit weights do to shapes.


def _mixed(compute: Any, ledger: _Ledger) -> Any:
    """Cast as autocast does: matrix products in `compute`, a moving weight's cast kept for reuse.

    Autocast itself does not know the meta device. Its rules: https://docs.pytorch.org/docs/stable/amp.html
    """
    import torch
    from torch.overrides import TorchFunctionMode

    products = {
        torch.nn.functional.linear, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__,
        torch.bmm, torch.Tensor.bmm, torch.mm, torch.Tensor.mm,
    }  # fmt: skip
    kept: dict[int, Any] = {}

    def cast(x: Any) -> Any:
        if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.dtype == compute:
            return x
        if not isinstance(x, torch.nn.Parameter):
            return x.to(compute)
        if id(x) in kept:
            return kept[id(x)]
        ledger.cast = True
        made = x.to(compute)
        ledger.cast = False
        if x.requires_grad and not ledger.backward:
            kept[id(x)] = made
        return made

    class Cast(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            if func in products and compute != torch.float32:
                args = tuple(cast(x) for x in args)
                kwargs = {k: cast(x) for k, x in (kwargs or {}).items()}
            return func(*args, **(kwargs or {}))

        def __exit__(self, *error: Any) -> None:
            kept.clear()
            super().__exit__(*error)

    return Cast()


def _register_fused() -> None:
    """Make an attention known to transformers that keeps its inputs, output and one row sum."""
    import torch
    from transformers import AttentionInterface

    class Fused(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Any, k: Any, v: Any) -> Any:
            out = q.new_empty(*q.shape[:-1], v.shape[-1])
            ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
            return out

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return tuple(torch.empty_like(x) for x in ctx.saved_tensors[:3])

    def attend(module: Any, q: Any, k: Any, v: Any, mask: Any = None, **_: Any) -> Any:
        q, k = q.to(v.dtype), k.to(v.dtype)  # rotation leaves them in float32
        return Fused.apply(q, k, v).transpose(1, 2).contiguous(), None

    AttentionInterface.register("ftlab_fused", attend)


def _quantise(model: Any, compute: str) -> None:
    """Let each inner linear layer work from 4-bit weights, which are dequantised at every use."""
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

    head = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            module.forward = lambda x, m=module: FourBit.apply(x.to(kind), m.weight).to(x.dtype)
