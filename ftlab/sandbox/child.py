"""The process that a program runs in: it shuts itself in, runs the program and says how that ended.

Started by `ftlab.sandbox.run` with an order in JSON on its standard input; it imports nothing but
the standard library. On Linux there are two processes, forked from one interpreter:

    supervisor   holds the channel to the parent; waits, and reports how the program ended
    program      confined; runs the code; holds no way to that channel

The supervisor believes the kernel (the exit status) and a *receipt*, sealed with a key drawn for
this run, which the program's main thread sends when the code has come to its end. The code runs in
a second thread, from whose frames the key cannot be reached; an audit hook destroys the key before
anything that could find it elsewhere happens (ctypes, a walk over the garbage collector's objects,
other threads' frames, tracing). So code that prints OK and exits has shown nothing. What remains:
code that corrupts the interpreter's own memory could forge its receipt. It would still be confined.
"""

import _thread
import contextlib
import json
import os
import sys
import time
from typing import Any

linux: Any = None  # the module beside this one, where it is wanted

_LARGEST = 1 << 18  # bytes of a receipt
# Doing one of these ends the trust in what the program says of itself.
_UNSEALING = (
    "ctypes.", "gc.get_", "sys._current_", "sys.settrace", "sys.setprofile", "sys.monitoring",
    "cpython.", "code.__new__", "function.__new__", "sys.addaudithook", "object.__getattr__",
)  # fmt: skip
_UNSEALING_IMPORTS = {
    "ctypes", "_ctypes", "_testcapi", "_testinternalcapi", "_xxsubinterpreters", "_interpreters",
    "_testlimitedcapi", "interpreters",
}  # fmt: skip


def _unseals(event: str, args: tuple[Any, ...]) -> bool:
    """Say whether an audit event could lead to the key, or change the code that guards it."""
    if event == "import":  # native code of its own making counts as well
        foreign = args[1] and not str(args[1]).startswith((sys.base_prefix, sys.base_exec_prefix))
        return args[0] in _UNSEALING_IMPORTS or bool(foreign)
    if event == "object.__setattr__":
        return args[1] in ("__code__", "__closure__", "__globals__")
    if event == "object.__getattr__":
        return args[1] in ("__closure__",)
    return event.startswith(_UNSEALING)


# The program.


def _limits(order: dict[str, Any], extra_tasks: int | None) -> None:
    """Set what this process may use, as hard limits."""
    try:
        import resource
    except ImportError:  # Windows
        return
    seconds = int(order["timeout"]) + 2
    wanted = {
        "RLIMIT_CPU": seconds, "RLIMIT_AS": order["memory"], "RLIMIT_FSIZE": order["disk"],
        "RLIMIT_NOFILE": 64, "RLIMIT_CORE": 0, "RLIMIT_NPROC": extra_tasks, "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }  # fmt: skip
    for name, value in wanted.items():
        limit = getattr(resource, name, None)
        if limit is None or value is None:
            continue
        hard = resource.getrlimit(limit)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS knows no limit of address space
            resource.setrlimit(limit, (value, value))


def _run_code(order: dict[str, Any]) -> dict[str, Any]:
    """Run the code as a script, or its tests; return how it ended."""
    import types

    module = types.ModuleType("candidate" if order["tests"] else "__main__")
    module.__file__ = "candidate.py"
    sys.modules[module.__name__] = module
    exec(compile(order["code"], "candidate.py", "exec"), module.__dict__)
    if not order["tests"]:
        return {"end": "returned"}
    import unittest

    name = lambda test: test.id().removeprefix("candidate.")
    passed: list[str] = []
    result: Any = unittest.TestResult()
    result.addSuccess = lambda test: passed.append(name(test))
    result.addExpectedFailure = lambda test, error: passed.append(name(test))
    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    failed = {
        name(test): text.strip().rsplit("\n", 1)[-1]
        for test, text in (*result.failures, *result.errors)
    }
    failed |= {name(test): "unexpected success" for test in result.unexpectedSuccesses}
    for test, reason in failed.items():
        print(f"{test}: {reason}", file=sys.stderr)
    return {"end": "returned", "passed": passed, "failed": failed}


def _witness(order: dict[str, Any], key: bytearray, channel: int) -> None:
    """Run the code in a thread of its own; when that is over, send the sealed receipt."""
    ends: list[dict[str, Any]] = []
    over = _thread.allocate_lock()
    over.acquire()

    def program() -> None:
        end: dict[str, Any]
        try:
            end = _run_code(order)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            end = {"end": "exited", "code": code}
        except BaseException as error:
            import traceback

            with contextlib.suppress(BaseException):
                tail = error.__traceback__
                while tail and tail.tb_frame.f_code.co_filename == __file__:
                    tail = tail.tb_next
                traceback.print_exception(type(error), error, tail, limit=20)
            end = {"end": "raised", "error": type(error).__name__}
        ends.append(end)
        over.release()

    # What is used after the code has run is taken now, since the code can replace it.
    threads, sleep, write, leave, dumps = _thread._count, time.sleep, os.write, os._exit, json.dumps
    outputs, unsealed = (sys.stdout, sys.stderr), {"end": "unsealed"}

    def guard(event: str, args: tuple[Any, ...]) -> None:
        if key and _unseals(event, args):
            key.clear()

    sys.addaudithook(guard)
    for name in ("ctypes", "_ctypes", "linux"):
        sys.modules.pop(name, None)
    with contextlib.suppress(ValueError):
        _thread.stack_size(16 << 20)
    _thread.start_new_thread(program, ())
    over.acquire()
    while threads() > 0:  # a program is over when its last thread is
        sleep(0.001)
    for output in outputs:
        with contextlib.suppress(BaseException):
            output.flush()
    end = ends[0] if len(ends) == 1 and (key or ends[0]["end"] != "returned") else unsealed
    receipt = b"\0" + bytes(key).hex().encode() + b"\0" + dumps(end).encode()
    while receipt:
        receipt = receipt[write(channel, receipt) :]
    leave(0)


# The supervisor.


def read_receipt(stream: bytes, key: bytes) -> tuple[bytes, dict[str, Any]]:
    """Split what came over a channel into what is before the receipt, and what that says.

    Without the seal of `key`, only a program's word that it did not come to its end is believed:
    nobody gains by forging that.
    """
    before, seal, said = [*stream.rsplit(b"\0", 2), b"", b""][:3]
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        end = json.loads(said)
        if seal == key.hex().encode():
            return before, end
        if end["end"] in ("unsealed", "raised", "exited") and not seal:
            return before, {"end": end["end"], "error": str(end.get("error", ""))[:80]}
    return stream, {}


def _supervise(order: dict[str, Any], key: bytes, program: int, channel: int) -> dict[str, Any]:
    """Wait for the program; return its exit status and what a valid receipt says."""
    receipt = b""
    while block := os.read(channel, 1 << 16):
        receipt = (receipt + block)[: _LARGEST + 1]
    status = os.waitpid(program, 0)[1]
    report: dict[str, Any] = {"status": os.waitstatus_to_exitcode(status)}
    if len(receipt) <= _LARGEST:
        before, said = read_receipt(receipt, key)
        if not before:  # the code wrote there too
            report |= said
    return report


def _write_modules(order: dict[str, Any], work: str) -> None:
    """Lay the modules that the code may import in its folder, and go there."""
    for name, source in order["modules"].items():  # of a package: "shop.__init__", "shop.cart"
        path = os.path.join(work, *name.split(".")) + ".py"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)
    os.chdir(work)
    sys.path.insert(0, work)


def _strong(order: dict[str, Any]) -> None:
    """Confine a forked process as Linux allows; report over the channel that it does not have."""
    result = order["result"]
    os.umask(0o022)
    linux.die_with_parent(order["parent"])

    def report(content: dict[str, Any]) -> None:
        os.write(result, json.dumps(content).encode())
        os._exit(0)

    work, own_root = order["work"], order["level"] != "landlock"
    user = 1_800_000_000 + os.getpid()
    try:
        if own_root:
            linux.enter_namespaces()
            work = linux.new_root(work, order["disk"])
            if init := os.fork():  # the first process of the new namespace: all end with it
                os.waitpid(init, 0)
                os._exit(0)
            linux.die_with_parent(0)  # which is outside, and so has no number here
    except OSError as error:
        report({"setup": str(error)})
    key = os.urandom(16)
    reading, writing = os.pipe()
    supervisor = os.getpid()
    if program := os.fork():
        os.close(writing)
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        report(_supervise(order, key, program, reading))
    seal = bytearray(key)
    try:
        linux.die_with_parent(supervisor)
        os.dup2(writing, 3)
        os.closerange(4, 1024)
        tasks = 64 + (0 if own_root or os.geteuid() == 0 else linux.tasks_of_user())
        _write_modules(order, work)
        _limits(order, tasks)
        linux.confine(work, user=user, own_root=own_root)
    except OSError as error:
        os.write(3, b"\0" + key.hex().encode() + b"\0" + json.dumps({"setup": str(error)}).encode())
        os._exit(0)
    del key
    _witness(order, seal, 3)


# The weakest level: what any system offers, and Python's own audit hook.


def _fence(work: str) -> None:
    """Refuse, in Python, what the kernel is not asked to refuse."""
    readable = [os.path.realpath(p) for p in {work, os.path.dirname(os.__file__), *sys.path} if p]
    home = os.path.realpath(work)
    refused = (
        "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn",
        "os.kill", "os.startfile", "ctypes.", "winreg.", "signal.pthread_kill", "pty.", "fcntl.",
        "resource.setrlimit", "resource.prlimit", "shutil.", "os.setxattr", "os.putenv", "mmap.",
        "ftplib.", "smtplib.", "urllib.", "_winapi.", "msvcrt.", "sqlite3.", "syslog.",
    )  # fmt: skip
    realpath, separator = os.path.realpath, os.sep

    def inside(path: Any, folders: list[str]) -> bool:
        if isinstance(path, int):
            return True
        real = realpath(os.fsdecode(path))
        return any(real == folder or real.startswith(folder + separator) for folder in folders)

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        bad = event.startswith(refused) or (event == "import" and args[0] in _UNSEALING_IMPORTS)
        if event == "open":
            mode, flags = args[1] or "", args[2] or 0
            writes = any(c in mode for c in "wax+") or flags & (os.O_WRONLY | os.O_RDWR)
            bad = not inside(args[0], [home] if writes else readable)
        elif event in ("os.listdir", "os.scandir"):
            bad = not inside(args[0] or ".", readable)
        elif event.startswith("os.") and not bad:
            paths = [a for a in args if isinstance(a, (str, bytes)) and a]
            bad = any(not inside(path, [home]) for path in paths)
        if bad:
            raise PermissionError(f"{event} is not allowed in the sandbox")

    sys.addaudithook(refuse)


def _weak(order: dict[str, Any]) -> None:
    """Run the code in this process; the receipt goes at the end of the standard error."""
    import traceback  # noqa: F401  what prints an error, loaded before the fence stands

    _write_modules(order, order["work"])
    if sys.platform != "win32" and os.geteuid() == 0 and order["drop"]:
        with contextlib.suppress(OSError):
            os.chown(order["work"], 65534, 65534)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
    _limits(order, None)
    if sys.platform == "linux":  # no Landlock, then; but there may still be seccomp
        with contextlib.suppress(OSError):
            linux.forbid_calls()
    _fence(order["work"])
    _witness(order, bytearray.fromhex(order["key"]), 2)


def main() -> None:
    """Read the order and carry it out."""
    global linux
    order = json.loads(sys.stdin.buffer.read())
    if sys.platform == "linux":
        import linux
    sys.path.pop()  # where this module lies
    sys.dont_write_bytecode = True
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    (_weak if order["level"] == "rlimits" else _strong)(order)
