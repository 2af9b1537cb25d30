"""Which checkpoint a stopped run can go on from.

    trainer.train(resume_from_checkpoint=newest_whole("runs/sft"))

A process that is killed while it saves leaves half a checkpoint, and transformers' own search takes
the one with the highest number, whole or not. The Trainer writes `trainer_state.json` last.

    checkpoint-20/   model.safetensors or adapter_model.safetensors (in parts for large models)
                     optimizer.pt  scheduler.pt  rng_state.pth  trainer_state.json
"""

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

from ftlab.errors import ModelError
from ftlab.models import folders

__all__ = ["newest_whole", "problem"]


def newest_whole(folder: str | os.PathLike[str], *, processes: int = 1) -> str | None:
    """Return the newest checkpoint in a folder that is whole, or None.

    Args:
        folder: the trainer's `output_dir`.
        processes: how many processes trained; each keeps the state of its own random numbers.
    """
    found = [path for path in Path(folder).glob("checkpoint-*")
             if path.is_dir() and re.fullmatch(r"checkpoint-\d+", path.name)]  # fmt: skip
    newest = sorted(found, key=lambda path: int(path.name.split("-")[1]), reverse=True)
    return next((str(path) for path in newest if not problem(path, processes=processes)), None)


def problem(checkpoint: str | os.PathLike[str], *, processes: int = 1) -> str:
    """Return why a checkpoint is not whole, or "" when it is.

    Args:
        checkpoint: the folder.
        processes: as in `newest_whole`.
    """
    folder = Path(checkpoint)
    state = _json(folder / "trainer_state.json")
    if not isinstance(state, dict) or "global_step" not in state:
        return "trainer_state.json, which is written last, is missing or cut off"
    if f"checkpoint-{state['global_step']}" != folder.name:
        return f"trainer_state.json is of step {state['global_step']}"
    if any(folder.glob("pytorch_model_fsdp*")) or any(folder.glob("global_step*")):
        return ""  # a model in parts (FSDP, DeepSpeed) has other files: its state alone counts
    try:
        for file in folders.weights(folder):
            folders.parameters(file)
    except ModelError as error:
        return str(error)
    random = (
        ["rng_state.pth"] if processes == 1 else [f"rng_state_{i}.pth" for i in range(processes)]
    )
    for name in ["optimizer.pt", "scheduler.pt", *random]:
        # torch saves a zip file, whose table of contents comes last
        if not (folder / name).is_file() or not zipfile.is_zipfile(folder / name):
            return f"{name} is missing or cut off"
    return ""


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
