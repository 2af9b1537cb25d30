"""How much memory a piece of work takes at its peak, measured and not estimated.

| where | what is read |
|---|---|
| CUDA | torch's own count: most bytes allocated, less those allocated at the start |
| Linux | the high-water mark of resident memory (VmHWM, set back at the start; see proc(5)) |
| elsewhere | the process's resident memory, or Metal's, looked at every 5 ms |

Torch's count is of tensors alone. Resident memory is of the whole process, its libraries and what
its allocator keeps: a figure for a model of a few megabytes is mostly those. A process that worked
before has freed memory to take first, so what is to be compared belongs in fresh processes.

>>> with growth() as grown:                                                    # doctest: +SKIP
...     data = bytearray(50_000_000)
>>> grown.bytes > 45e6                                                         # doctest: +SKIP
True
"""

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Growth", "growth", "weights_bytes"]

EVERY = 0.005  # seconds between two looks where the system keeps no high-water mark


@dataclass
class Growth:
    """What the memory grew by; filled in when the `with` block ends."""

    bytes: int = 0
    """The peak within the block, less what was taken when it began."""
    how: str = ""
    """What was read, in words."""


@contextlib.contextmanager
def growth(device: str = "cpu") -> Iterator[Growth]:
    """Measure the peak of the memory that the block takes beyond what was there before it.

    Args:
        device: where the work is done: "cpu", "cuda" or "mps".
    """
    grown = Growth()
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start, grown.how = torch.cuda.memory_allocated(), "tensors on the GPU, counted by torch"
        try:
            yield grown
        finally:
            grown.bytes = torch.cuda.max_memory_allocated() - start
    elif device == "cpu" and _reset():
        start, grown.how = _status("VmRSS"), "resident memory of the process, its high-water mark"
        try:
            yield grown
        finally:
            grown.bytes = max(0, _status("VmHWM") - start)
    else:
        read, grown.how = _reader(device)
        start = top = read()
        done = threading.Event()

        def look() -> None:
            nonlocal top
            while not done.wait(EVERY):
                top = max(top, read())

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield grown
        finally:
            done.set()
            watcher.join()
            grown.bytes = max(top, read()) - start


def weights_bytes(model: Any) -> int:
    """Return the bytes that a model's weights take as they are held, each tensor once.

    The second quantisation's constants of 4-bit weights, some 3 % of them, are left out.
    """
    tensors = {t.data_ptr(): t for t in (*model.parameters(), *model.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())


def _reset() -> bool:
    """Set the high-water mark of this process back to what it takes now; say if that worked."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _status("VmHWM") > 0
    except (OSError, TypeError):  # a kernel without it, or a container that forbids it
        return False


def _status(name: str) -> int:
    """Return a figure of /proc/self/status in bytes."""
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"^{name}:\s+(\d+) kB", text, flags=re.M)
    if found is None:
        raise TypeError(f"/proc/self/status has no {name}")
    return int(found[1]) * 1024


def _reader(device: str) -> tuple[Callable[[], int], str]:
    if device == "mps":
        import torch

        return torch.mps.current_allocated_memory, "tensors on the GPU, looked at every 5 ms"
    import psutil

    process = psutil.Process()
    return lambda: process.memory_info().rss, "resident memory of the process, every 5 ms"
