"""Trainings that a rehearsal keeps, so that a lesson in class need not wait for them.

    ftlab rehearse --only 05                             runs/rehearsal/trained has what was trained
    FTLAB_KEPT=$PWD/runs/rehearsal/trained make lab      the same trainings are loaded, not run

With `FTLAB_KEPT` a training whose settings, rows, rewards and starting weights were seen before
gives back the weights and the losses that were kept; any other is run, and kept. What writes
checkpoints, or has a trainer, a loss or callbacks of its own, is always run.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ftlab.files import writing

IGNORED = {"output_dir", "logging_dir", "run_name"}


def keep_trainings() -> None:
    """Let transformers' trainers keep their trainings in the folder that `FTLAB_KEPT` names."""
    from transformers import Trainer

    if os.environ.get("FTLAB_KEPT") and Trainer.train.__module__ != __name__:
        Trainer.train = _kept(Trainer.train)  # type: ignore[method-assign]


def _kept(train: Callable[..., Any]) -> Callable[..., Any]:
    def kept(trainer: Any, *given: Any, **named: Any) -> Any:
        from safetensors import safe_open
        from safetensors.torch import save_file
        from transformers.trainer_utils import TrainOutput

        if given or named or not _alone(trainer):
            return train(trainer, *given, **named)
        folder, name = Path(os.environ["FTLAB_KEPT"]), f"{_key(trainer)}.safetensors"
        file = next(folder.rglob(name), folder / name)
        moving = {n: p for n, p in trainer.model.named_parameters() if p.requires_grad}
        if file.exists():
            with safe_open(file, "pt") as stream:
                told = json.loads(stream.metadata()["told"])
                for name, weight in moving.items():
                    weight.data.copy_(stream.get_tensor(name))
            print(f"Loaded from the rehearsal, where it took {told[2]['train_runtime']:.0f} s.")
            state = trainer.state
            state.global_step = state.max_steps = told[0]
            state.log_history = told[3]
            trainer.callback_handler.on_train_begin(trainer.args, state, trainer.control)
            trainer.callback_handler.on_train_end(trainer.args, state, trainer.control)
            return TrainOutput(*told[:3])
        out = train(trainer)
        told = json.dumps([*out, trainer.state.log_history], default=float)
        weights = {name: weight.detach().contiguous() for name, weight in moving.items()}
        with writing(file, overwrite=True) as part:
            save_file(weights, part, {"told": told})
        return out

    return kept


def _alone(trainer: Any) -> bool:
    """Say whether a training leaves nothing behind but weights and losses."""
    parts = [trainer, trainer.compute_loss, trainer.compute_loss_func, trainer.data_collator]
    parts += trainer.callback_handler.callbacks
    homes = {part.__module__.split(".")[0] for part in parts if part is not None}
    return trainer.args.save_strategy == "no" and homes <= {"transformers", "trl", "ftlab"}


def _key(trainer: Any) -> str:
    """Return what is the same for the same training: settings, rows, rewards, starting weights."""
    settings = {k: v for k, v in trainer.args.to_dict().items() if k not in IGNORED}
    rows = trainer.train_dataset
    start = {  # the first matrix of an adapter is random, and its second zero
        name: [list(p.shape), 0.0 if "lora_A" in name else float(p.detach().double().abs().sum())]
        for name, p in trainer.model.named_parameters()
        if p.requires_grad
    }
    rewards = [_said(one) for one in getattr(trainer, "reward_funcs", [])]
    said = [type(trainer).__name__, settings, list(rows), rewards, start]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()[:16]


def _said(function: Any) -> Any:
    """Return what a function says, wherever it was written: its code, names and constants."""
    code = getattr(function, "__code__", function)
    if not hasattr(code, "co_code"):
        return repr(code) if isinstance(code, (str, int, float, tuple)) else type(code).__name__
    return [code.co_code.hex(), code.co_names, [_said(one) for one in code.co_consts]]
