"""Replay: what does a second round forget, with and without some of the old records?

    python experiments/replay.py [--model ftlab-1m] [--records 210] [--test 100] [--share 0.2]

One task in two halves: short support tickets of three kinds, then of three others; the answer is
the kind, one word. A model learns the old half (round 1) and then the new half, once by itself and
once with old records mixed in, so that they are a fifth of all. After each round it is asked held
out tickets of both halves. Shares right, with bootstrap intervals over tickets, for each training
seed; the last lines pair the two ways ticket by ticket. Every finished model is kept in
`runs/replay/`: a second call only asks.
"""

import argparse
from pathlib import Path

from ftlab import data, models
from ftlab.evaluation.intervals import bootstrap, paired_bootstrap
from ftlab.generation import generate
from ftlab.teaching.lesson12 import tickets
from ftlab.training import rounds, sft

OLD, NEW = ("login", "delivery", "outage"), ("privacy", "feature", "refund")


def right(folder: Path, test: list[data.Row]) -> list[int]:
    """Return for each ticket whether the model in a folder names its kind."""
    model, tokenizer = models.load(folder)
    said = generate(
        model, tokenizer, [data.prompt(r) for r in test], max_new_tokens=6, batch_size=100
    )
    return [int(text.strip() == data.answer(r)) for text, r in zip(said, test, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ftlab-1m")
    parser.add_argument("--method", default="full", help="full or frozen")
    parser.add_argument("--records", type=int, default=210, help="in each round")
    parser.add_argument("--test", type=int, default=100, help="tickets of each half")
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/replay"))
    args = parser.parse_args()
    old, new = (tickets(args.records, kinds, "train") for kinds in (OLD, NEW))
    test = {name: tickets(args.test, kinds, "test") for name, kinds in (("old", OLD), ("new", NEW))}
    print(
        f"{args.model}, {args.method}, {args.records} records a round, {args.epochs:g} epochs; "
        f"{args.test} test tickets of each half"
    )
    print(f"{'seed':<5} {'after':<25} {'old half right':<20} new half right")
    ones = [1] * args.test
    hits: dict[str, dict[str, list[int]]] = {}
    ways = {"round 1": None, "round 2": [], f"round 2, replay {args.share:g}": old}
    for seed in range(args.seeds):
        first = None
        for name, replay in ways.items():
            size = f"{args.method}-{args.records}-{args.epochs:g}-{seed}"
            folder = args.out / f"{name.replace(', ', '-').replace(' ', '-')}-{size}"
            if not folder.exists():
                how = {"epochs": args.epochs, "seed": seed, "method": args.method}
                records = old if first is None else new
                if replay:
                    records = rounds.replayed(new, replay, args.share, seed=seed).records
                sft.train(*models.load(first or args.model), records, **how).save(folder)
            first = first or folder
            line = f"{seed:<5} {name:<25}"
            for half, records in test.items():
                scores = right(folder, records)
                sums = hits.setdefault(name, {}).setdefault(half, [0] * args.test)
                sums[:] = map(sum, zip(sums, scores, strict=True))  # over seeds: tickets are drawn
                line += f" {bootstrap(scores, ones, seed=seed)!s:<20}"
            print(line.rstrip(), flush=True)
    one, alone, mixed = hits.values()
    many = [args.seeds] * args.test
    for label, a, b in (
        ("round 2 less round 1", one, alone),
        ("with replay less without", alone, mixed),
    ):
        gaps = [paired_bootstrap(a[half], many, b[half], many) for half in test]
        print(f"{'all':<5} {label:<25} " + " ".join(f"{gap!s:<20}" for gap in gaps).rstrip())


if __name__ == "__main__":
    main()
