"""How fast a device multiplies, what it holds and what it costs: a table one can edit.

The table `gpus.json` beside this module holds the makers' figures and example prices; `ftlab
estimate --table FILE` takes yours. A run never reaches the makers' figure: `share_of_peak` says
what part of it is reckoned with. For this machine a matrix product is timed instead.

>>> table().gpus["T4"].dtype
'float16'
"""

import functools
import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ftlab.files import read_json

__all__ = ["Gpu", "Table", "matmul_rate", "table"]


class Gpu(BaseModel):
    """What a GPU has and costs."""

    model_config = ConfigDict(extra="forbid")
    memory_gb: float = Field(gt=0, allow_inf_nan=False)
    dtype: str = Field(default="bfloat16", pattern="^(bfloat16|float16|float32)$")
    tflops: float = Field(gt=0, allow_inf_nan=False)
    per_hour: float = Field(ge=0, allow_inf_nan=False)


class Table(BaseModel):
    """A table of GPUs, as a JSON file holds it."""

    model_config = ConfigDict(extra="forbid")
    date: date
    """When the prices were written down."""
    note: str = ""
    currency: str = "USD"
    share_of_peak: float = Field(gt=0, le=1)
    """Of the makers' FLOP/s that training reaches on a GPU of the table: an assumption."""
    share_of_matmul: float = Field(default=0.65, gt=0, le=1)
    """Of a matrix product timed on this machine: measured on a CPU with a model of 7 million
    weights, where it was 0.49 to 0.72 over the methods (experiments/estimate.md).
    """
    gpus: dict[str, Gpu]


def table(path: str | os.PathLike[str] | None = None) -> Table:
    """Read a table of GPUs; without a path, the one beside this module.

    Raises:
        DataError: the file cannot be read, or is no such table; every fault is listed.
    """
    path = Path(path) if path else Path(__file__).with_name("gpus.json")
    return read_json(
        path, Table, what="table of GPUs", advice="Copy ftlab/training/gpus.json and change it."
    )


@functools.lru_cache(maxsize=8)
def matmul_rate(device: str, dtype: str) -> float:
    """Time a matrix product on this machine once; return its FLOP/s, the best of five."""
    return max(timed(device, dtype) for _ in range(5))


def timed(device: str, dtype: str, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the FLOP/s of one matrix product, as fast or slow as the machine is now."""
    import torch

    size = 4096 if device == "cuda" else 512
    left = torch.ones(size, size, dtype=getattr(torch, dtype), device=device)
    (left @ left)[0, 0].item()  # the first builds the kernel; .item() waits for the device
    start = clock()
    (left @ left)[0, 0].item()
    return 2 * size**3 / (clock() - start)
