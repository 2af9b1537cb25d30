"""ftlab's `generate` against transformers' batched `model.generate`: same model, prompts, limits.

    python benchmarks/generation.py [--prompts 64] [--examples 8] [--alone 16] [--rounds 1]

Both sides run in one process, in turn, greedy in float32, in two cases: each prompt on its own, and
behind solved examples that all prompts share. Times are given by the wall and of this process
("CPU": what to compare where other programs share the machine). Texts are compared with those that
transformers writes to `--alone` of the prompts, one at a time and without padding.
"""

import argparse
import time
from statistics import median

import torch

from ftlab import data, models, tasks
from ftlab.generation import generate
from ftlab.hardware import profile, reuse_memory
from ftlab.templates import end_of_turn_ids, prompt_ids


def conversations(task, count, examples):
    """Return `count` prompts of a task, each behind the same solved examples."""
    shown = [
        message
        for record in task.examples(max(examples, 1), seed=0)[:examples]
        for message in (*data.prompt(record), {"role": "assistant", "content": data.answer(record)})
    ]
    return [[*shown, *data.prompt(record)] for record in task.examples(count, seed=0, split="test")]


def theirs(model, tokenizer, prompts, max_new_tokens):
    """Return what transformers' `generate` writes to a left-padded batch of prompts."""
    ids = [prompt_ids(tokenizer, messages) for messages in prompts]
    batch = tokenizer.pad({"input_ids": ids}, padding_side="left", return_tensors="pt")
    own = model.generation_config.eos_token_id
    stops = {*end_of_turn_ids(tokenizer), *(own if isinstance(own, list) else [own])}
    out = model.generate(
        **batch.to(model.device), do_sample=False, max_new_tokens=max_new_tokens,
        eos_token_id=sorted(stops), pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)


def timed(run):
    """Return what `run()` returns, and its seconds by the wall and of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def compare(title, model, tokenizer, prompts, args) -> None:
    """Time both sides on the same prompts; print seconds, ratios, and whether texts agree."""
    limit = args.max_new_tokens
    sides = {
        "transformers": lambda: theirs(model, tokenizer, prompts, limit),
        "ftlab": lambda: generate(model, tokenizer, prompts, max_new_tokens=limit),
    }
    walls: dict[str, list[float]] = {name: [] for name in sides}
    cpus: dict[str, list[float]] = {name: [] for name in sides}
    texts = {}
    for _ in range(args.rounds):
        for name, run in sides.items():
            texts[name], wall, cpu = timed(run)
            walls[name].append(wall)
            cpus[name].append(cpu)
    tokens = [len(prompt_ids(tokenizer, prompt)) for prompt in prompts]
    written = [len(ids) + 1 for ids in tokenizer(texts["ftlab"])["input_ids"]]
    print(f"\n{title}: {len(prompts)} prompts of {min(tokens)} to {max(tokens)} tokens, "
          f"{sum(written)} tokens written (median {median(written):.0f})")  # fmt: skip
    for name in sides:
        print(f"  {name:13}{median(walls[name]):7.1f} s   CPU {median(cpus[name]):7.1f} s")
    wall, cpu = (median(s["transformers"]) / median(s["ftlab"]) for s in (walls, cpus))
    print(f"  ftlab is {wall:.2f} times as fast (CPU {cpu:.2f})")
    both = sum(a == b for a, b in zip(texts["ftlab"], texts["transformers"], strict=True))
    print(f"  same texts as transformers' batch: {both} of {len(prompts)}")
    some = range(0, len(prompts), max(1, len(prompts) // max(1, args.alone)))[: args.alone]
    alone = [theirs(model, tokenizer, [prompts[i]], limit)[0] for i in some]
    for name in sides:
        same = sum(texts[name][i] == text for i, text in zip(some, alone, strict=True))
        print(f"  {name}: same text as transformers one at a time: {same} of {len(some)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", choices=tasks.names(), default="punctuation")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--examples", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--alone", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--case", choices=["own", "shared", "both"], default="both")
    args = parser.parse_args()
    model, tokenizer = models.load(args.model, dtype="float32")
    task = tasks.get(args.task)
    print(profile())
    print(f"{args.model}, attention {model.config._attn_implementation}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    for case, examples in (("own", 0), ("shared", args.examples)):
        if args.case in (case, "both"):
            prompts = conversations(task, args.prompts, examples)
            generate(model, tokenizer, prompts[:2], max_new_tokens=2)  # warms up
            title = f"{examples} shared examples" if examples else "own prompts"
            compare(title, model, tokenizer, prompts, args)


if __name__ == "__main__":
    reuse_memory()
    main()
