"""What befalls a process of nursery.py: each function plants one fault in the process itself."""

import atexit
import ctypes
import errno
import os
import resource
import shutil
import signal
import tempfile
import time
from pathlib import Path

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000


def die_at(number):
    """SIGKILL at the given one of all boundaries between file operations.

    Every file written by `disk.atomic` passes nine or more: before and after it is made,
    halfway through each write, before and after fsync, chmod and rename. 0 only counts them, in
    the file `boundaries`.
    """
    passed = 0

    def boundary():
        nonlocal passed
        passed += 1
        if passed == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def bounded(function):
        def call(*args, **kwargs):
            boundary()
            result = function(*args, **kwargs)
            boundary()
            return result

        return call

    def making(function):
        def call(*args, **kwargs):
            file = function(*args, **kwargs)
            write = file.write

            def halves(content):
                content = memoryview(content)
                half = len(content) // 2
                write(content[:half])
                file.flush()
                boundary()
                return half + write(content[half:])

            file.write = halves
            return file

        return bounded(call)

    for name in ("fsync", "chmod", "replace", "unlink"):
        setattr(os, name, bounded(getattr(os, name)))
    tempfile.NamedTemporaryFile = making(tempfile.NamedTemporaryFile)
    if not number:
        atexit.register(lambda: Path("boundaries").write_text(str(passed)))


def signal_at(number):
    """SIGTERM at the given rename."""
    _at_rename(number, lambda: os.kill(os.getpid(), signal.SIGTERM))


def die_after_rename(number):
    """SIGKILL after the given rename."""
    _at_rename(number, lambda: os.kill(os.getpid(), signal.SIGKILL))


def full_evaluation(_):
    """No harm: the evaluation is as long as in a process that nursery.py has not begotten."""
    from codebase.evaluation import bounds

    bounds.SUBSET_REPEATS, bounds.IWAE_REPEATS = 100, 5


def nobody(_):
    """The process loses the rights of root, where it has them."""
    if os.getuid() == 0:
        os.setuid(65534)


def unknown_user(_):
    """The process's user has no entry in /etc/passwd, and nothing says where its home is."""
    names = ["HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "MPLCONFIGDIR"]
    for name in [*names, "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"]:
        os.environ.pop(name, None)
    _own_mounts()
    for file in ("/etc/passwd", "/etc/nsswitch.conf"):  # which may name others who know root
        if os.path.exists(file):
            _mount(b"/dev/null", file.encode(), MS_BIND)


def slow_disk(seconds):
    """The fsync of a model's checkpoint takes that long, and leaves a file `waiting`."""
    fsync, here = os.fsync, Path.cwd()

    def slow(file):
        if "model-" in os.readlink(f"/proc/self/fd/{file}"):
            (here / "waiting").touch()
            time.sleep(seconds)
        fsync(file)

    os.fsync = slow


def largest_file(size):
    """No file may grow beyond so many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def small_disk(size):
    """The process works on a file system of so many bytes; what is on it in the end is kept."""
    os.mkdir("disk")
    _own_mounts()
    _mount(b"tmpfs", b"disk", 0, f"size={size}".encode())
    os.chdir("disk")
    here = os.getcwd()
    atexit.register(lambda: shutil.copytree(here, os.path.join(here, "..", "kept")))


def read_only_after(renames):
    """A disk that can be written until so many files have been renamed into place."""
    small_disk(1 << 30)
    here = os.fsencode(os.getcwd())

    def act():  # a second mount of it, over the first: that one has files open for writing
        _mount(here, here, MS_BIND)
        _mount(None, here, MS_BIND | MS_REMOUNT | MS_RDONLY)
        os.chdir(here)

    if renames:
        _at_rename(renames, act)
    else:
        act()


def _at_rename(number, act):
    rename, passed = os.replace, 0

    def counting(*args, **kwargs):
        nonlocal passed
        rename(*args, **kwargs)
        passed += 1
        if passed == number:
            act()

    os.replace = counting


def _own_mounts():
    """A mount namespace of this process's own, in which it may mount whoever runs it."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no namespace of its own")
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)
    _mount(None, b"/", MS_REC | MS_PRIVATE)


def _mount(source, target, flags, options=b""):
    if ctypes.CDLL(None, use_errno=True).mount(source, target, source, flags, options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def may_mount():
    """Whether a process here may have a file system of its own (not in every container)."""
    child = os.fork()
    if child == 0:
        try:
            _own_mounts()
            _mount(b"tmpfs", b"/tmp", 0, b"size=4096")
        except OSError:
            os._exit(errno.EPERM)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0
