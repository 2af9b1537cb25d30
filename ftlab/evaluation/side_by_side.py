"""All ways to fine-tune, side by side: what each is worth, and what it costs.

    data = side_by_side(task, "ftlab-7m", train_records, held_out, "runs/methods")
    print(markdown(data))

Every method starts from the same weights and learns from the same records, as often, in batches of
the same size and with the same seed, so all read the same tokens. Each has its own learning rate
(`ftlab.training.methods.LEARNING_RATES`), for one rate would favour one of them.

What the columns say:

- the score on held-out records, with its interval, and the difference from `full`, paired;
- minutes of training alone, with whatever else the machine was doing;
- memory: the bytes of the weights as they are held, plus what training took beyond them at its peak
  (`ftlab.training.memory`), in a fresh process for each method;
- trainable: the share of the parameters that move;
- on disk: the weights that are saved, which for an adapter is the adapter alone;
- forgotten: bits per character on general text less the base's (`ftlab.evaluation.forgetting`);
- upper half: how much of the change lies in the upper half of the layers
  (`ftlab.evaluation.weight_change`).

One training of each is one seed: the interval knows other examples, but no other training.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftlab.errors import ConfigError, DataError, ModelError, TrainingError, raise_unknown
from ftlab.evaluation import forgetting
from ftlab.evaluation.compare import compare
from ftlab.evaluation.intervals import Interval
from ftlab.evaluation.one_method import BASE
from ftlab.evaluation.weight_change import Moved, upper_share
from ftlab.files import read_text, write_text
from ftlab.tasks import Ratio, Task
from ftlab.training.methods import METHODS

if TYPE_CHECKING:
    from rich.table import Table

    from ftlab.records import Record

__all__ = ["markdown", "side_by_side", "table"]

COLUMNS = ("minutes", "memory MB", "trainable", "on disk MB", "forgotten", "upper half")


def side_by_side(
    task: Task,
    model: str,
    train_records: "Sequence[Record]",
    held_out: "Sequence[Record]",
    folder: str | os.PathLike[str],
    *,
    methods: Sequence[str] = METHODS,
    epochs: float = 2,
    batch_size: int = 8,
    rank: int = 32,
    rate: float = 1.0,
    seed: int = 0,
    max_new_tokens: int = 256,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train and score a model by every method; write `methods.json` and `methods.md`.

    A method that is done is not run again by the same call. One that cannot run here, or fails,
    gets the reason for its row, and is tried again.

    Args:
        task: what is taught, and how an answer is marked.
        model: a shipped name, a folder, or a hub id.
        train_records: what to learn.
        held_out: what to be marked on.
        folder: where all goes: records, tuned models, rows, table.
        methods: which ones, of `ftlab.training.methods.METHODS`.
        epochs: passes over the records.
        batch_size: records in a step.
        rank: of the adapters' matrices.
        rate: times each method's own learning rate; larger models want about 0.1.
        seed: of the order of the records, of the adapters and of the bootstrap.
        max_new_tokens: most tokens in an answer.
        say: told each line of progress.

    Returns:
        What `methods.json` holds.

    Raises:
        ConfigError: an unknown method, or the folder holds another comparison.
        DataError: the folder holds other things.
        ModelError: the base cannot be read, or cannot answer.
        TrainingError: it was stopped, or no method could run; what is done is kept.
    """
    from ftlab import models, records

    if not methods:
        raise ConfigError(f"There is no method. Name some of {', '.join(METHODS)}.")
    for name in methods:
        if name not in METHODS:
            raise_unknown("method", name, METHODS)
    if not train_records or not held_out:
        raise DataError("There must be records to learn from, and held-out ones to be marked on.")
    if not rate > 0:
        raise ConfigError(f"rate must be positive, got {rate}. 1 takes each method's own rate.")
    place = models.locate(model)
    settings = {
        "task": task.name, "epochs": epochs, "batch_size": batch_size, "rank": rank, "rate": rate,
        "seed": seed, "max_new_tokens": max_new_tokens, "weights": _identity(place),
        "train": records.fingerprint(train_records), "held_out": records.fingerprint(held_out),
    }  # fmt: skip
    folder = Path(folder)
    _open(folder, str(place), settings)
    records.write(folder / "train.jsonl", train_records, overwrite=True)
    records.write(folder / "held-out.jsonl", held_out, overwrite=True)
    order = [BASE, *(m for m in METHODS if m in methods)]
    rows = {}
    for number, name in enumerate(order):
        title = f"{name} ({number} of {len(order) - 1})" if number else name
        rows[name] = _row(folder, name, title, say)
        if name == BASE and "why" in rows[name]:
            raise ModelError(f"{model} cannot answer: {rows[name]['why']}")
    if all("why" in rows[name] for name in order[1:]):
        reasons = "; ".join(f"{name}: {rows[name]['why']}" for name in order[1:])
        raise TrainingError(f"No method could run here. {reasons}")
    for name in METHODS:  # done by an earlier call that named other methods
        if name not in rows and "why" not in (kept := _kept(folder, name) or {"why": ""}):
            rows[name] = kept
    rows = {name: rows[name] for name in (BASE, *METHODS) if name in rows}
    data = _sum_up(task, model, list(held_out), rows, settings)
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(folder / "methods.json", text, overwrite=True)
    write_text(folder / "methods.md", markdown(data), overwrite=True)
    return data


def _identity(place: Path | str) -> str:
    from ftlab.files import sha256

    return sha256(place) if isinstance(place, Path) else place


def _open(folder: Path, model: str, settings: dict[str, Any]) -> None:
    """Begin a comparison in an empty folder, or go on with the same one."""
    card = folder / "run.json"
    if not card.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DataError(f"{folder} is not an empty folder, nor one of `ftlab methods`.")
        write_text(card, json.dumps({"model": model, "settings": settings}, indent=1) + "\n")
        return
    try:
        before = json.loads(read_text(card))["settings"]
        differ = [key for key in settings if before[key] != settings[key]]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{card} is not one of `ftlab methods`. Choose another folder.") from None
    if differ:
        told = ", ".join(key.replace("_", " ") for key in differ)
        raise ConfigError(
            f"{folder} holds another comparison: {told} differ. Take the same settings to go on, "
            "or another folder."
        )


def _kept(folder: Path, name: str) -> dict[str, Any] | None:
    """Return a row that is on disk."""
    path = folder / "rows" / f"{name}.json"
    return json.loads(read_text(path)) if path.exists() else None


def _row(folder: Path, name: str, title: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the row from disk if it is done; else work it out in a process of its own."""
    kept = _kept(folder, name)
    if kept and "why" not in kept:
        say(f"{title}: done already")
        return kept
    say(f"{title}: loads the model")
    (folder / "rows" / f"{name}.json").unlink(missing_ok=True)
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "ftlab.evaluation.one_method", str(folder), name],
            stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8", errors="replace",
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)),
                              "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        try:
            for line in process.stdout or ():
                say(f"{title}: {line.rstrip()}")
            code = process.wait()
        except KeyboardInterrupt:
            raise TrainingError(
                f"Stopped by you during {name}. What is done is kept in {folder}; the same "
                "command goes on from there."
            ) from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        errors.seek(0)
        told = errors.read().strip().splitlines()
    done = _kept(folder, name)
    if done is None:
        last = told[-1] if told else "it said nothing"
        killed = code in (-9, 137)
        last = "its process was killed, most likely for want of memory" if killed else last
        done = {"method": name, "why": f"it ended with code {code}: {last}"}
    if "why" in done:
        say(f"{title}: could not run. {done['why']}")
    return done


# Summing up.


def _sum_up(
    task: Task, model: str, held_out: "list[Record]", rows: dict[str, dict[str, Any]],
    settings: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Mark the answers and put the figures of each method beside each other."""
    ran = {name: row for name, row in rows.items() if "why" not in row}
    against = next(name for name in (*METHODS, BASE) if name in ran)
    names = [against, *(name for name in ran if name != against)]
    verdict = compare(
        task, held_out, {name: ran[name]["texts"] for name in names}, seed=settings["seed"]
    )
    general = {name: [Ratio(*pair) for pair in row["general"]] for name, row in ran.items()}
    lost = forgetting.forgotten(general, seed=settings["seed"])
    found = []
    for name, row in rows.items():
        if "why" in row:
            found.append({"method": name, "why": row["why"]})
            continue
        told = {key: row[key] for key in row if key not in ("texts", "general", "change")}
        told["score"] = _figure(verdict.contestants[name].get(task.headline))
        if name != against:
            told["difference"] = _figure(verdict.differences[name].get(task.headline))
        told["bits_per_character"] = _figure(lost["models"][name])
        if name != BASE:
            moved = {place: Moved(*pair) for place, pair in row["change"].items()}
            share = upper_share(moved)
            told |= {
                "forgotten": _figure(lost["differences"][name]),
                "trainable_share": row["trainable"] / row["parameters"],
                "change": {place: layer.relative for place, layer in moved.items()},
                "upper_share": share if share == share else None,
            }
        found.append(told)
    return {
        "task": task.name, "headline": task.headline, "model": model, "held_out": len(held_out),
        "settings": settings, "differences_from": against, "sentence": verdict.sentence,
        "rows": found,
    }  # fmt: skip


def _figure(value: Interval | None) -> dict[str, float] | None:
    """Return a figure for JSON; None where it cannot be known."""
    if value is None or value.value != value.value:
        return None
    return {"value": value.value, "low": value.low, "high": value.high}


def _said(figure: dict[str, float] | None, sign: str = "") -> str:
    if figure is None:
        return "–"
    # Adding 0.0 turns the -0.0 of a tiny negative figure into 0.0.
    value, low, high = (f"{round(figure[k], 2) + 0.0:{sign}.2f}" for k in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _cells(data: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table, as text."""
    head = ["method", data["headline"], f"less {data['differences_from']}", *COLUMNS]
    cells = []
    for row in data["rows"]:
        if "why" in row:
            continue
        line = [row["method"], _said(row["score"])]
        line.append(_said(row["difference"], "+") if "difference" in row else "")
        if row["method"] != BASE:
            memory = row["memory"]["weights"] + row["memory"]["growth"]
            upper = row["upper_share"]
            minutes = row["seconds"] / 60
            line += [
                f"{minutes:.{1 if minutes >= 1 else 2}f}", f"{memory / 1e6:,.0f}",
                f"{row['trainable_share']:.1%}", f"{row['saved_bytes'] / 1e6:,.1f}",
                _said(row["forgotten"], "+"), "–" if upper is None else f"{upper:.0%}",
            ]  # fmt: skip
        cells.append(line + [""] * (len(head) - len(line)))
    return head, cells


def table(data: dict[str, Any]) -> "Table":
    """Return the comparison for a terminal or a notebook."""
    from rich import box
    from rich.table import Table

    head, cells = _cells(data)
    title = f"{data['model']} on {data['task']}, {data['held_out']} held-out examples"
    shown = Table(title=title, box=box.SIMPLE, title_justify="left", caption_justify="left")
    for column in head:
        shown.add_column(  # a figure is never cut
            column, justify="left" if column == "method" else "right", overflow="fold"
        )
    for line in cells:
        shown.add_row(*line)
    missing = [f"{row['method']} did not run: {row['why']}" for row in data["rows"] if "why" in row]
    shown.caption = "\n".join(missing) or None
    return shown


def markdown(data: dict[str, Any]) -> str:
    """Return the comparison as a page: the table, what its columns are, the layers."""
    head, cells = _cells(data)
    settings = data["settings"]
    ran = [row for row in data["rows"] if "why" not in row and row["method"] != BASE]
    count = sum(place.isdecimal() for place in ran[0]["change"])
    above = count - count // 2
    lines = [
        f"# {data['model']} on {data['task']}: the methods side by side", "",
        f"{ran[0]['total_tokens']:,} tokens read by each in {ran[0]['steps']:,} steps of "
        f"{settings['batch_size']} records; seed {settings['seed']}; {data['held_out']} held-out "
        f"examples; {ran[0]['device']}, {ran[0]['precision']}.", "",
        *_rows(head, cells), "", data["sentence"], "",
        "Intervals are of 95 %, over other examples and not over other trainings. Memory is the "
        f"weights plus the growth of training at its peak ({ran[0]['memory']['how']}). Forgotten: "
        "bits per character on general text less the base's; above zero is worse. Upper half: the "
        f"share of the layers' squared change that lies in the upper {above} of {count} layers; an "
        f"even spread gives {above / count:.0%}.", "",
        *(f"{row['method']} did not run: {row['why']}\n" for row in data["rows"] if "why" in row),
        "## Change of each layer, as a share of its weights", "",
        *_rows(
            ["method", *ran[0]["change"]],
            [[row["method"], *(f"{share:.1%}" for share in row["change"].values())] for row in ran],
        ),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _rows(head: list[str], cells: list[list[str]]) -> list[str]:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(line)} |" for line in (head, rule, *cells)]
