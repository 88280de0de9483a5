"""Seconds of the trainings on a CUDA GPU: the textbook's, step by step, replayed, and stacked.

python benchmarks/gpu.py                     # on MNIST in data/, at the scripts' iterations
python benchmarks/gpu.py --device cpu --steps 20    # whether it runs
"""

import argparse
import itertools
import statistics
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measure import inside_a_temporary_folder
from codebase.flag import folder
from codebase.screen import lasting

STEPS = {"vae": 20_000, "gmvae": 20_000, "ssvae_gw1": 30_000}
TEXTBOOK_STEPS = 500  # measured, and multiplied to all of them
WARM_UP = 20  # steps before the clock starts, and at its other end the device is waited for
BATCH = 97


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    p.add_argument("--steps", type=int, help="iterations (default: the scripts' own)")
    p.add_argument("--rounds", type=int, default=3, help="measurements of each kind, in turns")
    p.add_argument("--models", type=int, default=32, help="VAEs that are stacked")
    p.add_argument("--data_dir", type=folder, default="data", help="folder that holds MNIST/raw")
    return p.parse_args()


def sessions(dataset, device, model, n, **options):
    """n sessions of the project's model of that name, seeds 0 … n − 1."""
    import torch

    from benchmarks import sides
    from codebase.data import subsets
    from codebase.data.batches import Batches, seeded_generator
    from codebase.engine.session import Session

    made = []
    for seed in range(n):
        torch.manual_seed(seed)
        net = sides.project_model(model, prune=device.type == "cpu").to(device)
        shuffling = seeded_generator(seed, device)
        loader = Batches(dataset.train_x, dataset.train_y, BATCH, shuffling)
        labelled = subsets.labelled(dataset) if model in sides.SSVAES else None
        y_status = "none" if labelled is None else "semisup"
        made.append(Session(net, loader, labelled, device, None, y_status, **options))
    return made


def project(dataset, device, model, steps, *, graph=False, models=1):
    """Seconds of the project's steps, and of the looks at their numbers."""
    from codebase.engine.precision import resolve
    from codebase.engine.stacked_session import StackedSession
    from codebase.train import LOOK_EVERY

    options = {"precision": resolve("auto", device), "graph": graph}
    session, *others = sessions(dataset, device, model, models, **options)
    if others:
        session = StackedSession([session, *others], **options)
    session.begin()
    taken = itertools.count(1)

    def step():
        found = session.step()
        session.note(found)
        i = next(taken)
        if i % LOOK_EVERY == 0:
            session.look(i)
        return found[0]

    return seconds(step, steps)


def textbook(images, dataset, device, model, steps):
    """Seconds of the textbook's steps, from those of a few of them."""
    import torch

    from benchmarks import sides
    from benchmarks import textbook as book
    from codebase.data import subsets
    from codebase.data.batches import grey

    torch.manual_seed(0)
    labelled = None
    if model in sides.SSVAES:
        xl, yl = subsets.labelled_subset(dataset)
        labelled = grey(xl), yl
    net = sides.textbook_model(model).to(device)
    losses = book.steps(net, images, labelled, BATCH, device)

    def step():
        loss = next(losses)
        loss.item()
        return loss

    measured = min(steps, TEXTBOOK_STEPS)
    return seconds(step, measured) * steps / measured


def seconds(step, steps):
    """Seconds of so many steps, once warm, to the end of the last one's work on the device."""
    for _ in range(WARM_UP):
        values = step()
    values.cpu()
    begin = time.perf_counter()
    for _ in range(steps):
        values = step()
    values.cpu()
    return time.perf_counter() - begin


def compare(sides, rounds):
    """Measures {name: function that takes seconds} in turns, and prints a line each."""
    found = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measured in sides.items():
            found[name].append(measured())
    replayed = statistics.median(found["replayed"])
    for name, times in found.items():
        median = statistics.median(times)
        spread = f"({min(times):.1f}–{max(times):.1f})"
        print(f"  {name:14} {median:8.1f} s {spread}, {median / replayed:.2f} × replayed")


def main():
    args = arguments()
    import torch

    from benchmarks import textbook as book
    from codebase.data import datasets

    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("gpu.py: error: torch finds no CUDA GPU here; try --device cpu.")
    dataset = datasets.load("mnist", args.data_dir).to(device)
    images = book.mnist(args.data_dir)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, minibatches of {BATCH}, --precision auto")
    with inside_a_temporary_folder():  # for checkpoints/
        for model, steps in STEPS.items():
            about = dataset, device, model, args.steps or steps
            sides = {
                "textbook": partial(textbook, images, *about),
                "step by step": partial(project, *about),
                "replayed": partial(project, *about, graph=True),
            }
            if model == "vae":
                stacked = partial(project, *about, graph=True, models=args.models)
                sides[f"{args.models} stacked"] = stacked
            print(f"\n{model}, {args.steps or steps:,} iterations")
            compare(sides, args.rounds)


if __name__ == "__main__":
    with lasting():
        main()
