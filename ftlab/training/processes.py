"""Several processes, one run: who speaks, what is agreed, and what is done once.

`torchrun` and `accelerate launch` start the same command once for each GPU:

    torchrun --nproc-per-node 2 -m ftlab.cli train mine.jsonl --out runs/mine

Each process reads the same records and computes its share of every batch. The first one alone
prints and writes files. What depends on one process (a clock, a signal, a disk) is agreed on by
all before anything follows from it: where one of them stops alone, the others wait for ever.
With one process, every function here does the plain thing, and torch is not asked.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from ftlab.errors import FtlabError

T = TypeVar("T")
PATIENCE = timedelta(hours=1)  # for one to write a large model while the others wait


def count() -> int:
    """Return how many processes share this run; the launcher says so in the environment."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "LOCAL_RANK" in os.environ else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def first() -> bool:
    """Say whether this is the process that prints and writes."""
    return rank() == 0


def sharded() -> bool:
    """Say whether each process may hold only a part of the weights (FSDP, DeepSpeed)."""
    asked = (os.environ.get(f"ACCELERATE_USE_{name}", "") for name in ("FSDP", "DEEPSPEED"))
    return count() > 1 and any(value.lower() == "true" for value in asked)


def join() -> None:
    """Meet the other processes and take a device of one's own; do it before a model is loaded."""
    if count() == 1:
        return
    from accelerate import PartialState

    from ftlab.hardware import profile

    PartialState(cpu=profile().device == "cpu", timeout=PATIENCE)


def leave() -> None:
    """Say goodbye, at the end of a program of our own."""
    if count() == 1:
        return
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def any_of(flag: bool) -> bool:
    """Return in every process whether `flag` is true in one; all of them wait for the last."""
    if count() == 1:
        return flag
    import torch
    from accelerate import PartialState

    told = torch.tensor(int(flag), device=PartialState().device)
    torch.distributed.all_reduce(told, op=torch.distributed.ReduceOp.MAX)
    return bool(told.item())


def by_first(work: Callable[[], T]) -> T:
    """Do something in the first process alone; return, or raise, in all of them what it gave.

    >>> by_first(lambda: 2 + 2)
    4
    """
    if count() == 1:
        return work()
    import torch

    told: list[Any] = [None, None]
    if first():
        try:
            told[0] = work()
        except FtlabError as error:
            told[1] = error
    torch.distributed.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise told[1]
    return told[0]
