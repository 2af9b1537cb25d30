"""One row of `ftlab.evaluation.side_by_side`, worked out in a process of its own.

    python -m ftlab.evaluation.one_method FOLDER lora

trains the model named in FOLDER/run.json on FOLDER/train.jsonl by one method, lets it answer
FOLDER/held-out.jsonl, and writes FOLDER/models/lora and FOLDER/rows/lora.json. "base" trains
nothing. A process of its own, so that the peak of memory is this method's, and so that one that is
killed for memory takes no other with it.
"""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftlab.errors import FtlabError
from ftlab.files import write_text

BASE = "base"


def work(folder: Path, method: str, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train, answer and measure; return the row.

    Args:
        folder: holds `run.json`, `train.jsonl` and `held-out.jsonl`; the tuned model goes to
            `models/METHOD` in it, in the place of what a broken-off try left there.
        method: one of `ftlab.training.methods.METHODS`, or "base".
        say: told each line of progress.

    Raises:
        FtlabError: the method cannot run here, or its training failed.
    """
    from ftlab import hardware, models, records
    from ftlab.evaluation.forgetting import bits_per_character, general_text
    from ftlab.evaluation.generate import generate

    run = json.loads((folder / "run.json").read_text("utf-8"))
    settings = run["settings"]
    model, tokenizer = models.load(run["model"], bits=4 if method == "qlora" else None)
    row: dict[str, Any] = {"method": method}
    if method != BASE:
        row |= _train(folder, method, model, tokenizer, settings, say)
        model = row.pop("tuned")
    held_out = records.read(folder / "held-out.jsonl")
    begun = time.perf_counter()
    row["texts"] = generate(
        model, tokenizer, [record.messages for record in held_out],
        max_new_tokens=settings["max_new_tokens"],
        progress=lambda done, total, left: say(f"{done} of {total} answered, {left:.0f} s left"),
    )  # fmt: skip
    row["answer_seconds"] = round(time.perf_counter() - begun, 2)
    row["general"] = bits_per_character(model, tokenizer, [text for _, text in general_text()])
    row["device"], row["versions"] = str(model.device), hardware.versions()
    return row


def _train(
    folder: Path, method: str, model: Any, tokenizer: Any, settings: dict[str, Any],
    say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Train and save; return the row's part about that, with the tuned model as `tuned`."""
    import datasets  # noqa: F401  # all that training imports, before memory is looked at
    import peft  # noqa: F401
    import trl  # noqa: F401

    from ftlab import records
    from ftlab.evaluation.weight_change import between
    from ftlab.training import methods, sft
    from ftlab.training.memory import growth, weights_bytes

    def on_step(step: int, total: int, loss: float, left: float) -> None:
        if step == 1 or step == total or step % 10 == 0:
            say(f"step {step} of {total}, loss {loss:.3f}, {left:.0f} s left")

    learned = records.read(folder / "train.jsonl")
    held = weights_bytes(model)
    for weight in model.parameters():  # read from disk all that is to be read
        weight.detach().sum()
    with growth(model.device.type) as grown:
        run = sft.train(
            model, tokenizer, learned, method=method, epochs=settings["epochs"],
            batch_size=settings["batch_size"], rank=settings["rank"], seed=settings["seed"],
            learning_rate=methods.LEARNING_RATES[method] * settings["rate"], on_step=on_step,
        )  # fmt: skip
    place = folder / "models" / method
    shutil.rmtree(place, ignore_errors=True)  # of a try that was broken off
    run.save(place)
    last = run.history[-max(1, len(run.history) // 10) :]
    return {
        "tuned": run.model,
        "seconds": run.seconds,
        "steps": run.steps,
        "learning_rate": run.settings["learning_rate"],
        "precision": run.settings["precision"],
        "total_tokens": run.total_tokens,
        "supervised_tokens": run.supervised_tokens,
        "training_loss": sum(point["loss"] for point in last) / len(last),
        "parameters": run.parameters,
        "trainable": run.trainable,
        "saved_bytes": sum(file.stat().st_size for file in place.glob("*.safetensors")),
        "memory": {"weights": held, "growth": grown.bytes, "how": grown.how},
        "change": between(json.loads((folder / "run.json").read_text("utf-8"))["model"], place),
    }


def main(folder: Path, method: str) -> None:
    """Write the row, or in its place the reason why there is none."""
    try:
        row = work(folder, method, lambda line: print(line, flush=True))
    except FtlabError as error:
        row = {"method": method, "why": str(error)}
    write_text(folder / "rows" / f"{method}.json", json.dumps(row) + "\n", overwrite=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
