"""What Linux offers to confine a process, through its system calls: namespaces, Landlock, seccomp.

The child process alone imports this (see `child.py`); nothing outside the standard library is used.
A process that has called `enter_namespaces`, `new_root` and `confine`, in this order, has no
network, sees an empty folder and the standard library of Python, and can make no other process.
Where namespaces are forbidden, as in most containers, `confine` alone gives the level "landlock".

Sources: unshare(2), mount(2), pivot_root(2), landlock(7), seccomp(2), bpf(2) of the Linux manual;
numbers of system calls from the kernel's own headers.
"""

import contextlib
import ctypes
import errno
import os
import platform
import struct
import sys

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_MACHINE = {"x86_64": 0, "AMD64": 0, "aarch64": 1, "arm64": 1}.get(platform.machine())
_AUDIT_ARCH = (0xC000003E, 0xC00000B7)

# Numbers on (x86-64, ARM64); None where the machine has no such call.
# What needs a capability (mounts, modules, the clock) is not here: `forbid_calls` leaves none, and
# no namespace of users, which would give new ones, can be made.
_NEVER = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "setsid": (112, 157), "setpgid": (109, 154), "socket": (41, 198), "unshare": (272, 97),
    "setns": (308, 268), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "mknod": (133, None), "mknodat": (259, 33), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "setpriority": (141, 140),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30), "migrate_pages": (256, 238),
    "move_pages": (279, 239), "personality": (135, 92), "modify_ldt": (154, None),
}  # fmt: skip
# Landlock has no say over these; without a root folder of its own, a process must not have them.
_METADATA = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "removexattr": (197, 14),
    "lremovexattr": (198, 15), "fremovexattr": (199, 16), "truncate": (76, 45),
}  # fmt: skip
_CLONE, _CLONE3, _KILL, _TGKILL = (56, 220), (435, 435), (62, 129), (234, 131)
_PRLIMIT, _FCNTL = (302, 261), (72, 25)


def _check(result: int, what: str) -> int:
    """Return the result of a system call, or raise its OSError."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _prctl(option: int, value: int = 0) -> None:
    _check(_libc.prctl(option, *(ctypes.c_ulong(v) for v in (value, 0, 0, 0))), f"prctl {option}")


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when the process `parent` that started it ends."""
    _prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != parent:  # it has ended already
        os._exit(1)


# Namespaces: no network, no other processes, a root folder of its own.


def enter_namespaces() -> None:
    """Leave the host's mounts, network, processes, IPC and names; children are in the new ones.

    Raises:
        OSError: this machine or container does not allow it.
    """
    uid, gid = os.geteuid(), os.getegid()
    flags = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000
    if uid == 0 and _libc.unshare(flags) == 0:
        return
    _check(_libc.unshare(flags | 0x10000000), "unshare")  # as a plain user: CLONE_NEWUSER too
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"1000 {uid} 1"), ("gid_map", f"1000 {gid} 1")
    ):  # fmt: skip
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND = 1, 2, 4, 8, 32, 4096
_REC, _PRIVATE = 0x4000, 0x40000


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {target}")


def _bind(root: str, path: str) -> None:
    """Show a file or folder of the host under the new root, read-only."""
    target = root + path
    if os.path.islink(path) and os.path.dirname(path) == "/":  # /lib -> usr/lib
        os.symlink(os.readlink(path), target)
        return
    path = os.path.realpath(path)
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT, 0o644))
    _mount(path, target, "", _BIND | _REC)
    # A remount may not take away what the host's mount has: noexec, noatime, relatime.
    kept = os.statvfs(path).f_flag & (_NOEXEC | 0x400 | 0x800)
    relatime = 0x200000 if os.statvfs(path).f_flag & 0x1000 else 0
    device = 0 if path.startswith("/dev/") else _NODEV
    _mount(
        "", target, "", _BIND | _REMOUNT | _RDONLY | _NOSUID | device | kept | relatime
    )  # fmt: skip


def readable_paths() -> list[str]:
    """What running Python needs to read: its library, shared libraries, time zones, two devices."""
    library = os.path.dirname(os.path.realpath(os.__file__))
    dynamic = os.path.join(sys.base_exec_prefix, sys.platlibdir)
    paths = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache"]
    paths += ["/etc/localtime", "/dev/null", "/dev/urandom", dynamic, library]
    shown: list[str] = []
    for path in paths:
        inside = any(os.path.realpath(path).startswith(os.path.realpath(p) + "/") for p in shown)
        if os.path.exists(path) and (not inside or os.path.islink(path)):
            shown.append(path)
    return shown


def new_root(folder: str, disk_bytes: int) -> str:
    """Replace / by an empty file system in memory; return the one folder that can be written.

    Args:
        folder: an empty folder of the host to build it on; it stays empty on the host.
        disk_bytes: how much can be written.

    Raises:
        OSError: mounting is not allowed.
    """
    _mount("none", "/", "", _REC | _PRIVATE)
    _mount("tmpfs", folder, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    for path in readable_paths():
        _bind(folder, path)
    work = "/tmp"
    for name in (work, "/.old"):
        os.mkdir(folder + name)
    _mount(
        "tmpfs", folder + work, "tmpfs", _NOSUID | _NODEV | _NOEXEC,
        f"size={disk_bytes},nr_inodes=2048,mode=1777",
    )  # fmt: skip
    _check(
        _libc.syscall((155, 41)[_MACHINE or 0], folder.encode(), (folder + "/.old").encode()),
        "pivot_root",
    )
    os.chdir("/")
    _check(_libc.umount2(b"/.old", 2), "umount")  # MNT_DETACH
    os.rmdir("/.old")
    _mount("", "/", "", _BIND | _REMOUNT | _RDONLY | _NOSUID | _NODEV)
    return work


# Landlock: which files can be read and written.


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock_version() -> int:
    """Return the version of Landlock that the kernel has on, 0 for none."""
    return max(0, _libc.syscall(444, None, 0, 1))


def _landlock(readable: list[str], writable: str) -> None:
    """Allow this process to read some paths and to write one folder, and no other file."""
    version = landlock_version()
    access = (1 << 13) - 1 | (version >= 2) << 13 | (version >= 3) << 14 | (version >= 5) << 15
    # Also: no TCP, no abstract sockets, no signals to processes outside.
    wanted = struct.pack("QQQ", access, 3 * (version >= 4), 3 * (version >= 6))
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _check(_libc.syscall(444, wanted, ctypes.c_size_t(size), 0), "landlock_create_ruleset")
    read_file, read_folder = 1 << 2, 1 << 3
    for path, allowed in [
        *((path, read_file | read_folder) for path in readable),
        (writable, access & ~(1 | 1 << 6 | 1 << 11)),  # no programs, no devices
    ]:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not os.path.isdir(path):
            allowed &= read_file
        rule = _PathRule(allowed, handle)
        result = _libc.syscall(445, rules, 1, ctypes.byref(rule), 0)
        os.close(handle)
        _check(result, f"landlock_add_rule {path}")
    _check(_libc.syscall(446, rules, 0), "landlock_restrict_self")
    os.close(rules)


# seccomp: which system calls can be made.


def _filter(own_pid: int, fixed_metadata: bool) -> bytes:
    """Assemble the BPF program that the kernel runs before each system call."""
    if _MACHINE is None:
        raise OSError(errno.ENOSYS, f"no seccomp filter for {platform.machine()}")
    which = _MACHINE
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, deny, absent, end = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS, 0x80000000
    code: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4), (equal, 1, 0, _AUDIT_ARCH[which]), (give, 0, 0, end),
        (load, 0, 0, 0), (at_least, 0, 1, 0x40000000), (give, 0, 0, deny),  # the x32 calls
    ]  # fmt: skip
    for numbers in [*_NEVER.values(), *(_METADATA.values() if fixed_metadata else ())]:
        if (number := numbers[which]) is not None:
            code += [(equal, 0, 1, number), (give, 0, 0, deny)]
    code += [(equal, 0, 1, _CLONE3[which]), (give, 0, 0, absent)]  # clone says what, clone3 hides
    # A thread, but no process: CLONE_THREAD.
    code += [
        (equal, 0, 4, _CLONE[which]), (load, 0, 0, 16), (any_bit, 1, 0, 0x10000),
        (give, 0, 0, deny), (give, 0, 0, allow),
    ]  # fmt: skip
    for numbers in (_KILL, _TGKILL):  # signals to itself alone
        code += [
            (equal, 0, 4, numbers[which]), (load, 0, 0, 16), (equal, 1, 0, own_pid),
            (give, 0, 0, deny), (give, 0, 0, allow),
        ]  # fmt: skip
    code += [  # limits of itself alone
        (equal, 0, 5, _PRLIMIT[which]), (load, 0, 0, 16), (equal, 2, 0, own_pid), (equal, 1, 0, 0),
        (give, 0, 0, deny), (give, 0, 0, allow),
    ]  # fmt: skip
    code += [  # no signals by way of a file: F_SETOWN, F_SETSIG, F_SETOWN_EX
        (equal, 0, 6, _FCNTL[which]), (load, 0, 0, 24), (equal, 2, 0, 8), (equal, 1, 0, 10),
        (equal, 0, 1, 15), (give, 0, 0, deny), (give, 0, 0, allow),
    ]  # fmt: skip
    code.append((give, 0, 0, allow))
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def tasks_of_user() -> int:
    """Count the processes and threads of this user: where the limit on them has to start."""
    count = 0
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
    return count


def confine(work: str, *, user: int, own_root: bool) -> None:
    """Give up every right that is left, for good.

    Args:
        work: the folder that can be written.
        user: the number of the user to become, when this process is root's.
        own_root: whether `new_root` was called; without it Landlock is a must, and the calls that
            change a file's owner, mode or times go as well, since Landlock lets them pass.

    Raises:
        OSError: the kernel lacks what is wanted.
    """
    readable = readable_paths()
    if os.geteuid() == 0 and (own_root or _readable_by_others(readable)):
        # A user of its own for each run, so that its threads are counted alone. Where that number
        # is not mapped (a container with few users), nobody.
        for number in (user, 65534):
            with contextlib.suppress(OSError):
                if not own_root:
                    os.chown(work, number, number)
                os.setgroups([])
                os.setresgid(number, number, number)
                os.setresuid(number, number, number)
                break
    _prctl(38, 1)  # PR_SET_NO_NEW_PRIVS, which Landlock wants
    if landlock_version():
        _landlock(readable, work)
    elif not own_root:
        raise OSError(errno.ENOSYS, "Landlock is off in this kernel")
    _prctl(4, 0)  # PR_SET_DUMPABLE: no other process of this user may look inside
    forbid_calls(metadata=own_root)


def forbid_calls(*, metadata: bool = False) -> None:
    """Give up all capabilities, and forbid what a pure program never does.

    That is sockets, new processes, signals to others, and more.

    Args:
        metadata: whether the owner, mode and times of files may be changed.

    Raises:
        OSError: the kernel has no seccomp, or this kind of processor is not known here.
    """
    _check(_libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24)), "capset")
    _prctl(38, 1)  # PR_SET_NO_NEW_PRIVS, without which a filter is root's alone
    program = _filter(os.getpid(), fixed_metadata=not metadata)
    holder = _Program(len(program) // 8, program)
    _check(_libc.prctl(22, ctypes.c_ulong(2), ctypes.byref(holder)), "seccomp")  # PR_SET_SECCOMP


def _readable_by_others(paths: list[str]) -> bool:
    """Say whether another user can read all the paths (a Python under /root is not readable)."""
    for path in paths:
        path = os.path.realpath(path)
        while path != "/":
            path = os.path.dirname(path)
            if not os.stat(path).st_mode & 0o001:
                return False
    return True
