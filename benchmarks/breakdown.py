"""Where the time of one of the project's steps goes, by torch's profiler."""

import time
from collections import Counter

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks import sides, traffic
from codebase.data import datasets
from codebase.engine.memory import keep_memory
from codebase.engine.precision import resolve

PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear"}
TOP = 12


def task(spec):
    """Milliseconds of a step by kind, and the operators that take most.

    "rest" is everything outside torch's operators: Python, autograd's bookkeeping, and the
    profiler itself, which is why the step is longer here than in the table.
    """
    keep_memory()
    torch.manual_seed(0)
    model, steps = spec["model"], spec["steps"]
    dataset = datasets.load(spec["dataset"], spec["data_dir"])
    precision = resolve(spec["precision"], torch.device("cpu"))
    net = sides.project_model(model, spec["k"])
    step = sides.plain_step(net, dataset, spec["batch"], precision)

    def run(n):
        begin = time.perf_counter()
        for _ in range(n):
            with record_function("draw"):
                _, _, batch = step.stream.draw()
            step.update(batch)
        return (time.perf_counter() - begin) / n

    run(20)
    asked = traffic.of(lambda: run(1))
    plain = run(steps)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        profiled = run(steps)

    kinds, operators, calls = Counter(), Counter(), Counter()
    for event in profiler.events():
        if not event.name.startswith("aten::"):
            continue
        own = event.self_cpu_time_total / steps / 1e3  # µs in all → ms a step
        kinds[_kind(event)] += own
        operators[event.name] += own
        calls[event.name] += 1
    kinds["rest"] = profiled * 1e3 - sum(kinds.values())
    return {
        "asked": asked,
        "step_ms": plain * 1e3,
        "step_ms_profiled": profiled * 1e3,
        "kinds_ms": dict(kinds.most_common()),
        "operators_per_step": sum(calls.values()) / steps,
        "top_ms": [[name, ms, calls[name] / steps] for name, ms in operators.most_common(TOP)],
    }


def _kind(event):
    parent = event
    while parent is not None:
        if parent.name == "draw":
            return "data"
        if parent.name.startswith("Optimizer."):
            return "optimizer"
        parent = parent.cpu_parent
    return "matmul" if event.name in PRODUCTS else "elementwise"
