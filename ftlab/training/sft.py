"""Supervised fine-tuning on TRL's `SFTTrainer`: records in, a tuned model and its history out.

What this adds to the plain trainer:

- the loss mask that `ftlab.templates.encode` shows is the one that is trained on, token by token;
- nothing is cut or dropped in silence: a record that is too long stops the run before it starts;
- speed on a CPU: logits only where a token carries loss, no checkpointing, batches of like length,
  bf16 only where it was timed to be faster;
- a line, or a callback, at every step with the time that is left;
- checkpoints that are whole or absent, and a run that goes on from them (see `survival`);
- on request, a model of the rehearsal in place of training in class (see `rehearsed`).

>>> from ftlab import models, tasks                                            # doctest: +SKIP
>>> model, tokenizer = models.load("ftlab-7m")                                 # doctest: +SKIP
>>> records = tasks.get("punctuation").examples(500, seed=0)                   # doctest: +SKIP
>>> train(model, tokenizer, records, epochs=2).history[-1]["loss"]             # doctest: +SKIP
"""

import json
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.models import quiet
from ftlab.records import Record, fingerprint
from ftlab.training import methods, predict, processes, rehearsed, survival
from ftlab.training.order import by_length
from ftlab.training.run import Run
from ftlab.training.trainer import build, keep_activations

__all__ = ["Run", "by_length", "prepare", "train"]

OnStep = Callable[[int, int, float, float], None]


def prepare(
    tokenizer: Any, records: Sequence[Record], *, max_length: int
) -> list[dict[str, list[int]]]:
    """Return the rows that the trainer sees: `input_ids` and `labels` (-100 carries no loss).

    Raises:
        DataError: no records; or some are longer than `max_length` tokens, or carry no loss.
    """
    from ftlab.templates import encode

    if not records:
        raise DataError("There are no records to train on.")
    encoded = [encode(tokenizer, record) for record in records]
    long = [i + 1 for i, e in enumerate(encoded) if len(e.input_ids) > max_length]
    if long:
        longest = max(len(e.input_ids) for e in encoded)
        raise DataError(
            f"{len(long)} of {len(records)} records are longer than max_length={max_length} tokens "
            f"(the longest has {longest}; the first is record {long[0]}). Cutting would lose their "
            "ends and the token that stops the answer: raise max_length, shorten or drop them."
        )
    silent = [i + 1 for i, e in enumerate(encoded) if not any(e.loss_mask)]
    if silent:
        raise DataError(f"Records {silent[:10]} have no token that carries loss.")
    return [
        {
            "input_ids": e.input_ids,
            "labels": [t if m else -100 for t, m in zip(e.input_ids, e.loss_mask, strict=True)],
        }
        for e in encoded
    ]


def train(
    model: Any,
    tokenizer: Any,
    records: Sequence[Record],
    *,
    method: str = "full",
    epochs: float = 3,
    batch_size: int = 8,
    learning_rate: float | None = None,
    seed: int = 0,
    eval_records: Sequence[Record] | None = None,
    max_length: int | None = None,
    rank: int = 32,
    alpha: float | None = None,
    targets: str | Sequence[str] = "all-linear",
    frozen_layers: int | None = None,
    gradient_accumulation: int = 1,
    gradient_checkpointing: bool = False,
    activation_offloading: bool = False,
    packing: bool = False,
    checkpoints: str | Path | None = None,
    save_every: int | None = None,
    keep: int = 2,
    early_stopping: int | None = None,
    on_step: OnStep | None = None,
    on_start: Callable[[str], None] | None = None,
) -> Run:
    """Fine-tune `model` in place on `records`.

    Args:
        model: a causal LM from `ftlab.models.load`; changed in place. One whose adapter is to go
            on comes from `ftlab.training.rounds`.
        tokenizer: its tokenizer, with a chat template.
        records: what to learn.
        method: which weights move: "full", "frozen", "lora", "rslora", "dora" or "qlora"; see
            `ftlab.training.methods`.
        epochs: passes over the records.
        batch_size: records per optimiser step, over all processes (see `processes`).
        learning_rate: peak rate; by default 1e-3 (full, frozen) or 2e-3 (adapters), which suit
            the small shipped models. Larger models want about a tenth.
        seed: of the order of the records and of the adapter's first weights.
        eval_records: held-out records whose loss is measured after each epoch.
        max_length: most tokens in a record; by default what the model's context holds.
        rank: of an adapter's matrices.
        alpha: scale of an adapter; by default twice the rank.
        targets: names of the linear layers that get an adapter; by default all of them.
        frozen_layers: how many of the lowest layers "frozen" keeps; by default half of them.
        gradient_accumulation: parts in which a batch is computed, one after the other: less memory
            for activations, more time, the same result.
        gradient_checkpointing: keep one activation per layer and compute the others again in the
            backward pass (Chen et al. 2016): the same, with still less memory and more time.
        activation_offloading: let activations wait in the machine's memory for the backward pass
            rather than in the GPU's.
        packing: lay a batch's records end to end instead of padding them; see `packing`.
        checkpoints: a folder to keep checkpoints in. The same call goes on from the newest: with
            the model loaded afresh, the result is that of a run that was never stopped.
        save_every: steps between checkpoints; by default ten minutes. Each epoch's end has one too.
        keep: how many of the newest checkpoints stay.
        early_stopping: end after so many epochs without a lower held-out loss, and put the best
            weights back.
        on_step: called with (step, steps, loss, seconds left) after every step.
        on_start: called before the first step with a few lines on what is about to happen.

    Returns:
        The run; `Run.model` is the tuned model, with its adapter on if there is one.

    Raises:
        ConfigError: an unknown method, a value out of range, checkpoints of another run, an option
            that does nothing on this machine, or packing where records would see each other.
        DataError: a record cannot be trained on as it is.
        TrainingError: the loss is no longer a number, memory or disk is full, or the run was
            interrupted; the message says what is kept.
    """
    from ftlab.hardware import profile

    if method not in methods.METHODS:
        raise_unknown("method", method, methods.METHODS)
    wrong = [
        f"{name} must be positive, got {value}"
        for name, value in (
            ("epochs", epochs), ("batch_size", batch_size), ("rank", rank),
            ("learning_rate", 1 if learning_rate is None else learning_rate),
            ("alpha", 1 if alpha is None else alpha), ("keep", keep),
            ("save_every", 1 if save_every is None else save_every),
            ("early_stopping", 1 if early_stopping is None else early_stopping),
            ("gradient_accumulation", gradient_accumulation),
        )
        if not value > 0
    ]  # fmt: skip
    if early_stopping and not eval_records:
        wrong.append("early_stopping needs eval_records, whose loss it watches")
    if early_stopping and processes.sharded():
        wrong.append("early_stopping puts whole weights back, which FSDP and DeepSpeed do not hold")
    device = profile().device
    if activation_offloading and device != "cuda":
        wrong.append(
            "activation_offloading moves activations from a CUDA GPU's memory to the machine's, "
            f"and this run is on {device}, where they are already; gradient_checkpointing saves "
            "memory anywhere"
        )
    many = processes.count()
    if not wrong and batch_size % (many * gradient_accumulation):
        wrong.append(
            f"batch_size={batch_size} is the whole batch of a step, and {many} process(es) in "
            f"{gradient_accumulation} part(s) each cannot share it evenly: take a multiple of "
            f"{many * gradient_accumulation}"
        )
    if wrong:
        raise ConfigError("; ".join(wrong) + ".")
    processes.join()
    if not processes.first():
        on_step = on_start = None
    context = getattr(model.config, "max_position_embeddings", 1024)
    max_length = min(max_length or context, context)
    rows = prepare(tokenizer, records, max_length=max_length)
    held_out = prepare(tokenizer, eval_records, max_length=max_length) if eval_records else None
    rate = methods.LEARNING_RATES[method] if learning_rate is None else learning_rate
    rehearsal = rehearsed.asked() and not checkpoints
    base = survival.identity(model) if checkpoints or rehearsal else None
    adapter = methods.prepare(
        model, method, rank=rank, alpha=alpha, targets=targets, frozen_layers=frozen_layers
    )
    shape = adapter or getattr(model, "active_peft_config", None)
    settings = {
        "method": method, "epochs": epochs, "batch_size": batch_size, "learning_rate": rate,
        "seed": seed, "max_length": max_length, "records": len(records),
        "data": fingerprint(list(records)), "rank": shape.r if shape else None,
        "alpha": shape.lora_alpha if shape else None,
    }  # fmt: skip
    latest = saved = None
    key, looked = "", list[bool]()
    if base:
        held = fingerprint(list(eval_records)) if eval_records else None
        whole = settings | {
            "base_model": base, "held_out_data": held, "early_stopping": early_stopping,
            "targets": targets if adapter else None, "frozen_layers": frozen_layers,
        }  # fmt: skip
        still = [name for name, weight in model.named_parameters() if not weight.requires_grad]
        if method == "full" and still:  # frozen by the caller: another run
            whole["still"] = still
    if checkpoints:
        place = checkpoints
        latest = processes.by_first(lambda: survival.begin(place, whole))
    if rehearsal:
        key = rehearsed.key_of(whole)
        saved = rehearsed.find(key)
        if on_step and not saved:
            on_step, looked = rehearsed.noticing(model, on_step)
    settings |= {  # a run may go on with others: what is learned is the same
        "processes": many, "gradient_accumulation": gradient_accumulation,
        "gradient_checkpointing": gradient_checkpointing,
        "activation_offloading": activation_offloading, "packing": packing,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="ftlab-") as own:
        scratch = processes.by_first(lambda: own)
        root = Path(checkpoints or scratch) if checkpoints or early_stopping else None
        watch = survival.watch(
            settings, root=root, lasting=bool(checkpoints), save_every=save_every, keep=keep,
            early_stopping=early_stopping, on_step=on_step,
        )  # fmt: skip
        part = str(root / ".part") if root else scratch
        trainer = build(model, tokenizer, rows, held_out, adapter, settings, part, watch)
        settings["precision"] = "bfloat16" if trainer.args.bf16 else "float32"
        if trainer.args.fp16:
            settings["precision"] = "float16"
        planned = predict.plan_of(model, rows, settings, targets, frozen_layers)
        if on_start:
            on_start(_plan(trainer, rows, settings))
            on_start(predict.before(model.config, planned, _tokens(rows) * epochs))
            if latest:
                on_start(f"going on from {latest}")
        if latest:
            watch.earlier = json.loads((latest / "training.json").read_text("utf-8"))["seconds"]
        attention = model.config._attn_implementation
        if trainer.args.use_cpu:  # its backward pass is plain matrix products: faster on a CPU
            model.set_attn_implementation("eager")
        try:
            with survival.explained(watch, model, planned), quiet():
                if saved:
                    told = rehearsed.recall(saved, trainer, watch, on_step)
                else:
                    trainer.train(resume_from_checkpoint=str(latest) if latest else None)
            if not saved and root and early_stopping:
                best = survival.best(watch.evals)
                survival.restore(trainer.model, root / f"checkpoint-{best}")
            processes.any_of(False)  # nobody leaves, and removes the folder, before the last
        finally:
            model.set_attn_implementation(attention)
        seconds = told["seconds"] if saved else watch.seconds()
    evals = watch.evals
    if early_stopping:
        evals = [e for e in evals if e["step"] <= survival.best(evals)]
    gathered = None
    if processes.sharded():
        gathered = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    tuned = trainer.accelerator.unwrap_model(trainer.model).eval()
    for module in (tuned, getattr(tuned, "get_base_model", lambda: tuned)()):
        module.__dict__.pop("forward", None)  # autocast and TRL's head are for training alone
    tuned.config.use_cache = True
    if gradient_checkpointing:
        keep_activations(getattr(tuned, "get_base_model", lambda: tuned)())
    weights = list(tuned.parameters())
    run = Run(
        model=tuned,
        tokenizer=tokenizer,
        settings=settings,
        history=watch.history,
        steps=trainer.state.global_step,
        seconds=round(seconds, 2),  # of all its parts
        parameters=_count(weights),
        trainable=_count(p for p in weights if p.requires_grad),
        supervised_tokens=round(sum(t != -100 for r in rows for t in r["labels"]) * epochs),
        total_tokens=round(_tokens(rows) * epochs),
        eval_loss=evals[-1]["eval_loss"] if evals else None,
        evals=watch.evals,
        about={"rehearsed": told["about"]["rehearsed"]} if saved else {},
        gathered=gathered,
    )
    if rehearsal and not saved:
        rehearsed.keep(run, key, bool(looked))
    return run


def _count(weights: Iterable[Any]) -> int:
    """Count parameters; where weights are held in 4 bits, two of them share a byte."""
    sizes = ((getattr(w, "ds_numel", w.numel()), w) for w in weights)  # DeepSpeed's: of all parts
    return sum(size * (2 if hasattr(w, "quant_state") else 1) for size, w in sizes)


def _tokens(rows: list[dict]) -> int:
    return sum(len(row["input_ids"]) for row in rows)


def _plan(trainer: Any, rows: list[dict], settings: dict[str, Any]) -> str:
    """Say what a run will move, what carries its loss, and how long it is."""
    weights = list(trainer.model.parameters())
    moving, total = _count(p for p in weights if p.requires_grad), _count(weights)
    tokens = _tokens(rows)
    carrying = sum(label != -100 for row in rows for label in row["labels"])
    steps = math.ceil(math.ceil(len(rows) / settings["batch_size"]) * settings["epochs"])
    return (
        f"{settings['method']}: {moving:,} of {total:,} parameters move ({moving / total:.1%}), "
        f"rate {settings['learning_rate']:g}, {settings['precision']}\n"
        f"{len(rows):,} records, {tokens:,} tokens, of which {carrying / tokens:.0%} carry loss; "
        f"{settings['epochs']:g} epochs of batches of {settings['batch_size']} are "
        f"{steps:,} steps{_shared(settings)}"
    )


def _shared(settings: dict[str, Any]) -> str:
    """Say how a batch is divided, if it is."""
    many, parts = settings["processes"], settings["gradient_accumulation"]
    if many * parts == 1:
        return ""
    each = settings["batch_size"] // (many * parts)
    return f"; each batch in {many} process(es) × {parts} part(s) of {each}"
