"""Imports torch once, then forks a process for every script it is told to run.

    python nursery.py PROJECT

Orders and answers are lines of JSON on stdin and stdout:

    {"run": script, "flags": […], "cwd": …, "said": …, "harm": {name: …}}  →  {"pid": …}
    {"wait": pid, "seconds": …}                        →  {"status": …, "cpu": …} or {}

The child runs the script as `python script flags` would, to the interpreter's own end; what it
prints goes to the files out and err in the folder `said`. A harm is a function of harm.py.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path

import harm
import torch

ROOT = Path(sys.argv[1])  # of the project whose scripts these are
PRELOADED = [
    *("matplotlib.pyplot", "sklearn.datasets", "sklearn.model_selection"),
    *("torch.utils.tensorboard", "torchvision.datasets", "tqdm"),
    *("codebase.tasks.classifier", "codebase.models.gmvae", "codebase.models.ssvae"),
    "codebase.runs.replicates",
]


def serve():
    """Answers orders; returns only in a child, with the order it is to carry out, or at the end.

    At the end it kills what still runs: a training that a failed test left.
    """
    running = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = ended(order["wait"], order["seconds"])
            if answer:
                running.discard(order["wait"])
        else:
            pid = os.fork()
            if pid == 0:
                return order
            running.add(pid)
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return None


def ended(pid, seconds):
    """Exit status (negative: a signal) and seconds of CPU; {} if it still runs after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        reaped, status, used = os.wait4(pid, os.WNOHANG)
        if reaped:
            cpu = used.ru_utime + used.ru_stime
            return {"status": os.waitstatus_to_exitcode(status), "cpu": cpu}
        if time.monotonic() > deadline:
            return {}
        time.sleep(0.002)


def live(order):
    """Becomes the script."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    os.chdir(order["cwd"])
    for number, name in enumerate((os.devnull, "out", "err")):
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(os.path.join(order["said"], name), flags, 0o644), number)
    script = ROOT / order["run"]
    sys.argv = [str(script), *order["flags"]]
    for name, value in order["harm"].items():
        getattr(harm, name)(value)
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    torch.set_num_threads(1)
    for module in PRELOADED:
        importlib.import_module(module)
    from codebase.evaluation import bounds

    bounds.SUBSET_REPEATS, bounds.IWAE_REPEATS = 3, 2  # what is tested does not hang on them

    gc.freeze()  # an end that looks through all objects for garbage copies every page of them
    if (order := serve()) is not None:
        live(order)
