"""The estimate against the machine: predicted and measured peak memory of a training step.

    python experiments/estimate.py [--models smollm2-135m] [--methods full lora] [--lengths 64 160]
                                   [--batches 2 6] [--out experiments/estimate.md]
    python experiments/estimate.py --models Qwen2.5-0.5B Llama-3.2-1B Llama-3-8B   # on a CUDA GPU

Every method at two lengths and two batch sizes, two steps each of TRL's trainer in a process of its
own (the optimiser's moments are there from the second step on). On a CPU the peak is what torch's
allocator tells torch's profiler: bytes taken less bytes given back, on top of the weights as they
were loaded. On CUDA it is `torch.cuda.max_memory_reserved`, and the models are random weights at
the shapes of SHAPES; the allowance for CUDA itself is left out on both sides, for torch does not
count it. What does not fit is listed as such.

The share is FLOP/s of training over FLOP/s of a matrix product, timed by turns: a product after
every step, the median of each. On a CPU it is processor time, which other work on the machine does
not stretch. 1 would mean that training is nothing but products as fast as that one.
"""

import argparse
import csv
import io
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ftlab.training.shapes import SHAPES

PARTS = (
    "weights", "quantised", "adapters", "gradients", "optimiser", "activations", "casts", "logits",
    "fragmentation",
)  # fmt: skip
COLUMNS = ("model", "method", "tokens", "batch", "predicted", "measured", "share", *PARTS, "error")


def record(tokenizer, length):
    """Return a record of about `length` tokens, its tokens, and how many carry loss."""
    from ftlab import data
    from ftlab.templates import encode

    words = length
    while True:
        made = data.example("Say it.", "the " * words)
        encoded = encode(tokenizer, made)
        if len(encoded.input_ids) <= length:
            return made, len(encoded.input_ids), sum(encoded.loss_mask)
        words -= max(1, (len(encoded.input_ids) - length) // 2)


def random_model(name):
    """Write a model of a shape in SHAPES with random weights; return its folder."""
    import torch
    from transformers import AutoModelForCausalLM

    from ftlab import models
    from ftlab.training.shapes import config_of

    folder = Path(tempfile.gettempdir()) / f"ftlab-shape-{name}"
    if not (folder / "tokenizer.json").exists():
        with torch.device("cuda"):
            model = AutoModelForCausalLM.from_config(config_of(SHAPES[name]), dtype=torch.bfloat16)
        model.save_pretrained(folder)
        models.tokenizer("ftlab-1m").save_pretrained(folder)
    return folder


def held(model):
    """Return the bytes of a model's weights, the scales of 4-bit ones included."""
    tensors = [*model.parameters(), *model.buffers()]
    for state in [p.quant_state for p in model.parameters() if hasattr(p, "quant_state")]:
        second = [state.offset, state.state2.absmax, state.state2.code] if state.nested else []
        tensors += [state.absmax, state.code, *second]
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values())


def cpu_peak(profiler):
    """Return the most bytes live at once, from the allocator's own events."""
    import torch

    events = [
        (e.start_ns(), e.nbytes())
        for e in profiler.profiler.kineto_results.events()
        if e.name() == "[memory]" and e.device_type() == torch.autograd.DeviceType.CPU
    ]
    live = peak = 0
    for _, size in sorted(events, key=lambda event: event[0]):
        live += size
        peak = max(peak, live)
    return peak


def run(name, method, length, batch, timed, pipe):
    """Predict and measure one configuration, in a process of its own; send a row."""
    import torch
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTTrainer

    from ftlab import models
    from ftlab.hardware import profile
    from ftlab.training.config import sft_config
    from ftlab.training.estimate import CUDA_BYTES, estimate, matmul_flops
    from ftlab.training.fast import faster_on_cpu
    from ftlab.training.finetune import encoded

    row = {"model": name, "method": method, "tokens": length, "batch": batch}
    try:
        here = profile()
        cuda = here.device == "cuda"
        clock = time.perf_counter if cuda else time.process_time
        place = random_model(name) if name in SHAPES else name
        torch.cuda.empty_cache()
        one, tokens, counted = record(models.tokenizer(place), length)
        row["tokens"] = tokens
        share = counted / (tokens - 1)
        made = estimate(place, method, length=tokens, batch_size=batch, loss_share=share)
        row["predicted"] = round(made.total - (CUDA_BYTES if cuda else 0))
        row |= {part: round(size) for part, size in made.parts.items()}

        model, tokenizer = models.load(place, bits=4 if method == "qlora" else None)
        if not cuda:  # as the estimate reckons
            model.set_attn_implementation("eager")
        weights = held(model)

        def train(steps, on_step=None):
            adapter = LoraConfig(r=32, lora_alpha=64, target_modules="all-linear")
            trainer = SFTTrainer(
                model, processing_class=tokenizer,
                args=sft_config(max_steps=steps, per_device_train_batch_size=batch),
                train_dataset=encoded(tokenizer, [one] * (steps * batch)),
                peft_config=None if method == "full" else adapter,
            )  # fmt: skip
            watch = TrainerCallback()
            watch.on_step_end = lambda *_, **__: on_step and on_step()
            trainer.add_callback(watch)
            faster_on_cpu(trainer).train()

        if timed:
            rates, seconds, last = [], [], []

            def by_turns():
                now = clock()
                seconds.extend([now - last[0]] if last else [])
                rates.append(matmul_flops(here.device, here.dtype, clock))
                last[:] = [clock()]

            train(5, by_turns)
            speed = made.step_flops / statistics.median(seconds)
            row["share"] = round(speed / statistics.median(rates), 3)
        elif cuda:
            torch.cuda.reset_peak_memory_stats()
            train(2)
            row["measured"] = torch.cuda.max_memory_reserved()
        else:
            with torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
            ) as profiler:
                train(2)
            row["measured"] = weights + cpu_peak(profiler)
    except Exception as error:
        row["error"] = (str(error).splitlines() or [type(error).__name__])[0][:100]
    pipe.send(row)


def apart(context, *what):
    """Run a configuration in a process of its own; return its row."""
    ours, theirs = context.Pipe()
    child = context.Process(target=run, args=(*what, theirs))
    child.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        row = dict(zip(("model", "method", "tokens", "batch"), what, strict=False))
        return row | {"error": "the process was ended (out of memory?)"}
    finally:
        child.join()


def line(row):
    head = f"| {row['model']} | {row['method']} | {row['tokens']} | {row['batch']} |"
    sizes = [f" {row[k] / 1e6:,.1f} |" if k in row else " – |" for k in ("predicted", "measured")]
    off = f"{row['predicted'] / row['measured'] - 1:+.1%}" if "measured" in row else "–"
    share = f"{row['share']:.2f}" if "share" in row else ""
    return head + "".join(sizes) + f" {row.get('error', off)} | {share} |"


def summary(rows, cuda):
    """Say how far off the predictions are."""
    aim = 0.10 if cuda else 0.15
    off = sorted(abs(r["predicted"] / r["measured"] - 1) for r in rows if "measured" in r)
    if not off:
        return "Nothing was measured."
    return (
        f"{len(off)} of {len(rows)} were measured. Off by {statistics.median(off):.1%} in the "
        f"middle, {off[-1]:.1%} at worst; within {aim:.0%}: {sum(x <= aim for x in off)}."
    )


def write(args, rows, said):
    """Write the page, and the figures beside it as CSV."""
    from ftlab.files import write_text
    from ftlab.hardware import profile, versions

    here = profile()
    about = ", ".join(f"{k} {v}" for k, v in versions().items())
    shares = [r["share"] for r in rows if "share" in r]
    cuda = here.device == "cuda"
    page = [
        "# The estimate against the machine", "",
        f"`python experiments/estimate.py {' '.join(sys.argv[1:])}`, "
        f"{time.strftime('%d %B %Y')}, {here.gpu or here.device}, {here.threads} threads, computed "
        f"in {here.dtype}; {about}.", "",
        "The peak of two training steps, each run in a process of its own, as "
        + ("torch's allocator on the GPU reports it." if cuda else
           "torch's profiler hears it from the allocator: torch's tensors, without Python and its "
           "libraries. The CUDA mode of the script was not run for this page."),
        "", said, "",
        "| model | method | tokens | batch | predicted MB | measured MB | off by | share |",
        "|---|---|---|---|---|---|---|---|", *map(line, rows), "",
    ]  # fmt: skip
    if shares:
        page += [
            "The share is the FLOP/s of training over those of a matrix product of 512 × 512 (4096 "
            "on a GPU), timed by turns in the same run at the largest size: "
            f"{min(shares):.2f} to {max(shares):.2f}, {statistics.median(shares):.2f} in the "
            "middle. A time predicted with another share is off by the ratio of the two.", "",
        ]  # fmt: skip
    write_text(args.out, "\n".join(page), overwrite=True)
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(args.out.with_suffix(".csv"), text.getvalue(), overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["smollm2-135m"])
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--lengths", nargs="+", type=int, default=[64, 160])
    parser.add_argument("--batches", nargs="+", type=int, default=[2, 6])
    parser.add_argument("--out", type=Path, help="a page to write, with a CSV file beside it")
    args = parser.parse_args()
    import peft  # noqa: F401  loaded once here, not in every process
    import torch
    import trl  # noqa: F401

    from ftlab.hardware import profile
    from ftlab.training.estimate import METHODS

    cuda = torch.cuda.is_available()
    if not cuda:
        profile()  # times bf16, once
    context = multiprocessing.get_context("spawn" if cuda or sys.platform != "linux" else "fork")
    rows = []
    for name in args.models:
        for method in args.methods or METHODS:
            for length in args.lengths:
                for batch in args.batches:
                    rows.append(apart(context, name, method, length, batch, False))
                    if (length, batch) == (args.lengths[-1], args.batches[-1]):
                        again = apart(context, name, method, length, batch, True)
                        rows[-1] |= {k: again[k] for k in ("share",) if k in again}
                    print(line(rows[-1]), flush=True)
                    if args.out:
                        write(args, rows, summary(rows, cuda))
    print(summary(rows, cuda))


if __name__ == "__main__":
    main()
