"""ftlab's trainer against TRL's `SFTTrainer` with its own defaults: same model, records, epochs.

    python benchmarks/sft.py                                       # full, ftlab-7m, here
    python benchmarks/sft.py --method lora                         # also: qlora
    python benchmarks/sft.py --take-apart                          # and TRL with a default off
    python benchmarks/sft.py --sides "TRL, no bf16" ftlab          # where bf16 is slow
    python benchmarks/sft.py --profile                             # which operations take the time
    python benchmarks/sft.py --shape llama-3.2-1b --method lora    # CUDA: random weights of a shape

All sides run in one process, by turns. Each starts from the same weights, sees the same records in
as many epochs and steps, with the same learning rate and batch size; only what TRL, peft and ftlab
choose themselves differs: precision, checkpointing, the schedule, the order, and with LoRA the rank
and the layers that get an adapter (the parameters that move are printed). With qlora all sides get
the same NF4 weights. The held-out loss of each is printed, because speed that costs quality is
none; of random weights it only says that both learn alike.

"Matmul rate" is that of the feed-forward product of a step, in the precision that ftlab trains in,
measured in the same run; the share of it is what MFU is to a data sheet's rate. The products of
attention and of adapters are not counted, nor padding, so the share is a little low.
"""

import argparse
import contextlib
import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from ftlab import models, tasks
from ftlab.errors import TrainingError
from ftlab.hardware import huge_pages, profile
from ftlab.training import dryrun, methods, sft, shapes

METHODS = ("full", "lora", "qlora")
TINY = {  # to try this file itself on a CPU
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 4096,
    "tie_word_embeddings": True,
}  # fmt: skip
SHAPES = {"tiny": TINY} | {name.lower(): shape for name, shape in shapes.SHAPES.items()}
PARTS = {
    "TRL": {},
    "TRL, no bf16": {"bf16": False},
    "TRL, no checkpointing": {"gradient_checkpointing": False},
    "TRL, neither": {"bf16": False, "gradient_checkpointing": False},
}


def build(shape: str, folder: Path, dtype: str) -> str:
    """Save random weights of a shape, with the shipped tokenizer; return where."""
    from transformers import AutoModelForCausalLM

    tokenizer = models.tokenizer("ftlab-7m")
    config = dryrun.read(SHAPES[shape] | {
        "max_position_embeddings": 4096, "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    })  # fmt: skip
    torch.manual_seed(0)
    with torch.device(profile().device), models.quiet():
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def plain_trl(model, tokenizer, records, settings, **changes):
    """Train with SFTTrainer as it comes, but for `changes`; return seconds and the model."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    adapter = LoraConfig(task_type="CAUSAL_LM") if settings["method"] != "full" else None
    with tempfile.TemporaryDirectory() as scratch:
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=scratch,
                num_train_epochs=settings["epochs"],
                per_device_train_batch_size=settings["batch_size"],
                learning_rate=settings["learning_rate"],
                seed=settings["seed"],
                disable_tqdm=True,
                report_to="none",
                save_strategy="no",
                use_cpu=profile().device == "cpu",
                **changes,
            ),
            train_dataset=Dataset.from_list(
                [{key: record[key] for key in ("prompt", "completion")} for record in records]
            ),
            processing_class=tokenizer,
            peft_config=adapter,
        )
        begun = time.perf_counter()
        trainer.train()
        return time.perf_counter() - begun, trainer.accelerator.unwrap_model(trainer.model)


def held_out_loss(model, tokenizer, records) -> float:
    """Nats per supervised token in float32, without autocast or a trainer's wrappers."""
    for module in (model, model.get_base_model() if hasattr(model, "peft_config") else model):
        module.__dict__.pop("forward", None)
    model.eval()
    nats, count = 0.0, 0
    with torch.no_grad():
        for row in sft.prepare(tokenizer, records, max_length=1024):
            ids, labels = (torch.tensor([row[k]], device=model.device) for k in row)
            nats += model(input_ids=ids, labels=labels).loss.item() * (labels != -100).sum().item()
            count += (labels != -100).sum().item()
    return nats / count


def matmul_rate(tokens: int, hidden: int, inner: int) -> float:
    """FLOP/s of the feed-forward product of one step, bf16 where the profile says so."""
    dtype, device = getattr(torch, profile().dtype), profile().device
    left = torch.randn(tokens, hidden, dtype=dtype, device=device)
    right = torch.randn(hidden, inner, dtype=dtype, device=device)
    out = torch.empty(tokens, inner, dtype=dtype, device=device)

    def some() -> float:
        begun = time.perf_counter()
        for _ in range(10):
            torch.mm(left, right, out=out)
        if left.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    some()  # the first call chooses a kernel
    begun, times = time.perf_counter(), []
    while time.perf_counter() - begun < 1 or len(times) < 3:
        times.append(some())
    return 10 * 2 * tokens * hidden * inner / statistics.median(times)


def turn(side: str, load, records, held_out, settings) -> tuple[float, float, float, int]:
    """Train once from fresh weights: seconds by clock and of the processor, held-out loss,
    parameters that move."""
    model, tokenizer = load()
    worked = time.process_time()
    if side == "ftlab":
        run = sft.train(model, tokenizer, records, **settings)
        took, tuned = run.seconds, run.model
    else:
        took, tuned = plain_trl(model, tokenizer, records, settings, **PARTS[side])
    worked = time.process_time() - worked  # with what comes before the first step
    moving = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
    return took, worked, held_out_loss(tuned, tokenizer, held_out), moving


def operations(load, records, settings) -> None:
    """Print the operations that take most of the time of one epoch of ftlab's trainer."""
    model, tokenizer = load()
    activities = [torch.profiler.ProfilerActivity.CPU]
    if profile().device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities, acc_events=True) as watched:
        sft.train(model, tokenizer, records, **settings)
    order = f"self_{profile().device}_time_total"
    print(watched.key_averages().table(sort_by=order, row_limit=15, max_name_column_width=50))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=METHODS, default="full")
    parser.add_argument("--model", default="ftlab-7m")
    parser.add_argument("--shape", choices=SHAPES, help="random weights instead of --model")
    parser.add_argument("--weights", help="float32, bfloat16; by default as the profile says")
    parser.add_argument("--task", choices=tasks.names(), default="punctuation")
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--held-out", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--take-apart", action="store_true", help="TRL with one default off each")
    parser.add_argument("--sides", nargs="+", choices=[*PARTS, "ftlab"], help="these alone")
    parser.add_argument("--profile", action="store_true", help="show ftlab's operations instead")
    args = parser.parse_args()
    if args.shape not in (None, "tiny") and profile().device != "cuda":
        sys.exit(
            f"no CUDA here: run\n    python benchmarks/sft.py --shape {args.shape} --method "
            f"{args.method} --records 400\non a machine with an NVIDIA GPU"
        )
    task = tasks.get(args.task)
    records = task.examples(args.records, seed=0)
    held_out = task.examples(args.held_out, seed=0, split="test")
    rate = methods.LEARNING_RATES[args.method] * (0.1 if args.shape else 1)
    settings = {
        "method": args.method, "epochs": args.epochs, "batch_size": args.batch_size,
        "learning_rate": rate, "seed": 0,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        name = args.model
        if args.shape:
            name = build(args.shape, Path(scratch, args.shape), args.weights or "bfloat16")

        def load():
            gc.collect()
            if profile().device == "cuda":
                torch.cuda.empty_cache()
            return models.load(name, dtype=args.weights, bits=4 if args.method == "qlora" else None)

        if args.profile:
            operations(load, records, settings)
        else:
            measure(args, load, records, held_out, settings)


def measure(args, load, records, held_out, settings) -> None:
    """Let the sides train by turns, and print what came of it."""
    base, tokenizer = models.load(args.model) if not args.shape else load()
    rows = sft.prepare(tokenizer, records, max_length=1024)
    total = sum(len(row["input_ids"]) for row in rows) * args.epochs
    supervised = sum(t != -100 for row in rows for t in row["labels"]) * args.epochs
    hidden, inner = base.config.hidden_size, base.config.intermediate_size
    body = sum(
        p.numel() * (2 if hasattr(p, "quant_state") else 1) for p in base.model.layers.parameters()
    )
    head = base.config.vocab_size * hidden
    # 6 FLOP per weight and token (Kaplan et al. 2020); the head only where a token carries loss.
    # With an adapter the frozen weights need no gradient of their own: 4 instead of 6.
    flop = (6 if args.method == "full" else 4) * (body * total + head * supervised)
    before = held_out_loss(base, tokenizer, held_out)
    del base
    sides = args.sides or ([*PARTS, "ftlab"] if args.take_apart else ["TRL", "ftlab"])
    found: dict[str, list[tuple[float, float, float, int]]] = {side: [] for side in sides}
    print(profile())
    print(f"{args.shape or args.model}, {args.method}: {args.records} records of {args.task}, "
          f"{total:,.0f} tokens of which {supervised:,.0f} carry loss; {args.rounds} rounds by "
          "turns", flush=True)  # fmt: skip
    for side in sides:  # the first steps in a process build what later ones find there
        with contextlib.suppress(torch.OutOfMemoryError, TrainingError):
            turn(side, load, records[: args.batch_size], held_out[:1], settings)
    for number in range(args.rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            with contextlib.suppress(KeyError):  # a side that failed is out of the later rounds
                try:
                    found[side].append(turn(side, load, records, held_out, settings))
                except (torch.OutOfMemoryError, TrainingError) as error:
                    found.pop(side)
                    print(f"{side} is out: {str(error).splitlines()[0]}", flush=True)
                else:
                    print(f"  round {number + 1}, {side}: {found[side][-1][0]:.1f} s", flush=True)
    device_rate = matmul_rate(4096 if profile().device == "cuda" else 2048, hidden, inner)
    print(f"held-out loss before training: {before:.3f}; matmul {device_rate / 1e9:,.0f} GFLOP/s")
    print(f"{'':22}  tokens/s  supervised/s  held-out loss  of matmul rate      moving")
    for side, turns in found.items():
        took = statistics.median(t[0] for t in turns)
        _, _, loss, moving = turns[-1]
        print(f"{side:22} {total / took:9,.0f} {supervised / took:13,.0f} {loss:14.3f} "
              f"{flop / took / device_rate:15.1%} {moving:11,}")  # fmt: skip
    for side in found:
        if side == "ftlab" or "ftlab" not in found:
            continue
        for clock, name in enumerate(("", " in processor time, which other work leaves alone")):
            ratios = [t[clock] / f[clock] for t, f in zip(found[side], found["ftlab"], strict=True)]
            if clock and profile().device == "cuda":
                continue  # the processor only waits there
            pairs = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"ftlab is {statistics.median(ratios):.2f} times as fast as {side}{name} "
                  f"(pairs: {pairs})")  # fmt: skip
    if profile().device != "cuda" and not args.shape:
        print(f"no CUDA here: run python benchmarks/sft.py --shape SHAPE --method {args.method} "
              f"where there is one; SHAPE is one of {', '.join(SHAPES)}")  # fmt: skip


if __name__ == "__main__":
    huge_pages()
    main()
