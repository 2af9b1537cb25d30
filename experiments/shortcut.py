"""The capital-letter shortcut: two models, one trained with capitals left in, each asked both ways.

    python experiments/shortcut.py [--model ftlab-7m] [--records 1500] [--epochs 2] [--test 150]

A model that is shown capitals can put periods by looking for them, without reading. It does well on
inputs like those it was trained on and collapses where the capitals are gone (speech, chat, OCR).
A passage here is two short sentences, and the figure is the F1 of the mark that ends the first one,
which needs reading. Two models asked two ways, each with a bootstrap interval over test passages.
Every finished model is kept in `runs/shortcut/`: a second call only asks.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from ftlab import data, models, tasks
from ftlab.evaluation.intervals import bootstrap
from ftlab.generation import generate
from ftlab.tasks import punctuation
from ftlab.training import sft

ENDS = ("f1_period", "f1_question", "f1_exclamation")


def inner(text: str) -> str:
    """Return the text without the marks at its very end."""
    return text.rstrip(" .?!\"')")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ftlab-7m")
    parser.add_argument("--records", type=int, default=1500)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--test", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/shortcut"))
    args = parser.parse_args()
    task = tasks.get("punctuation")
    ways = {"capitals left in": punctuation.with_capitals, "capitals gone": replace}
    train = punctuation.two_sentences(args.records, args.seed)
    test = punctuation.two_sentences(args.test, args.seed, split="test")
    print(f"{args.model}, {args.records} records, {args.epochs:g} epochs, seed {args.seed}")
    print(f"{'trained on':<18} {'asked with':<18} F1 of the first end      words kept")
    for learned, change in ways.items():
        folder = args.out / f"{learned.replace(' ', '-')}-{args.records}-{args.seed}"
        if not folder.exists():
            base, tokenizer = models.load(args.model)
            records = [change(record) for record in train]
            sft.train(base, tokenizer, records, epochs=args.epochs, seed=args.seed).save(folder)
        model, tokenizer = models.load(str(folder))
        for asked, ask in ways.items():
            records = [ask(record) for record in test]
            answers = generate(
                model,
                tokenizer,
                [data.prompt(r) for r in records],
                max_new_tokens=100,
                batch_size=50,
            )
            scores = [
                task.score(
                    data.example(
                        data.prompt(record), inner(data.answer(record)), **data.meta(record)
                    ),
                    inner(answer),
                )
                for record, answer in zip(records, map(task.parse, answers), strict=True)
            ]
            parts = [tasks.total(score[name] for name in ENDS) for score in scores]
            ends = bootstrap([p.num for p in parts], [p.den for p in parts], seed=args.seed)
            kept = tasks.total(score["words_kept"] for score in scores).value
            print(
                f"{learned:<18} {asked:<18} {ends.value:.2f} [{ends.low:.2f}, {ends.high:.2f}]"
                f"        {kept:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
