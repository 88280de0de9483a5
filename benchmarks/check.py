"""Both sides compute the same loss, and training brings both to the same loss."""

import contextlib
import math
import statistics

import torch

from benchmarks import sides
from codebase.data import datasets, subsets
from codebase.data.batches import binarize, one_hot, seeded_generator

HELD_OUT = 400  # test images the trained weights are compared on
SAME = 1e-4  # relative difference of one loss under the same weights, batch and noise
STANDARD_ERRORS = 5  # of the difference of the means over seeds


class Enough(Exception):
    """Enough steps were made."""


class StopAfter:
    """Stands where tqdm's class would, and ends the loop after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def __call__(self, total=None, initial=0):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def set_postfix(self, *values, **named):
        """Nothing is shown."""

    def update(self, n):
        """Counts the steps."""
        self.left -= n
        if self.left <= 0:
            raise Enough


def value(loss):
    """The loss itself: the project's models return summaries beside it."""
    return loss[0] if isinstance(loss, tuple) else loss


def one_loss(model, batch, k=500, seed=0):
    """The loss of the textbook and of the project with the same weights, batch and noise.

    Args:
        model: its name.
        batch: (x,) or (x, xl, yl).
    Returns:
        Two (loss, gradients by name) of plain eager fp32.
    """
    torch.manual_seed(seed)
    ours, theirs = sides.project_model(model, k), sides.textbook_model(model, k)
    theirs.load_state_dict(ours.state_dict())
    results = []
    for net in (theirs, ours):
        torch.manual_seed(seed)
        loss = value(net.loss(*batch))
        loss.backward()
        gradients = {n: p.grad for n, p in net.named_parameters() if p.grad is not None}
        results.append((loss.item(), gradients))
    return results


def trained_loss(side, model, dataset, data_dir, steps, seed, batch=97):
    """The loss on held-out images after some steps of a side's own training."""
    torch.manual_seed(seed)
    bar = StopAfter(steps)
    ours = sides.project_model(model)
    net = ours if side == "project" else sides.textbook_model(model)
    net.load_state_dict(ours.state_dict())
    # From here on the sides draw different noise, or the seeds would not be independent.
    torch.manual_seed(seed + (1_000 if side == "project" else 2_000))
    with contextlib.suppress(Enough):
        if side == "project":
            sides.train_project(net, model, dataset, batch, seed, bar)
        else:
            sides.train_textbook(net, model, dataset.name, data_dir, batch, bar)
    x = binarize(dataset.test_x[:HELD_OUT], seeded_generator(0))
    batch = (x,) if model not in sides.SSVAES else (x, x, one_hot(dataset.test_y[:HELD_OUT]))
    torch.manual_seed(0)
    with torch.no_grad():
        return value(net.loss(*batch)).item()


def task(spec):
    """Checks one model; see the module's constants for what is asked.

    Returns:
        What was found, with "same": whether speeds may be compared at all.
    """
    model, dataset = spec["model"], datasets.load(spec["dataset"], spec["data_dir"])
    x = binarize(dataset.train_x[: spec["batch"]], seeded_generator(0))
    batch = (x,)
    if model in sides.SSVAES:
        xl, yl = subsets.labelled_subset(dataset)
        batch = x, binarize(xl, seeded_generator(1)), yl
    (theirs, _), (ours, _) = one_loss(model, batch)
    relative = abs(ours - theirs) / abs(theirs)

    trained = {
        side: [
            trained_loss(side, model, dataset, spec["data_dir"], spec["steps"], seed)
            for seed in range(spec["seeds"])
        ]
        for side in ("textbook", "project")
    }
    means = {side: statistics.mean(losses) for side, losses in trained.items()}
    spread = statistics.mean(statistics.variance(losses) for losses in trained.values())
    error = math.sqrt(spread * 2 / spec["seeds"])
    difference = means["project"] - means["textbook"]
    return {
        "one_loss": {"textbook": theirs, "project": ours, "relative_difference": relative},
        "trained": trained,
        "trained_steps": spec["steps"],
        "difference": difference,
        "standard_error": error,
        "same": relative <= SAME and abs(difference) <= STANDARD_ERRORS * error,
    }
