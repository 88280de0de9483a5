"""How like the data a model's samples are, judged by features of a classifier of the data."""

import time
from argparse import Namespace
from typing import cast

import torch

from codebase.data import subsets
from codebase.data.batches import binarize, grey, seeded_generator
from codebase.engine.randomness import seeded
from codebase.errors import UserError
from codebase.evaluation import samples
from codebase.evaluation.bounds import CHUNK
from codebase.evaluation.codes import redrawn
from codebase.evaluation.features import Features, features_of
from codebase.evaluation.numbers import Number, Numbers
from codebase.models.base import LatentVariableModel, Model
from codebase.uses.subject import Found, Subject

COPIED = 1_000  # images whose nearest training image is looked for
FLOOR, REDRAWN = "training images: the floor", "redrawn test images"


def measure(subject: Subject, args: Namespace) -> Found:
    """Samples against the test images, and redrawn test images against training images; beside
    them what training and test images have of each other.

    All are of binary pixels: what gives grey ones has theirs drawn, as the test images have. A
    digit that the run was trained without is nowhere among them.

    Raises:
        UserError: there are too few images, or of too few the samples are asked for.
    """
    dataset, model = subject.dataset, subject.run.model
    (train, _), _ = subsets.training(dataset, subject.without, subject.held_out)
    test = _in_no_order(dataset.test_y, subject.without)
    n = min(args.samples, len(train), len(test))
    if n <= samples.NEAREST:
        raise UserError(f"--samples {n}: more than {samples.NEAREST} are needed.")
    features = features_of(dataset)
    real = subsets.binarized_test(dataset)[test[:n]]
    some = torch.randperm(len(train), generator=seeded_generator(1))[:n]
    floor = _binary(grey(train[some]), 3)
    sets, seconds = {}, None
    if model.abilities.samples:
        began = time.perf_counter()
        sets["samples"] = drawn(model, n)
        seconds = (time.perf_counter() - began) * 1_000 / n
    if model.abilities.reconstructions:
        sets[REDRAWN] = _binary(redrawn(subject.model, subject.test[0][test[:n]]), 2)
    sets[FLOOR] = floor
    # Beside the images they were redrawn from they would be nearer than any others.
    against = {name: floor if name == REDRAWN else real for name in sets}
    columns = {name: compared(x, against[name], features) for name, x in sets.items()}
    for name, x in sets.items():
        x = real if name == FLOOR else x  # training images would find themselves
        near = samples.nearest(x[:COPIED], grey(train))
        columns[name]["to nearest training image"] = Number.of(near)
    notes = [
        f"{n:,} images of each, 0s and 1s, against {n:,} test images, the redrawn ones against "
        "the training images; ± as if images independent",
        "the floor's distance to the nearest training image is that of the test images",
        f"features: {features.path}, which names so many test images rightly: "
        + ", ".join(f"{share:.2%} {pixels}" for pixels, share in features.accuracy.items()),
        f"sha256 of the classifier's weights: {features.sha256}",
    ]
    notes += [f"1,000 samples took {seconds:.2f} s"] if seconds is not None else []
    notes += [
        f"*** WARNING: the {name} are of few classes; the model has collapsed."
        for name, numbers in columns.items()
        if samples.few_classes(*(c["class entropy"].value for c in (numbers, columns[FLOOR])))
    ]
    extra = {
        "features": features.path.name,  # and not where it lies on this machine
        "features_sha256": features.sha256,
        "features_accuracy": features.accuracy,
        "images": n,
        "seconds_for_1000_samples": seconds,
    }
    return Found("how like the data its images are", columns, tuple(notes), extra)


def compared(x: torch.Tensor, real: torch.Tensor, features: Features) -> Numbers:
    """All numbers by features, of images (M, D) against those of the data (N, D)."""
    (of_x, classes), (of_real, _) = features.of(x), features.of(real)
    found = {"FID": Number(samples.frechet(of_x, of_real), None)}
    found["KID"] = samples.kid(of_x, of_real)
    found |= samples.neighbourhoods(of_real, of_x)
    found["class entropy"] = Number(samples.class_entropy(classes), None)
    return found


def drawn(model: Model, n: int) -> torch.Tensor:
    """N samples of binary pixels, of a model of whichever pixels: (n, D)."""
    with seeded(0):
        parts = [
            cast(LatentVariableModel, model).sample_x(min(CHUNK, n - i)) for i in range(0, n, CHUNK)
        ]
    return _binary(torch.cat(parts), 1)


def _in_no_order(y, without):
    """Positions of the test images but for a digit, shuffled by a fixed seed.

    As they lie in their file they may be sorted, by digit or by writer, and KID is of some of them
    at a time.
    """
    order = torch.randperm(len(y), generator=seeded_generator(4))
    return order if without is None else order[y.cpu()[order] != without]


def _binary(x, seed):
    """Those that are 0 or 1 stay it."""
    return binarize(x.clamp(0, 1), seeded_generator(seed))
