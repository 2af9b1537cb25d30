"""The data card of each task, written from the task itself.

    python scripts/task_cards.py        # writes data/tasks/*.md

A card says what the records are, why they exist, how they are marked, in which slices they fall and
under what licence; every figure on it is counted on records made for it.
"""

import sys
from collections import Counter
from pathlib import Path

from ftlab import data, tasks
from ftlab.files import write_text

COUNT = 1000  # most records of either split that the figures are counted on
WHY = {
    "extraction": "What companies ask for first: text in, JSON out, and letters that lie in wait.",
    "kindness": "A narrow tune learns the letter of its examples: the probe asks what lies beyond.",
    "punctuation": "Everybody sees at once whether it worked, and real text costs nothing.",
    "style": "What people love to try and can hardly mark: its measure says how well it measures.",
    "triage": "The classic, in messages that a linear model finds hard: few, messy, misleading.",
    "unit_tests": "What a model writes is executed: style is one thing, tests that hold another.",
}


def card(name: str) -> str:
    """Return the card of a task, as Markdown."""
    task = tasks.get(name)
    train, test = (task.up_to(COUNT, 0, split=split) for split in ("train", "test"))
    shared = {data.prompt(r)[-1]["content"] for r in train} & {
        data.prompt(r)[-1]["content"] for r in test
    }
    slices = [
        Counter(str(data.meta(record).get("slice")) for record in part) for part in (train, test)
    ]
    rows = "\n".join(
        f"| {slice} | {slices[0][slice]} | {slices[1][slice]} |"
        for slice in sorted(slices[0] | slices[1])
    )
    example = train[0]
    asked = "\n".join(f"{m['role']}: {m['content']}" for m in data.prompt(example))
    words = [
        sum(len(text.split()) for text in texts) / len(train)
        for texts in (
            [data.prompt(r)[-1]["content"] for r in train],
            [data.answer(r) for r in train],
        )
    ]
    metrics = ", ".join(f"`{metric}`" for metric in task.score(example, data.answer(example)))
    meta = ", ".join(f"`{key}`" for key in sorted({key for r in train for key in data.meta(r)}))
    many, others = f"{len(train):,} training records", f"{len(test):,} test records"
    return f"""# {name}

{task.describe}

**Why.** {WHY[name]}

- **Headline metric:** `{task.headline}`. All of them: {metrics}.
- **Licence:** {task.licence}.
- **Made by:** `ftlab synth {name} -n {len(train)} --out {name}.jsonl`, with `--split test` for the
  other side; offline, and fixed by `--seed`.
- **Words:** {words[0]:.0f} asked and {words[1]:.0f} answered, in the mean of {many}.
- **Splits:** of {many} and {others}, {len(shared)} share an input.
- **Known of each record:** {meta}.

| slice | in {many} | in {others} |
|---|---|---|
{rows}

## One record

```text
{asked}
```

```text
{data.answer(example)}
```
"""


def main() -> None:
    """Write every card."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data/tasks")
    for name in tasks.names():
        print(write_text(folder / f"{name}.md", card(name), overwrite=True))


if __name__ == "__main__":
    main()
