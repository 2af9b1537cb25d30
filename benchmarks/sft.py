"""Fine-tune SmolLM2 with TRL's defaults and with ftlab's pieces, by turns, and compare.

    python benchmarks/sft.py                    # 50 rows of punctuation, one epoch, two rounds
    python benchmarks/sft.py --rows 16 --rounds 1

All sides see the same rows in the same batches, with the same LoRA (rank 16) from the same seed, in
the same precision (the profile's). "upper half" has adapters on the upper half of the layers. The
losses are compared step by step in float32. Processor time is what other work leaves alone.
"""

import argparse
import contextlib
import gc
import os
import statistics
import sys
import time
import warnings

os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from ftlab import models, tasks
from ftlab.hardware import profile, reuse_memory
from ftlab.training.config import sft_config
from ftlab.training.fast import faster_on_cpu, upper_half

SIDES = ("TRL's defaults", "sft_config", "+ faster_on_cpu", "+ upper half")
TARGETS = {"+ faster_on_cpu": (2.4, 1.5), "+ upper half": (4.0, 2.4)}  # with fast bf16, without


def trainer_of(side: str, rows: list, args: argparse.Namespace, precision: str) -> SFTTrainer:
    """Build one side's trainer on fresh weights."""
    gc.collect()
    model, tokenizer = models.load(args.model)
    settings = {
        "output_dir": "runs/benchmark", "num_train_epochs": 1, "learning_rate": 1e-3, "seed": 0,
        "per_device_train_batch_size": args.batch_size, "logging_steps": 1, "report_to": "none",
        "save_strategy": "no", "disable_tqdm": True, "bf16": precision == "bfloat16",
        "fp16": precision == "float16", "use_cpu": profile().device == "cpu",
        "train_sampling_strategy": "random",  # TRL's default: the same batches for all
    }  # fmt: skip
    config = SFTConfig(**settings) if side == SIDES[0] else sft_config(**settings)
    where = upper_half(model) if side == SIDES[3] else {"target_modules": "all-linear"}
    trainer = SFTTrainer(
        model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, task_type="CAUSAL_LM", **where),
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return faster_on_cpu(trainer) if side in SIDES[2:] else trainer


def turn(side: str, rows: list, args: argparse.Namespace, precision: str) -> dict:
    """Train once: tokens, seconds by the clock and of the processor, the loss of each step."""
    trainer = trainer_of(side, rows, args, precision)
    clock, worked = time.perf_counter(), time.process_time()
    trainer.train()
    clock, worked = time.perf_counter() - clock, time.process_time() - worked
    labels = trainer.train_dataset["labels"]
    return {
        "tokens": sum(map(len, labels)),
        "supervised": sum(len(row) - row.count(-100) for row in labels),
        "seconds": clock,
        "processor": worked / torch.get_num_threads(),
        "losses": [line["loss"] for line in trainer.state.log_history if "loss" in line],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="punctuation", choices=tasks.names())
    parser.add_argument("--rows", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    examples = tasks.get(args.task).examples(args.rows, seed=0)
    rows = [{"prompt": row["prompt"], "completion": row["completion"]} for row in examples]
    warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)  # TRL's own name

    precision = profile().dtype
    print(profile())
    print(
        f"{args.model}: {args.rows} rows of {args.task}, batches of {args.batch_size}, {precision}"
    )
    turns: dict[str, list[dict]] = {side: [] for side in SIDES}
    for number in range(args.rounds):
        for side in SIDES if number % 2 == 0 else SIDES[::-1]:
            turns[side].append(turn(side, rows, args, precision))
            last = turns[side][-1]
            print(f"  round {number + 1}, {side}: {last['seconds']:.1f} s", flush=True)

    first = turns[SIDES[0]][0]
    print(f"{first['tokens']} tokens, {first['supervised']} of them with loss")
    print(f"{'':16} {'tokens/s':>9} {'ratio':>6}   of the processor: {'tokens/s':>9} {'ratio':>6}")
    fast = precision != "float32"
    for side in SIDES:
        cells = []
        for measure in ("seconds", "processor"):
            took = statistics.median(one[measure] for one in turns[side])
            pairs = zip(turns[SIDES[0]], turns[side], strict=True)
            ratio = statistics.median(trl[measure] / one[measure] for trl, one in pairs)
            cells += [first["tokens"] / took, ratio]
        wanted = TARGETS.get(side, (0, 0))[0 if fast else 1]
        note = f"   (wanted: {wanted})" if wanted else ""
        by_clock, by_processor = (f"{rate:9.1f} {x:6.2f}" for rate, x in (cells[:2], cells[2:]))
        print(f"{side:16} {by_clock} {'':20} {by_processor}{note}")

    if fast:  # three steps again in float32
        short = rows[: 3 * args.batch_size]
        losses = [turn(side, short, args, "float32")["losses"] for side in SIDES[:3]]
    else:
        losses = [turns[side][0]["losses"] for side in SIDES[:3]]
    for side, found in zip(SIDES[1:3], losses[1:], strict=True):
        worst = max(abs(a - b) for a, b in zip(losses[0], found, strict=True))
        print(f"{side}: losses of {len(found)} steps differ from TRL's by at most {worst:.1e}")
        if worst > 1e-4:
            sys.exit("more than 1e-4: not the same training")


if __name__ == "__main__":
    reuse_memory()
    with contextlib.suppress(KeyboardInterrupt):
        main()
