"""What ftlab-1m read: documents, cleaned, deduplicated, split by whole document, and its tokenizer.

    python scripts/pretrain/corpus.py --prose prose.jsonl.xz --speeches speeches.jsonl.xz

writes `tokenizer/`, an array of tokens for each source and split, and `corpus.csv`. There are five
sources: `prose` (public-domain books), `speeches` (public-domain addresses), `python` (the standard
library and permissively licensed packages as installed), `docs` (the English of those packages:
docstrings and project descriptions) and `structured` (`structured.py`). A document is

    {"source": "python", "title": "rich/align.py", "licence": "MIT", "split": "heldout", "text": …}

What the lessons evaluate on never enters: `LESSONS_ONLY` names those parts of the standard library,
and Jane Austen's novels are not among the inputs.

Sources: Sennrich et al. 2016 (BPE), Radford et al. 2019 (byte level), Singh and Strouse 2024
(digits stand alone).
"""

import argparse
import ast
import csv
import hashlib
import importlib.metadata
import inspect
import json
import lzma
import random
import re
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import structured

HELD_OUT_BOOKS = (
    "The Time Machine", "The Scarlet Letter", "Dubliners", "The Awakening",
    "The Thirty-Nine Steps", "A Christmas Carol",
)  # fmt: skip
HELD_OUT_SPEECHES = (
    "1789-Washington.txt", "1865-Lincoln.txt", "1933-Roosevelt.txt", "1961-Kennedy.txt",
    "1984-Reagan.txt", "2004-GWBush.txt",
)  # fmt: skip
HELD_OUT_PACKAGES = ("rich", "httpx", "werkzeug")
LESSONS_ONLY = (
    "pydoc_data", "unittest", "statistics", "json", "email", "logging", "concurrent",
    "textwrap", "fractions", "calendar", "argparse",
)  # fmt: skip
PERMISSIVE = re.compile(r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|HPND)\b", re.I)
COPYLEFT = re.compile(r"\b(A?GPL|LGPL|GNU|MPL|Mozilla|EUPL|CDDL)", re.I)
SKIPPED = re.compile(r"(^|/)(tests?|testing|_vendor|vendor|idlelib|lib2to3|turtledemo)(/|$)")
PACKAGE_LIMIT = 2_500_000  # characters, so that no one package sets the style
FILE_LIMITS = (400, 150_000)
ASCII = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "—": "--", "–": "-", "…": "...",
     "\u00a0": " ", "\u200b": "", "\ufeff": "", "ﬁ": "fi", "ﬂ": "fl", "\t": "    "}
)  # fmt: skip

END, PAD, TURN, END_OF_TURN = "<|endoftext|>", "<|pad|>", "<|im_start|>", "<|im_end|>"
SPECIAL = (END, PAD, TURN, END_OF_TURN)
VOCABULARY = 4096
PIECES = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' -}}
{%- generation -%}{{- message.content + '<|im_end|>' -}}{%- endgeneration -%}
{{- '\\n' -}}
{%- else -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


def clean(text: str) -> str:
    """Normalise quotes, dashes, spaces and blank lines."""
    text = text.translate(ASCII).replace("\r\n", "\n")
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def books(path: Path, source: str, held_out: Iterable[str]) -> Iterator[dict]:
    """Read one `.jsonl.xz` of {title, author, year, text} documents."""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            book = json.loads(line)
            text = re.sub(r"(?<!\w)[_*]+|[_*]+(?!\w)", "", clean(book["text"]))
            split = "heldout" if book["title"] in set(held_out) else "train"
            yield {"source": source, "title": book["title"], "licence": "public domain",
                   "split": split, "text": text}  # fmt: skip


def licences() -> dict[str, tuple[str, str, str]]:
    """Return {top-level module: (distribution, version, licence)} for permissive packages."""
    found = {}
    for module, names in importlib.metadata.packages_distributions().items():
        metadata: Any = importlib.metadata.metadata(names[0])
        classifiers = [c for c in metadata.get_all("Classifier", []) if c.startswith("License")]
        short = (metadata.get("License-Expression") or metadata.get("License") or "")[:80]
        licence = " ".join([short, *classifiers])
        if PERMISSIVE.search(licence) and not COPYLEFT.search(licence):
            name = (
                short.split("\n")[0].replace("UNKNOWN", "")
                or classifiers[-1].split("::")[-1].strip()
            )
            found[module] = (names[0], metadata["Version"], name)
    return found


def python_files() -> Iterator[dict]:
    """Yield the source files of the standard library and of the permissive packages."""
    standard = Path(sysconfig.get_path("stdlib"))
    version = ".".join(map(str, sys.version_info[:3]))
    roots = [
        (entry.stem, entry, "PSF-2.0", f"python {version}")
        for entry in sorted(standard.iterdir())
        if entry.suffix == ".py" or (entry / "__init__.py").exists()
    ]
    site = Path(sysconfig.get_path("purelib"))
    for module, (distribution, number, licence) in sorted(licences().items()):
        folder = site / module
        if (folder / "__init__.py").exists() and module != "ftlab":
            roots.append((module, folder, licence, f"{distribution} {number}"))
    for module, root, licence, package in roots:
        if module in LESSONS_ONLY:
            continue
        size = 0
        files = [root] if root.is_file() else root.rglob("*.py")
        # by hash, so that a capped package gives a sample of all its parts
        for file in sorted(files, key=lambda f: hashlib.sha256(f.name.encode()).digest()):
            title = file.relative_to(root.parent).as_posix()
            if SKIPPED.search(title) or size > PACKAGE_LIMIT:
                continue
            text = file.read_text(encoding="utf-8", errors="replace")
            longest = max(map(len, text.splitlines()), default=0)
            if not FILE_LIMITS[0] <= len(text) <= FILE_LIMITS[1] or longest > 400:
                continue
            size += len(text)
            split = "heldout" if module in HELD_OUT_PACKAGES else "train"
            yield {"source": "python", "title": title, "licence": licence, "package": package,
                   "split": split, "text": clean(text)}  # fmt: skip


def english_of(document: dict) -> dict | None:
    """Gather the prose paragraphs of a Python file's docstrings, unwrapped."""
    try:
        tree = ast.parse(document["text"])
    except (SyntaxError, ValueError):
        return None
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    paragraphs = []
    for node in ast.walk(tree):
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        paragraphs += prose_paragraphs(text or "")
    if sum(map(len, paragraphs)) < 300:
        return None
    return document | {"source": "docs", "text": "\n\n".join(paragraphs)}


def prose_paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a docstring or description that read as English."""
    good = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines = block.splitlines()
        if any(line.startswith((" ", ">>>", "|", "=", "-", "#", "*", "..", ":")) for line in lines):
            continue
        paragraph = " ".join(" ".join(lines).split())
        letters = sum(c.isalpha() or c.isspace() for c in paragraph)
        if len(paragraph) > 50 and paragraph[-1] in ".:!?" and letters > 0.9 * len(paragraph):
            good.append(paragraph)
    return good


def descriptions() -> Iterator[dict]:
    """Yield the project descriptions that permissive packages carry in their metadata."""
    for distribution, version, licence in sorted(set(licences().values())):
        metadata: Any = importlib.metadata.metadata(distribution)
        paragraphs = prose_paragraphs(clean(str(metadata.get_payload() or "")))
        held_out = distribution.lower() in HELD_OUT_PACKAGES
        if sum(map(len, paragraphs)) > 300 and not held_out:
            yield {"source": "docs", "title": f"{distribution} description", "licence": licence,
                   "package": f"{distribution} {version}", "split": "train",
                   "text": "\n\n".join(paragraphs)}  # fmt: skip


def deduplicated(documents: Iterable[dict], *, limit: float = 0.5) -> Iterator[dict]:
    """Drop a document when more than `limit` of its lines or sentences were seen before.

    Put the held-out documents first: a training copy of one of them is then dropped too.
    """
    seen: set[int] = set()
    for document in documents:
        units = re.split(r"\n|(?<=[.!?]) ", document["text"])
        keys = [hash(" ".join(u.lower().split())) for u in units if len(u) > 25]
        if keys and sum(k in seen for k in keys) > limit * len(keys):
            continue
        seen.update(keys)
        yield document


def collect(prose: Path, speeches: Path) -> list[dict]:
    """Return all documents, held-out ones first, deduplicated within each source."""
    python = list(python_files())
    docs = [d for d in map(english_of, python) if d] + list(descriptions())
    read = list(books(prose, "prose", HELD_OUT_BOOKS))
    said = list(books(speeches, "speeches", HELD_OUT_SPEECHES))
    result: list[dict] = []
    for group in (read, said, python, docs):
        group.sort(key=lambda d: d["split"] != "heldout")
        result += deduplicated(group)
    return result


def train_tokenizer(texts: Iterable[str], folder: Path) -> Any:
    """Train the BPE on `texts` and save a Hugging Face fast tokenizer in `folder`."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces = pre_tokenizers.Split(Regex(PIECES), "isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pieces, bytes_])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END_OF_TURN,  # what ends an answer, so that a tuned model stops by itself
        pad_token=PAD,  # never the same as eos: the loss would lose its stop token
        additional_special_tokens=[END, TURN],
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_csv(documents: list[dict], path: Path) -> None:
    """Write what was read as CSV: one row a book or speech, one row a package."""
    rows: dict[tuple, list] = defaultdict(lambda: [0, 0, ""])
    for one in documents:
        title = one.get("package") or one["title"]
        row = rows[one["source"], title, one["licence"], one["split"]]
        row[0] += 1
        row[1] += len(one["text"])
        row[2] = hashlib.sha256(one["text"].encode()).hexdigest() if row[0] == 1 else ""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(
            ["source", "title", "licence", "split", "documents", "characters", "sha256"]
        )
        writer.writerows([*key, *row] for key, row in sorted(rows.items()))


def main() -> None:
    """Collect the documents, train the tokenizer, and write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prose", type=Path, required=True, help="books, as .jsonl.xz")
    parser.add_argument("--speeches", type=Path, required=True, help="the same of speeches")
    parser.add_argument("--out", type=Path, default=Path("runs/pretrain/corpus"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    documents = collect(args.prose, args.speeches)
    args.out.mkdir(parents=True, exist_ok=True)
    write_csv(documents, args.out / "corpus.csv")
    documents += structured.generate(documents, count=40_000, seed=args.seed)
    random.Random(args.seed).shuffle(documents)
    sample = [
        one["text"][start : start + 20_000]
        for one in documents
        if one["split"] == "train"
        for start in range(0, len(one["text"]), 120_000)
    ]
    tokenizer = train_tokenizer(sample, args.out / "tokenizer")
    end = tokenizer.convert_tokens_to_ids(END)
    for source in sorted({one["source"] for one in documents}):
        for split in ("train", "heldout"):
            texts = [d["text"] for d in documents if (d["source"], d["split"]) == (source, split)]
            encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
            tokens = np.concatenate([np.array([end, *ids], dtype=np.uint16) for ids in encoded])
            np.save(args.out / f"{source}-{split}.npy", tokens)
            print(f"{source} {split}: {len(tokens):,} tokens, {sum(map(len, texts)):,} characters")


if __name__ == "__main__":
    main()
