"""The same training in less time on a CPU: logits where a token carries loss, and nowhere else.

    trainer = SFTTrainer(…)
    faster_on_cpu(trainer)
    trainer.train()

Of a row's tokens perhaps a third carry loss, and a vocabulary of 49,152 makes the output layer the
most expensive one. On a CPU TRL computes it at every position, and the entropy with it. A
DPOTrainer keeps its loss, and is spared the positions of the prompts.
"""

import gc
import re
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.version import Version

from ftlab import hardware
from ftlab.errors import ConfigError, ModelError
from ftlab.training.config import kind_of

if TYPE_CHECKING:
    import torch
    from trl import DPOTrainer, SFTTrainer

__all__ = ["faster_on_cpu", "is_plain", "upper_half"]

Trained = TypeVar("Trained", "SFTTrainer", "DPOTrainer")

SCALED = (  # models that do more than lm_head(hidden), or add a loss: TRL's own way serves them
    "final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier",
    "output_multiplier", "output_router_logits",
)  # fmt: skip


def faster_on_cpu(trainer: "Trained") -> "Trained":
    """Replace the trainer's loss by one that computes logits at supervised positions only.

    The losses are the same. The logs lose TRL's entropy and token accuracy. On a GPU, and for
    models or settings that need all the logits, nothing is changed, and one line says why.
    Models of earlier runs that nothing refers to any more are freed, since a trainer refers to
    itself in circles. And this process keeps freed memory for the next step
    (`hardware.reuse_memory`): on two old cores a quarter of the processor time went into clearing
    pages that were handed back.

    Args:
        trainer: an SFTTrainer or a DPOTrainer; it is changed in place.

    Returns:
        The same trainer.
    """
    import torch
    from torch.nn.functional import cross_entropy

    if reason := _reason_against(trainer):
        print(f"faster_on_cpu changed nothing: {reason}.")
        return trainer
    gc.collect()
    hardware.reuse_memory()
    if kind_of(trainer) == "dpo":
        from trl.trainer import utils

        # Its fused head leaves prompts out where Triton is, and computes the same without it.
        utils._use_triton = lambda device: True
        return trainer
    args, from_trl = trainer.args, trainer.compute_loss
    model: Any = trainer.model
    output_layer = model.get_output_embeddings()

    def compute_loss(
        model: Any,
        inputs: dict[str, "torch.Tensor"],
        return_outputs: bool = False,
        num_items_in_batch: "torch.Tensor | int | None" = None,
    ) -> Any:
        if return_outputs:  # metrics of the user's own want every logit
            return from_trl(model, inputs, True, num_items_in_batch)
        labels = inputs["labels"][:, 1:]  # position t predicts token t + 1
        supervised = labels != -100
        hook = output_layer.register_forward_pre_hook(
            lambda _, hidden: (hidden[0][:, :-1][supervised],)
        )
        try:
            others = {name: value for name, value in inputs.items() if name != "labels"}
            logits = model(**others, use_cache=False).logits  # (supervised tokens, vocabulary)
        finally:
            hook.remove()
        loss = cross_entropy(logits.float(), labels[supervised], reduction="sum")
        if num_items_in_batch is None:  # evaluation: the mean over this batch
            return loss / supervised.sum().clamp(min=1)
        # The mean over all accumulated batches of all processes, whose gradients are then averaged.
        processes = trainer.accelerator.num_processes if args.average_tokens_across_devices else 1
        return loss * processes / torch.as_tensor(num_items_in_batch).clamp(min=1)

    trainer.compute_loss = compute_loss  # type: ignore[method-assign]
    return trainer


def _reason_against(trainer: Any) -> str:
    """Return why the loss is left to TRL, or nothing."""
    model, args = trainer.model, trainer.args
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if args.device.type != "cpu":
        return f"on {args.device.type} TRL's own kernel does as much"
    if kind_of(trainer) == "dpo":
        from trl.trainer import utils

        return "" if hasattr(utils, "_use_triton") else "this TRL computes DPO in another way"
    if not is_plain(base):
        return f"the logits of {type(base).__name__} are more than lm_head(hidden)"
    if getattr(model, "active_peft_config", None) and model.active_peft_config.is_prompt_learning:
        return "a learned prompt moves the positions"
    if (
        getattr(args, "loss_type", None) not in ("nll", "chunked_nll")
        or args.label_smoothing_factor
    ):
        return "the loss is not the plain one"
    if trainer.compute_loss_func:
        return "the trainer has a loss function of its own"
    return ""


def is_plain(model: Any) -> bool:
    """Say whether a causal LM's logits are `lm_head(hidden)`, and its loss has no other part."""
    if not (hasattr(model, "model") and hasattr(model, "lm_head")):
        return False
    return not any(getattr(model.config, name, None) for name in SCALED)


TOWER = re.compile(r"vision|visual|image|audio|multi_modal")
"""In the name of a module that reads other things than text."""


def beside_text(model: Any) -> list[str]:
    """Return the names of a model's parts that read images or sound, out of reach of text."""
    return [name for name, _ in model.named_modules() if TOWER.search(name.rsplit(".", 1)[-1])]


def all_linear(model: Any) -> dict[str, Any]:
    """Return what a LoraConfig needs to put adapters on all linear layers.

    Raises:
        ModelError: the model is a mixture of experts, and the installed peft takes the word
            "all-linear" for a set of letters there.
    """
    import peft

    experts = getattr(model.config.get_text_config(), "num_experts_per_tok", None)
    if experts and Version(peft.__version__) < Version("0.21"):
        raise ModelError(
            f"{type(model).__name__} is a mixture of experts, and peft {peft.__version__} cannot "
            "put adapters on all of its layers. Run: pip install 'peft>=0.21'"
        )
    return {"target_modules": "all-linear"}


def upper_half(model: Any) -> dict[str, Any]:
    """Return what a LoraConfig needs to put adapters on the upper half of the layers only.

        LoraConfig(r=16, lora_alpha=32, **upper_half(model))

    The backward pass then stops half-way: less time, at the same score on our tasks.

    Args:
        model: a causal LM whose blocks are numbered, as in `model.layers.29.mlp.up_proj`.

    Raises:
        ConfigError: the model has no numbered blocks with linear layers.
    """
    import torch

    # peft takes layers_to_transform with a list of names, not with "all-linear".
    layers, names = set(), set()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and not TOWER.search(name):
            number = [int(part) for part in name.split(".") if part.isdigit()]
            if number:
                layers.add(number[0])
                names.add(name.split(".")[-1])
    if len(layers) < 2:
        raise ConfigError(
            f"{type(model).__name__} has no numbered blocks of linear layers to halve. "
            'Take target_modules="all-linear" instead.'
        )
    return {
        "target_modules": sorted(names),
        "layers_to_transform": sorted(layers)[len(layers) // 2 :],
    }
