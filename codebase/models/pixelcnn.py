"""Convolutions that see what lies before a pixel (van den Oord et al., 2016)."""

from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from codebase import utils as ut
from codebase.models.autoregressive import Autoregressive
from codebase.models.nns.v1 import X_DIM, check, check_size
from codebase.sides import side_of

FIRST = 3  # rows above, and columns on each side, that the first layer sees; others one more


class Layer(nn.Module):
    """A layer of the two stacks: padded convolutions, of which what looks back only is kept.

    The upper stack v at row r knows rows up to r, all of them from left to right; the row's own
    stack h at (r, c) knows of its row what lies before c, and of the rows above what v of row r − 1
    does. So no pixel above is out of sight, as it would be for one stack of masked kernels.

    Args:
        inputs: channels of what comes in.
        channels: C, of what goes on.
        sides: columns to each side, and rows above, that the kernel covers.
        first: whether h must not see the pixel itself.
    """

    def __init__(self, inputs: int, channels: int, sides: int, first: bool) -> None:
        super().__init__()
        rows = sides if first else sides + 1
        self.first = first
        across, along = 2 * sides + 1, sides if first else sides + 1
        self.upper = nn.Conv2d(inputs, channels, (rows, across), padding=(rows - 1, sides))
        self.down = nn.Conv2d(channels, channels, 1, padding=(1, 0), bias=False)
        self.along = nn.Conv2d(inputs, channels, (1, along), padding=(0, sides))
        self.out = nn.Conv2d(channels, channels, 1)

    def above(self, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The upper stack: (B, inputs, H, W) → v, and what h of a row gets of it, (B, C, H, W)."""
        rows = v.shape[-2]
        new = self.upper(v)[:, :, :rows]
        new = F.relu(new if self.first else v + new)
        return new, self.down(new)[:, :, :rows]

    def beside(self, h: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """The rows' own stack: (B, inputs, H, W), and what `above` tells it → (B, C, H, W)."""
        before = self.along(h)[..., : h.shape[-1]]
        new = self.out(F.relu(before + told))
        return new if self.first else h + new


class Stacks(nn.Module):
    """Layers one behind the other, and a logit for each pixel from what they come to.

    Args:
        channels: C.
        layers: how many.
    Attributes:
        reach: rows and columns that a pixel is given, layers + 2.
    """

    def __init__(self, channels: int, layers: int) -> None:
        check_size("channels", channels)
        check_size("layers", layers)
        super().__init__()
        self.reach = layers - 1 + FIRST
        self.layers = nn.ModuleList(
            Layer(1 if i == 0 else channels, channels, 1 if i else FIRST, i == 0)
            for i in range(layers)
        )
        self.last = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.ReLU(),
            nn.Conv2d(2 * channels, 1, 1),
        )
        # A CPU takes two thirds of the time then.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Logits of pixels given those before them, (B, 1, H, W) → (B, H, W).

        Args:
            place: (1 or B, C, H, W), is added behind the first layer: what else a pixel is told.
        """
        return self.beside(images, self.above(images), place)

    def above(self, v: torch.Tensor) -> list[torch.Tensor]:
        """What the upper stack tells the other in each layer, [(B, C, H, W)]."""
        found = []
        for layer in cast("list[Layer]", self.layers):
            v, told = layer.above(v)
            found.append(told)
        return found

    def beside(
        self, h: torch.Tensor, told: list[torch.Tensor], place: torch.Tensor
    ) -> torch.Tensor:
        """Logits (B, H, W) of rows whose own stack is told so much."""
        layers = cast("list[Layer]", self.layers)
        for i, (layer, of_layer) in enumerate(zip(layers, told, strict=True)):
            h = layer.beside(h, of_layer)
            if i == 0:
                h = h + place
        return self.last(h).squeeze(1).to(place.dtype)

    def draw(
        self, images: torch.Tensor, row: int, place: torch.Tensor, base: torch.Tensor | None = None
    ) -> None:
        """Draws a row of images (B, 1, H, W) in place, given those above it.

        The upper stack is asked once for it, and both for no more than is seen.

        Args:
            place: as for `forward`.
            base: (B, H, W), is added to the logits.
        """
        top = max(row - self.reach, 0)
        told = [t[:, :, -1:] for t in self.above(images[:, :, top : row + 1])]
        line, own = images[:, :, row : row + 1], place[:, :, row : row + 1]
        for column in range(images.shape[-1]):
            near = slice(max(column - self.reach, 0), column + 1)
            of_near = [t[..., near] for t in told]
            logits = self.beside(line[..., near], of_near, own[..., near])[..., -1]
            if base is not None:
                logits = logits + base[:, row : row + 1, column]
            line[:, 0, :, column] = torch.bernoulli(torch.sigmoid(logits))


class PixelCNN(Autoregressive):
    """x_i ~ Bernoulli(logits_i(x_<i)), pixels row by row, by two stacks of convolutions.

    A pixel is given all those before it that lie at most `reach` rows above and at most `reach`
    columns to the left or right; none of these is hidden, none beyond is seen. Where a pixel lies
    in the image is known by a learned map that is added in the first layer. Rectified units stand
    in the place of the paper's gates, which cost three times as much on a CPU.

    Args:
        name: names the checkpoint folder.
        channels: C, of each stack.
        layers: how many there are; reach = layers + 2.
        x_dim: D, a square.
    Raises:
        ValueError: a size < 1, or images that are not square.
    """

    def __init__(
        self, name: str = "pixelcnn", channels: int = 16, layers: int = 6, x_dim: int = X_DIM
    ) -> None:
        super().__init__(name)
        self.side = self.parts = side_of(x_dim)
        self.x_dim, self.stacks = x_dim, Stacks(channels, layers)
        self.place = nn.Parameter(torch.zeros(channels, self.side, self.side))

    @property
    def reach(self) -> int:
        """Rows and columns that are seen."""
        return self.stacks.reach

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """Of each pixel given those before it, (B, D) → (B, D)."""
        check("x", x, self.x_dim)
        images = x.reshape(-1, 1, self.side, self.side)
        return self.stacks(images, self.place.unsqueeze(0)).flatten(1)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return ut.log_bernoulli_with_logits(x, self.logits(x))

    def drawer(self, x: torch.Tensor) -> Callable[[int], None]:
        """Draws a row, see `Stacks.draw`."""
        images = x.view(-1, 1, self.side, self.side)
        return lambda row: self.stacks.draw(images, row, self.place.unsqueeze(0))
