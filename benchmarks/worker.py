"""A process for one measurement: `python -m benchmarks.worker SPEC`, started by measure.py.

It answers on stdout, a JSON object a line. A side (see sides.py) says hello after its first step
and then runs for as long as each line on stdin orders, {"seconds": s} or {"steps": n}; a task
answers once. Threads and the allocator's settings are thus each side's own.
"""

import contextlib
import json
import sys
import time


class Done(Exception):
    """No more orders."""


class Pacer:
    """Stands where tqdm's class would: lets a training loop run for as long as it is ordered to."""

    def __init__(self, orders, answer):
        self.orders, self.answer = orders, answer
        self.steps, self.until, self.most = 0, 0.0, 1  # the first step is the hello

    def __call__(self, total=None, initial=0):
        return self

    def __enter__(self):
        self.begin = time.perf_counter()
        return self

    def __exit__(self, *exception):
        pass

    def set_postfix(self, *values, **named):
        """Nothing is shown."""

    def update(self, n):
        """Counts a step; when the order is filled, answers and waits for the next."""
        self.steps += n
        seconds = time.perf_counter() - self.begin
        if seconds < self.until or self.steps < self.most:
            return
        self.answer({"steps": self.steps, "seconds": seconds})
        line = self.orders.readline()
        if not line:
            raise Done
        order = json.loads(line)
        self.steps, self.until, self.most = 0, order.get("seconds", 0.0), order.get("steps", 1)
        self.begin = time.perf_counter()


def main():
    spec = json.loads(sys.argv[1])
    out, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer

    import torch

    from benchmarks import memory

    if spec["threads"]:
        torch.set_num_threads(spec["threads"])

    def answer(content):
        about = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "peak_memory": memory.peak(),
        }
        print(json.dumps(content | about), file=out, flush=True)

    if "task" in spec:
        answer(task(spec))
        return
    from benchmarks import sides

    with contextlib.suppress(Done, BrokenPipeError):  # who ordered may be gone
        sides.run(spec, Pacer(sys.stdin, answer))


def task(spec):
    """What the task of that name finds out."""
    from benchmarks import breakdown, ceiling, check, memory

    tasks = {"machine": ceiling, "check": check, "breakdown": breakdown, "memory": memory}
    return tasks[spec["task"]].task(spec)


if __name__ == "__main__":
    main()
