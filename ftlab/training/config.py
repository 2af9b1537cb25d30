"""TRL's own configurations with this machine's defaults, and the learning rates that people use.

    args = sft_config(num_train_epochs=2, learning_rate=1e-3)      # a trl.SFTConfig
    print(explain(args))                                           # what differs from TRL, and why

Every default that differs from TRL's has its reason beside it, and gives way to a keyword.

>>> learning_rate("lora", 135e6)[:3]
(0.0005, 0.001, 0.002)
"""

import dataclasses
import difflib
from typing import TYPE_CHECKING, Any, NamedTuple

from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import read_data
from ftlab.hardware import Profile, profile
from ftlab.training.kept import keep_trainings

if TYPE_CHECKING:
    from trl import DPOConfig, GRPOConfig, RewardConfig, SFTConfig

__all__ = [
    "Rate", "dpo_config", "explain", "grpo_config", "learning_rate", "reward_config", "sft_config",
]  # fmt: skip


class Rate(NamedTuple):
    """A range of peak learning rates for AdamW, the first one to try, and where they are from."""

    low: float
    usual: float
    high: float
    source: str


def learning_rate(method: str, parameters: float) -> Rate:
    """Return the learning rates that people use; `data/learning_rates.yaml` has the sources.

    Args:
        method: full, lora, qlora; dpo or grpo (an adapter), dpo-full or grpo-full (all weights).
        parameters: how many weights the model has.

    Raises:
        ConfigError: there is no such method in the table.
    """
    table = read_data("learning_rates.yaml")
    if method not in table:
        raise_unknown("method", method, table)
    row = next(row for row in table[method] if parameters <= row["parameters"])
    return Rate(row["low"], row["usual"], row["high"], row["source"])


def sft_config(**overrides: Any) -> "SFTConfig":
    """Return an SFTConfig with this machine's defaults.

    Args:
        overrides: anything that TRL's SFTConfig takes, by keyword.

    Raises:
        ConfigError: SFTConfig has no such field, or does not take the value.
    """
    return _build("SFTConfig", overrides)


def dpo_config(**overrides: Any) -> "DPOConfig":
    """Return a DPOConfig with this machine's defaults; arguments and errors as `sft_config`."""
    return _build("DPOConfig", overrides)


def grpo_config(**overrides: Any) -> "GRPOConfig":
    """Return a GRPOConfig with this machine's defaults; arguments and errors as `sft_config`."""
    return _build("GRPOConfig", overrides)


def reward_config(**overrides: Any) -> "RewardConfig":
    """Return a RewardConfig with this machine's defaults; arguments and errors as `sft_config`."""
    return _build("RewardConfig", overrides)


def kind_of(trainer: Any) -> str:
    """Return "dpo" or "grpo" for TRL's trainers of these, or what is made from them; else "sft"."""
    names = [cls.__name__ for cls in type(trainer).__mro__]
    return "dpo" if "DPOTrainer" in names else "grpo" if "GRPOTrainer" in names else "sft"


def explain(args: Any) -> str:
    """Return a table of what differs from the defaults of TRL: field, value, TRL's value, why.

    Args:
        args: an SFTConfig, DPOConfig or GRPOConfig.
    """
    reasons = {name: why for name, (_, why) in _defaults(type(args), profile()).items()}
    with_defaults = _quietly(type(args), output_dir=args.output_dir, use_cpu=args.use_cpu)
    lines = []
    fields = [field for field in dataclasses.fields(args) if field.init]
    if any(field.name == "activation_checkpointing" for field in fields):  # one flag, two names
        fields = [field for field in fields if field.name != "gradient_checkpointing"]
    for field in fields:
        ours, theirs = getattr(args, field.name), getattr(with_defaults, field.name)
        if ours != theirs:
            why = reasons.get(field.name, "")
            lines.append(f"{field.name:<26} {_short(ours):<16} {_short(theirs):<10} {why}".rstrip())
    return "\n".join([f"{'':<26} {'here':<16} {'TRL':<10} why", *lines])


def _defaults(config: type, machine: Profile) -> dict[str, tuple[Any, str]]:
    """Return each default that differs from TRL's, with its reason."""
    fields = {field.name for field in dataclasses.fields(config)}
    kind = config.__name__.removesuffix("Config").lower()
    chosen: dict[str, tuple[Any, str]] = {
        "output_dir": (f"runs/{kind}", "one folder for what runs leave"),
        "bf16": (machine.dtype == "bfloat16", machine.reasons.get("dtype", "")),
        "fp16": (machine.dtype == "float16", machine.reasons.get("dtype", "")),
        # A short run has few steps: 50 records twice, eight at a time, are 14.
        "logging_steps": (1, "each step is a point of the curve"),
        "report_to": ("none", "no tracker is asked for; name one to have it"),
        "save_strategy": ("no", "a run of a minute needs no checkpoint"),
        # A bar redraws itself ten times a second, and each time is a message in a saved notebook.
        "disable_tqdm": (True, "LiveCurve or ProgressLines show the progress"),
    }
    if kind in ("sft", "dpo", "reward"):
        # None cuts nothing: the machine's memory is the limit, and preflight shows the lengths.
        chosen["max_length"] = (None, "no answer is cut without a word")
    if kind == "sft":  # the others' rows have no single length
        chosen["train_sampling_strategy"] = (
            "group_by_length", "batches of like lengths pad less"
        )  # fmt: skip
    if machine.device == "mps":
        chosen["dataloader_pin_memory"] = (False, "pinned memory serves copies to a CUDA GPU")
    if machine.device == "cpu":
        chosen["use_cpu"] = (True, "torch sees no GPU, or FTLAB_PROFILE says cpu")
        # transformers 5.21 renamed it. Checkpointing computes activations twice to save memory. On
        # a CPU time is what lacks.
        name = "activation_checkpointing"
        name = name if name in fields else "gradient_checkpointing"
        chosen[name] = (False, "saves memory at the price of time, and on a CPU time lacks")
    return chosen


def _build(name: str, overrides: dict[str, Any]) -> Any:
    """Return TRL's configuration of this name with our defaults under the overrides."""
    import trl

    config = getattr(trl, name)
    valid = [field.name for field in dataclasses.fields(config) if field.init]
    if "activation_checkpointing" not in valid:  # transformers before 5.21 has the old name alone
        names = {"activation_checkpointing": "gradient_checkpointing"}
        overrides = {names.get(field, field): value for field, value in overrides.items()}
    for field in overrides:
        if field not in valid:
            near = difflib.get_close_matches(field, valid, n=4, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else "See its documentation."
            raise ConfigError(f"{name} has no field {field!r}. {hint}")
    chosen = {field: value for field, (value, _) in _defaults(config, profile()).items()}
    for one, other in (("bf16", "fp16"), ("fp16", "bf16")):
        if overrides.get(one):  # TRL takes one of the two
            chosen[other] = False
    if "gradient_checkpointing" in overrides:  # the old name: ours, the new one, would hide it
        chosen.pop("activation_checkpointing", None)
    if str(overrides.get("save_strategy", "no")) != "no":
        # Batches by length draw their order from the global random state, which a run that goes on
        # in its second epoch no longer has; TRL's random order is that of the seed and the epoch.
        chosen.pop("train_sampling_strategy", None)
    if overrides.get("packing"):
        chosen.pop("max_length", None)  # a pack needs a length: TRL's
    keep_trainings()
    try:
        return _quietly(config, **chosen | overrides)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} does not take this: {error}") from error


def _quietly(config: type, **arguments: Any) -> Any:
    """Call `config` without the warning that its own default for checkpointing has an old name."""
    import warnings

    # Left in place: peft and TRL ask for the old name again when the trainer is built, and no user
    # of theirs can change that.
    warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
    return config(**arguments)


def _short(value: Any) -> str:
    return str(getattr(value, "value", value))
