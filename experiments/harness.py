"""Twenty questions scored by an outside harness and by ten lines of our own (lesson 07).

    python -m venv --system-site-packages /tmp/harness
    /tmp/harness/bin/pip install lm-eval==0.4.13
    /tmp/harness/bin/python experiments/harness.py --out data/grids/harness.csv

lm-eval brings 26 packages, 120 MB with its own task files, and changes none of the course's. The
task is a dictionary over a JSONL file; nothing is fetched. Both sides choose the option with the
highest sum of log-probabilities after "Question: …\\nAnswer:".
"""

import argparse
import csv
import importlib.metadata
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from ftlab import models
from ftlab.files import read_data, write_text

BASE, QUESTIONS = "smollm2-135m", 20


def by_harness(model: Any, tokenizer: Any, questions: list[dict]) -> list[float]:
    """Return 1 or 0 for each question, as lm-eval marks it."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "questions.jsonl")
        path.write_text("".join(json.dumps(q) + "\n" for q in questions), encoding="utf-8")
        task = {
            "task": "twenty", "dataset_path": "json", "output_type": "multiple_choice",
            "dataset_kwargs": {"data_files": {"test": str(path)}}, "test_split": "test",
            "doc_to_text": "Question: {{question}}\nAnswer:", "doc_to_choice": "options",
            "doc_to_target": 0, "metric_list": [{"metric": "acc"}],
        }  # fmt: skip
        found = simple_evaluate(HFLM(model, tokenizer=tokenizer), tasks=[task], verbosity="ERROR")
    return [sample["acc"] for sample in found["samples"]["twenty"]]


def by_hand(model: Any, tokenizer: Any, question: dict) -> int:
    """Return 1 where the first option, the right one, is the likeliest."""
    start = tokenizer(f"Question: {question['question']}\nAnswer:")["input_ids"]
    sums = []
    for option in question["options"]:
        ids = torch.tensor([start + tokenizer(f" {option}")["input_ids"]])
        with torch.inference_mode():
            logs = model(ids).logits[0, :-1].float().log_softmax(-1)
        sums.append(logs.gather(1, ids[0, 1:, None])[len(start) - 1 :].sum().item())
    return int(max(range(len(sums)), key=sums.__getitem__) == 0)


def main() -> None:
    """Score the questions on both sides, and write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    model, tokenizer = models.load(BASE)
    questions = [
        {"question": q["question"], "options": list(q["options"])}
        for q in read_data("lessons/benchmark.yaml")[:QUESTIONS]
    ]
    theirs = by_harness(model, tokenizer, questions)
    ours = [by_hand(model, tokenizer, question) for question in questions]
    text = io.StringIO()
    versions = " ".join(f"{n}={importlib.metadata.version(n)}" for n in
                        ("lm-eval", "torch", "transformers", "datasets"))  # fmt: skip
    text.write(f"# python experiments/harness.py; {BASE}, {QUESTIONS} questions; {versions}\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["question", "harness", "ours", "alike"])
    for question, one, other in zip(questions, theirs, ours, strict=True):
        rows.writerow([question["question"], int(one), other, int(one == other)])
    write_text(out, text.getvalue(), overwrite=True)
    print(f"lm-eval {sum(theirs):.0f} right, ours {sum(ours)}, of {len(questions)}")


if __name__ == "__main__":
    main()
