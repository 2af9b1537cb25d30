"""Which weights a fine-tune moves: all, the upper layers, or a small adapter beside frozen ones.

| method | trains | source |
|---|---|---|
| full | every weight | |
| frozen | the upper layers; embeddings and lower layers stay | Howard and Ruder 2018 |
| lora | two thin matrices beside every linear layer: W + (alpha / r) B A | Hu et al. 2021 |
| rslora | the same with alpha / sqrt(r), so that a high rank still learns | Kalajdzievski 2023 |
| dora | LoRA on the direction, and a length for each output by itself | Liu et al. 2024 |
| qlora | LoRA beside weights held in 4-bit NF4 | Dettmers et al. 2023 |
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ftlab.errors import ConfigError, raise_unknown
from ftlab.training.fast import TOWER, beside_text

if TYPE_CHECKING:
    from peft import LoraConfig

METHODS = ("full", "frozen", "lora", "rslora", "dora", "qlora")
ADAPTERS = METHODS[2:]
# Peak rates, picked on ftlab-7m and punctuation, by the loss of training passages set aside; larger
# models want about a tenth.
LEARNING_RATES = dict.fromkeys(ADAPTERS, 2e-3) | {"full": 1e-3, "frozen": 1e-3}


def prepare(
    model: Any,
    method: str,
    *,
    rank: int = 32,
    alpha: float | None = None,
    targets: str | Sequence[str] = "all-linear",
    frozen_layers: int | None = None,
) -> "LoraConfig | None":
    """Freeze what the method keeps, in place; return the adapter to add, if there is one to add.

    Args:
        model: a causal LM; for "qlora" one that was loaded with `bits=4`.
        method: one of `METHODS`.
        rank: r, the inner width of an adapter's matrices.
        alpha: the adapter's scale; by default twice the rank.
        targets: names of the linear layers that get an adapter, as peft takes them.
        frozen_layers: how many of the lowest layers "frozen" keeps; by default half of them.

    Raises:
        ConfigError: an unknown method or layer, or a model that the method does not suit.
    """
    if method not in METHODS:
        raise_unknown("method", method, METHODS)
    four_bit = bool(getattr(model, "is_loaded_in_4bit", False))
    if method == "qlora" and not four_bit:
        raise ConfigError(
            "qlora trains beside 4-bit weights, and this model's are not. Load it with "
            "models.load(name, bits=4)."
        )
    if four_bit and method not in ADAPTERS:
        raise ConfigError(
            f"The model's weights are in 4 bits, which {method!r} cannot move. Take method='qlora'"
            ", or load the model without bits=4."
        )
    if hasattr(model, "peft_config"):
        raise ConfigError(
            "The model has an adapter already. To start another, fold it into its base first: "
            "`ftlab merge`."
        )
    if method == "frozen":
        _freeze(model, frozen_layers)
    if method not in ADAPTERS:
        return None
    from peft import LoraConfig

    chosen: Any = targets
    if targets != "all-linear":
        chosen = [targets] if isinstance(targets, str) else list(targets)
        linear = sorted({n.split(".")[-1] for n, m in model.named_modules() if _is_linear(m)})
        for name in chosen:
            if name not in linear:
                raise_unknown("linear layer", name, linear)
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,  # type: ignore[arg-type]  # floats work
        lora_dropout=0.0,
        target_modules=chosen,
        exclude_modules=rf".*({TOWER.pattern}).*" if beside_text(model) else None,
        use_rslora=method == "rslora",
        use_dora=method == "dora",
        task_type="CAUSAL_LM",
    )


def _is_linear(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Linear)


def _freeze(model: Any, count: int | None) -> None:
    """Keep the embeddings and the lowest `count` layers from moving."""
    layers = getattr(getattr(model, "model", None), "layers", None)
    if layers is None:
        raise ConfigError(
            f"{type(model).__name__} has no list of layers at model.layers, so 'frozen' cannot "
            "tell the lower ones. Take another method."
        )
    count = len(layers) // 2 if count is None else count
    if not 0 <= count < len(layers):
        raise ConfigError(
            f"frozen_layers={count}, but the model has {len(layers)} layers: 0 to "
            f"{len(layers) - 1} of them can stay."
        )
    for part in (model.get_input_embeddings(), *layers[:count]):
        part.requires_grad_(False)
