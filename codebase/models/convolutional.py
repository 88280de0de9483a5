"""An autoencoder of convolutions."""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from codebase.models.autoencoders import FUNCTIONS, Autoencoder
from codebase.models.nns.v1 import check


class ConvAutoencoder(Autoencoder):
    """Convolutions of stride 2, one over all that is left, and the same way back (Masci et al.,
    2011).

        28 × 28 → 14 × 14 × C → 7 × 7 × 2C → Z → 7 × 7 × 2C → 14 × 14 × C → 28 × 28

    Without layers its one kernel covers the image: a linear layer in another shape.

    Args:
        channels: C, of the first layer; every further one has twice as many.
        layers: of stride 2, on each side.
        kernel: side of their kernels, odd, so that a side of s becomes ⌈s/2⌉.
        activation: behind each of them, a name of FUNCTIONS.
        output: behind the last.
        The others as for `Autoencoder`.
    Raises:
        ValueError: kernel is even, or D is no square.
    """

    def __init__(
        self,
        name: str = "conv-ae",
        z_dim: int = 10,
        *,
        x_dim: int = 784,
        channels: int = 16,
        layers: int = 2,
        kernel: int = 3,
        activation: str = "elu",
        output: str = "sigmoid",
    ) -> None:
        super().__init__(name, z_dim, x_dim)
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        if (side := math.isqrt(x_dim)) ** 2 != x_dim:
            raise ValueError(f"x_dim must be a square, got {x_dim}")
        self.side, self.output_name = side, output
        widths = [1, *(channels * 2**i for i in range(layers))]
        up: list[nn.Module] = []
        down: list[nn.Module] = [FUNCTIONS[output]()]
        padding = kernel // 2
        for i in range(layers):
            half = -(-side // 2)
            up += [nn.Conv2d(widths[i], widths[i + 1], kernel, 2, padding), FUNCTIONS[activation]()]
            even = side - (2 * half - 1)  # 1 where two sides become the same, 0 and 1 rows short
            turned = nn.ConvTranspose2d(widths[i + 1], widths[i], kernel, 2, padding, even)
            down = [FUNCTIONS[activation](), turned, *down]
            side = half
        self.enc = nn.Sequential(*up, nn.Conv2d(widths[-1], z_dim, side))
        self.dec = nn.Sequential(nn.ConvTranspose2d(z_dim, widths[-1], side), *down)

    @property
    def code(self) -> nn.Conv2d:
        """The encoder's last layer, whose kernel covers all that is left."""
        return cast(nn.Conv2d, self.enc[-1])

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        check("x", x, self.x_dim)
        codes = self.enc(x.reshape(-1, 1, self.side, self.side))
        return codes.view(*x.shape[:-1], self.z_dim).to(self.code.weight.dtype)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        check("z", z, self.z_dim)
        images = self.dec(z.reshape(-1, self.z_dim, 1, 1))
        return images.reshape(*z.shape[:-1], self.x_dim).to(self.code.weight.dtype)

    @torch.no_grad()
    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        """The last bias draws the mean grey value."""
        mean = images().mean().clamp(1e-3, 1 - 1e-3)
        last = cast(torch.Tensor, self.dec[-2].bias)
        if self.output_name == "sigmoid":
            last.fill_(torch.logit(mean))
        elif self.output_name == "linear":
            last.fill_(mean)
