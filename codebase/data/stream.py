"""The training minibatches of a run, endless."""

import itertools

from torch.nn import functional as F

from codebase.data import checks
from codebase.data.batches import Batches, as_pixels


class Stream:
    """The training minibatches of a run, endless.

    Args:
        loader: a `Batches`, or any iterable of (grey x, y).
        labelled: None, (xl, yl), or a `Batches` of them; redrawn every time like the rest.
        pixels: "binary", drawn anew every time, or "grey".
        classes: how many labels there are, if model.loss takes those of all images.
        dtype: of the model's parameters; None: as the images have it.
    Raises:
        UserError: what the loader gives are no images (see `checks.pixels`). Minibatches on the
            CPU are all looked at, of those on another device only the first.
    """

    def __init__(self, loader, labelled, device, pixels="binary", classes=0, dtype=None):
        self.loader, self.labelled, self.device = loader, labelled, device
        self.pixels, self.classes, self.dtype = pixels, classes, dtype
        self.own = isinstance(loader, Batches)
        self.generator = loader.generator if self.own else None
        self.epochs = None if self.own else _endless(loader, classes)
        if labelled is not None and not isinstance(labelled, Batches):
            self.labelled = tuple(t.to(device) for t in labelled)

    def next(self):
        """What the next minibatch is taken from, found without the device having to answer.

        Returns:
            The positions in every `Batches`; of a foreign loader the images and labels themselves.
        """
        sources = [self.loader.next() if self.own else next(self.epochs)]
        return sources + [part.next() for part in self.parts() if part is not self.loader]

    def at(self, sources):
        """x (B, 784), y (B,) and what model.loss takes, from a `next`.

        That is (x,), (x, xl, yl), or with `classes` (x, y one-hot).
        """
        if self.own:
            x, y = self.loader.at(sources[0], self.pixels)
        else:
            x, y = sources[0]
            x, y = as_pixels(x.to(self.device).flatten(1), self.pixels), y.to(self.device)
        x = x.to(self.dtype)
        if self.classes:
            return x, y, (x, F.one_hot(y, self.classes).to(x))
        if self.labelled is None:
            return x, y, (x,)
        if isinstance(self.labelled, Batches):
            xl, yl = self.labelled.at(sources[1], self.pixels)
        else:
            xl, yl = self.labelled
            xl = as_pixels(xl, self.pixels, self.generator)
        return x, y, (x, xl.to(self.dtype), yl)

    def draw(self):
        """The next minibatch."""
        return self.at(self.next())

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


def _endless(loader, classes):
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
