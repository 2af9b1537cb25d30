"""One fine-tune from rows to a saved folder: the pieces of the lessons, in the order of a notebook.

    finetune(data.read("mine.jsonl"), "runs/mine", model="smollm2-135m", epochs=2)

This is what `ftlab train` runs. Under `accelerate launch` every process runs it: what they share
is TRL's own doing.
"""

import json
import os
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab import data, models, templates
from ftlab.errors import ConfigError, DataError, TrainingError, raise_unknown
from ftlab.files import read_text, write_text
from ftlab.hardware import profile, versions
from ftlab.training import checkpoints, folder
from ftlab.training.callbacks import ProgressLines, quiet
from ftlab.training.config import dpo_config, sft_config
from ftlab.training.config import learning_rate as usual_rate
from ftlab.training.fast import TOWER, all_linear, beside_text, faster_on_cpu, upper_half
from ftlab.training.preflight import preflight

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["encoded", "finetune"]

OBJECTIVES = ("sft", "dpo")
METHODS = ("full", "lora", "qlora")
LAYERS = ("all", "upper-half")


def finetune(
    rows: Sequence[dict[str, Any]],
    out: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] = "smollm2-135m",
    method: str = "lora",
    objective: str = "sft",
    epochs: float = 3,
    batch_size: int = 8,
    learning_rate: float | None = None,
    rate_multiplier: float = 1.0,
    rank: int = 16,
    layers: str = "all",
    eval_rows: Sequence[dict[str, Any]] | None = None,
    seed: int = 0,
    resume: bool = False,
    callbacks: Sequence[Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Fine-tune a model on rows and save it with its tokenizer, `training.json` and a model card.

    Args:
        rows: examples of the conversational form; every assistant turn of `messages` is learned
            whose weight is not 0, and of `prompt` and `completion` the completion. For dpo:
            `prompt`, `chosen` and `rejected`, each a list of messages.
        out: a new folder; checkpoints wait in `OUT-checkpoints` until the run is done.
        model: a name, a folder or a hub id. Of an adapter's folder the adapter is trained on.
        method: full, lora or qlora (LoRA beside weights in 4 bits).
        objective: sft, or dpo: preferences (Rafailov et al. 2023), by an adapter.
        epochs: passes over the rows.
        batch_size: rows in a step of one process.
        learning_rate: the peak; by default the usual one for the method and the model's size.
        rate_multiplier: what the peak is multiplied by, as in OpenAI's jobs.
        rank: inner width of an adapter's matrices; its alpha is twice that.
        layers: all, or upper-half: adapters there alone, which takes less time.
        eval_rows: rows whose loss is measured after each epoch, and which are not learned.
        seed: of the adapter's start and the order of the rows.
        resume: go on from the newest whole checkpoint of a run that was stopped.
        callbacks: what shows the progress; by default a line every few seconds.
        settings: any other field of TRL's SFTConfig.

    Returns:
        What `training.json` holds: settings, history, tokens, seconds, versions.

    Raises:
        DataError: the rows are not fit to be trained on, or the folder is not free.
        ConfigError: a setting is not valid.
        TrainingError: the loss is no number any more, the checkpoints are of another run, or the
            disk or the memory is full.
        ModelError: the model cannot be loaded, or what was saved is not what was trained.
    """
    import torch
    from accelerate.utils import broadcast_object_list
    from peft import LoraConfig
    from safetensors import SafetensorError
    from trl import DPOTrainer, SFTTrainer

    pairs = objective == "dpo"
    given = {"objective": objective, "method": method, "choice of layers": layers}
    for (kind, value), known in zip(given.items(), (OBJECTIVES, METHODS, LAYERS), strict=True):
        if value not in known:
            raise_unknown(kind, value, known)
    if method == "full" and (pairs or layers != "all"):
        asked = "objective='dpo'" if pairs else "layers='upper-half'"
        raise ConfigError(f"{asked} is for adapters: take method='lora' or 'qlora'.")
    out, waiting = Path(out), Path(f"{out}-checkpoints")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} is not an empty folder. Choose another, or remove it.")
    if not rows:
        raise DataError("There is no row to train on.")
    if not resume and any(waiting.glob("checkpoint-*")):
        raise DataError(
            f"{waiting} holds checkpoints of a run that was stopped. Go on with it by the same "
            "command and --resume (resume=True), or remove the folder to begin anew."
        )

    # Of several GPUs each process takes its own.
    gpu = os.environ.get("LOCAL_RANK") if profile().device == "cuda" else None
    base, tokenizer = models.load(
        model, bits=4 if method == "qlora" else None, device=f"cuda:{gpu}" if gpu else None
    )
    parameters = base.num_parameters()
    rate = learning_rate or usual_rate("dpo" if pairs else method, parameters).usual
    rate *= rate_multiplier
    adapter, alpha = None, 2 * rank
    if hasattr(base, "peft_config"):
        if method == "full":
            raise ConfigError(f"{model} is an adapter: take method='lora' or 'qlora', or merge it.")
        rank, alpha = base.peft_config["default"].r, base.peft_config["default"].lora_alpha
        for name, weight in base.named_parameters():
            weight.requires_grad_("lora_" in name)
    elif method != "full":
        where = all_linear(base) if layers == "all" else upper_half(base)
        if towers := beside_text(base):
            where["exclude_modules"] = rf".*({TOWER.pattern}).*"
            print(f"! {towers[0]} gets no adapter: rows hold text alone, and the text part learns.")
        # Of a mixture of experts: how peft names their tensors, which are no linear layers.
        warnings.filterwarnings("ignore", message="The following (rank|alpha)_pattern keys")
        adapter = LoraConfig(r=rank, lora_alpha=alpha, task_type="CAUSAL_LM", **where)
    args: Any = (dpo_config if pairs else sft_config)(
        output_dir=str(waiting), num_train_epochs=epochs, per_device_train_batch_size=batch_size,
        learning_rate=rate, seed=seed, eval_strategy="epoch" if eval_rows else "no",
        # Four checkpoints in a run: what a stop costs, against what saving costs.
        **{"save_strategy": "steps", "save_steps": 0.25, "save_total_limit": 2} | settings,
    )  # fmt: skip
    said = _both(rows) if pairs else rows
    prepared = _preferences if pairs else encoded
    train_set = prepared(tokenizer, rows)
    trainer: Any = (DPOTrainer if pairs else SFTTrainer)(
        base, args=args, train_dataset=train_set, processing_class=tokenizer, peft_config=adapter,
        eval_dataset=prepared(tokenizer, eval_rows) if eval_rows else None,
        callbacks=list(callbacks) if callbacks is not None else [ProgressLines()],
    )  # fmt: skip
    if method == "qlora" and not args.bf16:
        # TRL puts adapters beside 4-bit weights into bf16, as the paper does: a CPU without fast
        # bf16 takes three times as long with them, and float16's loss scaling fails.
        for weight in trainer.model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
    first = trainer.is_world_process_zero()
    if first:
        preflight(trainer)
        _warn_of_drops(tokenizer, said)
    quiet(trainer)
    if not pairs:
        faster_on_cpu(trainer)

    chosen = {
        "model": str(model), "method": method, "objective": objective, "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": rate, "rank": None if method == "full" else rank,
        "alpha": None if method == "full" else alpha, "layers": layers, "seed": seed,
        "records": len(rows), "data": data.fingerprint(said),
        "precision": "bf16" if args.bf16 else "fp16" if args.fp16 else "float32",
        "processes": trainer.accelerator.num_processes, **settings,
    }  # fmt: skip
    checkpoint = _checkpoint(waiting, chosen) if first else None
    (checkpoint,) = broadcast_object_list([checkpoint])  # what the first process has found, to all
    start = time.monotonic()
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"Could not write to {waiting}: {getattr(error, 'strerror', None) or error}. Free some "
            "space; --resume (resume=True) then goes on from the newest whole checkpoint."
        ) from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"The GPU's memory is full. Halve batch_size={batch_size} and double "
            f"gradient_accumulation_steps={args.gradient_accumulation_steps}: the same result."
        ) from error
    seconds = time.monotonic() - start

    history = [line for line in trainer.state.log_history if "loss" in line]
    evals = [line for line in trainer.state.log_history if "eval_loss" in line]
    if not all(torch.isfinite(torch.tensor(line["loss"])) for line in history):
        raise TrainingError(
            f"The loss is no number any more. The rate {rate:g} is probably too high: "
            "try a third of it."
        )
    labels = _labels(trainer.train_dataset if pairs else train_set)
    summary = {
        "settings": {name: value for name, value in chosen.items() if value is not None},
        "steps": trainer.state.global_step, "seconds": round(seconds, 1), "parameters": parameters,
        "trainable": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "total_tokens": round(epochs * sum(len(row) for row in labels)),
        "supervised_tokens": round(epochs * sum(len(row) - row.count(-100) for row in labels)),
        "history": history, "evals": evals, "versions": versions(),
        "eval_loss": evals[-1]["eval_loss"] if evals else None,
    }  # fmt: skip
    in_parts = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    whole = trainer.accelerator.get_state_dict(trainer.model) if in_parts else None
    if first:
        # Without autocast, which `accelerate` keeps around the forward pass.
        trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False).eval()
        if "ref" in getattr(trained, "peft_config", ()):  # what DPO compares an adapter with
            trained.delete_adapter("ref")
        folder.save(out, trained, tokenizer, json.loads(json.dumps(summary, default=str)), whole)
        if whole is None:
            folder.check_saved(
                out, trained, _first_ids(trainer), bits=4 if method == "qlora" else None
            )
        shutil.rmtree(waiting, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return summary


def encoded(tokenizer: Any, rows: Sequence[dict[str, Any]]) -> "Dataset":
    """Return rows as token ids and labels (-100 where nothing is learned), ready for SFTTrainer.

    TRL does as much for rows of one form. Here one file may hold both forms, and weights of 0.

    Raises:
        DataError: the chat template refuses a row; the message has its number.
    """
    from datasets import Dataset

    made = []
    for number, row in enumerate(rows, 1):
        try:
            tokens = templates.encode(tokenizer, row)
        except DataError as error:
            raise DataError(f"Row {number}: {error}") from None
        pairs = zip(tokens.input_ids, tokens.loss_mask, strict=True)
        labels = [token if carries else -100 for token, carries in pairs]
        made.append({"input_ids": list(tokens.input_ids), "labels": labels})
    return Dataset.from_list(made)


def _preferences(tokenizer: Any, rows: Sequence[dict[str, Any]]) -> "Dataset":
    """Return preferences as TRL takes them, without what it does not know."""
    from datasets import Dataset

    names = ("prompt", "chosen", "rejected")
    return Dataset.from_list([{name: row[name] for name in names} for row in rows])


def _both(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each preference as two rows, one for each answer."""
    both = ("chosen", "rejected")
    return [{"prompt": row["prompt"], "completion": row[name]} for row in rows for name in both]


def _labels(rows: Any) -> list[list[int]]:
    """Return the labels of each example; of a preference those of both its answers."""
    if "labels" in rows.column_names:
        return rows["labels"]
    both = ("chosen_ids", "rejected_ids")
    return [[-100] * len(row["prompt_ids"]) + row[name] for row in rows for name in both]


def _first_ids(trainer: Any) -> list[int]:
    row = trainer.train_dataset[0]
    return row["input_ids"] if "input_ids" in row else row["prompt_ids"] + row["chosen_ids"]


def _warn_of_drops(tokenizer: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Print what of tools, thoughts and names never reaches the tokens, and in how many rows."""
    lost: Counter[str] = Counter()
    for row in filter(data.rare, rows):
        lost.update(templates.dropped(tokenizer, row))
    for what, count in lost.items():
        print(
            f"! template       drops {what} in {count:,} of {len(rows):,} rows: the model is "
            "trained without it, and must be served without it. Take a model whose template "
            "has a place for it, or write it into a message."
        )


def _checkpoint(waiting: Path, chosen: dict[str, Any]) -> str | None:
    """Return the checkpoint to go on from, if there is one; note beside it which run it is of."""
    note, chosen = waiting / "run.json", json.loads(json.dumps(chosen, default=str))
    newest = checkpoints.newest_whole(waiting, processes=chosen["processes"])
    if newest is None:
        waiting.mkdir(parents=True, exist_ok=True)
        write_text(note, json.dumps(chosen, indent=1), overwrite=True)
        return None
    before = json.loads(read_text(note))
    changed = sorted(name for name in chosen if before.get(name) != chosen[name])
    if changed:
        raise TrainingError(
            f"The checkpoints in {waiting} are of a run with other settings: {', '.join(changed)}. "
            "Give the same command, or remove the folder to begin anew."
        )
    print(f"Going on from {newest}.")
    return newest
