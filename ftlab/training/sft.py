"""Supervised fine-tuning on TRL's `SFTTrainer`: records in, a tuned model and its history out.

What this adds to the plain trainer:

- the loss mask that `ftlab.templates.encode` shows is the one that is trained on, token by token;
- nothing is cut or dropped in silence: a record that is too long stops the run before it starts;
- speed on a CPU: logits only where a token carries loss, no checkpointing, batches of like length,
  bf16 only where it was timed to be faster;
- a callback at every step with the time that is left.

>>> from ftlab import models, tasks                                            # doctest: +SKIP
>>> model, tokenizer = models.load("ftlab-7m")                                 # doctest: +SKIP
>>> records = tasks.get("punctuation").examples(500, seed=0)                   # doctest: +SKIP
>>> train(model, tokenizer, records, epochs=2).history[-1]["loss"]             # doctest: +SKIP
"""

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ftlab import data
from ftlab.errors import ConfigError, DataError, TrainingError, raise_unknown
from ftlab.models import quiet
from ftlab.training import methods
from ftlab.training.order import by_length
from ftlab.training.run import Run, best
from ftlab.training.trainer import build

__all__ = ["Run", "by_length", "prepare", "train"]

OnStep = Callable[[int, int, float, float], None]
MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "alloc_cpu")


def prepare(
    tokenizer: Any, records: Sequence[data.Row], *, max_length: int
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
    records: Sequence[data.Row],
    *,
    method: str = "full",
    epochs: float = 3,
    batch_size: int = 8,
    learning_rate: float | None = None,
    seed: int = 0,
    eval_records: Sequence[data.Row] | None = None,
    max_length: int | None = None,
    rank: int = 32,
    alpha: float | None = None,
    targets: str | Sequence[str] = "all-linear",
    frozen_layers: int | None = None,
    early_stopping: int | None = None,
    on_step: OnStep | None = None,
) -> Run:
    """Fine-tune `model` in place on `records`.

    Args:
        model: a causal LM from `ftlab.models.load`; changed in place.
        tokenizer: its tokenizer, with a chat template.
        records: what to learn.
        method: which weights move: "full", "frozen", "lora", "rslora", "dora" or "qlora"; see
            `ftlab.training.methods`.
        epochs: passes over the records.
        batch_size: records per optimiser step.
        learning_rate: peak rate; by default 1e-3 (full, frozen) or 2e-3 (adapters), which suit
            the small shipped models. Larger models want about a tenth.
        seed: of the order of the records and of the adapter's first weights.
        eval_records: held-out records whose loss is measured after each epoch.
        max_length: most tokens in a record; by default what the model's context holds.
        rank: of an adapter's matrices.
        alpha: scale of an adapter; by default twice the rank.
        targets: names of the linear layers that get an adapter; by default all of them.
        frozen_layers: how many of the lowest layers "frozen" keeps; by default half of them.
        early_stopping: end after so many epochs without a lower held-out loss, and put the best
            weights back.
        on_step: called with (step, steps, loss, seconds left) after every step.

    Returns:
        The run; `Run.model` is the tuned model, with its adapter on if there is one.

    Raises:
        ConfigError: an unknown method, or a value out of range.
        DataError: a record cannot be trained on as it is.
        TrainingError: the loss is no longer a number, memory is full, or the run was interrupted.
    """
    if method not in methods.METHODS:
        raise_unknown("method", method, methods.METHODS)
    wrong = [
        f"{name} must be positive, got {value}"
        for name, value in (
            ("epochs", epochs), ("batch_size", batch_size), ("rank", rank),
            ("learning_rate", 1 if learning_rate is None else learning_rate),
            ("alpha", 1 if alpha is None else alpha),
            ("early_stopping", 1 if early_stopping is None else early_stopping),
        )
        if not value > 0
    ]  # fmt: skip
    if early_stopping and not eval_records:
        wrong.append("early_stopping needs eval_records, whose loss it watches")
    if wrong:
        raise ConfigError("; ".join(wrong) + ".")
    context = getattr(model.config.get_text_config(), "max_position_embeddings", 1024)
    max_length = min(max_length or context, context)
    rows = prepare(tokenizer, records, max_length=max_length)
    held_out = prepare(tokenizer, eval_records, max_length=max_length) if eval_records else None
    rate = methods.LEARNING_RATES[method] if learning_rate is None else learning_rate
    adapter = methods.prepare(
        model, method, rank=rank, alpha=alpha, targets=targets, frozen_layers=frozen_layers
    )
    settings = {
        "method": method, "epochs": epochs, "batch_size": batch_size, "learning_rate": rate,
        "seed": seed, "max_length": max_length, "records": len(records),
        "data": data.fingerprint(list(records)), "rank": adapter.r if adapter else None,
        "alpha": adapter.lora_alpha if adapter else None,
    }  # fmt: skip
    watch = _watch(rate, early_stopping, on_step)
    with tempfile.TemporaryDirectory(prefix="ftlab-") as scratch:
        trainer = build(model, tokenizer, rows, held_out, adapter, settings, scratch, watch)
        settings["precision"] = "bfloat16" if trainer.args.bf16 else "float32"
        if trainer.args.fp16:
            settings["precision"] = "float16"
        attention = model.config._attn_implementation
        if trainer.args.use_cpu:  # its backward pass is plain matrix products: faster on a CPU
            model.set_attn_implementation("eager")
        try:
            with _explained(watch, model), quiet():
                trainer.train()
        finally:
            model.set_attn_implementation(attention)
    seconds, evals = time.perf_counter() - watch.begun, watch.evals
    tuned = trainer.accelerator.unwrap_model(trainer.model).eval()
    if early_stopping:
        tuned.load_state_dict(watch.best, strict=False)
        evals = [e for e in evals if e["step"] <= best(evals)]
    for module in (tuned, getattr(tuned, "get_base_model", lambda: tuned)()):
        module.__dict__.pop("forward", None)  # autocast and TRL's head are for training alone
    tuned.config.use_cache = True
    weights = list(tuned.parameters())
    return Run(
        model=tuned,
        tokenizer=tokenizer,
        settings=settings,
        history=watch.history,
        steps=trainer.state.global_step,
        seconds=round(seconds, 2),
        parameters=_count(weights),
        trainable=_count(p for p in weights if p.requires_grad),
        supervised_tokens=round(sum(t != -100 for r in rows for t in r["labels"]) * epochs),
        total_tokens=round(sum(len(row["input_ids"]) for row in rows) * epochs),
        eval_loss=evals[-1]["eval_loss"] if evals else None,
        evals=watch.evals,
    )


def _watch(rate: float, early_stopping: int | None, on_step: OnStep | None) -> Any:
    """Return the trainer's callback: it keeps the history, tells the caller, and stops early."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def __init__(self) -> None:
            self.history: list[dict[str, float]] = []
            self.evals: list[dict[str, float]] = []
            self.best: dict[str, Any] = {}  # the weights that move, at the lowest held-out loss
            self.step, self.total, self.begun = 0, 0, time.perf_counter()

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.total, self.begun = state.max_steps, time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            logs, step = logs or {}, state.global_step
            if "eval_loss" in logs:
                self.evals.append({"step": step, "eval_loss": logs["eval_loss"]})
            elif "loss" in logs:
                self.step, loss = step, float(logs["loss"])
                now = float(logs.get("learning_rate", 0.0))
                self.history.append({"step": step, "loss": loss, "learning_rate": now})
                if not math.isfinite(loss):
                    raise TrainingError(
                        f"The loss is {loss} at step {step}. Lower the learning rate ({rate}), or "
                        "train in float32."
                    )
                spent = (time.perf_counter() - self.begun) / step
                if on_step:
                    on_step(step, self.total, loss, spent * (self.total - step))

        def on_evaluate(
            self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
        ) -> None:
            if early_stopping is None:
                return
            lowest = best(self.evals)
            if lowest == state.global_step:
                self.best = {
                    name: weight.detach().clone()
                    for name, weight in model.named_parameters()
                    if weight.requires_grad
                }
            if sum(one["step"] > lowest for one in self.evals) >= early_stopping:
                control.should_training_stop = True

    return Watch()


@contextlib.contextmanager
def _explained(watch: Any, model: Any) -> Iterator[None]:
    """Turn an interrupt or a lack of memory into one message."""
    try:
        yield
    except KeyboardInterrupt:
        raise TrainingError(
            f"Stopped by you at step {watch.step} of {watch.total}. The model in memory holds what "
            "was learned so far; nothing was written."
        ) from None
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if not (isinstance(error, MemoryError) or any(sign in text for sign in MEMORY)):
            raise
        raise TrainingError(
            f"Out of memory at step {watch.step + 1} of {watch.total} on {model.device}. Take a "
            "smaller batch_size, shorter records, method='lora', or a smaller base model."
        ) from error


def _count(weights: Iterable[Any]) -> int:
    """Count parameters; where weights are held in 4 bits, two of them share a byte."""
    return sum(w.numel() * (2 if hasattr(w, "quant_state") else 1) for w in weights)
