"""How many CPU threads a run takes, with the machine's load in mind.

OpenMP's threads wait for each other at the end of every operation. Where another process keeps one
of their cores busy the others wait for it thousands of times a second, and a step takes up to forty
times as long. One thread waits for nobody.
"""

import contextlib
import math
import time
from pathlib import Path

import torch

TICKS = 100  # a second, in /proc/stat
LEAST = 0.3  # seconds to watch for, when ticks are 0.01


class FreeCores:
    """Watches, over a `with` block, how many cores nobody but this process was using.

    Attributes:
        count: that number, 1.8 of two meaning that one was busy for a fifth of the time; None
            where the system does not say (Linux does).
    """

    def __enter__(self) -> "FreeCores":
        self._before = _seconds()
        return self

    def __exit__(self, *exception: object) -> None:
        time.sleep(max(0.0, self._before[0] + LEAST - time.perf_counter()))
        seconds, own, idle = (b - a for a, b in zip(self._before, _seconds(), strict=True))
        self.count = None if math.isnan(idle) else (own + idle) / seconds


def _seconds() -> tuple[float, float, float]:
    """Seconds of the clock, of this process's computing, and of all cores idle (or NaN)."""
    idle = math.nan
    with contextlib.suppress(OSError):
        counts = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()
        idle = (int(counts[4]) + int(counts[5])) / TICKS  # idle, and idle but for pending I/O
    return time.perf_counter(), time.process_time(), idle


def use(asked: int, free: float | None = None) -> None:
    """Sets torch's number of threads: the one asked for, or if 0 torch's own, of free cores only.

    Args:
        asked: 0 or more.
        free: how many cores are free, if known; one counts if it is so for three quarters.
    """
    if not asked:
        most = torch.get_num_threads()
        asked = most if free is None else max(1, min(most, int(free + 0.25)))
    torch.set_num_threads(asked)


class Retreat:
    """Goes down to one thread once steps take four times as long as they did.

    Called after every step with the seconds trained so far. Each stretch of steps is held against
    the fastest before it, and one that has lasted too long is not waited for. Both its seconds and
    those computed count: threads that wait for each other compute, a process that was stopped
    does not.
    """

    STRETCH = 50  # steps
    SLOWER = 4  # times

    def __init__(self) -> None:
        self.most = math.inf  # seconds that a stretch may take
        self._begin(0.0)

    def _begin(self, seconds: float) -> None:
        self.steps, self.began, self.computed = 0, seconds, time.process_time()

    def __call__(self, seconds: float) -> None:
        self.steps += 1
        took = seconds - self.began
        if self.steps < self.STRETCH and took <= self.most:
            return
        took = min(took, (time.process_time() - self.computed) / torch.get_num_threads())
        if took > self.most and torch.get_num_threads() > 1:
            torch.set_num_threads(1)
            print("\nAnother process is using the cores: going on with one thread.")
        if self.steps == self.STRETCH:
            self.most = min(self.most, self.SLOWER * took)
            self._begin(seconds)
