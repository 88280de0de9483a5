"""Minibatches and binarization, all on the dataset's device."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn import functional as F

from codebase.data import checks

CLASSES = 10


def grey(x: torch.Tensor) -> torch.Tensor:
    """uint8 pixels as float32 in [0, 1]; others as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def binarize(x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
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


def dequantize(x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Every level k of 0 … 255 anywhere in its interval, (k + u)/256, u uniform in [0, 1).

    Args:
        x: uint8, or k/255.
        generator: of x's device; None is torch's global one.
    Returns:
        Pixels in [0, 1), float32 for uint8, otherwise of x's type.
    """
    levels = x.float() if x.dtype == torch.uint8 else x * 255
    u = torch.rand(levels.shape, generator=generator, dtype=levels.dtype, device=levels.device)
    # In steps of 2⁻¹⁶: float32 holds them beside the level's eight bits, and none is rounded up.
    return (levels + (u * 2**16).floor() / 2**16) / 256


def as_pixels(
    x: torch.Tensor, pixels: str, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Grey images as a model takes them.

    Args:
        pixels: "grey"; "binary", drawn anew (see `binarize`); "dequantized" (see `dequantize`).
    """
    if pixels == "grey":
        return grey(x)
    return binarize(x, generator) if pixels == "binary" else dequantize(x, generator)


def one_hot(y: torch.Tensor) -> torch.Tensor:
    """Labels (N,) as float32 (N, 10)."""
    return F.one_hot(y, CLASSES).float()


class Batches:
    """Shuffled minibatches of images and labels that lie on one device.

    Iterating gives one epoch of (grey x in [0, 1], y), as a DataLoader would; `draw` gives the
    next binarized minibatch of an endless sequence of epochs, and `state_dict` the place in it.

    Args:
        x, y: (N, 784) uint8 or in [0, 1] (see `checks.pixels`) and (N, …), on the device, N ≥ 1.
        batch_size: images per minibatch; the last one of an epoch may be smaller.
        generator: of that device; shuffles and binarizes.
    Raises:
        UserError: x has values that are no pixels.
        ValueError: batch_size < 1, or x and y are empty or of different lengths.
    """

    def __init__(
        self, x: torch.Tensor, y: torch.Tensor, batch_size: int, generator: torch.Generator
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not len(x) == len(y) > 0:
            raise ValueError(f"x and y need the same length ≥ 1, got {len(x)} and {len(y)}")
        self.x, self.y = checks.pixels(x, "x of Batches"), y
        self.batch_size, self.generator = batch_size, generator
        self.order, self.place = self._shuffle()[:0], 0
        self.drawn = self.order  # positions of the last minibatch drawn

    def _shuffle(self) -> torch.Tensor:
        return torch.randperm(len(self.x), generator=self.generator, device=self.x.device)

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for i in self._shuffle().split(self.batch_size):
            yield grey(self.x[i]), self.y[i]

    def next(self) -> torch.Tensor:
        """Positions of the next minibatch's images, (B,), on their device."""
        if self.place >= len(self.order):
            self.order, self.place = self._shuffle(), 0
        self.drawn = self.order[self.place : self.place + self.batch_size]
        self.place += self.batch_size
        return self.drawn

    def at(
        self, positions: torch.Tensor, pixels: str = "binary"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The minibatch at those positions (…, B): x (…, B, 784) float32, y (…, B, …)."""
        rows = positions.flatten()
        # index_select copies row by row, which is faster than indexing.
        x, y = (t.index_select(0, rows).unflatten(0, positions.shape) for t in (self.x, self.y))
        return as_pixels(x, pixels, self.generator), y

    def draw(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The next minibatch."""
        return self.at(self.next())

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers that `load_state_dict` continues from, bit for bit."""
        state = self.generator.get_state()
        return {"order": self.order.clone(), "place": self.place, "generator": state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
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


def seeded_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator of that device and seed."""
    return torch.Generator(device).manual_seed(seed)
