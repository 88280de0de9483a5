"""The protocol's fixed subsets, and labelled ones of other sizes."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from codebase.data.batches import Batches, as_pixels, grey, one_hot, seeded_generator
from codebase.data.datasets import Dataset
from codebase.data.stream import Labelled, Pair
from codebase.errors import UserError


@cache
def _tables():
    return json.loads((Path(__file__).parent / "subset_indices.json").read_text())


def _subset(dataset, part):
    """Positions of ten images per class, (100,): the course's table for MNIST, drawn for others.

    Both MNIST tables hold one image twice (train class 4, test class 5), so there are 99 different
    ones. They stay as they are: the numbers people compare with were made with them.
    """
    y = getattr(dataset, f"{part}_y").cpu().numpy()
    if not _has_table(dataset, part):
        return _dealt(y, 100, seed=0)
    of_class = [np.flatnonzero(y == c)[row] for c, row in enumerate(_tables()[part])]
    return torch.from_numpy(np.concatenate(of_class))


def _has_table(dataset, part):
    """Whether these are all the images that the course's table is of."""
    every = {"train": 60_000, "test": 10_000}
    return dataset.name == "mnist" and len(getattr(dataset, f"{part}_y")) == every[part]


def _dealt(y, n, seed):
    """Positions of n images, dealt one per class in turn, so as balanced as n and y allow."""
    order = np.random.default_rng(seed).permutation(len(y))
    rank = np.empty(len(y), dtype=int)  # place among the images of its own class
    for c in np.unique(y):
        rank[y[order] == c] = np.arange(np.count_nonzero(y == c))
    dealt = order[np.argsort(rank, kind="stable")][:n]
    return torch.from_numpy(dealt[np.argsort(y[dealt], kind="stable")])


def test_subset(dataset: Dataset, pixels: str = "binary") -> Pair:  # noqa: PT028 — no test
    """The 100 test images bounds are evaluated on, (100, 784), and their one-hot labels (100, 10).

    Args:
        pixels: "grey"; "binary": drawn once, by NumPy's legacy generator seeded 0, as everywhere
            numbers are compared; "dequantized": by a generator seeded 0.
    """
    i = _subset(dataset, "test").to(dataset.test_x.device)
    x, y = grey(dataset.test_x[i]), one_hot(dataset.test_y[i])
    if pixels == "dequantized":
        return _drawn_once(dataset.test_x[i], pixels), y
    if pixels == "binary":
        x = torch.from_numpy(np.random.RandomState(0).binomial(1, x.cpu().numpy())).to(x)
    return x, y


def labelled_subset(
    dataset: Dataset, n: int = 100, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """The labelled training images, n in all: uint8 (n, 784) and one-hot (n, 10).

    The course's table where n is 100 and seed 0 on MNIST; otherwise drawn by the seed, as many of
    each class as n allows.

    Raises:
        UserError: n is not between 1 and the number of training images.
    """
    if not 0 < n <= len(dataset.train_y):
        raise UserError(
            f"--n_labels {n}: {dataset.name} has {len(dataset.train_y):,} training images, so the "
            f"number of labelled ones goes from 1 to {len(dataset.train_y):,}."
        )
    if n == 100 and seed == 0:
        i = _subset(dataset, "train")
    else:
        i = _dealt(dataset.train_y.cpu().numpy(), n, seed)
    i = i.to(dataset.train_x.device)
    return dataset.train_x[i], one_hot(dataset.train_y[i])


def labelled(
    dataset: Dataset, n: int = 100, label_seed: int = 0, seed: int = 0, held_out: int = 0
) -> Labelled:
    """What `train` takes as labelled pairs: all of them a step, or if over 100, 100 a step.

    Args:
        held_out: training images that are kept for `validation`; none of them is among the pairs.
    """
    if held_out and not (n == 100 and label_seed == 0 and _has_table(dataset, "train")):
        (x, y), _ = validation(dataset, held_out)
        dataset = replace(dataset, train_x=x, train_y=y)
    xl, yl = labelled_subset(dataset, n, label_seed)
    if n <= 100:
        return xl, yl
    return Batches(xl, yl, 100, seeded_generator(seed + 1, xl.device))


def training(dataset: Dataset, without: int | None = None, n: int = 0) -> tuple[Pair, torch.Tensor]:
    """The training images but for a digit, without n that are held out, and those (`validation`).

    Raises:
        UserError: no image is left, or as `validation`.
    """
    if without is None:
        return validation(dataset, n)
    kept = dataset.train_y != without
    if not kept.any():
        raise UserError(f"--without {without} leaves no training image of {dataset.name}.")
    x, y = dataset.train_x[kept], dataset.train_y[kept]
    return validation(replace(dataset, train_x=x, train_y=y), n)


def validation(dataset: Dataset, n: int) -> tuple[Pair, torch.Tensor]:
    """The training images without n that are held out, and those, drawn once by a fixed seed.

    The course's labelled images are never held out: with them left the protocol is the same.

    Returns:
        (x, y) of those that are trained on, and x of the others, (n, D); uint8, as they lie.
    Raises:
        UserError: fewer than two thirds would be left.
    """
    x, y = dataset.train_x, dataset.train_y
    if not n:
        return (x, y), x[:0]
    if 3 * n > len(x):
        raise UserError(
            f"--validation {n}: {dataset.name} has {len(x):,} training images, of which at most a "
            f"third, {len(x) // 3:,}, can be held out."
        )
    order = np.random.default_rng(0).permutation(len(x))
    if _has_table(dataset, "train"):
        labelled = np.isin(order, _subset(dataset, "train").numpy())
        order = np.concatenate([order[~labelled], order[labelled]])
    kept, out = (torch.from_numpy(np.sort(i)).to(x.device) for i in (order[n:], order[:n]))
    return (x[kept], y[kept]), x[out]


def test_images(dataset: Dataset, pixels: str = "binary") -> torch.Tensor:  # noqa: PT028
    """All test images, (N, 784) float32: grey, or drawn once by a generator seeded 0."""
    return _drawn_once(dataset.test_x, pixels)


def binarized_test(dataset: Dataset) -> torch.Tensor:
    """All test images, binarized once by a generator seeded 0: (N, 784) float32."""
    return _drawn_once(dataset.test_x, "binary")


def _drawn_once(x, pixels):
    return as_pixels(x.cpu(), pixels, seeded_generator(0)).to(x.device)
