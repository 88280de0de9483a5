"""Timing primitives: processes that run on order, taking turns, and ratios of paired rates.

Imports no torch: what measures shares no thread pool with what is measured.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 0.5  # share of a measurement's seconds that each side runs before the first one
COMPILED = 3_200  # steps after which both sizes of minibatches are: 5 epochs


class Failed(Exception):
    """A measured process ended before it answered."""


@dataclass(frozen=True)
class Setting:
    """What all processes of one benchmark have in common."""

    dataset: str
    data_dir: str
    threads: int
    seconds: float
    rounds: int

    def spec(self, **more):
        """What a worker is told: a "side" and its "model", or a "task", and their parameters."""
        common = {"dataset": self.dataset, "data_dir": self.data_dir, "threads": self.threads}
        return common | {"batch": 97, "k": 500, "precision": "auto", "fuse": False} | more


class Worker:
    """A measured process; see worker.py for what it understands."""

    def __init__(self, spec):
        self.spec = spec
        command = [sys.executable, "-m", "benchmarks.worker", json.dumps(spec)]
        # In a session of its own, so that Ctrl-C ends it by way of its closed stdin.
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def answer(self):
        """The next answer, once it is there."""
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"the process measuring {self.spec} ended early")
        return json.loads(line)

    def run(self, **order):
        """Runs the side for `seconds=` or `steps=`; its answer has both and the peak memory."""
        with contextlib.suppress(BrokenPipeError):  # there is no answer then
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        return self.answer()

    def close(self):
        """Lets the process end."""
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def workers(specs):
    """Started processes by name, each past its first step; they end with the block."""
    with ExitStack() as stack:
        started = {}
        for name, spec in specs.items():
            started[name] = Worker(spec)
            stack.callback(started[name].close)
            started[name].hello = started[name].answer()
        yield started


def task(spec):
    """The answer of a process that has only one to give."""
    with workers({"task": spec}) as started:
        return started["task"].hello


@dataclass
class Rates:
    """Iterations per second of sides that took turns, round by round, and what else they said."""

    rates: dict
    peak_memory: dict
    threads: dict

    def median(self, side):
        """Its iterations per second."""
        return statistics.median(self.rates[side])

    def ratio(self, a, b):
        """Rate of a over rate of b: median, lowest and highest over the rounds."""
        ratios = [x / y for x, y in zip(self.rates[a], self.rates[b], strict=True)]
        return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def alternate(specs, setting):
    """Measures sides in turns, A B C A B C …, so that what disturbs one disturbs all.

    Args:
        specs: {name: spec}.
    Returns:
        Rates.
    """
    with workers(specs) as started:
        for worker in started.values():
            if worker.spec["fuse"]:
                worker.run(steps=COMPILED)
            worker.run(seconds=setting.seconds * WARM_UP)
        rates, last = {name: [] for name in started}, {}
        for _ in range(setting.rounds):
            for name, worker in started.items():
                last[name] = worker.run(seconds=setting.seconds)
                rates[name].append(last[name]["steps"] / last[name]["seconds"])
    return Rates(
        rates,
        {name: answer["peak_memory"] for name, answer in last.items()},
        {name: answer["threads"] for name, answer in last.items()},
    )


@contextmanager
def inside_a_temporary_folder():
    """The working directory is an empty folder until the block ends, and it goes with that."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@contextmanager
def busy_process():
    """A process that keeps one core busy until the block ends."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()
