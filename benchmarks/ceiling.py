"""What the machine could do: a step's matrix products and nothing else, and the speed of a copy."""

import time

import torch

from codebase.engine.precision import resolve

HIDDEN, PIXELS, LABELS, LABELLED = 300, 784, 10, 100


def layers(model, batch):
    """(rows, inputs, outputs, input's gradient wanted) of every layer a step of a model needs.

    The least that the formulas ask for: ten labels share one product over the images, and a weight
    of 0 leaves the generative nets out. The mixture's sums and the labels' columns (10 rows) are
    not counted.
    """
    z = 64 if model.startswith("ssvae") else 10
    sizes = []
    if model != "ssvae_gw0":
        copies = LABELS * batch if model == "ssvae_gw1" else batch
        sizes += [
            (batch, PIXELS, HIDDEN, False),
            (copies, HIDDEN, HIDDEN, True),
            (copies, HIDDEN, 2 * z, True),
            (copies, z, HIDDEN, True),
            (copies, HIDDEN, HIDDEN, True),
            (copies, HIDDEN, PIXELS, True),
        ]
    classified = {"ssvae_gw1": [batch, LABELLED], "ssvae_gw0": [LABELLED]}.get(model, [])
    for rows in classified:
        sizes += [
            (rows, PIXELS, HIDDEN, False),
            (rows, HIDDEN, HIDDEN, True),
            (rows, HIDDEN, LABELS, True),
        ]
    return sizes


def operations(model, batch):
    """Floating-point operations of a step's products: 2 · rows · inputs · outputs each."""
    return sum(2 * r * i * o * (3 if wanted else 2) for r, i, o, wanted in layers(model, batch))


def products(model, batch, dtype):
    """A function that multiplies what one step multiplies, forward and backward, into place."""
    jobs = []
    for rows, inputs, outputs, wanted in layers(model, batch):
        x, w = torch.randn(rows, inputs).to(dtype), torch.randn(outputs, inputs).to(dtype)
        y = torch.empty(rows, outputs, dtype=dtype)
        g = torch.randn(rows, outputs).to(dtype)
        jobs.append((x, w.t(), y))
        jobs.append((g.t(), x, torch.empty_like(w)))
        if wanted:
            jobs.append((g, w, torch.empty_like(x)))

    def step():
        for a, b, out in jobs:
            torch.mm(a, b, out=out)

    return step


def copy_bandwidth(megabytes=256, repeats=10):
    """Bytes read and written per second by copying a tensor larger than the caches; the best."""
    a = torch.ones(megabytes << 20, dtype=torch.uint8)
    b = torch.zeros_like(a)
    fastest = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        b.copy_(a)
        fastest = min(fastest, time.perf_counter() - begin)
    return 2 * a.numel() / fastest


def task(spec):
    """What can be said of the machine without a model."""
    native = resolve("auto", torch.device("cpu")) == "bf16"
    return {"native_bf16": native, "copy_bytes_per_second": copy_bandwidth()}
