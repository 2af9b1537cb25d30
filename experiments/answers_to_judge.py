"""Write the answers that lesson 07 has judged: fixed texts, so that a judge's verdicts can be kept.

    python experiments/answers_to_judge.py --out data/lessons/judged.jsonl
    python experiments/answers_to_judge.py --tested data/lessons/tested.jsonl

The second call writes the reference tests of every function that is tested in judged.jsonl or by
the recorded teacher, so that lesson 07 can compare words as well.

SmolLM2-135M answers problems of the task kindness as it comes, with four examples in the prompt,
and tuned on 60 records x 3; it writes unit tests, tuned on 60 x 2. Each row is one question to a
judge: its kind, the systems, the prompts (a pair is asked in both orders), and the truth where a
program knows it: a test module is run in the sandbox, an answer is marked by the task's rules.

    runs      40 test modules: the tuned model's, right ones, and right ones with a value changed
    helpful   40 answers of the three systems
    pair      30 problems, base against tuned, two orders
    length    20 answers against the same with empty sentences around it, two orders
    same      20 answers against themselves: whatever is said, it is the place that decides
"""

import argparse
import json
import random
import re
import tempfile
from pathlib import Path

from datasets import Dataset
from peft import LoraConfig
from trl import SFTTrainer

import ftlab
from ftlab import data, models, tasks
from ftlab.files import read_data, write_text
from ftlab.generation import generate

SEED, ASKED = 0, 40
SIZES = {"kindness": (60, 3, 70), "unit_tests": (60, 2, 160)}  # records, passes, answer tokens


def answers(name: str) -> list[dict]:
    """Return the held-out inputs of a task with the systems' answers, and their marks."""
    task = tasks.get(name)
    count, passes, longest = SIZES[name]
    held_out = task.examples(ASKED, seed=SEED, split="test")
    model, tokenizer = models.load("smollm2-135m")
    prompts = [data.prompt(record) for record in held_out]
    written = {}
    if name == "kindness":
        shown = []
        for record in task.examples(4, seed=7):
            shown += [*data.prompt(record), *record["completion"]]
        written["base"] = generate(model, tokenizer, prompts, max_new_tokens=longest)
        few = [[*shown, *prompt] for prompt in prompts]
        written["four examples"] = generate(model, tokenizer, few, max_new_tokens=longest)
    rows = [
        {key: record[key] for key in ("prompt", "completion")}
        for record in task.examples(count, seed=SEED)
    ]
    args = ftlab.sft_config(
        num_train_epochs=passes, learning_rate=2e-3, output_dir=tempfile.mkdtemp(),
        per_device_train_batch_size=8,
    )  # fmt: skip
    linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    trainer = SFTTrainer(
        model, args=args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
        peft_config=LoraConfig(
            r=16, lora_alpha=32, target_modules=linear, layers_to_transform=list(range(15, 30))
        ),
    )  # fmt: skip
    ftlab.faster_on_cpu(trainer)
    trainer.train()
    written["tuned"] = generate(trainer.model, tokenizer, prompts, max_new_tokens=longest)
    return [
        {"input": data.prompt(record)[-1]["content"], "reference": data.answer(record),
         "answers": {system: texts[i] for system, texts in written.items()},
         "right": {system: task.score(record, texts[i])[task.headline].value
                   for system, texts in written.items()}}
        for i, record in enumerate(held_out)
    ]  # fmt: skip


def spoilt(module: str, rng: random.Random) -> str:
    """Return a test module with one expected value changed by one, or a letter of it doubled."""
    lines = [i for i, line in enumerate(module.split("\n")) if "assertEqual(" in line]
    at = rng.choice(lines)
    all_lines = module.split("\n")
    head, _, tail = all_lines[at].rpartition(", ")
    value = tail.rstrip(")\n")
    if re.fullmatch(r"-?\d+", value):
        new = str(int(value) + rng.choice((-1, 1)))
    elif value in ("True", "False"):
        new = "False" if value == "True" else "True"
    else:
        new = re.sub(r"\w", lambda found: found[0] * 2, value, count=1) if value else "None"
    all_lines[at] = f"{head}, {new})"
    return "\n".join(all_lines)


def questions(kind: list[dict], tests: list[dict]) -> list[dict]:
    """Return the rows that are judged, in order."""
    words, rng, rows = read_data("lessons/judge.yaml"), random.Random(SEED), []
    unit_tests = tasks.get("unit_tests")
    for i, one in enumerate(tests):
        system = ("tuned", "right", "spoilt")[i % 3]
        text = {"tuned": one["answers"]["tuned"], "right": one["reference"],
                "spoilt": spoilt(one["reference"], rng)}[system]  # fmt: skip
        code = one["input"].partition("\n\n")[2]
        record = data.example([{"role": "user", "content": one["input"]}], one["reference"])
        truth = unit_tests.score(record, text)["tests_passed"].value == 1
        rows.append(
            {
                "kind": "runs",
                "systems": [system],
                "truth": int(truth),
                "input": code,
                "answers": [text],
                "prompts": [words["runs"].format(input=code, answer=text)],
            }
        )
    for i, one in enumerate(kind):
        system = ("base", "four examples", "tuned")[i % 3]
        text = one["answers"][system].strip()
        rows.append(
            {
                "kind": "helpful",
                "systems": [system],
                "truth": int(one["right"][system]),
                "input": one["input"],
                "answers": [text],
                "prompts": [words["helpful"].format(input=one["input"], answer=text)],
            }
        )
    for name, some in (("pair", kind[:30]), ("length", kind[:20]), ("same", kind[20:])):
        for one in some:
            plain = one["answers"]["tuned"].strip()
            before, between, after = words["padding"]
            other = {"pair": one["answers"]["base"].strip(), "same": plain,
                     "length": f"{before} {between} {plain} {after}"}[name]  # fmt: skip
            orders = [(other, plain), (plain, other)][: 1 if name == "same" else 2]
            systems = {"pair": ["base", "tuned"], "length": ["padded", "plain"],
                       "same": ["tuned", "tuned"]}[name]  # fmt: skip
            rows.append({"kind": name, "systems": systems, "truth": None, "input": one["input"],
                         "answers": [other, plain],
                         "prompts": [words["pair"].format(input=one["input"], a=a, b=b)
                                     for a, b in orders]})  # fmt: skip
    return rows


def references() -> list[dict]:
    """Return the tested functions, each with the task's own tests of it."""
    words = read_data("lessons/teacher.yaml")
    records = tasks.get("unit_tests").examples(ASKED, seed=SEED, split="test")
    records += tasks.get("unit_tests").examples(words["functions"], seed=5)
    return [{"function": "def " + data.prompt(record)[-1]["content"].partition("def ")[2],
             "reference": data.answer(record)} for record in records]  # fmt: skip


def main() -> None:
    """Train, answer, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tested", type=Path)
    options = parser.parse_args()
    if options.tested:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in references())
        write_text(options.tested, text, overwrite=True)
    if not options.out:
        return
    rows = questions(answers("kindness"), answers("unit_tests"))
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_text(options.out, text, overwrite=True)
    prompts = sum(len(row["prompts"]) for row in rows)
    print(f"{len(rows)} questions, {prompts} prompts in {options.out}")


if __name__ == "__main__":
    main()
