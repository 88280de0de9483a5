"""The grader's side of the pipe: sessions with a submission, under a wall-clock limit."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from grading import failures, wire
from grading.failures import Failure
from grading.messages import Note

ROOT = Path(__file__).resolve().parent.parent
MAX_REPLY = 1 << 26  # bytes; the weights of a course's SSVAE are a twentieth of it
MOST_STARVED = 10  # a limit of wall clock, after all: so many times the one per check
SECONDS_TO_SAY_WHERE = 1
START_SECONDS = 120  # importing torch on a slow disk; no submitted code runs yet

# What of the grader's environment a submission gets to see. Everything else may hold secrets.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "SYSTEMROOT", "PYTHONPATH")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Limits:
    """What one submission may use: seconds of wall clock per check, bytes of memory."""

    seconds: float = 20.0
    memory: int = 4 << 30


class ForkServer:
    """Starts confined workers by forking a process that holds torch already (Linux)."""

    def __init__(self):
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "grading.forkserver", str(theirs.fileno())],
                env=_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is the grader's to handle
            )
        self.control, self.lock = ours, threading.Lock()

    def start(self, folder, scratch, memory):
        """A worker's (pid, requests, replies)."""
        request_out, request_in = os.pipe()
        reply_out, reply_in = os.pipe()
        order = {"folder": folder, "scratch": scratch, "memory": memory}
        try:
            pid = self._ask({"start": order}, [request_out, reply_in])["pid"]
        finally:
            os.close(request_out)
            os.close(reply_in)
        return pid, os.fdopen(request_in, "wb"), os.fdopen(reply_out, "rb")

    def end(self, pid):
        """Kill a worker with all it started; its exit status if it had ended by itself."""
        return self._ask({"end": pid}, [])["status"]

    def _ask(self, request, pipes):
        with self.lock:
            socket.send_fds(self.control, [json.dumps(request).encode()], pipes)
            reply = self.control.recv(1 << 16)
        if not reply:
            raise OSError("the grader's own helper process has ended; run the grader again")
        return json.loads(reply)

    def close(self):
        self.control.close()
        self.process.wait()


class Spawner:
    """Starts confined workers as fresh processes, torch import and all."""

    def __init__(self):
        self.processes = {}

    def start(self, folder, scratch, memory):
        process = subprocess.Popen(
            [sys.executable, "-m", "grading.forkserver", "--here", folder, scratch, str(memory)],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes[process.pid] = process
        return process.pid, process.stdin, process.stdout

    def end(self, pid):
        process = self.processes.pop(pid)
        status = process.poll()
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, 9)
        process.kill()
        process.wait()
        return status

    def close(self):
        for pid in list(self.processes):
            self.end(pid)


def launcher():
    """The platform's way to start workers."""
    return ForkServer() if sys.platform == "linux" else Spawner()


class Session:
    """One assembled package under question.

    A worker is started when the first question comes and again after one that ended it. Every
    worker gets a freshly assembled folder, so a submission that deletes its files harms only the
    question it was asked.

    Args:
        launcher: starts workers.
        assemble: called with a new empty folder, puts the package there.
        limits: seconds per check and memory.
    """

    def __init__(self, launcher, assemble, limits):
        self.launcher, self.assemble, self.limits = launcher, assemble, limits
        self.worker = self.folder = None
        self.guards = None  # known when a worker has been started
        self.gpu = False  # whether the CPU passes for a GPU there, for code that insists
        self.left = None  # seconds, while a limit runs

    @contextlib.contextmanager
    def limited(self):
        """A stretch of questions that share one limit on the time waited for answers."""
        if self.left is not None:  # within such a stretch
            yield
            return
        self._start()  # importing torch is on the grader's account
        self.left = self.limits.seconds
        try:
            yield
        finally:
            self.left = None

    def ask(self, operation, arrays=None, **info):
        """One question to the submission.

        Returns:
            The reply's info and arrays, neither to be trusted.
        Raises:
            Failure: no answer, with the reason.
        """
        with self.limited():
            (found, arrays), seconds = self._exchange(
                {"operation": operation} | info, arrays, self.left
            )
            self.left -= seconds
        self.gpu |= found.get("gpu") is True
        if "missing" in found:
            raise failures.NotImplementedYet(Note("missing", name=str(found["missing"])[:80]))
        if "error" in found:
            error = found["error"]
            raise failures.of_error(error if isinstance(error, dict) else {})
        return found, arrays

    def close(self):
        """End the worker and forget its folder."""
        status = None
        if self.worker is not None:
            pid, requests, replies = self.worker
            self.worker = None
            status = self.launcher.end(pid)
            for pipe in (requests, replies):
                with contextlib.suppress(OSError):
                    pipe.close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
        return status

    def _start(self):
        if self.worker is not None:
            return
        self.folder = tempfile.mkdtemp(prefix="grading-")
        package, scratch = Path(self.folder, secrets.token_hex(8)), Path(self.folder, "scratch")
        package.mkdir()
        scratch.mkdir()
        self.assemble(package)
        self.worker = self.launcher.start(str(package), str(scratch), self.limits.memory)
        (hello, _), _ = self._exchange(None, None, START_SECONDS)
        self.guards = hello["guards"]

    def _exchange(self, info, arrays, seconds):
        """Send a message, or none, and wait so long for the next one: it, and the seconds waited.

        Time in which a process could have run, had the machine had a core for it, does not count:
        other programs' load must not cost a submission its points.
        """
        pid, requests, replies = self.worker
        outcome = []

        def talk():
            try:
                if info is not None:
                    wire.send(requests, info, arrays)
                outcome.append(wire.receive(replies, MAX_REPLY))
            except (OSError, EOFError, ValueError, wire.BadMessage) as error:
                outcome.append(error)

        # In a thread of its own, because neither writing nor reading a pipe can be given a limit
        # on every platform; killing the worker closes the pipes, and that ends the thread.
        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        tasks = pid, f"self/task/{threading.get_native_id()}", f"self/task/{thread.native_id}"
        began, starved, used = time.monotonic(), _starved(tasks), 0.0
        while not outcome and used < seconds:
            thread.join(max(seconds - used, 0.1))
            elapsed = time.monotonic() - began
            used = max(elapsed - (_starved(tasks) - starved), elapsed / MOST_STARVED)
        if not outcome:
            # Its answer to the interrupt says where it was; code that catches all gives none.
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGINT)
            thread.join(SECONDS_TO_SAY_WHERE)
            info = outcome[0][0] if outcome and isinstance(outcome[0], tuple) else {}
            self.close()
            raise failures.of_time(self.limits.seconds, info.get("error"))
        if isinstance(outcome[0], wire.BadMessage):
            self.close()
            raise Failure(Note("talked_nonsense"), final=True)
        if isinstance(outcome[0], Exception):
            status = self.close()
            raise Failure(Note("died", status="?" if status is None else status), final=True)
        return outcome[0], used


def _starved(tasks):
    """Seconds that tasks of Linux were ready to run and had no core; 0 where nobody counts them."""
    seconds = 0.0
    for task in tasks:
        with contextlib.suppress(OSError, IndexError, ValueError):
            seconds += int(Path(f"/proc/{task}/schedstat").read_text().split()[1]) / 1e9
    return seconds


def _environment():
    allowed = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    path = os.pathsep.join(filter(None, [str(ROOT), allowed.get("PYTHONPATH")]))
    return allowed | ONE_THREAD | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""}
