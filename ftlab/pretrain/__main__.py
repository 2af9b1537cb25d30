"""`python -m ftlab.pretrain corpus | train | card`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ftlab.errors import raise_unknown

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)
Folder = Annotated[Path, typer.Option(help="Where the corpus, checkpoints and models go.")]


@app.command()
def corpus(
    prose: Annotated[Path, typer.Option(help="Books: .jsonl.xz of title, author, year, text.")],
    speeches: Annotated[Path, typer.Option(help="Speeches, in the same format.")],
    out: Folder = Path("runs/pretrain"),
    seed: int = 0,
    tokenizer_from: Annotated[
        Path | None, typer.Option(help="Use the tokenizer of this model instead of a new one.")
    ] = None,
) -> None:
    """Collect and clean the documents, train the tokenizer, write token arrays and a manifest."""
    import hashlib
    import random

    from transformers import AutoTokenizer

    from ftlab.pretrain import sources, structured, vocabulary

    documents = sources.collect(prose, speeches)
    print(f"{len(documents):,} documents; writing structured text")
    documents += structured.generate(documents, count=40_000, seed=seed)
    random.Random(seed).shuffle(documents)
    folder = out / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer_from:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_from)
        tokenizer.save_pretrained(folder / "tokenizer")
    else:
        sample = [
            d["text"][start : start + 20_000]
            for d in documents
            if d["split"] == "train"
            for start in range(0, len(d["text"]), 120_000)
        ]
        print("training the tokenizer")
        tokenizer = vocabulary.train_tokenizer(sample, folder / "tokenizer")
    end = tokenizer.convert_tokens_to_ids(vocabulary.END)
    for source in sorted({d["source"] for d in documents}):
        for split in ("train", "heldout"):
            texts = [d["text"] for d in documents if (d["source"], d["split"]) == (source, split)]
            parts = []
            for start in range(0, len(texts), 200):
                encoded = tokenizer(texts[start : start + 200], add_special_tokens=False)
                parts += [np.array([end, *ids], dtype=np.uint16) for ids in encoded["input_ids"]]
            tokens = np.concatenate(parts)
            np.save(folder / f"{source}-{split}.npy", tokens)
            print(f"{source} {split}: {len(tokens):,} tokens, {sum(map(len, texts)):,} characters")
    manifest = [
        {k: v for k, v in d.items() if k != "text"}
        | {"characters": len(d["text"]), "sha256": hashlib.sha256(d["text"].encode()).hexdigest()}
        for d in documents
        if d["source"] != "structured"
    ]
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


@app.command()
def train(
    names: Annotated[list[str], typer.Argument(help="Which models of the family.")],
    minutes: Annotated[float | None, typer.Option(help="Training time for each.")] = None,
    tokens: Annotated[float | None, typer.Option(help="Or a number of tokens for each.")] = None,
    out: Folder = Path("runs/pretrain"),
    seed: int = 0,
    start: Annotated[
        Path | None, typer.Option(help="Go on from the weights of this model folder.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Tokens per step (default 8,192).")] = None,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile")] = True,
) -> None:
    """Train models of the family, one after the other, from where they stopped."""
    from ftlab.hardware import huge_pages
    from ftlab.pretrain.train import FAMILY, run

    huge_pages()
    for name in names:
        if name not in FAMILY:
            raise_unknown("base model", name, FAMILY)
        recipe = replace(FAMILY[name], batch=batch) if batch else FAMILY[name]
        run(
            name, recipe, corpus=out / "corpus", out=out, minutes=minutes, tokens=tokens,
            seed=seed, start=start, compiled=compiled, say=lambda line: print(line, flush=True),
        )  # fmt: skip


@app.command()
def card(
    names: Annotated[list[str], typer.Argument(help="Trained models, checkpoints included.")],
    out: Folder = Path("runs/pretrain"),
    to: Annotated[Path, typer.Option(help="Where the finished folders go.")] = Path("data/models"),
) -> None:
    """Copy trained models to where they ship, each with its card and the manifest of its corpus."""
    import shutil

    from ftlab.files import write_text
    from ftlab.pretrain import cards

    manifest = json.loads((out / "corpus" / "manifest.json").read_text("utf-8"))
    trials = to / "trials.md"
    for name in names:
        shutil.copytree(out / name, to / name, dirs_exist_ok=True)
        (to / name / "model.safetensors").chmod(0o644)
        write_text(to / name / "corpus.csv", cards.manifest_csv(manifest), overwrite=True)
        cards.measure(to / name, out / "corpus")
        print(cards.write_card(to / name, trials.read_text("utf-8") if trials.exists() else ""))


if __name__ == "__main__":
    app()
