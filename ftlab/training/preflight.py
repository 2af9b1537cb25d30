"""A look at a trainer before it trains: what carries loss, what is cut, what will go wrong.

    ✓ data           100 rows, 7,131 tokens, 2,210 of them supervised (31%), longest 96, 39 steps
    ✗ end of turn    100 of 100 rows do not learn the end of the turn: the tuned model will not stop
                     → An answer must end with <|im_end|>, inside the loss: …

It reads the rows that the trainer has prepared, through the trainer's own collator, so it sees what
the model will see. This module holds the table and the checks of model and settings.
"""

import copy
import html
import itertools
import shutil
import textwrap
from dataclasses import dataclass
from typing import Any

from ftlab.display import display, in_notebook
from ftlab.errors import ConfigError, DataError
from ftlab.hardware import PACKS, profile
from ftlab.training.callbacks import quiet
from ftlab.training.config import learning_rate
from ftlab.training.preflight_checks import Finding, fault, ok, row_checks
from ftlab.training.preflight_rows import IGNORED, Inspection

__all__ = ["Finding", "Preflight", "preflight"]

MARKS = {"ok": "✓", "warning": "!", "error": "✗"}
COLOURS = {
    "ok": "rgba(0,158,115,.3)", "warning": "rgba(230,159,0,.45)", "error": "rgba(213,94,0,.6)"
}  # fmt: skip
SHOWN = 240  # characters of the example
FAR = 3  # so many times above or below the table's range, a rate needs a reason


@dataclass(frozen=True)
class Preflight:
    """The table of a trainer; `print` shows it, `html` is its form for a notebook."""

    findings: tuple[Finding, ...]

    def problems(self, status: str) -> tuple[Finding, ...]:
        """Return the findings of one status: "ok", "warning" or "error"."""
        return tuple(finding for finding in self.findings if finding.status == status)

    def __repr__(self) -> str:
        errors, warnings = len(self.problems("error")), len(self.problems("warning"))
        return f"<Preflight: errors {errors}, warnings {warnings}>"

    def __str__(self) -> str:
        width = max(60, min(100, shutil.get_terminal_size().columns))
        margin, lines = " " * 17, []
        for what, status, found, cure in self.findings:
            for text, head, below in (
                (found, f"{MARKS[status]} {what:<14} ", margin),
                (cure, f"{margin}→ ", f"{margin}  "),
            ):
                lines += textwrap.wrap(text, width, initial_indent=head, subsequent_indent=below)
        return "\n".join(lines)

    def html(self) -> str:
        """Return the table as HTML that needs nothing else, for light and dark pages."""
        head = '<th style="text-align:left">{}</th>'
        cell = '<td style="text-align:left;vertical-align:top">{}</td>'
        rows = ["".join(map(head.format, ("", "what", "found", "cure")))]
        for what, status, found, cure in self.findings:
            mark = (
                f'<span style="background:{COLOURS[status]};padding:1px 6px;border-radius:3px;'
                f'white-space:nowrap">{MARKS[status]} {status}</span>'
            )
            texts = [html.escape(text, quote=False) for text in (what, found, cure)]
            rows.append("".join(map(cell.format, (mark, *texts))))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f'<table style="color:inherit">{body}</table>'


def preflight(trainer: Any, *, strict: bool = True, limit: int = 2000) -> Preflight:
    """Show what a trainer will train on, and what is wrong with it, in one table.

    Where LiveCurve or ProgressLines show the losses, transformers' own printing of them is taken
    away; nothing else of the trainer is changed.

    Args:
        trainer: an SFTTrainer, DPOTrainer or GRPOTrainer, built and not yet trained.
        strict: raise when there is an error, after the table is shown.
        limit: most rows to look at, evenly spaced; leaks into the evaluation are looked for in all.

    Returns:
        The table, which is shown already: printed, or as HTML in a notebook.

    Raises:
        DataError: the rows are not fit to be trained on.
        ConfigError: the settings are not, or there is nothing to train on.

    >>> preflight(trainer)                                                     # doctest: +SKIP
    """
    if not hasattr(trainer, "train_dataset") or not hasattr(trainer, "processing_class"):
        raise ConfigError(
            f"preflight wants a trainer of TRL (SFTTrainer, DPOTrainer or GRPOTrainer), got "
            f"{type(trainer).__name__}. Build the trainer first: preflight(trainer)."
        )
    if limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}.")
    seen = Inspection(trainer, limit)
    if not seen.examples:
        raise DataError(
            "There is no row to train on. TRL leaves out rows of which nothing is learned: their "
            "prompt alone is longer than max_length (raise it, or set it to None), or the template "
            "writes the prompt otherwise once the answer is there (leave the system message out)."
        )
    rows = [found for check in row_checks(seen.kind) if (found := check(seen))]
    settings = (trainable, weights, rate, dtype, checkpointing, packing, four_bit)
    setup = [found for check in settings if (found := check(seen))]
    report = Preflight((*rows, *setup, _example(seen)))
    if in_notebook():
        display({"text/plain": str(report), "text/html": report.html()})
    else:
        print(report)
    quiet(trainer)
    bad = report.problems("error")
    if bad and strict:
        error = DataError if any(finding in rows for finding in bad) else ConfigError
        raise error(
            "Not fit to train:\n"
            + "\n".join(f"- {what}: {found}. {cure}" for what, _, found, cure in bad)
            + "\npreflight(trainer, strict=False) shows the table without stopping."
        )
    return report


def _example(seen: Inspection) -> Finding:
    """Return one row as text, what carries loss between ⟦ and ⟧."""
    example = next((e for e in seen.examples if e.runs), seen.examples[0])
    edges = [0, *(edge for run in example.runs for edge in run), len(example.ids)]
    parts = [seen.tokenizer.decode(example.ids[a:b]) for a, b in itertools.pairwise(edges)]
    marked = (f"⟦{part}⟧" if number % 2 else part for number, part in enumerate(parts))
    text = "".join(marked).replace("\n", "↵")
    if len(text) > SHOWN:  # the end is where the loss is
        text = f"{text[: SHOWN // 3]} … {text[-2 * SHOWN // 3 :]}"
    return Finding("example", "ok", text, "" if seen.kind == "grpo" else "⟦…⟧ carries loss")


# The checks of model, settings and machine.


def trainable(seen: Inspection) -> Finding | None:
    """Find a model of which nothing is trained."""
    model = seen.trainer.model
    of = model.num_parameters()
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if not count:
        adapter = hasattr(model, "peft_config")
        return fault("adapter_frozen" if adapter else "nothing_trained", all=of)
    return ok("trainable", f"{count:,} of {of:,} weights ({count / of:.2%})")


def weights(seen: Inspection) -> Finding | None:
    """Find weights that are no numbers."""
    import torch

    for name, weight in seen.trainer.model.named_parameters():
        if not weight.is_floating_point() or weight.is_meta or not weight.numel():
            continue
        low, high = torch.aminmax(weight.detach())  # a NaN anywhere comes out
        if not torch.isfinite(low) or not torch.isfinite(high):
            return fault("not_finite", name=name)
    return ok("weights", "all are finite")


def rate(seen: Inspection) -> Finding | None:
    """Compare the learning rate with the table for the method and the size."""
    model, given = seen.trainer.model, seen.trainer.args.learning_rate
    adapters, size = getattr(model, "peft_config", None), model.num_parameters()
    if adapters and not all(str(c.peft_type).endswith("LORA") for c in adapters.values()):
        return ok("learning rate", f"{given:g}; no table for this adapter")
    if seen.kind == "sft":
        four_bit = getattr(model, "is_loaded_in_4bit", False)
        method = ("qlora" if four_bit else "lora") if adapters else "full"
    else:
        method = seen.kind if adapters else f"{seen.kind}-full"
    table = learning_rate(method, size)
    usual = f"{method} on {size:,.0f} weights: {table.low:g} to {table.high:g}"
    if table.low / FAR <= given <= table.high * FAR:
        return ok("learning rate", f"{given:g} ({usual})")
    far = "far below" if given < table.low else "far above"
    return fault("rate_far", rate=given, far=far, usual=usual, first=table.usual)


def dtype(seen: Inspection) -> Finding | None:
    """Find half precision that this device does not have, or that no optimiser step survives."""
    import torch

    model, args = seen.trainer.model, seen.trainer.args
    trained = {p.dtype for p in model.parameters() if p.requires_grad}
    held = {p.dtype for p in model.parameters() if p.is_floating_point()}
    cpu, cuda = args.device.type == "cpu", args.device.type == "cuda"
    has_bf16 = not cuda or torch.cuda.get_device_capability(args.device) >= (8, 0)
    if torch.float16 in trained:
        return fault("float16_trained")
    if torch.bfloat16 in trained and not getattr(model, "is_loaded_in_4bit", False):
        return fault("bfloat16_trained")
    if cpu and torch.float16 in held:
        return fault("float16_on_cpu")
    if cpu and args.bf16 and profile().dtype == "float32":
        return fault("bf16_on_cpu", why=profile().reasons["dtype"])
    if not has_bf16 and (args.bf16 or torch.bfloat16 in held):
        return fault("bf16_on_gpu")
    if cuda and not args.bf16 and not args.fp16:
        return fault("float32_on_gpu", half="bf16" if has_bf16 else "fp16")
    mixed = "bf16" if args.bf16 else "fp16" if args.fp16 else "float32"
    return ok("dtype", f"{mixed} on {args.device.type}")


def checkpointing(seen: Inspection) -> Finding | None:
    """Find activations computed twice where memory is not what lacks."""
    args = seen.trainer.args
    new = hasattr(args, "activation_checkpointing")  # transformers 5.21 renamed it
    on = args.gradient_checkpointing or (new and args.activation_checkpointing)
    if on and args.device.type == "cpu":
        more = ", and answers are generated without a cache" if seen.kind == "grpo" else ""
        return fault("checkpointing", more=more, name="activation" if new else "gradient")
    return ok("checkpointing", "on" if on else "off")


def packing(seen: Inspection) -> Finding | None:
    """Find packs in which an example sees the one before it, by trying it."""
    trainer = seen.trainer
    if seen.kind != "sft" or not (seen.packing or trainer.padding_free):
        return None
    if not trainer.padding_free:
        return fault("wrapped")
    parts = [e.ids[:16] for e in seen.examples[:2]]
    if len(parts) < 2 or min(map(len, parts)) < 2:
        return ok("packing", "too few examples to try it")
    other = seen.tokenizer.vocab_size - 1
    changed = [other if token != other else 0 for token in parts[0]]
    try:
        first, second = (_second_loss(trainer, head, parts[1]) for head in (parts[0], changed))
    except Exception as problem:  # whatever a model's forward raises, it will raise in training
        return fault("pack_fails", kind=type(problem).__name__, problem=problem)
    if abs(first - second) > 1e-5 * (1 + abs(first)):
        return fault("pack_leaks", first=first, second=second)
    return ok("packing", "examples of a pack do not see each other (tried)")


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
    packed = [
        n for n, m in layers.items() if getattr(m.weight.quant_state, "packing_format_for_cpu", 0)
    ]
    willing = {n: m for n, m in layers.items() if getattr(m, PACKS)}
    thin = [n for n, m in willing.items() if m.in_features % 64 or m.out_features % 32]
    if packed:
        return fault("packed_already", count=len(packed), name=packed[0])
    if thin:
        return fault("cannot_be_packed", name=thin[0])
    if willing:
        return fault("will_be_packed")
    return ok("4 bits", "layers compute unpacked, as in training")
