"""Write the model cards: what a base model read, how it was trained, what it can and cannot do.

Every figure on a card comes from `training.json` of the run, from the corpus manifest, or from the
model itself; only `TRIALS`, measured before this script existed, is kept as a file of results.
"""

import csv
import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from ftlab.files import write_text
from ftlab.pretrain import sources

ABOUT = {
    "ftlab-7m": "the default base of the course",
    "ftlab-3m": "a smaller base, for quick runs and comparisons of size",
    "ftlab-1m": "the smallest base, which read about as much as ftlab-3m",
    "ftlab-3m-prose": "a 3M specialist whose last stage was English only",
    "ftlab-3m-code": "a 3M specialist whose last stage was Python and structured text only",
    "ftlab-3m-step5pct": "what ftlab-3m was after a twentieth of its training",
    "ftlab-3m-step25pct": "what ftlab-3m was after a quarter of its training",
}
PROMPTS = {
    "prose": "The old man opened the door and",
    "docs": "Return the number of",
    "python": "def read_lines(path):\n    ",
    "structured": '{"name": "Mara", "',
}


def manifest_csv(manifest: list[dict[str, Any]]) -> str:
    """Return the manifest as CSV: one row a book or speech, one row a package."""
    rows: dict[tuple, list] = defaultdict(lambda: [0, 0, ""])
    for entry in manifest:
        title = entry.get("package") or entry["title"]
        row = rows[entry["source"], title, entry["licence"], entry["split"]]
        row[0] += 1
        row[1] += entry["characters"]
        row[2] = entry["sha256"] if row[0] == 1 else ""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["source", "title", "licence", "split", "documents", "characters", "sha256"])
    for key, values in sorted(rows.items()):
        writer.writerow([*key, *values])
    return out.getvalue()


def curve(points: list[list[float]], width: int = 12) -> str:
    """Return the training loss as a small table: tokens seen, nats per token."""
    chosen = [points[round(i * (len(points) - 1) / (width - 1))] for i in range(width)]
    chosen = [p for i, p in enumerate(chosen) if i == 0 or p != chosen[i - 1]]
    heads = " | ".join(f"{tokens / 1e6:.1f}" for tokens, _ in chosen)
    losses = " | ".join(f"{loss:.2f}" for _, loss in chosen)
    return f"| M tokens | {heads} |\n|{'---|' * (len(chosen) + 1)}\n| nats per token | {losses} |"


def samples(folder: Path, kinds: list[str]) -> str:
    """Return what the model writes after one beginning of each kind, greedily."""
    from ftlab import models
    from ftlab.evaluation.generate import continue_text

    model, tokenizer = models.load(str(folder))
    parts = []
    for kind in kinds:
        if kind in PROMPTS:
            text = continue_text(model, tokenizer, PROMPTS[kind], max_new_tokens=48)
            parts.append(f"```text\n{PROMPTS[kind]}▸{text.rstrip()}\n```")
    return "\n\n".join(parts)


def measure(folder: Path, corpus: Path) -> None:
    """Evaluate the weights as saved, and keep the figures in `training.json`."""
    from ftlab import models
    from ftlab.pretrain.train import evaluate

    path = folder / "training.json"
    run = json.loads(path.read_text("utf-8"))
    run["bits_per_character"] = evaluate(*models.load(str(folder)), corpus)
    write_text(path, json.dumps(run, indent=1) + "\n", overwrite=True)


def write_card(folder: Path, trials: str) -> Path:
    """Write `README.md` in a model's folder from its `training.json`."""
    run = json.loads((folder / "training.json").read_text("utf-8"))
    name, recipe = folder.name, run["recipe"]
    hardware = f"{run['cores']} CPU cores" if run["device"] == "cpu" else run["device"]
    mixture = ", ".join(f"{source} {share:.0%}" for source, share in recipe["mixture"].items())
    stages = "".join(
        f"- Before that, as {stage['name']}: {stage['tokens'] / 1e6:.1f} M tokens of "
        + ", ".join(f"{source} {share:.0%}" for source, share in stage["recipe"]["mixture"].items())
        + ".\n"
        for stage in reversed(run.get("earlier") or [])
    )
    start = " --start …" if stages else ""
    bits = run["bits_per_character"]
    table = "\n".join(f"| {source} | {value:.3f} |" for source, value in bits.items())
    text = f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
language: en
description: "{ABOUT[name]}"
---

# {name}

{ABOUT[name][0].upper() + ABOUT[name][1:]}: a Llama-architecture decoder of
{run["parameters"]:,} parameters (hidden {recipe["hidden"]}, {recipe["layers"]} layers,
{recipe["heads"]} heads, {recipe["inner"]} inside, 4,096 tokens of byte-level BPE, embeddings
tied), trained from nothing for the ftlab course.
It knows how English, Python and structured text look, and hardly any facts. It has seen none of the
course's tasks; it is there to be fine-tuned.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("data/models/{name}")
tokenizer = AutoTokenizer.from_pretrained("data/models/{name}")
```

## Training

- {run["tokens"] / 1e6:.1f} M tokens in {run["steps"]:,} steps of {recipe["batch"]:,} tokens;
  {run["minutes"]} minutes on {hardware}, {run.get("precision", "bf16 autocast")}, torch
  {run["torch"]}, seed {run["seed"]}.
- Mixture: {mixture}.
- Muon {recipe["matrix_lr"]} on the matrices, AdamW {recipe["vector_lr"]} on the rest; warm-up
  ({recipe["warmup"]} steps), stable, last {recipe["decay"]:.0%} linear to zero; windows of
  256 tokens, 512 in the decay. Weights are saved in bf16.
{stages}- Command: `python -m ftlab.pretrain corpus …`, then
  `python -m ftlab.pretrain train {name.split("-step")[0]}{start} --tokens …`

{curve(run["curve"]) if len(run["curve"]) > 1 else "An early checkpoint: no curve of its own."}

The minutes were measured while the machine also did other work, so they are an upper bound.

## Held-out bits per character

Whole documents that were never trained on, windows of 512 tokens, lower is better.

| source | bits per character |
|---|---|
{table}

Held out are the books {", ".join(sources.HELD_OUT_BOOKS)}; {len(sources.HELD_OUT_SPEECHES)}
speeches; the packages {", ".join(sources.HELD_OUT_PACKAGES)}; and every 50th structured text.

## What it read

`corpus.csv`, in this folder, lists every book, speech and package with its licence and size;
structured text (JSON, YAML, XML, CSV, logs, letters, plain turns of the chat template) is written
by `ftlab/pretrain/structured.py`. Left out on purpose, because lessons evaluate on them: the novels
of Jane Austen, and of the standard library {", ".join(sources.LESSONS_ONLY)}.

## Samples (greedy; ▸ marks where the model takes over)

{samples(folder, list(recipe["mixture"]))}

## Known weaknesses

- Facts, arithmetic and reasoning: next to none. What it writes is fluent for a line or two.
- English of books before 1924 and of technical documentation; other languages hardly at all.
- Trained on windows of at most 512 tokens; positions up to 1,024 are allowed and untested.
- The books are of their time and hold its prejudices; nothing was done about that. Not for use
  outside teaching.
{trials}
## Licence

Weights: Apache-2.0. The prose and speeches are in the public domain; the Python sources are under
the permissive licences that `corpus.csv` names.
"""
    return write_text(folder / "README.md", text, overwrite=True)
