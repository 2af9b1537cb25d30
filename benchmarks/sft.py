"""ftlab's trainer against TRL's `SFTTrainer` with its own defaults: same model, records, epochs.

    python benchmarks/sft.py [--records 200] [--rounds 2] [--method full] [--model ftlab-7m]

Both sides run in one process, by turns. Each starts from the same weights, sees the same records in
as many epochs and steps, with the same learning rate and batch size; only what TRL and ftlab choose
themselves differs. The held-out loss of both is printed, because speed that costs quality is none.
"Matmul rate" is that of the bf16 product of a training step, measured in the same run.
"""

import argparse
import copy
import statistics
import tempfile
import time

import torch

from ftlab import models, tasks
from ftlab.hardware import huge_pages, profile
from ftlab.records import to_trl
from ftlab.training import methods, sft


def plain_trl(model, tokenizer, records, *, method, epochs, batch_size, learning_rate, seed):
    """Train with SFTTrainer as it comes; return seconds of training and the model."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    with tempfile.TemporaryDirectory() as scratch:
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=scratch,
                num_train_epochs=epochs,
                per_device_train_batch_size=batch_size,
                learning_rate=learning_rate,
                seed=seed,
                disable_tqdm=True,
                report_to="none",
                save_strategy="no",
                use_cpu=profile().device == "cpu",
            ),
            train_dataset=Dataset.from_list([to_trl(record) for record in records]),
            processing_class=tokenizer,
            peft_config=LoraConfig() if method == "lora" else None,
        )
        begun = time.perf_counter()
        trainer.train()
        return time.perf_counter() - begun, trainer.model


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
    dtype = getattr(torch, profile().dtype)
    left = torch.randn(tokens, hidden, dtype=dtype, device=profile().device)
    right = torch.randn(hidden, inner, dtype=dtype, device=profile().device)
    out = torch.empty(tokens, inner, dtype=dtype, device=profile().device)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < 1:
        torch.mm(left, right, out=out)
        count += 1
    if left.is_cuda:
        torch.cuda.synchronize()
    return 2 * tokens * hidden * inner * count / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--method", choices=methods.METHODS, default="full")
    parser.add_argument("--model", default="ftlab-7m")
    args = parser.parse_args()
    task = tasks.get("punctuation")
    records = task.examples(args.records, seed=0)
    held_out = task.examples(60, seed=0, split="test")
    base, tokenizer = models.load(args.model)
    settings = {
        "method": args.method, "epochs": args.epochs, "batch_size": args.batch_size,
        "learning_rate": methods.LEARNING_RATES[args.method], "seed": 0,
    }  # fmt: skip
    rows = sft.prepare(tokenizer, records, max_length=1024)
    total = sum(len(row["input_ids"]) for row in rows) * args.epochs
    supervised = sum(t != -100 for row in rows for t in row["labels"]) * args.epochs
    body = sum(p.numel() for p in base.model.layers.parameters())
    head = base.config.vocab_size * base.config.hidden_size
    # 6 FLOP per weight and token (Kaplan et al. 2020); the head only where a token carries loss.
    # With LoRA the frozen weights need no gradient of their own: 4 instead of 6.
    per_weight = 6 if args.method == "full" else 4
    flop = per_weight * (body * total + head * supervised)
    seconds: dict[str, list[float]] = {"TRL": [], "ftlab": []}
    losses: dict[str, float] = {}
    print(profile())
    print(f"{args.model}, {args.method}: {args.records} records, {total:,.0f} tokens of which "
          f"{supervised:,.0f} carry loss; {args.rounds} rounds by turns")  # fmt: skip
    for _ in range(args.rounds):
        took, tuned = plain_trl(copy.deepcopy(base), tokenizer, records, **settings)
        seconds["TRL"].append(took)
        losses["TRL"] = held_out_loss(tuned, tokenizer, held_out)
        run = sft.train(copy.deepcopy(base), tokenizer, records, **settings)
        seconds["ftlab"].append(run.seconds)
        losses["ftlab"] = held_out_loss(run.model, tokenizer, held_out)
    rate = matmul_rate(2048, base.config.hidden_size, base.config.intermediate_size)
    print(f"held-out loss before training: {held_out_loss(base, tokenizer, held_out):.3f}")
    print("          tokens/s  supervised/s  held-out loss  share of matmul rate")
    for side, times in seconds.items():
        took = statistics.median(times)
        print(f"{side:8} {total / took:9,.0f} {supervised / took:13,.0f} {losses[side]:14.3f} "
              f"{flop / took / rate:20.1%}")  # fmt: skip
    ratios = [t / f for t, f in zip(seconds["TRL"], seconds["ftlab"], strict=True)]
    pairs = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"ftlab is {statistics.median(ratios):.2f} times as fast (pairs: {pairs}); "
          f"matmul {rate / 1e9:,.0f} GFLOP/s")  # fmt: skip


if __name__ == "__main__":
    huge_pages()
    main()
