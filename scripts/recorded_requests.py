"""Write the requests of the recorded teacher and judge that have no reply yet, or keep new replies.

    python scripts/recorded_requests.py teacher OPEN.jsonl            # what is still to be answered
    python scripts/recorded_requests.py teacher OPEN.jsonl --keep REPLIES.jsonl --model NAME

A line of OPEN.jsonl is {"id": …, "prompt": …}; a line of REPLIES.jsonl {"id": …, "reply": …}, as
the model wrote it. Kept replies go to data/recorded/, each with its request, date and model. Some
requests carry an earlier reply (a translation that is to be translated back): run this again after
keeping.
"""

import argparse
import datetime
import json
from pathlib import Path

from ftlab import data, tasks
from ftlab.files import data_path, read_data, read_text, write_text
from ftlab.recorded import read_recorded, request_hash

HOME = Path(__file__).resolve().parent.parent / "data" / "recorded"


def teacher_prompts(replies: dict[str, str]) -> list[str]:
    """Return the prompts of lesson 05, in order.

    Args:
        replies: what was answered before, by prompt.
    """
    words = read_data("lessons/teacher.yaml")
    prompts = []
    for seed in words["seeds"]:
        for manner in words["manners"]:
            prompts.append(words["paraphrase"].format(text=seed["text"], manner=manner))
        for language in words["languages"]:
            there = words["translate"].format(text=seed["text"], language=language)
            prompts.append(there)
            if there in replies:
                prompts.append(words["back"].format(text=replies[there]))
    for topic in words["topics"]:
        shown = "\n".join(f"- {s['text']}" for s in words["seeds"] if s["topic"] == topic)
        for where in words["places"]:
            prompts.append(words["new"].format(topic=topic, examples=shown, where=where))
    for record in tasks.get("unit_tests").examples(words["functions"], seed=5):
        code = "def " + data.prompt(record)[-1]["content"].partition("def ")[2]
        prompts.append(words["unit_tests"].format(code=code))
    prompts += [words["tool_call"].format(sentence=one) for one in words["sentences"]]
    return prompts


def judge_prompts(replies: dict[str, str]) -> list[str]:
    """Return the prompts of lesson 07, in order; `replies` is not used."""
    lines = read_text(data_path("lessons/judged.jsonl")).splitlines()
    return [prompt for line in lines for prompt in json.loads(line)["prompts"]]


def project_prompts(replies: dict[str, str]) -> list[str]:
    """Return the prompts of lesson 08, in order; `replies` is not used."""
    code = read_data("lessons/project.yaml")["app"]["app/simple.py"].strip().split("\n\n\n")
    prompt = read_data("lessons/teacher.yaml")["unit_tests"]
    return [prompt.format(code=one) for one in code]


PROMPTS = {"teacher": teacher_prompts, "judge": judge_prompts, "project": project_prompts}


def main() -> None:
    """Write what is open, or keep replies."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=PROMPTS)
    parser.add_argument("open", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--model", default="a large language model")
    options = parser.parse_args()
    file = HOME / f"{options.kind}.jsonl"
    rows = read_recorded(file) if file.exists() else []
    if options.keep:
        asked = {json.loads(line)["id"]: json.loads(line)["prompt"]
                 for line in options.open.read_text(encoding="utf-8").splitlines()}  # fmt: skip
        there = {row["hash"] for row in rows}
        for line in options.keep.read_text(encoding="utf-8").splitlines():
            got = json.loads(line)
            messages = [{"role": "user", "content": asked[got["id"]]}]
            if (name := request_hash(messages)) not in there:
                there.add(name)
                rows.append(
                    {
                        "hash": name,
                        "date": datetime.date.today().isoformat(),
                        "model": options.model,
                        "messages": messages,
                        "reply": got["reply"],
                    }
                )
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(file, text, overwrite=True)
    replies = {row["messages"][-1]["content"]: row["reply"] for row in rows}
    todo = [p for p in dict.fromkeys(PROMPTS[options.kind](replies)) if p not in replies]
    lines = [json.dumps({"id": n, "prompt": p}, ensure_ascii=False) for n, p in enumerate(todo)]
    options.open.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    print(f"{len(rows)} kept in {file.name}, {len(todo)} open in {options.open}")


if __name__ == "__main__":
    main()
