"""What must not change in a rebuilding: masks, greedy texts, splits, a verdict, findings.

The values were recorded before the rebuilding. To record them anew, after a change that is meant:

    python tests/test_golden.py
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import pytest

from ftlab import data, models, tasks
from ftlab.curation import doctor
from ftlab.curation.splits import split
from ftlab.evaluation.compare import compare
from ftlab.generation import generate
from ftlab.templates import encode

FILE = Path(__file__).with_name("golden.json")
TALKS = [
    [("user", "Say hi"), ("assistant", "Hello, there.")],
    [("system", "Be brief."), ("user", "What is the capital of France?"), ("assistant", "Paris.")],
    [("user", "Say hi"), ("assistant", "Hi!"), ("user", "Paris?"), ("assistant", "A city.\nBig.")],
]
PLACES = ["kitchen", "garden", "library", "station", "market"]
PLACES += ["harbour", "bridge", "castle", "tower", "museum"]


def _saved(rows: list, name: str) -> Path:
    path = Path(tempfile.mkdtemp(), name)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _talk(turns: list) -> dict:
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def _plain(record: data.Row) -> list:
    return [list(data.prompt(record)), data.answer(record), data.meta(record)]


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:16]


def masks() -> dict:
    """Tokens and mask of three conversations, in the microscope's template."""
    _, tokenizer = models.load("ftlab-1m")
    talks = [_talk(turns)["messages"] for turns in TALKS]
    rows = [{"prompt": talk[:-1], "completion": talk[-1:]} for talk in talks]
    found = [encode(tokenizer, record) for record in data.read(_saved(rows, "a.jsonl"))]
    return {str(i): [made.input_ids, made.loss_mask] for i, made in enumerate(found)}


def greedy() -> list:
    """What the microscope says to three prompts, ten tokens each."""
    model, tokenizer = models.load("ftlab-1m", device="cpu")
    asked = [[{"role": "user", "content": text}] for text in ("Say hi", "It was a dark", "1 + 1 =")]
    return generate(model, tokenizer, asked, max_new_tokens=10)


def splits() -> dict:
    """Which of 60 rows go where: 20 groups, and some texts that are nearly the same."""
    rows = []
    for i in range(60):
        where = PLACES[i % 10]
        there = PLACES[(i * 7 + 3) % 10]
        text = f"Number {i // 2}: how far is it from the {where} to the {there}?" + "!" * (i % 2)
        rows.append(
            {
                "prompt": text + "!" * (i % 2),
                "completion": f"{i % 3}",
                "meta": {"group": f"g{i // 3}"},
            }
        )
    made = split(
        data.read(_saved(rows, "b.jsonl")), sizes=(0.6, 0.2, 0.2), seed=1, label="completion"
    )
    return {part: _digest([_plain(r) for r in records]) for part, records in made.parts.items()}


def examples() -> dict:
    """The first 40 examples of each task, in both splits."""
    return {
        f"{name} {part}": _digest([_plain(r) for r in tasks.get(name).examples(40, 0, split=part)])
        for name in ("kindness", "triage", "unit_tests")
        for part in ("train", "test")
    }


def verdict() -> dict:
    """A verdict on triage: one system that repeats itself, one that is right two times in three."""
    task = tasks.get("triage")
    records = task.examples(45, 0, split="test")
    right = [data.answer(record) for record in records]
    some = [text if i % 3 else right[0] for i, text in enumerate(right)]
    made = compare(task, records, {"one": [right[0]] * 45, "some": some}, seed=3).to_json()
    outcomes = {p["b"]: {key: p[key] for key in ("win", "tie", "loss")} for p in made["pairs"]}
    kept = {key: made[key] for key in ("n", "sentence", "systems", "differences")}
    return {**kept, "outcomes": outcomes}


def findings() -> list:
    """What the doctor says of a file with nine things wrong."""
    rows = [
        {"prompt": f"Where is the {a}, from the {b}?", "completion": f"Behind the {b}, I think."}
        for a in PLACES for b in PLACES if a != b
    ]  # fmt: skip
    rows[10] = dict(rows[9])
    rows[20] = {"prompt": rows[19]["prompt"], "completion": "No idea."}
    rows[30] = {"prompt": "Hello", "completion": ""}
    rows[40] = "{oops"
    rows[50] = {"prompt": "Write to me", "completion": "Write to ada@example.com or 212-555-0147."}
    rows[60] = {"prompt": "It isnâ€™t here", "completion": "Itâ€™s not."}
    rows[70] = {"prompt": "What is that?", "completion": "As an AI language model, I cannot say."}
    rows[80] = _talk([("assistant", "Hi"), ("user", "Hello")])
    report = doctor.examine(_saved(rows, "c.jsonl"))
    return [[found.check, found.severity, list(found.lines)] for found in report.findings]


ALL = (masks, greedy, splits, examples, verdict, findings)


@pytest.mark.parametrize("what", ALL, ids=lambda what: what.__name__)
def test_nothing_changed(what):
    wanted = json.loads(FILE.read_text(encoding="utf-8"))[what.__name__]
    assert json.loads(json.dumps(what())) == wanted


if __name__ == "__main__":
    text = json.dumps({what.__name__: what() for what in ALL}, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")
    sys.exit(print(text))
