"""What a training asks of the process it runs in: time, signals, random states, memory."""

import contextlib
import ctypes
import signal
import time

import torch


class Stopwatch:
    """Seconds spent inside a `with` block, but for those inside `stopped()`."""

    def __init__(self):
        self.seconds = 0.0

    def __enter__(self):
        self._since = time.perf_counter()
        return self

    def __exit__(self, *exception):
        self.seconds = self.so_far()

    def so_far(self):
        """The seconds until now, inside the block."""
        return self.seconds + time.perf_counter() - self._since

    @contextlib.contextmanager
    def stopped(self):
        """Leaves the seconds of this block out."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


@contextlib.contextmanager
def noted_signals():
    """A list that SIGINT and SIGTERM are noted in, so that a step is never cut in two.

    A second one ends the program at once. Outside the main thread, where Python lets nobody
    handle signals, the list stays empty.
    """
    received = []

    def note(number, frame):
        if received:
            raise SystemExit(128 + number)
        received.append(signal.Signals(number))

    try:
        before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        before = {}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def random_state():
    """The state of torch's global generators, on the CPU and on an accelerator in use."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state):
    """Puts the generators back to what `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


def keep_memory():
    """Lets glibc's malloc keep what is freed; a no-op elsewhere.

    A step frees and allocates the same few tensors of some MB. By default glibc hands each back to
    the system, and the next step pays for touching new pages: 2,000 page faults and 3 ms of a
    12 ms step were measured for the GMVAE on the CPU, none with this. What is larger than a step's
    tensors still goes back: on the heap, evaluation's would leave it in pieces and grow it.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD
        mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD
