"""The training minibatches of a run, endless."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.nn import functional as F

from codebase.data import checks
from codebase.data.batches import Batches, as_pixels

Pair = tuple[torch.Tensor, torch.Tensor]  # images and labels
Loader = Batches | Iterable[Pair]
Labelled = Batches | Pair


class Stream:
    """The training minibatches of a run, endless.

    Args:
        loader: a `Batches`, or any iterable of (grey x, y).
        labelled: None, (xl, yl), or a `Batches` of them; redrawn every time like the rest.
        pixels: "binary" or "dequantized", drawn anew every time, or "grey".
        classes: how many labels there are, if model.loss takes those of all images.
        dtype: of the model's parameters; None: as the images have it.
    Raises:
        UserError: what the loader gives are no images (see `checks.pixels`). Minibatches on the
            CPU are all looked at, of those on another device only the first.
    """

    def __init__(
        self,
        loader: Loader,
        labelled: Labelled | None,
        device: torch.device | str,
        pixels: str = "binary",
        classes: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.loader, self.labelled, self.device = loader, labelled, device
        self.pixels, self.classes, self.dtype = pixels, classes, dtype
        self.own = isinstance(loader, Batches)
        self.generator = loader.generator if isinstance(loader, Batches) else None
        self.epochs = _endless(loader, classes)  # of a foreign loader
        if labelled is not None and not isinstance(labelled, Batches):
            xl, yl = labelled
            self.labelled = xl.to(device), yl.to(device)

    def _one_hot(self, y):
        if self.own:  # labels that were looked at, so nothing waits for the device
            return y.unsqueeze(-1) == torch.arange(self.classes, device=y.device)
        return F.one_hot(y, self.classes)

    def next(self) -> list[Any]:
        """What the next minibatch is taken from, found without the device having to answer.

        Returns:
            The positions in every `Batches`; of a foreign loader the images and labels themselves.
        """
        foreign = [] if self.own else [next(self.epochs)]
        return foreign + [part.next() for part in self.parts()]

    def at(self, sources: list[Any]) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]:
        """x (B, 784), y (B,) and what model.loss takes, from a `next`.

        That is (x,), (x, xl, yl), or with `classes` (x, y one-hot).
        """
        if isinstance(self.loader, Batches):
            x, y = self.loader.at(sources[0], self.pixels)
        else:
            x, y = sources[0]
            x, y = as_pixels(x.to(self.device).flatten(1), self.pixels), y.to(self.device)
        x = x.to(self.dtype)
        if self.classes:
            return x, y, (x, self._one_hot(y).to(x))
        if self.labelled is None:
            return x, y, (x,)
        if isinstance(self.labelled, Batches):
            xl, yl = self.labelled.at(sources[1], self.pixels)
        else:
            xl, yl = self.labelled
            xl = as_pixels(xl, self.pixels, self.generator)
        return x, y, (x, xl.to(self.dtype), yl)

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...]]:
        """The next minibatch."""
        return self.at(self.next())

    def drawn(self) -> torch.Tensor | None:
        """Positions in the dataset of the last minibatch's images; None for a foreign loader."""
        return self.loader.drawn if isinstance(self.loader, Batches) else None

    def generators(self) -> list[torch.Generator]:
        """Those that shuffle and binarize, but for torch's global one."""
        return [part.generator for part in self.parts()]

    def parts(self) -> list[Batches]:
        """Those of its sources that are `Batches`."""
        return [part for part in (self.loader, self.labelled) if isinstance(part, Batches)]

    def state_dict(self) -> list[dict[str, Any]]:
        """The place in every sequence of minibatches, and the state of their generators."""
        return [part.state_dict() for part in self.parts()]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Takes up the place a `state_dict` describes."""
        for part, state in zip(self.parts(), states, strict=True):
            part.load_state_dict(state)


def _endless(loader: Loader, classes: int) -> Iterator[Pair]:
    """Epoch after epoch of a loader, looked at where that waits for no device."""
    first = True
    for epoch in itertools.repeat(loader):
        empty = True
        for x, y in epoch:
            if first or x.device.type == "cpu":
                x = checks.pixels(x, "x of train_loader")
                y = checks.labels(y, len(x), classes, "y of train_loader") if classes else y
            empty = first = False
            yield x, y
        if empty:
            raise ValueError("train_loader gave no minibatch")
