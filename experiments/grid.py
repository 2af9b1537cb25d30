"""What the grids share: a file of finished runs, and the trainer that most of them use.

A run is one line of the file, or a few. The file begins with how it was made, so a grid that was
stopped and is started again reads what is there and goes on.
"""

import argparse
import csv
import datetime
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from trl import SFTTrainer

import ftlab
from ftlab import data, hardware


def finished(out: Path, *keys: str) -> set[tuple[str, ...]]:
    """Return the values of some columns in each line of the file; none if there is no file."""
    if not out.exists():
        return set()
    lines = [line for line in out.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {tuple(row[key] for key in keys) for row in csv.DictReader(lines)}


def keep(out: Path, lines: Sequence[Mapping[str, Any]], fields: Sequence[str], made: str) -> None:
    """Append the lines of a run to the file.

    Args:
        out: the file.
        lines: values by column.
        fields: the columns, in order.
        made: the script's name and the recipe, a line each, for the head of a new file.
    """
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        libraries = ", ".join(f"{n} {version(n)}" for n in ("torch", "transformers", "trl", "peft"))
        machine = f"{platform.machine()}, {torch.get_num_threads()} thread, Python "
        machine += f"{platform.python_version()}, {hardware.profile().dtype}"
        head = [*made.splitlines(), f"{datetime.date.today()}; {machine}; {libraries}"]
        text = "".join(f"# {line}\n" for line in head) + ",".join(fields) + "\n"
        out.write_text(text, "utf-8")
    with out.open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, fields, lineterminator="\n").writerows(lines)


def options(about: str, out: Path) -> argparse.ArgumentParser:
    """Return a parser of the options that all grids have.

    Args:
        about: the script's own text; its first paragraph stands in the help.
        out: the file that the runs go to unless told.
    """
    parser = argparse.ArgumentParser(description=" ".join(about.split("\n\n")[0].split()))
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--minutes", type=float, default=60, help="start no run after these")
    return parser


def run(
    plan: Sequence[tuple[Any, ...]],
    one: Callable[..., Mapping[str, Any] | Sequence[Mapping[str, Any]]],
    args: argparse.Namespace,
    keys: Sequence[str],
    fields: Sequence[str],
    made: str,
) -> int:
    """Make the runs of a plan that the file does not hold yet, while the minutes last.

    Args:
        plan: what tells each run from the others, in the order of the runs.
        one: makes a run of that; returns its figures: one line, or several.
        args: what `options` has read.
        keys: the columns that hold a run of the plan.
        fields: all columns.
        made: for the head of a new file, as `keep` wants it.

    Returns:
        3 when nothing is left, 0 when the minutes are over: the script's exit code.
    """
    begun, done = time.monotonic(), finished(args.out, *keys)
    for each in plan:
        if tuple(map(str, each)) in done:
            continue
        if time.monotonic() - begun > 60 * args.minutes:
            print("The minutes are over; call again to go on.")
            return 0
        found = one(*each)
        lines = [found] if isinstance(found, Mapping) else found
        lines = [dict(zip(keys, each, strict=True)) | line for line in lines]
        keep(args.out, lines, fields, made)
        for line in lines:
            print({k: value for k, value in line.items() if len(str(value)) < 60}, flush=True)
    return 3


def trainer_of(
    model: Any,
    tokenizer: Any,
    rows: Sequence[data.Row],
    seed: int,
    *,
    eval_rows: Sequence[data.Row] | None = None,
    **settings: Any,
) -> SFTTrainer:
    """Return a trainer of an adapter of rank 16 on the upper half of the layers.

    Args:
        model: the base, or one with an adapter, which is then trained on.
        tokenizer: the base's.
        rows: what it reads.
        seed: of the order of the rows.
        eval_rows: held-out rows for its loss, if that is wanted.
        settings: of `ftlab.sft_config`; the rate is by default the highest of the usual ones.
    """
    usual = {"learning_rate": ftlab.learning_rate("lora", model.num_parameters()).high}
    has_one = isinstance(model, PeftModel)
    trainer = SFTTrainer(
        model,
        args=ftlab.sft_config(**(usual | {"seed": seed} | settings)),
        train_dataset=Dataset.from_list(list(rows)),
        eval_dataset=None if eval_rows is None else Dataset.from_list(list(eval_rows)),
        processing_class=tokenizer,
        peft_config=None if has_one else LoraConfig(r=16, lora_alpha=32, **ftlab.upper_half(model)),
    )
    ftlab.faster_on_cpu(trainer)
    return trainer
