"""The checks of `preflight` on model, settings and machine: weights, rate, types, packing."""

import copy
from typing import TYPE_CHECKING, Any

from ftlab.hardware import PACKS, profile
from ftlab.training.config import learning_rate
from ftlab.training.preflight_checks import Check, Finding
from ftlab.training.preflight_rows import IGNORED, Inspection

if TYPE_CHECKING:
    import torch

__all__ = ["SETUP_CHECKS"]

FAR = 3  # so many times above or below the table's range, a rate needs a reason


def trainable(seen: Inspection) -> Finding:
    """Find a model of which nothing is trained."""
    model = seen.trainer.model
    weights = [p for p in model.parameters() if p.requires_grad]
    count, of = sum(p.numel() for p in weights), model.num_parameters()
    if not weights:
        cure = "model.requires_grad_(True)"
        if hasattr(model, "peft_config"):
            cure = "Load the adapter with PeftModel.from_pretrained(…, is_trainable=True)."
        return Finding("trainable", "error", f"none of {of:,} weights", cure)
    return Finding("trainable", "ok", f"{count:,} of {of:,} weights ({count / of:.2%})")


def weights(seen: Inspection) -> Finding:
    """Find weights that are no numbers."""
    import torch

    for name, weight in seen.trainer.model.named_parameters():
        if not weight.is_floating_point() or weight.is_meta or not weight.numel():
            continue
        low, high = torch.aminmax(weight.detach())  # a NaN anywhere comes out
        if not torch.isfinite(low) or not torch.isfinite(high):
            cure = "Load the model again, in float32 or bfloat16; float16 ends at 65,504."
            return Finding("weights", "error", f"{name} holds NaN or infinity", cure)
    return Finding("weights", "ok", "all are finite")


def rate(seen: Inspection) -> Finding:
    """Compare the learning rate with the table for the method and the size."""
    model, args = seen.trainer.model, seen.trainer.args
    adapters = getattr(model, "peft_config", None)
    size = model.num_parameters()
    if adapters and not all(str(c.peft_type).endswith("LORA") for c in adapters.values()):
        return Finding("learning rate", "ok", f"{args.learning_rate:g}; no table for this adapter")
    if seen.kind == "sft":
        four_bit = getattr(model, "is_loaded_in_4bit", False)
        method = ("qlora" if four_bit else "lora") if adapters else "full"
    else:
        method = seen.kind if adapters else f"{seen.kind}-full"
    table = learning_rate(method, size)
    usual = f"{method} on {size:,.0f} weights: {table.low:g} to {table.high:g}"
    found = f"{args.learning_rate:g} ({usual})"
    if table.low / FAR <= args.learning_rate <= table.high * FAR:
        return Finding("learning rate", "ok", found)
    far = "far below" if args.learning_rate < table.low else "far above"
    found = f"{args.learning_rate:g} is {far} what people use ({usual})"
    return Finding("learning rate", "warning", found, f"Try learning_rate={table.usual:g} first.")


def capability(device: "torch.device") -> tuple[int, int]:
    """Return the compute capability of a CUDA device: (7, 5) is a T4, (8, 0) has bf16 units."""
    import torch

    return torch.cuda.get_device_capability(device)


def dtype(seen: Inspection) -> Finding:
    """Find half precision that this device does not have, or that no optimiser step survives."""
    import torch

    model, args = seen.trainer.model, seen.trainer.args
    trained = {p.dtype for p in model.parameters() if p.requires_grad}
    held = {p.dtype for p in model.parameters() if p.is_floating_point()}
    device = args.device.type
    mixed = "bf16" if args.bf16 else "fp16" if args.fp16 else "float32"
    if torch.float16 in trained:
        found = "the weights that are trained are float16: steps are lost, losses become NaN"
        cure = "Load the model with dtype=torch.float32, and set fp16=True on a T4."
        return Finding("dtype", "error", found, cure)
    if torch.bfloat16 in trained and not getattr(model, "is_loaded_in_4bit", False):
        found = "the weights that are trained are bfloat16, which loses steps below 1/256 of them"
        cure = "Load the model with dtype=torch.float32 (and bf16=True where the device has it)."
        return Finding("dtype", "warning", found, cure)
    if device == "cpu" and torch.float16 in held:
        cure = "Load the model with dtype=torch.float32."
        return Finding("dtype", "warning", "float16 weights on a CPU, which emulates them", cure)
    if device == "cpu" and args.bf16 and profile().dtype == "float32":
        found = f"bf16 on a CPU that only emulates it ({profile().reasons['dtype']})"
        return Finding("dtype", "warning", found, "Set bf16=False.")
    if device == "cuda":
        has_bf16 = capability(args.device) >= (8, 0)
        if not has_bf16 and (args.bf16 or torch.bfloat16 in held):
            found = "bf16 on a GPU without bf16 units (a T4 is one): emulated, several times slower"
            cure = "Set bf16=False, fp16=True; load weights in float32, or float16 if frozen."
            return Finding("dtype", "warning", found, cure)
        if not args.bf16 and not args.fp16:
            cure = f"Set {'bf16' if has_bf16 else 'fp16'}=True."
            return Finding("dtype", "warning", "float32 on a GPU: half the speed or less", cure)
    return Finding("dtype", "ok", f"{mixed} on {device}")


def checkpointing(seen: Inspection) -> Finding:
    """Find activations computed twice where memory is not what lacks."""
    args = seen.trainer.args
    on = args.gradient_checkpointing or getattr(args, "activation_checkpointing", False)
    if not on or args.device.type != "cpu":
        return Finding("checkpointing", "ok", "on" if on else "off")
    found = "on, on a CPU: each step computes its activations twice"
    if seen.kind == "grpo":
        found += ", and answers are generated without a cache"
    new = hasattr(args, "activation_checkpointing")  # transformers 5.21 renamed it
    cure = f"Set {'activation' if new else 'gradient'}_checkpointing=False."
    return Finding("checkpointing", "warning", found, cure)


def packing(seen: Inspection) -> Finding | None:
    """Find packs in which an example sees the one before it, by trying it."""
    args, trainer = seen.trainer.args, seen.trainer
    if not getattr(args, "packing", False) and not getattr(trainer, "padding_free", False):
        return None
    if seen.kind != "sft":
        return None
    if not trainer.padding_free:
        found = "wrapped: examples are cut where a row is full, and see those before them"
        return Finding("packing", "warning", found, 'Set packing_strategy="bfd".')
    parts = [e.ids[:16] for e in seen.examples[:2]]
    if len(parts) < 2 or min(map(len, parts)) < 2:
        return Finding("packing", "ok", "too few examples to try it")
    other = seen.tokenizer.vocab_size - 1
    changed = [other if token != other else 0 for token in parts[0]]
    try:
        first, second = (_second_loss(trainer, head, parts[1]) for head in (parts[0], changed))
    except Exception as problem:  # whatever a model's forward raises, it will raise in training
        found = f"a pack of two examples fails ({type(problem).__name__}: {problem})"
        return Finding("packing", "error", found, "Set packing=False and padding_free=False.")
    if abs(first - second) > 1e-5 * (1 + abs(first)):
        found = (
            f"an example sees the one before it: its loss moves from {first:.4f} to {second:.4f} "
            "when that is changed"
        )
        cure = (
            "Load the model with an attention that keeps to position ids (sdpa, or "
            'attn_implementation="flash_attention_2" on a GPU), or set packing=False.'
        )
        return Finding("packing", "error", found, cure)
    return Finding("packing", "ok", "examples of a pack do not see each other (tried)")


def _second_loss(trainer: Any, head: list[int], tail: list[int]) -> float:
    """Return the loss of `tail` packed behind `head`, by the trainer's own loss."""
    import torch

    row = {
        "input_ids": [*head, *tail],
        "labels": [IGNORED] * len(head) + list(tail),
        "seq_lengths": [len(head), len(tail)],
    }
    was_training, kept = trainer.model.training, copy.deepcopy(getattr(trainer, "_metrics", None))
    trainer.model.eval()
    try:
        with torch.no_grad():
            inputs = trainer._prepare_inputs(trainer.data_collator([row]))
            return float(trainer.compute_loss(trainer.model, inputs))
    finally:
        trainer.model.train(was_training)
        if kept is not None:  # TRL keeps figures of each loss for its log
            trainer._metrics = kept


def four_bit(seen: Inspection) -> Finding | None:
    """Find 4-bit layers that bitsandbytes packs, or has packed, so that no gradient passes."""
    layers = {n: m for n, m in seen.trainer.model.named_modules() if hasattr(m, PACKS)}
    if not layers or seen.trainer.args.device.type != "cpu":
        return None
    cure = (
        "Load it with ftlab.models.load(name, bits=4), or call ftlab.hardware.keep_unpacked(model)."
    )
    packed = [
        n for n, m in layers.items() if getattr(m.weight.quant_state, "packing_format_for_cpu", 0)
    ]
    if packed:
        found = f"{len(packed):,} layers are packed already ({packed[0]}): no gradient passes them"
        return Finding("4 bits", "error", found, cure.replace("Load it", "Load it again"))
    names = [n for n, m in layers.items() if getattr(m, PACKS)]
    if names:
        thin = [n for n in names if layers[n].in_features % 64 or layers[n].out_features % 32]
        found = (
            f"{thin[0]} cannot be packed, so the first evaluation or answer fails"
            if thin
            else "the first evaluation or answer packs all layers: no gradient passes them then"
        )
        return Finding("4 bits", "warning", found, f"{cure} Do so before the first forward.")
    return Finding("4 bits", "ok", "layers compute unpacked, as in training")


SETUP_CHECKS: tuple[Check, ...] = (
    trainable, weights, rate, dtype, checkpointing, packing, four_bit,
)  # fmt: skip
