"""Memory of a process, in bytes, from the system."""

import contextlib
import sys


def peak():
    """The most this process has held in memory so far; None where the system does not say."""
    found = _status("VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    # Only Linux counts in KiB, and there the line above has answered.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def now():
    """What this process holds in memory; its peak where the system tells only that."""
    found = _status("VmRSS")
    return peak() if found is None else found


def forget_peak():
    """Has `peak` begin anew, where the system lets it (Linux does)."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def _status(key):
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(key + ":"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def task(spec):
    """What evaluating IWAE-1000 with k components adds to a process that has the model already."""
    import time

    import torch

    from benchmarks import sides
    from codebase.engine import randomness
    from codebase.engine.memory import keep_memory

    keep_memory()
    model = sides.project_model("gmvae", spec["k"])
    x = torch.randint(2, (100, 784)).float()
    with randomness.seeded():
        model.negative_elbo_bound(x)  # what the first products load is not the evaluation's
        forget_peak()  # what loading torch took for a moment is not the evaluation's either
        before, begin = now(), time.perf_counter()
        model.negative_iwae_bound(x, spec["iw"])
        seconds = time.perf_counter() - begin
    return {"added": peak() - before, "seconds": seconds, "iw": spec["iw"], "k": spec["k"]}
