"""Minibatches, binarization and the protocol's fixed subsets, all on the dataset's device."""

import itertools
import json
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from codebase import datasets
from codebase.errors import UserError

CLASSES = 10


def grey(x):
    """uint8 pixels as float32 in [0, 1]."""
    return x.float() / 255


def binarize(x, generator=None):
    """Every pixel redrawn: 1 with probability equal to its grey value.

    Args:
        x: uint8, or floating point in [0, 1].
        generator: of x's device; None is torch's global one.
    Returns:
        0s and 1s, float32 for uint8, otherwise of x's type.
    """
    if x.dtype == torch.uint8:
        # One of 0 … 254 is below g with probability g/255 exactly, in a fifth of bernoulli's time.
        return (torch.empty_like(x).random_(0, 255, generator=generator) < x).float()
    return torch.bernoulli(x, generator=generator)


def one_hot(y):
    """Labels (N,) as float32 (N, 10)."""
    return F.one_hot(y, CLASSES).float()


class Batches:
    """Shuffled minibatches of images and labels that lie on one device.

    Iterating gives one epoch of (grey x in [0, 1], y), as a DataLoader would; `draw` gives the
    next binarized minibatch of an endless sequence of epochs, and `state_dict` the place in it.

    Args:
        x, y: (N, 784) uint8 and (N, …), on the device, N ≥ 1.
        batch_size: images per minibatch; the last one of an epoch may be smaller.
        generator: of that device; shuffles and binarizes.
    Raises:
        ValueError: batch_size < 1, or x and y are empty or of different lengths.
    """

    def __init__(self, x, y, batch_size, generator):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not len(x) == len(y) > 0:
            raise ValueError(f"x and y need the same length ≥ 1, got {len(x)} and {len(y)}")
        self.x, self.y, self.batch_size, self.generator = x, y, batch_size, generator
        self.order, self.place = self._shuffle()[:0], 0
        self.drawn = self.order  # positions of the last minibatch drawn

    def _shuffle(self):
        return torch.randperm(len(self.x), generator=self.generator, device=self.x.device)

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __iter__(self):
        for i in self._shuffle().split(self.batch_size):
            yield grey(self.x[i]), self.y[i]

    def next(self):
        """Positions of the next minibatch's images, (B,), on their device."""
        if self.place >= len(self.order):
            self.order, self.place = self._shuffle(), 0
        self.drawn = self.order[self.place : self.place + self.batch_size]
        self.place += self.batch_size
        return self.drawn

    def take(self, positions):
        """The minibatch at those positions (…, B): binary x (…, B, 784) float32, y (…, B, …)."""
        rows = positions.flatten()
        # index_select copies row by row, which is faster than indexing.
        x, y = (t.index_select(0, rows).unflatten(0, positions.shape) for t in (self.x, self.y))
        return binarize(x, self.generator), y

    def draw(self):
        """The next minibatch."""
        return self.take(self.next())

    def state_dict(self):
        """Tensors and numbers that `load_state_dict` continues from, bit for bit."""
        state = self.generator.get_state()
        return {"order": self.order.clone(), "place": self.place, "generator": state}

    def load_state_dict(self, state):
        """Takes up the place a `state_dict` describes.

        Raises:
            ValueError: it is not one of these images.
        """
        order, place = state["order"].to(self.x.device), state["place"]
        positions = torch.arange(len(self.x), device=order.device)
        if len(order) and not torch.equal(order.sort().values, positions):
            raise ValueError(f"the order is not one of {len(self.x)} images")
        if type(place) is not int or place < 0:
            raise ValueError(f"the place in the epoch is {place!r}")
        self.generator.set_state(state["generator"].cpu())
        self.order, self.place = order, place


class Stream:
    """The training minibatches of a run, endless and binary.

    Args:
        loader: a `Batches`, or any iterable of (grey x, y).
        labelled: None, (xl, yl), or a `Batches` of them; redrawn every time like the rest.
    """

    def __init__(self, loader, labelled, device):
        self.loader, self.labelled, self.device = loader, labelled, device
        self.own = isinstance(loader, Batches)
        self.generator = loader.generator if self.own else None
        self.epochs = None if self.own else _endless(loader)
        if labelled is not None and not isinstance(labelled, Batches):
            self.labelled = tuple(t.to(device) for t in labelled)

    def next(self):
        """What the next minibatch is taken from, found without the device having to answer.

        Returns:
            The positions in every `Batches`; of a foreign loader the images and labels themselves.
        """
        sources = [self.loader.next() if self.own else next(self.epochs)]
        return sources + [part.next() for part in self.parts() if part is not self.loader]

    def take(self, sources):
        """x (B, 784), y (B,) and what model.loss takes, (x,) or (x, xl, yl), from a `next`."""
        if self.own:
            x, y = self.loader.take(sources[0])
        else:
            x, y = sources[0]
            x, y = binarize(x.to(self.device).flatten(1)), y.to(self.device)
        if self.labelled is None:
            return x, y, (x,)
        if isinstance(self.labelled, Batches):
            xl, yl = self.labelled.take(sources[1])
        else:
            xl, yl = self.labelled
            xl = binarize(xl, self.generator)
        return x, y, (x, xl, yl)

    def draw(self):
        """The next minibatch."""
        return self.take(self.next())

    def drawn(self):
        """Positions in the dataset of the last minibatch's images; None for a foreign loader."""
        return self.loader.drawn if self.own else None

    def generators(self):
        """Those that shuffle and binarize, but for torch's global one."""
        return [part.generator for part in self.parts()]

    def parts(self):
        """Those of its sources that are `Batches`."""
        return [part for part in (self.loader, self.labelled) if isinstance(part, Batches)]

    def state_dict(self):
        """The place in every sequence of minibatches, and the state of their generators."""
        return [part.state_dict() for part in self.parts()]

    def load_state_dict(self, states):
        """Takes up the place a `state_dict` describes."""
        for part, state in zip(self.parts(), states, strict=True):
            part.load_state_dict(state)


def _endless(loader):
    """Epoch after epoch of a loader."""
    for epoch in itertools.repeat(loader):
        empty = True
        for batch in epoch:
            empty = False
            yield batch
        if empty:
            raise ValueError("train_loader gave no minibatch")


def generator(seed, device="cpu"):
    """A random generator of that device and seed."""
    return torch.Generator(device).manual_seed(seed)


# The protocol's fixed subsets


@cache
def _tables():
    return json.loads((Path(__file__).parent / "subset_indices.json").read_text())


def _subset(dataset, part):
    """Positions of ten images per class, (100,): the course's table for MNIST, drawn for others.

    Both MNIST tables hold one image twice (train class 4, test class 5), so there are 99 different
    ones. They stay as they are: the numbers people compare with were made with them.
    """
    y = getattr(dataset, f"{part}_y").cpu().numpy()
    if dataset.name != "mnist":
        return _dealt(y, 100, seed=0)
    of_class = [np.flatnonzero(y == c)[row] for c, row in enumerate(_tables()[part])]
    return torch.from_numpy(np.concatenate(of_class))


def _dealt(y, n, seed):
    """Positions of n images, dealt one per class in turn, so as balanced as n and y allow."""
    order = np.random.default_rng(seed).permutation(len(y))
    rank = np.empty(len(y), dtype=int)  # place among the images of its own class
    for c in np.unique(y):
        rank[y[order] == c] = np.arange(np.count_nonzero(y == c))
    dealt = order[np.argsort(rank, kind="stable")][:n]
    return torch.from_numpy(dealt[np.argsort(y[dealt], kind="stable")])


def test_subset(dataset):
    """The 100 test images bounds are evaluated on: binary (100, 784) and one-hot (100, 10).

    Binarized once, by NumPy's legacy generator seeded 0, as everywhere numbers are compared.
    """
    i = _subset(dataset, "test").to(dataset.test_x.device)
    x = grey(dataset.test_x[i])
    binary = np.random.RandomState(0).binomial(1, x.cpu().numpy())
    return torch.from_numpy(binary).to(x), one_hot(dataset.test_y[i])


def labelled_subset(dataset, n=100, seed=0):
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


def labelled(dataset, n=100, label_seed=0, seed=0):
    """What `train` takes as labelled pairs: all of them a step, or if over 100, 100 a step."""
    xl, yl = labelled_subset(dataset, n, label_seed)
    if n <= 100:
        return xl, yl
    return Batches(xl, yl, 100, generator(seed + 1, xl.device))


def binarized_test(dataset):
    """All test images, binarized once by a generator seeded 0: (N, 784) float32."""
    x = binarize(dataset.test_x.cpu(), generator(0))
    return x.to(dataset.test_x.device)


def get_mnist_data(device, use_test_subset=True, *, data_dir="data"):
    """What the starter code's scripts ask for, with MNIST from data_dir.

    Returns:
        train_loader of minibatches of 97 (grey x in [0, 1], y); the binarized test subset
        (xl, yl) or, with use_test_subset=False, the grey labelled training subset; the grey test
        set (X_test, y_test).
    """
    dataset = datasets.load("mnist", data_dir).to(device)
    seed = torch.initial_seed() % 2**63
    loader = Batches(dataset.train_x, dataset.train_y, 97, generator(seed, device))
    if use_test_subset:
        subset = test_subset(dataset)
    else:
        xl, yl = labelled_subset(dataset)
        subset = grey(xl), yl
    return loader, subset, (grey(dataset.test_x), dataset.test_y)
