"""A process that has imported torch once and forks a confined worker for every session.

Importing torch takes seconds; a fork of a process that has done so takes milliseconds. This
process never runs submitted code, starts no thread, and forks only from the state right after its
imports, so no session sees anything of another. `python -m grading.forkserver FD` serves on the
socket FD: {"start": …} with two pipe ends → {"pid"}, {"end": pid} → {"status"}.

Without a socket it becomes a worker itself, on its standard input and output: the way where
forking a process that holds torch is not safe.
"""

import contextlib
import importlib
import json
import os
import shutil
import signal
import socket
import sys

import torch

from grading import lockdown, worker

MAX_REQUEST = 1 << 16


def main(arguments):
    hide_project()
    sys.dont_write_bytecode = True
    if arguments[0] == "--here":
        folder, scratch, memory = arguments[1:]
        requests, replies = (os.fdopen(os.dup(fd), mode) for fd, mode in ((0, "rb"), (1, "wb")))
        silence()
        confined(requests, replies, folder, scratch, int(memory))
    else:
        with socket.socket(fileno=int(arguments[0])) as control:
            attend(control)


def attend(control):
    """Serve until the grader closes its end, then leave no session behind."""
    silence()
    warm_up()
    sessions = set()
    try:
        while True:
            request, pipes, _, _ = socket.recv_fds(control, MAX_REQUEST, 2)
            if not request:
                return
            request = json.loads(request)
            if "start" in request:
                pid = start(control, pipes, **request["start"])
                sessions.add(pid)
                control.sendall(json.dumps({"pid": pid}).encode())
            else:
                sessions.discard(request["end"])
                control.sendall(json.dumps({"status": end(request["end"])}).encode())
    finally:
        for pid in sessions:
            end(pid)


def start(control, pipes, folder, scratch, memory):
    """Fork a session; only the child returns late, and then not here."""
    pid = os.fork()
    if pid:
        for fd in pipes:
            os.close(fd)
        return pid
    status = 1
    try:
        os.setsid()
        lockdown.die_with_parent()
        control.close()
        requests, replies = os.fdopen(pipes[0], "rb"), os.fdopen(pipes[1], "wb")
        confined(requests, replies, folder, scratch, memory)
        status = 0
    finally:
        os._exit(status)  # whatever happened, this copy of the server must not go on serving


def confined(requests, replies, folder, scratch, memory):
    """Become the worker of one session."""
    guards = lockdown.confine(scratch, memory)
    os.environ.update(HOME=scratch, TMPDIR=scratch, TEMP=scratch, TMP=scratch)
    # A copy that it may write beside, as some do when they are imported; ../results is in reach.
    own = shutil.copytree(folder, os.path.join(scratch, "a", "b", os.path.basename(folder)))
    worker.serve(requests, replies, own, guards)


def end(pid):
    """Kill a session and its process group; its status if it had ended by itself, else None."""
    # Looked at, not waited for: until then nobody else can be given this process id.
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def warm_up():
    """Have torch import and set up, once for all sessions, what it puts off until first use."""
    x = torch.ones(2, 3, requires_grad=True)
    torch.nn.functional.elu(torch.nn.Linear(3, 3)(x)).sum().backward()
    torch.broadcast_shapes((1,), (1,))  # imports sympy: half a second
    importlib.import_module("torch.distributions")


def hide_project():
    """Make the project impossible to import from a session: it holds a solution."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    hidden = root, os.getcwd()  # nor does what lies where the grader was started
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or os.curdir) not in hidden]
    os.environ.pop("PYTHONPATH", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "grading"]:
        del sys.modules[name]


def silence():
    """Point standard input, output and error at nothing: a submission may print what it likes."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)


if __name__ == "__main__":
    main(sys.argv[1:])
