"""ftlab's `generate` against a loop of transformers' `model.generate`: same model, prompts, limits.

    python benchmarks/generation.py [--prompts 200] [--sample 200] [--task punctuation]

Both sides run in one process, greedy in float32, and their texts are compared. `--sample` lets the
loop, which takes minutes, answer only so many of the prompts, evenly spread; its time for all of
them is then estimated from the tokens that it read and wrote. "CPU" is the time of this process:
what to look at where other programs share the machine. The ratio of the promise is that of `wall`.
"""

import argparse
import time

import torch

from ftlab import models, tasks
from ftlab.generation import generate
from ftlab.hardware import huge_pages, profile
from ftlab.templates import end_of_turn_ids, prompt_ids


def one_by_one(model, tokenizer, conversations, max_new_tokens) -> tuple[list[str], int]:
    """Answer as a user's loop would; return the texts and how many tokens were written."""
    answers, written = [], 0
    ends = model.generation_config.eos_token_id
    stops = sorted({*end_of_turn_ids(tokenizer), *(ends if isinstance(ends, list) else [ends])})
    with torch.inference_mode():
        for messages in conversations:
            ids = torch.tensor([prompt_ids(tokenizer, messages)], device=model.device)
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
                max_new_tokens=max_new_tokens, eos_token_id=stops,
                pad_token_id=tokenizer.pad_token_id,
            )[0, ids.shape[1] :]  # fmt: skip
            answers.append(tokenizer.decode(out, skip_special_tokens=True))
            written += len(out)
    return answers, written


def timed(run):
    """Return what `run()` returns, and its seconds by the wall and of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--task", choices=tasks.names(), default="punctuation")
    parser.add_argument("--max-new-tokens", type=int, default=80)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[200])
    parser.add_argument("--model", default="ftlab-7m")
    args = parser.parse_args()
    records = tasks.get(args.task).examples(args.prompts, seed=0, split="test")
    prompts = [record.messages for record in records]
    model, tokenizer = models.load(args.model, dtype="float32")
    print(profile())
    generate(model, tokenizer, prompts[:4], max_new_tokens=4)
    one_by_one(model, tokenizer, prompts[:1], 4)

    sample = range(0, len(prompts), max(1, len(prompts) // args.sample))
    (texts, written), wall, cpu = timed(
        lambda: one_by_one(model, tokenizer, [prompts[i] for i in sample], args.max_new_tokens)
    )
    print(f"one by one: {len(sample)} prompts, {written} tokens written, "
          f"{wall:.1f} s, CPU {cpu:.1f} s")  # fmt: skip
    for size in args.batch_size:
        answers, our_wall, our_cpu = timed(
            lambda size=size: generate(
                model, tokenizer, prompts, max_new_tokens=args.max_new_tokens, batch_size=size
            )
        )
        # A loop's time is that of its tokens written; what is estimated counts them by the texts.
        count = lambda some: sum(map(len, tokenizer(some)["input_ids"])) + len(some)
        scale = count(answers) / count([answers[i] for i in sample])
        same = sum(answers[i] == text for i, text in zip(sample, texts, strict=True))
        print(f"ftlab, {size} at once: {len(answers)} prompts, {our_wall:.1f} s, CPU {our_cpu:.1f} "
              f"s; same text as one by one: {same} of {len(sample)}")  # fmt: skip
        about = " (estimated)" if len(sample) < len(prompts) else ""
        print(f"  the loop on all {len(prompts)}: {wall * scale:.1f} s, CPU {cpu * scale:.1f} s"
              f"{about}; ftlab is {wall * scale / our_wall:.1f} times as fast "
              f"(CPU {cpu * scale / our_cpu:.1f})")  # fmt: skip


if __name__ == "__main__":
    huge_pages()
    main()
