"""Run code that nobody has read yet.

Code written by a model is hostile until shown otherwise, and notebooks run it, often as root. So it
runs in a process of its own without network, home, keys, other processes or a way to make any,
in an empty folder that is gone afterwards, for a bounded time, memory, disk and output.

    >>> done = run("print(6 * 7)", allow_weak=True)
    >>> done.outcome, done.stdout
    ('ok', '42\\n')
    >>> run("print('OK'); raise SystemExit(0)\\nassert 1 == 2", allow_weak=True).outcome
    'exited'

What contains it depends on the machine; a result says which level it was:

    namespaces  Linux with user namespaces, or as root: own mounts, network, processes and user,
                and all of the next
    landlock    Linux in most containers: Landlock for files, seccomp for system calls (no sockets,
                no new processes, no signals to others), limits on memory, time and files.
                What is left: it can ask whether a file exists
    rlimits     macOS, Windows, old kernels: limits (none on Windows but time), an empty
                environment, as root another user, on Linux seccomp, and a fence inside Python
                that a determined program climbs over. Refused unless `allow_weak=True`

At every level but the last, what the code did is reported by another process, over a channel that
the code cannot write (see `child.py`). Only the standard library can be imported inside.
"""

import contextlib
import functools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftlab.errors import ConfigError, FtlabError, raise_unknown
from ftlab.sandbox.child import read_receipt

__all__ = ["LEVELS", "SandboxError", "SandboxResult", "level", "reasons", "run"]

LEVELS = ("namespaces", "landlock", "rlimits")  # from the strongest to the weakest


class SandboxError(FtlabError):
    """No sandbox that is strong enough can be had on this machine."""


@dataclass(frozen=True)
class SandboxResult:
    """How a program ended, by what the supervisor saw and never by what the program printed."""

    outcome: str
    """One of:

    ok        ran to its last line; of tests: at least one ran, and all passed
    failed    of tests: one failed, or there was none
    error     an exception was not caught; `error` names it
    exited    ended itself before its last line
    timeout   did not end in time
    memory    asked for more memory than there was
    output    wrote more than it may
    crashed   was ended by a signal, as by a fault in native code
    unsealed  came to its end, but reached for what could forge that report
    """
    stdout: str  # what it printed, cut at the limit
    stderr: str  # what it printed there, tracebacks included, cut at the limit
    seconds: float  # wall time, the making of the sandbox included
    level: str  # what contained it
    error: str = ""  # the name of the exception, for "error" and "memory"
    passed: tuple[str, ...] = ()  # of tests: `Class.method` of each that passed
    failed: Mapping[str, str] = field(default_factory=dict)
    """Of tests: `Class.method` of each that did not, with the last line of its traceback."""

    @property
    def ok(self) -> bool:
        """Whether the outcome is "ok"."""
        return self.outcome == "ok"


_refused: dict[str, str] = {}  # why a level cannot be had here, learned by trying


def reasons() -> dict[str, str]:
    """Return why the levels stronger than `level()` cannot be had on this machine.

    >>> sorted(set(reasons()) & {level()})
    []
    """
    level()
    return dict(_refused)


@functools.cache
def level() -> str:
    """Return the strongest level that this machine offers, found by trying them in order."""
    for name in LEVELS[:-1]:
        tried = _attempt(name, 20.0, 1 << 10, {"code": "", "tests": False, "modules": {},
                                               "memory": 256 << 20, "disk": 1 << 20})  # fmt: skip
        if tried.ok:
            return name
    return LEVELS[-1]


def run(
    code: str, *, timeout: float = 5.0, memory_mb: int = 512, disk_mb: int = 16,
    output_kb: int = 64, tests: bool = False, modules: Mapping[str, str] | None = None,
    allow_weak: bool = False, level: str | None = None,
) -> SandboxResult:  # fmt: skip
    """Run a Python program, or the tests of a module, where it can do no harm.

    Args:
        code: the source, run as a script; with `tests`, loaded as a module whose `unittest` cases
            are run.
        timeout: seconds of wall time; then everything is ended.
        memory_mb: megabytes of address space.
        disk_mb: megabytes it can write.
        output_kb: kilobytes of output to keep of each stream; a program that writes more is ended.
        tests: run the test cases of `code`.
        modules: the source of modules that `code` can import, by name; dots lead into packages.
        allow_weak: accept the level "rlimits", for code that is not hostile.
        level: use this level and no other; None takes the strongest.

    Returns:
        How it ended, and at which level.

    Raises:
        SandboxError: only the weakest level is to be had, and `allow_weak` is False; or the
            level asked for is not to be had.
        ConfigError: an argument makes no sense.

    >>> run("import m\\nprint(m.x)", modules={"m": "x = 1"}, allow_weak=True).stdout
    '1\\n'
    """
    strongest = globals()["level"]
    if level is not None and level not in LEVELS:
        raise_unknown("sandbox level", level, LEVELS)
    limits = {"timeout": timeout, "memory_mb": memory_mb, "disk_mb": disk_mb,
              "output_kb": output_kb}  # fmt: skip
    for name, value in limits.items():
        if not value > 0:
            raise ConfigError(f"{name} must be more than 0, got {value}.")
    modules = dict(modules or {})
    for name in modules:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"{name!r} is no name for a module: letters, digits and _ only.")
    chosen = level or strongest()
    if chosen == "rlimits" and not allow_weak:
        why = "; ".join(f"{name}: {reason}" for name, reason in _refused.items())
        raise SandboxError(
            f"This machine only offers the sandbox level 'rlimits', which does not hold hostile "
            f"code ({why or 'it was asked for'}). Run on Linux, or, for code that you trust, say "
            "allow_weak=True."
        )
    order = {"code": code, "tests": tests, "modules": modules, "memory": memory_mb << 20,
             "disk": disk_mb << 20}  # fmt: skip
    result = _attempt(chosen, timeout, output_kb << 10, order)
    if result.outcome == "setup":
        raise SandboxError(f"The sandbox level {chosen!r} cannot be had here: {result.error}.")
    return result


# One run.


def _attempt(chosen: str, timeout: float, output: int, asked: dict[str, Any]) -> SandboxResult:
    """Run at one level; the outcome "setup" says that the level cannot be had."""
    start = time.monotonic()
    if chosen != "rlimits" and sys.platform != "linux":
        _refused[chosen] = f"this is {sys.platform}, not Linux"
        return SandboxResult("setup", "", "", 0.0, chosen, _refused[chosen])
    work = os.path.realpath(tempfile.mkdtemp(prefix="ftlab-sandbox-"))
    strong = chosen != "rlimits"
    key = secrets.token_hex(16)
    reading, writing = os.pipe() if strong else (-1, -1)
    order = {
        **asked, "level": chosen, "timeout": timeout, "parent": os.getpid(), "result": writing,
        "work": work, "key": "" if strong else key, "drop": _library_is_public(),
    }  # fmt: skip
    try:
        process = subprocess.Popen(
            _command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=_environment(work), cwd="/" if strong else work, **_detached(writing),
        )  # fmt: skip
        if strong:
            os.close(writing)
            writing = -1
        with contextlib.suppress(OSError):  # it may have ended already
            process.stdin.write(json.dumps(order).encode())  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
        ended, streams = _watch(process, reading, start + timeout + 0.25, output)
    finally:
        for descriptor in (reading, writing):
            if descriptor >= 0:
                os.close(descriptor)
        _remove(work)
    seconds = time.monotonic() - start
    stdout, stderr, report = (bytes(stream) for stream in streams)
    if not strong:
        stderr, receipt = read_receipt(stderr, bytes.fromhex(key))
        said = {"status": process.returncode, **receipt}
    else:
        said = {}
        with contextlib.suppress(ValueError):  # nothing, or cut short by the end of its time
            said = json.loads(report)
        if not said and not ended:  # not even a report that it failed
            said = {"setup": stderr.decode("utf-8", "replace").strip()[-200:] or "it did not start"}
    if "setup" in said:
        _refused[chosen] = said["setup"]
        return SandboxResult("setup", "", "", seconds, chosen, said["setup"])
    out, err = (stream[:output].decode("utf-8", "replace").replace("\r\n", "\n")
                for stream in (stdout, stderr))  # fmt: skip
    outcome, error = ended or _outcome(said, asked["tests"]), str(said.get("error", ""))
    passed, failed = tuple(said.get("passed", ())), dict(said.get("failed", {}))
    return SandboxResult(outcome, out, err, seconds, chosen, error, passed, failed)


def _outcome(said: dict[str, Any], tests: bool) -> str:
    """Name how a program ended, from its exit status and its receipt."""
    end = said.get("end")
    if end == "raised":
        return "memory" if said["error"] == "MemoryError" else "error"
    if end in ("exited", "unsealed"):
        return end
    if end == "returned":
        return "failed" if tests and (said["failed"] or not said["passed"]) else "ok"
    if said.get("status", -1) < 0:
        return "timeout" if said.get("status") == -getattr(signal, "SIGXCPU", 0) else "crashed"
    return "exited"


@functools.cache
def _command() -> list[str]:
    """How the child starts: isolated, without site-packages, its modules compiled once."""
    here = str(Path(__file__).resolve().parent)
    start = f"import sys; sys.path.append({here!r}); import child; child.main()"
    python = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    return [python, "-I", "-S", "-X", "utf8", "-c", start]


def _environment(work: str) -> dict[str, str]:
    """Nothing of ours: no keys, no paths."""
    kept = {"LANG": "C.UTF-8", "HOME": work, "TMPDIR": work}
    if sys.platform == "win32":
        kept["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", r"C:\Windows")
    return kept


def _detached(channel: int) -> dict[str, Any]:
    """Start it in a session of its own, with no file of ours but the channel."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True, "pass_fds": [channel] if channel >= 0 else []}


@functools.cache
def _library_is_public() -> bool:
    """Whether a user without rights can read Python's library, so that root can become one."""
    path = Path(os.__file__).resolve()
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _watch(
    process: "subprocess.Popen[bytes]", channel: int, deadline: float, limit: int
) -> tuple[str, list[bytearray]]:
    """Read all that comes until the end, the time or the output is over; leave nothing alive.

    Returns:
        "timeout", "output" or "", and what came: standard output, standard error, report.
    """
    streams = [bytearray(), bytearray(), bytearray()]
    most = [limit, limit + (1 << 19), 1 << 20]  # the weak level's report follows the errors
    flooded = threading.Event()
    # The pipes' ends close when the last process that holds them is gone.
    descriptors = [process.stdout.fileno(), process.stderr.fileno(), channel]  # type: ignore

    def drain(number: int) -> None:
        with contextlib.suppress(OSError):
            while block := os.read(descriptors[number], 1 << 16):
                room = most[number] - len(streams[number])
                streams[number] += block[: max(room, 0)]
                if len(block) > room and not flooded.is_set():
                    flooded.set()
                    _end(process)

    readers = [
        threading.Thread(target=drain, args=(number,), daemon=True)
        for number in range(3)
        if descriptors[number] >= 0
    ]
    for reader in readers:
        reader.start()
    ended = ""
    try:
        for reader in readers:
            reader.join(max(0.0, deadline - time.monotonic()))
        process.wait(max(0.0, deadline - time.monotonic()))
        if any(reader.is_alive() for reader in readers):
            ended = "timeout"
    except subprocess.TimeoutExpired:
        ended = "timeout"
    finally:  # Ctrl-C too
        _end(process)
        process.wait()
        for reader in readers:
            reader.join(5.0)
        process.stdout.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]
    return ("output" if flooded.is_set() else ended), streams


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the child and all in its group; the rest of the tree ends with it, by the kernel."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        elif process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)


def _remove(folder: str) -> None:
    """Remove the working folder whatever was done to it."""
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(folder)
    if os.path.exists(folder) and sys.platform != "win32":
        # Folders without rights, or nested too deeply for Python: these two mind neither.
        for command in (["chmod", "-R", "u+rwx", folder], ["rm", "-rf", folder]):
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
