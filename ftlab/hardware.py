"""What this machine can do, and why each choice was made.

    name     cpu        torch sees no GPU
    dtype    bfloat16   bf16 matmuls ran 18.9 times as fast as float32 here
    memory   25.3 GB    of the machine, or what its container allows

Everything that depends on hardware asks for a `Profile`; nothing else looks. `FTLAB_PROFILE` in the
environment (cpu, t4, gpu or mps) chooses another one, to rehearse a lesson for other machines.

>>> import ftlab.hardware as hardware
>>> sorted(hardware.DEFAULTS)
['cpu', 'gpu', 'mps', 't4']
>>> hardware.DEFAULTS["t4"].model
'Qwen/Qwen2.5-0.5B-Instruct'
"""

import contextlib
import functools
import html
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from ftlab.errors import ConfigError, DataError, raise_unknown
from ftlab.files import write_text

__all__ = ["DEFAULTS", "Profile", "cache_folder", "four_bit_works", "keep_unpacked", "matmuls",
           "profile", "reuse_memory", "seed_everything", "versions"]  # fmt: skip


class Sizes(NamedTuple):
    """What a lesson takes on a kind of machine: a base model, and examples in a step."""

    model: str
    batch_size: int


# Of the open models of their size, these answer at once. Newer families (Qwen3, Qwen3.5, Gemma 4)
# think aloud unless their template says otherwise, or read pictures too: data/catalogue.yaml.
DEFAULTS = {
    "cpu": Sizes("smollm2-135m", 8),
    "mps": Sizes("smollm2-135m", 8),
    "t4": Sizes("Qwen/Qwen2.5-0.5B-Instruct", 16),
    "gpu": Sizes("Qwen/Qwen2.5-1.5B-Instruct", 32),
}
BIG_GPU_GB = 20.0  # full fine-tuning of 1.5 B parameters wants more than a T4's 15
EXAMPLES, FEW, FAST_CPU = 150, 100, 100.0  # a CPU below so many GFLOP/s takes few
WORTH_IT = 1.5  # bf16 must be this much faster: it costs casts, and a few digits
PACKS = "support_avx512bf16_for_cpu"  # the switch in bitsandbytes' Linear4bit, since 0.49
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "bitsandbytes")


@dataclass(frozen=True)
class Profile:
    """What this machine can do; shows as a table in a terminal and in a notebook."""

    name: str
    """The kind of machine: "cpu", "t4" (a small GPU), "gpu" or "mps"."""
    device: str
    """Where tensors go: "cpu", "cuda" or "mps"."""
    dtype: str
    """What mixed precision should compute in: "float32", "bfloat16" or "float16"."""
    weights: str
    """What weights that are trained should be held in."""
    threads: int
    """Threads that torch computes with on the CPU."""
    memory_gb: float
    """Memory of the device, in 10^9 bytes."""
    gpu: str | None
    """The GPU's own name."""
    default_model: str
    """The base model that lessons take unless told."""
    batch_size: int
    """Records per step that fit."""
    examples: int
    """Examples that the real model learns a narrow task from in about a minute."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why each choice was made."""

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (what, value, why) for each choice."""
        shown = {
            "name": self.name, "device": f"{self.device} ({self.gpu})" if self.gpu else self.device,
            "dtype": self.dtype, "weights": self.weights, "threads": str(self.threads),
            "memory": f"{self.memory_gb:.1f} GB", "default_model": self.default_model,
            "batch_size": str(self.batch_size), "examples": f"{self.examples:,}",
        }  # fmt: skip
        return [(what, value, self.reasons.get(what, "")) for what, value in shown.items()]

    def __str__(self) -> str:
        width = max(len(value) for _, value, _ in self.rows())
        return "\n".join(f"{a:<14} {b:<{width}}  {c}".rstrip() for a, b, c in self.rows())

    def _repr_html_(self) -> str:
        cell = '<td style="text-align:left">{}</td>'
        cells = ["".join(cell.format(html.escape(text)) for text in row) for row in self.rows()]
        head = "<tr><th></th><th>this machine</th><th>why</th></tr>"
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<table><caption>profile {self.name}</caption>{head}{body}</table>"


_found: dict[str, Profile] = {}


def profile(*, refresh: bool = False) -> Profile:
    """Return the profile of this machine; looked up once, then remembered.

    Args:
        refresh: look again, and time the processor again.

    Raises:
        ConfigError: `FTLAB_PROFILE` is not a profile, or asks for a GPU that is not there.
    """
    asked = os.environ.get("FTLAB_PROFILE", "").strip().lower()
    if asked and asked not in DEFAULTS:
        raise_unknown("profile in FTLAB_PROFILE", asked, DEFAULTS)
    if refresh or asked not in _found:
        _found[asked] = _look(asked, refresh)
    return _found[asked]


def _look(asked: str, refresh: bool) -> Profile:
    """Find out what is there, or check that what was asked for is."""
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if (asked in ("t4", "gpu") and not cuda) or (asked == "mps" and not mps):
        raise ConfigError(
            f"FTLAB_PROFILE={asked} needs {'Apple Metal' if asked == 'mps' else 'a CUDA GPU'}, and "
            "torch finds none here. Unset it, or set it to cpu."
        )
    memory, gpu, examples = _ram_gb(), None, EXAMPLES
    why = {
        "weights": "optimiser steps are too small for half precision to hold",
        "threads": "what torch takes; OMP_NUM_THREADS changes it",
        "examples": "a narrow task is learned from so many",
    }
    if cuda and asked in ("", "t4", "gpu"):
        found = torch.cuda.get_device_properties(0)
        capability, memory, gpu = (found.major, found.minor), found.total_memory / 1e9, found.name
        big = capability >= (8, 0) and memory >= BIG_GPU_GB
        name, device = asked or ("gpu" if big else "t4"), "cuda"
        dtype, why["dtype"] = _cuda_dtype(capability)
        if asked == "t4" and dtype == "bfloat16":
            dtype, why["dtype"] = "float16", "as on a T4, which has no bf16"
        why |= {
            "name": f"compute capability {found.major}.{found.minor} and {memory:.0f} GB; "
            f"gpu wants 8.0 and {BIG_GPU_GB:.0f} GB",
            "device": "torch sees a CUDA GPU",
            "memory": "of the GPU",
        }
    elif mps and asked in ("", "mps"):
        name = device = "mps"
        dtype = "float32"
        why |= {
            "name": "torch sees Apple Metal and no CUDA GPU",
            "device": "torch sees Apple Metal",
            "dtype": "losses in half precision differ between Macs",
            "memory": "shared by CPU and GPU",
        }
    else:
        name = device = "cpu"
        speedup, rate = matmuls(refresh=refresh)
        dtype = "bfloat16" if speedup >= WORTH_IT else "float32"
        examples = FEW if rate < FAST_CPU else EXAMPLES
        why |= {
            "name": "torch sees no GPU",
            "device": "the processor",
            "dtype": f"bf16 matmuls ran {speedup:.1f} times as fast as float32 here; "
            f"bf16 is used from {WORTH_IT} times",
            "memory": "of the machine, or what its container allows",
            "examples": f"matmuls ran at {rate:,.0f} GFLOP/s; "
            f"below {FAST_CPU:.0f} a run takes {FEW}",
        }
    if asked:
        why["name"] = f"FTLAB_PROFILE={asked}"
    why |= {
        "default_model": f"the course's choice for {name}; any other goes by name",
        "batch_size": f"fits on {name} with the default model",
    }
    return Profile(
        name=name, device=device, dtype=dtype, weights="float32", threads=torch.get_num_threads(),
        memory_gb=round(memory, 1), gpu=gpu, default_model=DEFAULTS[name].model,
        batch_size=DEFAULTS[name].batch_size, examples=examples, reasons=why,
    )  # fmt: skip


def _cuda_dtype(capability: tuple[int, int]) -> tuple[str, str]:
    """Choose by compute capability: torch's own check says yes to bf16 that is only emulated."""
    says = f"compute capability {capability[0]}.{capability[1]}"
    if capability >= (8, 0):
        return "bfloat16", f"{says} has bf16 units (8.0 and up)"
    if capability >= (7, 0):
        return "float16", f"{says} has fp16 units and no bf16 ones (8.0 and up)"
    return "float32", f"{says} has no fast half precision (7.0 and up)"


def matmuls(*, refresh: bool = False) -> tuple[float, float]:
    """Return how many times as fast bf16 matmuls are as float32 ones, and the better's GFLOP/s.

    Some CPUs have matrix units for bf16, others only emulate it. Timed once per machine, torch
    version and number of threads; the figures are kept in the user's cache folder.

    Args:
        refresh: time again.
    """
    import torch

    cache = cache_folder() / "matmuls.json"
    key = f"{platform.node()} | torch {torch.__version__} | {torch.get_num_threads()} threads"
    known: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, AttributeError):
        held = json.loads(cache.read_text(encoding="utf-8"))
        known = {name: pair for name, pair in held.items() if isinstance(pair, list)}
    if not refresh:
        with contextlib.suppress(KeyError, ValueError, TypeError):
            speedup, rate = map(float, known[key])
            return speedup, rate
    slow, fast, work = _time_matmuls()
    speedup, rate = round(slow / fast, 2), round(work / min(slow, fast) / 1e9, 1)
    with contextlib.suppress(DataError):  # a read-only home means timing again
        write_text(cache, json.dumps(known | {key: [speedup, rate]}), overwrite=True)
    return speedup, rate


def _time_matmuls(rounds: int = 5) -> tuple[float, float, int]:
    """Time matmuls of a training step: the best seconds in float32, in bf16, and operations."""
    import torch

    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for i, dtype in enumerate((torch.float32, torch.bfloat16)):
            left = torch.ones(1024, 256, dtype=dtype)
            torch.mm(left, left.t())  # the first call of a type builds its kernel
            start = time.perf_counter()
            for _ in range(4):
                torch.mm(left, left.t())
            best[i] = min(best[i], time.perf_counter() - start)
        if best[1] > 3 * best[0]:  # only emulated: no need to wait for more of it
            break
    return best[0], best[1], 4 * 2 * 1024 * 256 * 1024


@functools.cache
def four_bit_works(device: str) -> tuple[bool, str]:
    """Return whether bitsandbytes holds linear layers in NF4 on `device`, and if not, why.

    Found out by doing it: a layer is quantised, and must still give about what it gave.

    Args:
        device: where the weights go.
    """
    import torch

    try:
        import bitsandbytes

        with torch.random.fork_rng(devices=[]):
            layer, rows = torch.nn.Linear(128, 64, bias=False), torch.randn(4, 128)
        small = bitsandbytes.nn.Linear4bit(128, 64, bias=False, quant_type="nf4")
        small.load_state_dict(layer.state_dict())
        keep_unpacked(small).eval()
        with torch.no_grad():
            wanted, got = layer(rows), small.to(device)(rows.to(device)).float().cpu()
        error = ((got - wanted).norm() / wanted.norm()).item()
    except Exception as problem:  # a missing kernel shows in many ways
        return False, f"bitsandbytes fails ({type(problem).__name__}: {problem})"
    return error < 0.2, "" if error < 0.2 else f"the layer's output is off by {error:.0%}"


def keep_unpacked(model: Any) -> Any:
    """Tell the 4-bit layers of a model never to pack their weights, in place; return the model.

    On CPUs with AVX-512-bf16, and on no others, bitsandbytes packs a layer for a faster kernel when
    it first runs without gradients (an evaluation, an answer). That needs widths of multiples of 64
    in and 32 out, and no gradient passes through the layer afterwards. Unpacked, layers compute as
    they do in training, and as on every other CPU. `models.load(name, bits=4)` calls this; a model
    that was loaded with a BitsAndBytesConfig of your own needs it before its first forward.
    """
    for layer in model.modules():
        if hasattr(layer, PACKS):
            setattr(layer, PACKS, False)
    return model


def cache_folder() -> Path:
    """Return the folder for what can be had again: FTLAB_HOME, else by each system's custom."""
    if own := os.environ.get("FTLAB_HOME"):
        return Path(own).expanduser().absolute()
    home = Path.home()
    usual = {"win32": home / "AppData" / "Local", "darwin": home / "Library" / "Caches"}
    chosen = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(chosen or usual.get(sys.platform, home / ".cache")).absolute() / "ftlab"


def _ram_gb() -> float:
    """Return the memory that this process may use, in 10^9 bytes."""
    import psutil  # comes with accelerate

    sizes = [psutil.virtual_memory().total]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int(Path(limit).read_text(encoding="ascii")))
    return min(sizes) / 1e9  # a limit of none reads "max", or more than there is


def reuse_memory() -> bool:
    """Let the allocator keep freed memory for the next step; say whether it could be told.

    Training frees and asks for the same large blocks at every step. glibc gives such blocks back
    to the system, which must clear every page again. See mallopt(3).
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, mmap_threshold, most = -1, -3, 2**31 - 1
    return bool(mallopt(trim_threshold, most)) & bool(mallopt(mmap_threshold, most))


def versions() -> dict[str, str]:
    """Return the versions a result depends on, without importing anything heavy.

    >>> list(versions())[:2]
    ['python', 'torch']
    """
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def seed_everything(seed: int) -> int:
    """Seed Python, NumPy and torch (its GPUs too); return the seed.

    Raises:
        ConfigError: the seed is not a whole number from 0 to 2**32 - 1.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ConfigError(f"A seed is a whole number from 0 to 2**32 - 1; got {seed!r}.")
    from transformers import set_seed

    set_seed(seed)
    return seed
