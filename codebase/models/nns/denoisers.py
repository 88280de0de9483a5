"""Networks that are given what is noisy and how noisy it is: (B, N), (B, E) → (B, N)."""

from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.nns.v1 import check_size


class TimedMLP(nn.Module):
    """Hidden layers, each of which is added to the one before; it gives 0 before it is trained.

    Args:
        width: N.
        features: E.
        hidden: width of the hidden layers.
        layers: how many there are.
    """

    def __init__(self, width: int, features: int, hidden: int, layers: int) -> None:
        super().__init__()
        check_size("hidden", hidden)
        check_size("layers", layers)
        self.first = nn.Linear(width, hidden)
        self.hidden = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers - 1))
        self.of_time = nn.ModuleList(nn.Linear(features, hidden) for _ in range(layers))
        self.last = _silent(nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        h = F.silu(self.first(x) + self.of_time[0](time))
        for layer, of_time in zip(self.hidden, list(self.of_time)[1:], strict=True):
            h = h + F.silu(layer(h) + of_time(time))
        return self.last(h)


class _Block(nn.Module):
    """Two convolutions, the time between them, added to what comes in."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = _silent(nn.Conv2d(channels, channels, 3, padding=1))
        self.of_time = nn.Linear(features, channels)

    def forward(self, h: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        new = self.first(F.silu(h)) + self.of_time(time)[:, :, None, None]
        return h + self.second(F.silu(new))


class UNet(nn.Module):
    """Convolutions on the image, on its half and its quarter, and back (Ronneberger et al., 2015).

    What was found on the way down is added on the way up. It gives 0 before it is trained.

    Args:
        side: of square images, a multiple of 4; N is its square.
        features: E.
        channels: C on the image, 2C on its half and quarter.
    Raises:
        ValueError: the side is no multiple of 4, or channels < 1.
    """

    def __init__(self, side: int, features: int, channels: int) -> None:
        super().__init__()
        check_size("channels", channels)
        if side % 4:
            raise ValueError(
                f"a U-Net halves the image twice; its side, {side}, is no multiple of 4"
            )
        self.side = side
        widths = [channels, 2 * channels, 2 * channels]
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.down = nn.ModuleList(_Block(w, features) for w in widths)
        self.up = nn.ModuleList(_Block(w, features) for w in widths)
        pairs = [(channels, 2 * channels), (2 * channels, 2 * channels)]
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 4, stride=2, padding=1) for a, b in pairs
        )
        self.last = _silent(nn.Conv2d(channels, 1, 3, padding=1))
        # A CPU takes two thirds of the time then.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        h, found = self.first(x.reshape(-1, 1, self.side, self.side)), []
        for i, block in enumerate(self.down):
            h = block(h, time)
            if i < len(self.shrink):
                found.append(h)
                h = self.shrink[i](h)
        h = self.up[-1](h, time)
        for i in reversed(range(len(self.grow))):
            h = self.up[i](self.grow[i](h) + found[i], time)
        return cast(torch.Tensor, self.last(F.silu(h))).flatten(1)


def _silent(layer):
    """The layer with weights of 0."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
