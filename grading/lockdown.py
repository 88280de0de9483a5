"""What a process gives up before it runs code it does not trust.

Each guard is taken where the platform has it; `confine` says which ones it got. On Linux: limits on
memory and file sizes, a read-only view of every file but for a small scratch folder, no network, no
new processes, no signals to others. Elsewhere: the limits the platform has.
"""

import ctypes
import errno
import os
import platform
import signal
import struct
import sys

try:
    import resource
except ImportError:  # Windows has none
    resource = None

SCRATCH_BYTES = 64 << 20
FILE_BYTES = 32 << 20
OPEN_FILES = 256
PROCESSES = 512  # of this user, where only counting them is possible

GUARDS = ("memory", "file size", "read-only files", "network", "processes")


def confine(scratch, memory):
    """Give up what untrusted code must not have.

    Args:
        scratch: the one folder that stays writable, at most SCRATCH_BYTES of it.
        memory: bytes the process may map beyond what it has mapped already.
    Returns:
        The names, out of GUARDS, of the guards that hold.
    """
    guards = set()
    if sys.platform == "linux":
        guards |= _linux_namespaces(scratch)
    guards |= _limits(memory, forks_filtered=sys.platform == "linux")
    if sys.platform == "linux":
        guards |= _linux_system_calls()
    return [name for name in GUARDS if name in guards]


def die_with_parent():
    """Linux kills this process when its parent ends, however it ends."""
    _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _limits(memory, forks_filtered):
    if resource is None:
        return set()
    wanted = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": OPEN_FILES, "RLIMIT_FSIZE": FILE_BYTES}
    if not forks_filtered:
        wanted["RLIMIT_NPROC"] = PROCESSES
    if sys.platform == "linux":  # macOS accepts the limit and does not keep it
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        wanted["RLIMIT_AS"] = mapped + memory
    held = {name for name, value in wanted.items() if _limit(name, value)}
    guards = {"RLIMIT_AS": "memory", "RLIMIT_FSIZE": "file size"}
    return {guard for limit, guard in guards.items() if limit in held}


def _limit(name, value):
    """Lower one limit for good; False where it cannot be."""
    kind = getattr(resource, name, None)
    if kind is None:
        return False
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    try:
        resource.setrlimit(kind, (value, value))
    except (ValueError, OSError):
        return False
    return True


# Linux. The numbers are the kernel's, from its user-space headers.

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x8000000, 0x10000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 2, 4, 0x4000, 1 << 18
SYS_MOUNT_SETATTR = 442  # the same on every architecture
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _call(result):
    """Raise the C library's error when a call failed."""
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _linux_namespaces(scratch):
    """Own users, mounts, network: every file read-only, scratch a small file system in memory."""
    libc, uid, gid = _libc(), os.getuid(), os.getgid()
    try:
        _call(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC))
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1")):
            _write(f"/proc/self/{name}", text)
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    except OSError:
        return set()
    guards = {"network"}
    try:
        _call(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        # Without devices too: a read-only file system does not protect the disks under /dev.
        attributes = struct.pack(
            "=QQQQ", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0, 0
        )
        size = ctypes.c_size_t(len(attributes))
        _call(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, attributes, size))
        options = f"size={SCRATCH_BYTES},nr_inodes=4096,mode=0700".encode()
        flags = MS_NOSUID | MS_NODEV
        _call(libc.mount(b"tmpfs", os.fsencode(scratch), b"tmpfs", flags, options))
        guards.add("read-only files")
    except OSError:
        pass  # an old kernel: files stay writable, and the guard is not claimed
    header, data = struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24)
    _call(libc.capset(header, data))  # else what was just closed could be opened again
    return guards


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)


# A filter of system calls, in the kernel's classic packet-filter language. Every architecture has
# its own numbers: (audit architecture, {call: number}).

ARCHITECTURES = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41, "clone": 56, "fork": 57, "vfork": 58, "kill": 62, "ptrace": 101,
            "rt_sigqueueinfo": 129, "tkill": 200, "tgkill": 234, "unshare": 272,
            "rt_tgsigqueueinfo": 297, "prlimit64": 302, "setns": 308, "process_vm_readv": 310,
            "process_vm_writev": 311, "memfd_create": 319, "bpf": 321, "pidfd_send_signal": 424,
            "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435, "shmget": 29,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "unshare": 97, "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131,
            "rt_sigqueueinfo": 138, "shmget": 194, "socket": 198, "clone": 220,
            "rt_tgsigqueueinfo": 240, "prlimit64": 261, "setns": 268, "process_vm_readv": 270,
            "process_vm_writev": 271, "memfd_create": 279, "bpf": 280, "pidfd_send_signal": 424,
            "io_uring_setup": 425, "pidfd_open": 434, "clone3": 435,
        },
    ),
}  # fmt: skip

LOAD, JUMP_EQUAL, JUMP_ABOVE, JUMP_BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE, ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
CLONE_THREAD = 0x10000
X32_CALLS = 0x40000000


def _linux_system_calls():
    """Refuse new processes, signals to others, sockets; threads and one's own signals stay."""
    known = ARCHITECTURES.get(platform.machine())
    if known is None or sys.maxsize < 2**32 or sys.byteorder != "little":
        return set()
    code = b"".join(struct.pack("=HBBI", *line) for line in _filter(*known, os.getpid()))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    libc = _libc()
    try:
        _call(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _call(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0))
    except OSError:
        return set()
    return {"processes", "network"}


def _filter(architecture, numbers, pid):
    """Lines (operation, skip if true, skip if false, operand) of the filter."""
    refuse, allow = (RETURN, 0, 0, REFUSE | errno.EPERM), (RETURN, 0, 0, ALLOW)
    yield from ((LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL))
    yield from ((LOAD, 0, 0, NUMBER), (JUMP_ABOVE, 0, 1, X32_CALLS), refuse)
    for call, number in numbers.items():
        if call == "clone":  # a thread, or a process?
            yield from ((JUMP_EQUAL, 0, 4, number), (LOAD, 0, 0, ARGUMENT))
            yield from ((JUMP_BITS, 1, 0, CLONE_THREAD), refuse, allow)
        elif call in ("kill", "tgkill", "prlimit64"):  # on itself, or on others?
            yield from ((JUMP_EQUAL, 0, 5, number), (LOAD, 0, 0, ARGUMENT))
            yield from ((JUMP_EQUAL, 2, 0, pid), (JUMP_EQUAL, 1, 0, 0), refuse, allow)
        elif call == "clone3":  # its flags are out of reach; the C library then falls back to clone
            yield from ((JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | errno.ENOSYS))
        else:
            yield from ((JUMP_EQUAL, 0, 1, number), refuse)
    yield allow
