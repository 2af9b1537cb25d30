"""Full, frozen, LoRA and its relatives on one task: score, seconds, memory, disk, forgetting.

    python experiments/adapters.py                 every run that is left, each in its own process
    python experiments/adapters.py --run lora 0    one run
    python experiments/adapters.py --write         only the tables, from the runs that are there

The task is punctuation, 50 rows read twice, 50 held out, smollm2-135m. Two methods also learn a
second task, polite requests, alone and beside the first. Peak memory is the resident memory of the
run's own process while it trains, so each run is a process. A finished run is a line in
`runs/adapters.jsonl`; stopped and started again, the grid goes on. The tables go to
`data/grids/adapters.csv` and `adapters_layers.csv`, which lesson 04 draws, and to `adapters.md`.
"""

import argparse
import csv
import datetime
import io
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "adapters.jsonl"
BASE, TRAIN, TEST, EPOCHS, BATCH = "smollm2-135m", 50, 50, 2, 4
UPPER, ALL = 15, 30
LORA = {"method": "lora", "rank": 16, "alpha": 32, "layers": UPPER, "target": "all", "rate": 2e-3}
FULL = {"method": "full", "layers": ALL, "rate": 2e-4}
# name -> settings and seeds; the first ones first
GRID: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "base": ({"method": "base"}, (0,)),
    "lora": (LORA, (0, 1)),
    "full": (FULL, (0, 1)),
    "qlora": (LORA | {"method": "qlora"}, (0, 1)),
    "frozen": (FULL | {"method": "frozen", "layers": UPPER}, (0, 1)),
    "dora": (LORA | {"method": "dora"}, (0, 1)),
    "lora, 30 layers": (LORA | {"layers": ALL}, (0,)),
    "requests": (LORA | {"task": "requests"}, (0, 1)),
    "both": (LORA | {"task": "both"}, (0, 1)),
    "lora, rank 4": (LORA | {"rank": 4}, (0,)),
    "lora, rank 64": (LORA | {"rank": 64}, (0,)),
    "rslora, rank 64": (LORA | {"method": "rslora", "rank": 64, "alpha": 8}, (0,)),
    "full, rate 1e-3": (FULL | {"rate": 1e-3}, (0,)),
    "lora, rate 1e-2": (LORA | {"rate": 1e-2}, (0,)),
    "lora, 8 layers": (LORA | {"layers": 8}, (0,)),
    "lora, rate 2e-4": (LORA | {"rate": 2e-4}, (0,)),
    "full, rate 2e-5": (FULL | {"rate": 2e-5}, (0,)),
}


def rows_of(task: str, seed: int, split: str) -> list[dict[str, Any]]:
    """Return the rows of one task, or of both, without their meta."""
    from ftlab import data, files
    from ftlab.tasks import punctuation

    pairs = files.read_data("lessons/requests.yaml")["pairs"]
    pairs = pairs[:40] if split == "train" else pairs[40:]
    asked = [data.example(note, said, system=INSTRUCTION) for note, said in pairs]
    marks = punctuation.rows(TRAIN if split == "train" else TEST, seed=seed, split=split)
    marks = [{key: row[key] for key in ("prompt", "completion")} for row in marks]
    return {"punctuation": marks, "requests": asked, "both": marks + asked}[task]


INSTRUCTION = "Make a polite request of this note."


def run(name: str, seed: int) -> dict[str, Any]:
    """Train one model, measure it, and return its line."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    from ftlab import hardware, models

    how = {"task": "punctuation"} | GRID[name][0]
    method = how["method"]
    hardware.seed_everything(seed)
    folder = models.get(BASE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    options: dict[str, Any] = {"dtype": torch.float32}
    if method == "qlora":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
        options["device_map"] = {"": "cpu"}
    model = AutoModelForCausalLM.from_pretrained(folder, **options)
    if method == "qlora":
        hardware.keep_unpacked(model)
    line = {"name": name, "seed": seed, **how}
    if method != "base":
        line |= train(model, tokenizer, how, seed)
        model = line.pop("model")
        line["changes"] = changes(model, folder)
        with tempfile.TemporaryDirectory() as place:
            model.save_pretrained(place)
            line["megabytes"] = sum(f.stat().st_size for f in Path(place).rglob("*")) / 1e6
    return line | measure(model, tokenizer)


def train(model: Any, tokenizer: Any, how: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train as a lesson does; return the model and what it took."""
    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from trl import SFTTrainer

    import ftlab

    disable_progress_bars()
    adapter, method, layers = None, how["method"], model.config.num_hidden_layers
    upper = list(range(layers - how["layers"], layers))
    if method == "frozen":
        for part in (model.get_input_embeddings(), *model.model.layers[: upper[0]]):
            part.requires_grad_(False)
    elif method != "full":
        targets = ftlab.upper_half(model)["target_modules"]
        adapter = LoraConfig(
            r=how["rank"], lora_alpha=how["alpha"], target_modules=targets,
            layers_to_transform=upper, use_dora=method == "dora", use_rslora=method == "rslora",
        )  # fmt: skip
    args = ftlab.sft_config(
        output_dir=tempfile.gettempdir(), num_train_epochs=EPOCHS, learning_rate=how["rate"],
        per_device_train_batch_size=BATCH, seed=seed,
    )  # fmt: skip
    trainer = SFTTrainer(
        model, args=args, processing_class=tokenizer, peft_config=adapter,
        train_dataset=Dataset.from_list(rows_of(how["task"], seed, "train")),
    )  # fmt: skip
    for weight in trainer.model.parameters():  # TRL makes an adapter beside 4 bits bfloat16
        if weight.requires_grad:
            weight.data = weight.data.float()
    ftlab.faster_on_cpu(trainer)
    begun, before = time.perf_counter(), resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    trainer.train()
    moved = [w.numel() for w in trainer.model.parameters() if w.requires_grad]
    return {
        "model": trainer.model, "trained": sum(moved), "torch_threads": torch.get_num_threads(),
        "seconds": time.perf_counter() - begun, "resident_before_mb": before,
        "peak_mb": resident("VmHWM"),
        "peak_since_start_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "losses": [round(log["loss"], 4) for log in trainer.state.log_history if "loss" in log],
    }  # fmt: skip


def resident(field: str) -> float:
    """Return a line of this process's status, in MB."""
    for text in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if text.startswith(field):
            return int(text.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no {field} in /proc/self/status")


def changes(model: Any, folder: Path) -> list[float]:
    """Return each layer's change, and the embedding's last, as parts of their lengths."""
    import torch
    from transformers import AutoModelForCausalLM

    before = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    weights = dict(model.named_parameters())
    layers: list[list[float]] = [[0.0, 0.0] for _ in before.model.layers]
    with torch.no_grad():
        for place, old in before.named_parameters():
            if not place.endswith("_proj.weight"):
                continue
            at, change = int(place.split(".")[2]), 0.0
            if hasattr(model, "peft_config"):
                layer = model.get_submodule("base_model.model." + place.removesuffix(".weight"))
                if hasattr(layer, "get_delta_weight"):
                    change = layer.get_delta_weight("default").square().sum().item()
            else:
                change = (weights[place] - old).square().sum().item()
            layers[at][0] += change
            layers[at][1] += old.square().sum().item()
    found = [(change / length) ** 0.5 for change, length in layers]
    words = weights.get("model.embed_tokens.weight")
    old = before.get_input_embeddings().weight
    return [*found, 0.0 if words is None else ((words - old).norm() / old.norm()).item()]


def measure(model: Any, tokenizer: Any) -> dict[str, Any]:
    """Ask for both tasks' held-out rows, the questions and the general text."""
    from ftlab import files
    from ftlab.evaluation import forgetting
    from ftlab.generation import generate
    from ftlab.tasks import punctuation

    rows = rows_of("punctuation", 0, "test")
    said = generate(model, tokenizer, [row["prompt"] for row in rows], max_new_tokens=80)
    scores = [punctuation.score(row, text) for row, text in zip(rows, said, strict=True)]
    asked = rows_of("requests", 0, "test")
    polite = generate(model, tokenizer, [row["prompt"] for row in asked], max_new_tokens=30)
    questions = files.read_data("lessons/requests.yaml")["questions"]
    spoken = generate(
        model, tokenizer, [[{"role": "user", "content": q}] for q, _ in questions],
        max_new_tokens=30,
    )  # fmt: skip
    texts = [text for _, text in forgetting.general_text()]
    general = forgetting.bits_per_character(model, tokenizer, texts)
    return {
        "f1_items": [[s["f1"].num, s["f1"].den] for s in scores],
        "kept_items": [[s["words_kept"].num, s["words_kept"].den] for s in scores],
        "requests_items": [
            int(text.strip() == row["completion"][0]["content"])
            for row, text in zip(asked, polite, strict=True)
        ],
        "questions_items": [
            int(any(word.lower() in text.lower() for word in right))
            for (_, right), text in zip(questions, spoken, strict=True)
        ],
        "general_items": [[round(r.num, 2), r.den] for r in general],
        "samples": said[:3] + polite[:2] + spoken[:4],
    }


# The tables.

TOOK = ("seconds", "resident_before_mb", "peak_mb", "megabytes")


def share(items: list[Any]) -> float:
    """Return a ratio of pairs, or a mean of marks."""
    if not isinstance(items[0], list):
        return sum(items) / len(items)
    return sum(num for num, _ in items) / sum(den for _, den in items)


def packed(items: list[Any]) -> str:
    """Return items as text for one field of a table: "12/20 3/8", or "1 0 1"."""
    return " ".join("/".join(f"{n:g}" for n in i) if isinstance(i, list) else str(i) for i in items)


def write() -> None:
    """Write the tables of all finished runs, in the order of the grid."""
    from ftlab import files, hardware

    lines = finished()
    order = [(name, seed) for name, (_, seeds) in GRID.items() for seed in seeds]
    done = [lines[key] for key in order if key in lines]
    base = share(lines["base", 0]["general_items"])
    head = ["name", "method", "task", "rank", "alpha", "target", "layers", "rate", "seed"]
    measured = [
        "trained",
        "f1",
        "words_kept",
        "requests",
        "questions",
        "seconds",
        "before_mb",
        "peak_mb",
        "disk_mb",
    ]
    bits = ["bits_before", "bits_after", "f1_items", "general_items"]
    table, by_layer = io.StringIO(), io.StringIO()
    versions = " ".join(f"{k}={v}" for k, v in hardware.versions().items())
    date = datetime.date.today().isoformat()
    for stream, what in ((table, "one line a run"), (by_layer, "change by layer")):
        stream.write(f"# python experiments/adapters.py; {what}; {BASE}, {TRAIN} rows x {EPOCHS}, ")
        stream.write(f"{TEST} held out, batches of {BATCH}, one thread; {date}; {versions}; ")
        stream.write(f"{hardware._cpu_name() or platform.machine()}\n")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow([*head, *measured, *bits])
    layers = csv.writer(by_layer, lineterminator="\n")
    layers.writerow(["name", "seed", "layer", "change"])
    for line in done:
        figures = [share(line[f"{k}_items"]) for k in ("f1", "kept", "requests", "questions")]
        took = [line.get(key, 0) for key in TOOK]
        rows.writerow([
            *(line.get(key, "") for key in head), line.get("trained", 0),
            *(f"{value:.4f}" for value in figures), *(f"{value:.1f}" for value in took),
            f"{base:.4f}", f"{share(line['general_items']):.4f}",
            packed(line["f1_items"]), packed(line["general_items"]),
        ])  # fmt: skip
        for at, change in enumerate(line.get("changes", ())):
            place = "embedding" if at == len(line["changes"]) - 1 else at
            layers.writerow([line["name"], line["seed"], place, f"{change:.5f}"])
    for place, stream in (("adapters", table), ("adapters_layers", by_layer)):
        path = ROOT / "data" / "grids" / f"{place}.csv"
        files.write_text(path, stream.getvalue(), overwrite=True)
    page = Path(__file__).with_suffix(".md")
    files.write_text(page, markdown(table.getvalue()), overwrite=True)


def markdown(table: str) -> str:
    """Return the table of runs as a page."""
    head, _, rest = table.partition("\n")
    shown = "name seed trained f1 words_kept requests questions bits_after seconds peak_mb disk_mb"
    lines = ["# Adapters and their rivals on one task", "", f"`{head.removeprefix('# ')}`", ""]
    lines += [f"| {' | '.join(shown.split())} |", f"|{'---|' * len(shown.split())}"]
    for row in csv.DictReader(io.StringIO(rest)):
        lines.append(f"| {' | '.join(row[name] for name in shown.split())} |")
    lines += ["", MEANING, ""]
    return "\n".join(lines)


MEANING = """F1 and words_kept: punctuation on 50 held-out sentences. requests: polite requests
exactly right, of 24. questions: ordinary questions right, of 20. bits_after: bits per character on
general text. peak_mb: the most resident memory while training, Python and libraries included.
Seconds are those of a busy machine with two cores, so read them as an order only. One rate for
each method."""


def finished() -> dict[tuple[str, int], dict[str, Any]]:
    """Return the runs that are there, by name and seed."""
    if not RUNS.exists():
        return {}
    texts = RUNS.read_text(encoding="utf-8").splitlines()
    lines = [json.loads(text) for text in texts if text.strip()]
    return {(line["name"], line["seed"]): line for line in lines}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", nargs=2, metavar=("NAME", "SEED"))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.run:
        name, seed = args.run[0], int(args.run[1])
        if (name, seed) in finished():
            return
        line = run(name, seed)
        RUNS.parent.mkdir(exist_ok=True)
        with RUNS.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        figures = {k: round(share(line[f"{k}_items"]), 3) for k in ("f1", "kept", "requests")}
        print(name, seed, figures, f"{line.get('seconds', 0):.0f} s", flush=True)
        return
    if not args.write:
        for name, (_, seeds) in GRID.items():
            for seed in seeds:
                command = [sys.executable, __file__, "--run", name, str(seed)]
                subprocess.run(command, check=True)
    write()


if __name__ == "__main__":
    main()
