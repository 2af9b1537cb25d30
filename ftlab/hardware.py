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
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ftlab.errors import ConfigError, raise_unknown

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["DEFAULTS", "Profile", "four_bit_works", "huge_pages", "keep_unpacked", "matmul_rate",
           "profile", "reuse_memory", "seed_everything", "versions"]  # fmt: skip


class Sizes(NamedTuple):
    """What a lesson trains on a kind of machine: a base model, examples per step and in all."""

    model: str
    batch_size: int
    records: int
    """Of a home-made base of a few million weights."""
    examples: int
    """Of the real model."""


# Of the open models of their size, these answer at once. Newer families (Qwen3, Qwen3.5, Gemma 4)
# think aloud unless their template says otherwise, or read pictures too: data/catalogue.yaml.
DEFAULTS = {
    "cpu": Sizes("smollm2-135m", 8, 4000, 150),
    "mps": Sizes("smollm2-135m", 8, 4000, 150),
    "t4": Sizes("Qwen/Qwen2.5-0.5B-Instruct", 16, 4000, 150),
    "gpu": Sizes("Qwen/Qwen2.5-1.5B-Instruct", 32, 4000, 150),
}
BIG_GPU_GB = 20.0  # full fine-tuning of 1.5 B parameters wants more than a T4's 15
SLOW_CPU = 2000  # records, where there is only float32
FAST_CPU, FEW = 100.0, 100  # a CPU below so many GFLOP/s takes so many examples
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
    records: int
    """Records that make a first fine-tune of two epochs last two to five minutes."""
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

    def __rich__(self) -> "Table":
        from rich.table import Table

        table = Table("", "this machine", "why", title=f"profile {self.name}")
        for row in self.rows():
            table.add_row(*row)
        return table

    def _repr_html_(self) -> str:
        import html

        cell = '<td style="text-align:left">{}</td>'
        cells = ["".join(cell.format(html.escape(text)) for text in row) for row in self.rows()]
        head = "<tr><th></th><th>this machine</th><th>why</th></tr>"
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<table><caption>profile {self.name}</caption>{head}{body}</table>"


_found: dict[str, Profile] = {}


def profile(*, refresh: bool = False) -> Profile:
    """Return the profile of this machine; looked up once, then remembered.

    Args:
        refresh: look again, and time bf16 again.

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
    gpu = None
    if cuda and asked in ("", "t4", "gpu"):
        name, device, dtype, memory, gpu, why = _cuda(asked)
    elif mps and asked in ("", "mps"):
        name = device = "mps"
        dtype, memory = "float32", _ram_gb()
        why = {
            "name": "torch sees Apple Metal and no CUDA GPU",
            "device": "torch sees Apple Metal",
            "dtype": "losses in half precision differ between Macs",
            "memory": "shared by CPU and GPU",
        }
    else:
        name = device = "cpu"
        memory, speedup = _ram_gb(), bf16_speedup(refresh=refresh)
        dtype = "bfloat16" if speedup >= WORTH_IT else "float32"
        why = {
            "name": "torch sees no GPU",
            "device": "the processor",
            "dtype": f"bf16 matmuls ran {speedup:.1f} times as fast as float32 here; "
            f"bf16 is used from {WORTH_IT} times",
            "memory": "of the machine, or what its container allows",
        }
    if asked:
        why["name"] = f"FTLAB_PROFILE={asked}"
    why |= {
        "weights": "optimiser steps are too small for half precision to hold",
        "threads": "what torch takes; OMP_NUM_THREADS changes it",
        "default_model": f"the course's choice for {name}; any other goes by name",
        "batch_size": f"fits on {name} with the default model",
    }
    sizes, examples = DEFAULTS[name], DEFAULTS[name].examples
    slow = name == "cpu" and dtype == "float32"
    why["examples"] = "a narrow task is learned from so many"
    if name == "cpu":
        rate = matmul_rate()
        examples = FEW if rate < FAST_CPU else examples
        why["examples"] = (
            f"matmuls ran at {rate:,.0f} GFLOP/s; below {FAST_CPU:.0f} a run takes {FEW}"
        )
    return Profile(
        name=name, device=device, dtype=dtype, weights="float32", threads=torch.get_num_threads(),
        memory_gb=round(memory, 1), gpu=gpu, default_model=sizes.model,
        batch_size=sizes.batch_size, records=SLOW_CPU if slow else sizes.records,
        examples=examples, reasons=why,
    )  # fmt: skip


def _cuda(asked: str) -> tuple[str, str, str, float, str, dict[str, str]]:
    """Return name, device, dtype, memory, the GPU's name and the reasons, for the first GPU."""
    import torch

    found = torch.cuda.get_device_properties(0)
    capability, memory = (found.major, found.minor), found.total_memory / 1e9
    name = asked or ("gpu" if capability >= (8, 0) and memory >= BIG_GPU_GB else "t4")
    dtype, because = _cuda_dtype(capability)
    if asked == "t4" and dtype == "bfloat16":
        dtype, because = "float16", "as on a T4, which has no bf16"
    why = {
        "name": f"compute capability {found.major}.{found.minor} and {memory:.0f} GB; "
        f"gpu wants 8.0 and {BIG_GPU_GB:.0f} GB",
        "device": "torch sees a CUDA GPU",
        "dtype": because,
        "memory": "of the GPU",
    }
    return name, "cuda", dtype, memory, found.name, why


def _cuda_dtype(capability: tuple[int, int]) -> tuple[str, str]:
    """Choose by compute capability: torch's own check says yes to bf16 that is only emulated."""
    says = f"compute capability {capability[0]}.{capability[1]}"
    if capability >= (8, 0):
        return "bfloat16", f"{says} has bf16 units (8.0 and up)"
    if capability >= (7, 0):
        return "float16", f"{says} has fp16 units and no bf16 ones (8.0 and up)"
    return "float32", f"{says} has no fast half precision (7.0 and up)"


# bf16 on a CPU: some have matrix units for it, others only emulate it. Time it once.

Timer = Callable[[], tuple[float, float]]
WORK = 4 * 2 * 1024 * 256 * 1024  # operations of what is timed: four products


def bf16_speedup(
    *, refresh: bool = False, timer: Timer | None = None, cache: Path | None = None
) -> float:
    """Return how many times as fast bf16 matmuls are as float32 ones on this CPU.

    Timed once per processor and torch version; the figure is kept in the user's cache folder.

    Args:
        refresh: time again.
        timer: returns the seconds of the same work in float32 and in bfloat16.
        cache: the file that keeps the figures.
    """
    return _timed("bf16 to float32", refresh, timer, cache)


def matmul_rate(
    *, refresh: bool = False, timer: Timer | None = None, cache: Path | None = None
) -> float:
    """Return this CPU's 10^9 operations/s in the better type; timed with `bf16_speedup`."""
    return _timed("GFLOP/s", refresh, timer, cache)


def _timed(what: str, refresh: bool, timer: Timer | None, cache: Path | None) -> float:
    """Return one figure of the timing of matmuls, from the cache if it is there."""
    import torch

    from ftlab.errors import DataError
    from ftlab.files import write_text

    cache = cache_folder() / "matmuls.json" if cache is None else cache
    key = f"{_cpu_name()} | torch {torch.__version__} | {torch.get_num_threads()} threads | "
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    held = known.get(key + what)
    if refresh or not isinstance(held, (int, float)) or held <= 0:
        slow, fast = (timer or _time_matmuls)()
        known[f"{key}bf16 to float32"] = round(slow / fast, 2)
        known[f"{key}GFLOP/s"] = round(WORK / min(slow, fast) / 1e9, 1)
        with contextlib.suppress(DataError, OSError):  # a read-only home means timing again
            write_text(cache, json.dumps(known, indent=1), overwrite=True)
    return float(known[key + what])


def _time_matmuls(rounds: int = 5) -> tuple[float, float]:
    """Time one matmul of a training step in both types by turns; return the best of each."""
    import torch

    inputs = [torch.ones(1024, 256, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)]
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for i, left in enumerate(inputs):
            right = left.t()
            torch.mm(left, right)  # the first call of a type builds its kernel
            start = time.perf_counter()
            for _ in range(4):
                torch.mm(left, right)
            best[i] = min(best[i], time.perf_counter() - start)
        if best[1] > 3 * best[0]:  # only emulated: no need to wait for more of it
            break
    return best[0], best[1]


def four_bit_works(
    device: str, shapes: Iterable[tuple[int, int]] = ((64, 128),)
) -> tuple[bool, str]:
    """Return whether bitsandbytes holds linear layers in NF4 on `device`, and if not, why.

    Found out by doing it: a layer is quantised, and must still give about what it gave. Kernels
    depend on what remains of a width, so a small layer stands for a large one; each size is tried
    once and remembered.

    Args:
        device: where the weights go.
        shapes: sizes (outputs, inputs) of the layers at hand.
    """
    for outputs, inputs in shapes:
        problem = _four_bit_problem(device, 64 + outputs % 64, 128 + inputs % 64)
        if problem:
            return False, problem
    return True, ""


@functools.cache
def _four_bit_problem(device: str, outputs: int, inputs: int) -> str:
    """Return what is wrong with a layer of this size in 4 bits; nothing if it works."""
    import torch

    try:
        import bitsandbytes

        with torch.random.fork_rng(devices=[]):
            layer = torch.nn.Linear(inputs, outputs, bias=False)
            rows = torch.randn(4, inputs)
        small = bitsandbytes.nn.Linear4bit(inputs, outputs, bias=False, quant_type="nf4")
        small.load_state_dict(layer.state_dict())
        keep_unpacked(small).eval()
        with torch.no_grad():
            wanted, got = layer(rows), small.to(device)(rows.to(device)).float().cpu()
        error = ((got - wanted).norm() / wanted.norm()).item()
    except Exception as problem:  # a missing kernel shows in many ways
        return f"bitsandbytes fails ({type(problem).__name__}: {problem})"
    return "" if error < 0.2 else f"the layer's output is off by {error:.0%}"


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
    if os.environ.get("FTLAB_HOME"):
        return Path(os.path.expanduser(os.environ["FTLAB_HOME"])).absolute()
    chosen = Path(os.environ.get("XDG_CACHE_HOME") or ".")
    if chosen.is_absolute():  # the standard says to ignore a relative one
        return chosen / "ftlab"
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return Path(tempfile.gettempdir()) / "ftlab"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "ftlab"
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "ftlab"


def _cpu_name() -> str:
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        for line in text.split("\n"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


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


def huge_pages() -> None:
    """Start this process again with memory in pages of 2 MB, and let it be reused.

    Only for a program of our own, before it has done anything: the setting is read when a process
    starts. Elsewhere than on Linux with glibc, nothing happens. On the CPU that the base models
    were trained on, a step took a fifth less time. See glibc's manual on tunables.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return
    if "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, sys.orig_argv)
    reuse_memory()


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
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    return seed
