"""ftlab: a course on fine-tuning language models, over a small package.

Importing it is instant: torch, transformers and trl are imported by the functions that need them.
"""

import logging
from typing import TYPE_CHECKING, Any

from ftlab.errors import FtlabError

if TYPE_CHECKING:
    from ftlab.hardware import profile
    from ftlab.teaching.exercises import check, hint
    from ftlab.teaching.quizzes import quiz
    from ftlab.training.callbacks import LiveCurve
    from ftlab.training.config import (
        dpo_config,
        grpo_config,
        learning_rate,
        reward_config,
        sft_config,
    )  # fmt: skip
    from ftlab.training.fast import faster_on_cpu, upper_half
    from ftlab.training.preflight import preflight

__version__ = "0.2.0"

_HOME = {
    "ftlab.hardware": ("profile",),
    "ftlab.teaching.exercises": ("check", "hint"),
    "ftlab.teaching.quizzes": ("quiz",),
    "ftlab.training.callbacks": ("LiveCurve",),
    "ftlab.training.config": (
        "dpo_config", "grpo_config", "learning_rate", "reward_config", "sft_config",
    ),
    "ftlab.training.fast": ("faster_on_cpu", "upper_half"),
    "ftlab.training.preflight": ("preflight",),
}  # fmt: skip
_MODULES = {name: module for module, names in _HOME.items() for name in names}
__all__ = [
    "FtlabError", "LiveCurve", "check", "dpo_config", "faster_on_cpu", "grpo_config", "hint",
    "learning_rate", "preflight", "profile", "quiz", "reward_config", "sft_config", "upper_half",
]  # fmt: skip

# On CPUs with AVX-512-bf16 every import of peft would say that a kernel of the hub is missing.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'ftlab' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)
