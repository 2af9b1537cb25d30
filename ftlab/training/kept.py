"""Trainings that a rehearsal keeps, so that a lesson in class need not wait for them.

    ftlab rehearse --only 05                             runs/rehearsal/trained has what was trained
    FTLAB_KEPT=$PWD/runs/rehearsal/trained make lab      the same trainings are loaded, not run

A training whose settings, rows, rewards and starting weights were seen before gives back the
weights and the losses that were kept. Any other is run, and so is each that writes checkpoints or
has a trainer, a loss or callbacks of its own.
"""

import hashlib
import inspect
import json
import os
from pathlib import Path
from typing import Any

from ftlab.files import writing


def keep_trainings() -> None:
    """Let transformers' trainers keep their trainings in the folder that `FTLAB_KEPT` names."""
    from transformers import Trainer

    run = Trainer.train
    if not os.environ.get("FTLAB_KEPT") or run.__module__ == __name__:
        return

    def train(trainer: Any, *given: Any, **named: Any) -> Any:
        if given or named or not _alone(trainer):
            return run(trainer, *given, **named)
        folder, name = Path(os.environ["FTLAB_KEPT"]), f"{_key(trainer)}.safetensors"
        file = next(folder.rglob(name), folder / name)
        return _load(trainer, file) if file.exists() else _keep(trainer, run(trainer), file)

    Trainer.train = train  # type: ignore[method-assign, assignment]


def _moving(trainer: Any) -> dict[str, Any]:
    return {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}


def _keep(trainer: Any, out: Any, file: Path) -> Any:
    from safetensors.torch import save_file

    told = json.dumps([*out, trainer.state.log_history], default=float)
    weights = {name: weight.detach().contiguous() for name, weight in _moving(trainer).items()}
    with writing(file, overwrite=True) as part:
        save_file(weights, part, {"told": told})
    return out


def _load(trainer: Any, file: Path) -> Any:
    from safetensors import safe_open
    from transformers.trainer_utils import TrainOutput

    with safe_open(file, "pt") as stream:
        *out, history = json.loads(stream.metadata()["told"])
        for name, weight in _moving(trainer).items():
            weight.data.copy_(stream.get_tensor(name))
    print(f"Loaded from the rehearsal, where it took {out[2]['train_runtime']:.0f} s.")
    args, state, control = trainer.args, trainer.state, trainer.control
    state.global_step = state.max_steps = out[0]
    state.log_history = history
    trainer.callback_handler.on_train_begin(args, state, control)
    trainer.callback_handler.on_train_end(args, state, control)
    return TrainOutput(*out)


def _alone(trainer: Any) -> bool:
    """Say whether a training leaves nothing behind but weights and losses."""
    parts = [trainer, trainer.compute_loss, trainer.compute_loss_func, trainer.data_collator]
    parts += trainer.callback_handler.callbacks
    homes = {part.__module__.split(".")[0] for part in parts if part is not None}
    return trainer.args.save_strategy == "no" and homes <= {"transformers", "trl", "ftlab"}


def _key(trainer: Any) -> str:
    """Return what is the same for the same training: settings, rows, rewards, starting weights."""
    ignored = ("output_dir", "logging_dir", "run_name")
    settings = {k: v for k, v in trainer.args.to_dict().items() if k not in ignored}
    start = {  # the first matrix of an adapter is random, and its second zero
        name: [list(p.shape), 0.0 if "lora_A" in name else float(p.detach().double().abs().sum())]
        for name, p in _moving(trainer).items()
    }
    functions = filter(inspect.isfunction, getattr(trainer, "reward_funcs", []))
    rewards = [inspect.getsource(one) for one in functions]
    said = [type(trainer).__name__, settings, list(trainer.train_dataset), rewards, start]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()[:16]
