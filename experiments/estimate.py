"""The estimate against the machine: predicted and measured peak memory of a training step.

    python experiments/estimate.py [--models ftlab-1m ftlab-7m] [--methods full lora]
                                   [--lengths 64 192] [--batches 2 8] [--out PAGE]

Every method at two lengths and two batch sizes, three steps each of `ftlab.training.sft.train` in a
process of its own. On a CPU the peak is what torch's allocator reports to torch's profiler: bytes
taken less bytes given back, on top of the weights' own as they were loaded. On CUDA it is
`torch.cuda.max_memory_reserved`, and the models are random weights at the shapes of SHAPES, to be
named by `--models`; what does not fit is listed as such. The allowance for CUDA itself is left out
on both sides, for torch does not count it.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

SHAPES = {
    "Qwen2.5-0.5B": {
        "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
        "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2,
        "vocab_size": 151936, "tie_word_embeddings": True,
    },
    "Llama-3.2-1B": {
        "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192,
        "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
        "head_dim": 64, "vocab_size": 128256, "tie_word_embeddings": True,
    },
    "Llama-3-8B": {
        "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "vocab_size": 128256, "tie_word_embeddings": False,
    },
}  # fmt: skip


def record(tokenizer, length):
    """Return a record of about `length` tokens, its tokens, and how many carry loss."""
    from ftlab.records import Record
    from ftlab.templates import encode

    words = length
    while True:
        made = Record.of("Say it.", "the " * words)
        encoded = encode(tokenizer, made)
        if len(encoded.input_ids) <= length:
            return made, len(encoded.input_ids), sum(encoded.loss_mask)
        words -= max(1, (len(encoded.input_ids) - length) // 2)


def random_model(name):
    """Write a model of a shape in SHAPES with random weights; return its folder."""
    import torch
    from transformers import AutoModelForCausalLM

    from ftlab import models
    from ftlab.training import dryrun

    folder = Path(tempfile.gettempdir()) / f"ftlab-shape-{name}"
    if not (folder / "tokenizer.json").exists():
        with torch.device("cuda"):
            model = AutoModelForCausalLM.from_config(
                dryrun.read(SHAPES[name]), dtype=torch.bfloat16
            )
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


def run(name, method, length, batch, pipe):
    """Predict and measure one configuration, in a process of its own; send a row."""
    import torch

    from ftlab import models
    from ftlab.hardware import profile
    from ftlab.training import sft
    from ftlab.training.estimate import CUDA_BYTES, estimate

    row = {"model": name, "method": method, "batch": batch, "length": length}
    try:
        cuda = profile().device == "cuda"
        place = random_model(name) if name in SHAPES else name
        torch.cuda.empty_cache()
        one, tokens, counted = record(models.tokenizer(place), length)
        row["length"] = tokens
        made = estimate(
            place, method, length=tokens, batch_size=batch, loss_share=counted / (tokens - 1)
        )
        row["predicted"] = made.total - (CUDA_BYTES if cuda else 0)
        row["parts"] = {k: round(v / 1e6, 2) for k, v in made.parts.items()}

        model, tokenizer = models.load(place, bits=4 if method == "qlora" else None)
        weights = held(model)

        def train():
            sft.train(
                model, tokenizer, [one] * (3 * batch), method=method, epochs=1, batch_size=batch
            )

        if cuda:
            torch.cuda.reset_peak_memory_stats()
            train()
            row["measured"] = torch.cuda.max_memory_reserved()
        else:
            with torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
            ) as profiler:
                train()
            row["measured"] = weights + cpu_peak(profiler)
    except Exception as error:
        row["error"] = str(error).splitlines()[0][:100]
    pipe.send(row)


def line(row):
    head = f"| {row['model']} | {row['method']} | {row['length']} | {row['batch']} |"
    sizes = [f" {row[k] / 1e6:,.1f} |" if k in row else " – |" for k in ("predicted", "measured")]
    if "error" in row:
        return head + "".join(sizes) + f" {row['error']} |"
    return head + "".join(sizes) + f" {row['predicted'] / row['measured'] - 1:+.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["ftlab-1m", "ftlab-7m"])
    parser.add_argument("--methods", nargs="+")
    parser.add_argument("--lengths", nargs=2, type=int, default=[64, 192])
    parser.add_argument("--batches", nargs=2, type=int, default=[2, 8])
    parser.add_argument("--machine", default="", help="in words, for the page")
    parser.add_argument("--out", type=Path, help="a page to write")
    args = parser.parse_args()
    import peft  # noqa: F401  loaded once here, not in every process
    import torch
    import trl  # noqa: F401

    from ftlab.hardware import versions
    from ftlab.training import methods, sft  # noqa: F401

    fork = sys.platform == "linux"
    context = multiprocessing.get_context("fork" if fork else "spawn")
    rows, started = [], time.time()
    title = "| model | method | tokens | batch | predicted MB | measured MB | off by |"
    print(title)
    for name in args.models:
        for method in args.methods or methods.METHODS:
            for length in args.lengths:
                for batch in args.batches:
                    ours, theirs = context.Pipe()
                    child = context.Process(target=run, args=(name, method, length, batch, theirs))
                    child.start()
                    theirs.close()
                    try:
                        rows.append(ours.recv())
                    except EOFError:
                        row = {"model": name, "method": method, "length": length, "batch": batch}
                        rows.append(row | {"error": "the process was ended (out of memory?)"})
                    child.join()
                    print(line(rows[-1]), json.dumps(rows[-1].get("parts", {})), flush=True)
    off = sorted(abs(r["predicted"] / r["measured"] - 1) for r in rows if "measured" in r)
    summary = f"{len(rows)} runs in {time.time() - started:.0f} s"
    if off:
        summary = (
            f"{summary}; off by {off[len(off) // 2]:.1%} in the middle, {off[-1]:.1%} at worst; "
            f"within 15 %: {sum(x <= 0.15 for x in off)} of {len(off)}."
        )
    print(summary)
    if args.out:
        from ftlab.files import write_text

        about = ", ".join(f"{k} {v}" for k, v in versions().items())
        page = [
            "# The estimate against the machine", "",
            f"`python experiments/estimate.py --models {' '.join(args.models)}`, "
            f"{time.strftime('%d %B %Y')}, {args.machine or 'machine not described'}; {about}.",
            "Peak of three training steps, each run in a process of its own; measured by torch's "
            + ("allocator on the GPU." if torch.cuda.is_available() else
               "profiler, which hears of every block that torch's allocator takes and gives back."),
            "", summary, "", title, "|---|---|---|---|---|---|---|", *map(line, rows), "",
        ]  # fmt: skip
        write_text(args.out, "\n".join(page), overwrite=True)


if __name__ == "__main__":
    main()
