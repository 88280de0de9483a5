"""Generators and discriminators of images, and what the two of a game lose."""

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.nns.parts import sides_of

SLOPE = 0.2  # of the leaky ReLUs below 0
CHANNELS = 16  # of the convolution next to the pixels; the other one has twice as many
GAMES = "non-saturating", "minimax"
NETS = "mlp", "conv"


def discriminator_loss(real: torch.Tensor, *drawn: torch.Tensor) -> torch.Tensor:
    """−E log D(x) − E log(1 − D(x̃)), a scalar (Goodfellow et al., 2014).

    Args:
        real: log odds log D/(1 − D) that the discriminator gives images of the data, (B,).
        drawn: the same of what was drawn, (B,), perhaps in several ways, which count alike.
    """
    fooled = torch.stack([-F.logsigmoid(-odds).mean() for odds in drawn]).mean()
    return -F.logsigmoid(real).mean() + fooled


def generator_loss(drawn: torch.Tensor, game: str) -> torch.Tensor:
    """What a generator minimizes, a scalar: E log(1 − D) in the minimax game, −E log D otherwise.

    Where D is near 0 the first has next to no gradient, the second (1 − D)/D times as much.

    Args:
        drawn: log odds that the discriminator gives what it drew, (B,).
        game: one of `GAMES`.
    """
    return F.logsigmoid(-drawn).mean() if game == "minimax" else -F.logsigmoid(drawn).mean()


def check_game(game: str, net: str) -> None:
    """Raises a ValueError unless there are such a game and such networks."""
    if game not in GAMES or net not in NETS:
        raise ValueError(
            f"game is {' or '.join(GAMES)} , net {' or '.join(NETS)}, got {game!r} and {net!r}"
        )


def generator(net: str, z_dim: int, x_dim: int, hidden: int) -> nn.Sequential:
    """Latents (N, Z) → log odds of pixels (N, D).

    Args:
        net: "mlp": two hidden layers; "conv": one, and two transposed convolutions of stride 2.
        hidden: their width.
    Raises:
        ValueError: convolutions, and the images are not square with sides that 4 divides.
    """
    if net == "mlp":
        return nn.Sequential(
            nn.Linear(z_dim, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, x_dim),
        )
    side = _quarter(x_dim)
    return nn.Sequential(
        nn.Linear(z_dim, hidden),
        nn.LeakyReLU(SLOPE),
        nn.Linear(hidden, 2 * CHANNELS * side * side),
        nn.LeakyReLU(SLOPE),
        nn.Unflatten(-1, (2 * CHANNELS, side, side)),
        nn.ConvTranspose2d(2 * CHANNELS, CHANNELS, 4, stride=2, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.ConvTranspose2d(CHANNELS, 1, 4, stride=2, padding=1),
        nn.Flatten(),
    )


def _quarter(x_dim):
    side, _ = sides_of(x_dim)
    if side % 4:
        raise ValueError(f"convolutions need sides that 4 divides, got {side} × {side}")
    return side // 4


class Discriminator(nn.Module):
    """Images (N, D) → log odds that they are of the data, (N,).

    Args:
        net: "mlp": two hidden layers; "conv": two convolutions of stride 2 and a hidden layer.
        x_dim: D.
        hidden: width of the hidden layers.
        dropout: share of every hidden layer's units that are 0 in training, so that it does not
            leave the generator behind.
    Raises:
        ValueError: as for `generator`.
    """

    def __init__(self, net: str, x_dim: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()

        def behind() -> list[nn.Module]:
            return [nn.LeakyReLU(SLOPE), nn.Dropout(dropout)]

        if net == "mlp":
            first, inputs = [nn.Linear(x_dim, hidden), *behind()], hidden
        else:
            side = _quarter(x_dim)
            first, inputs = (
                [
                    nn.Unflatten(-1, (1, 4 * side, 4 * side)),
                    nn.Conv2d(1, CHANNELS, 4, stride=2, padding=1),
                    *behind(),
                    nn.Conv2d(CHANNELS, 2 * CHANNELS, 4, stride=2, padding=1),
                    *behind(),
                    nn.Flatten(),
                ],
                2 * CHANNELS * side * side,
            )
        self.below = nn.Sequential(*first, nn.Linear(inputs, hidden), nn.LeakyReLU(SLOPE))
        self.above = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, 1))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Its last hidden layer, of images in [0, 1], (N, D) → (N, H)."""
        return self.below(2 * x - 1).to(x.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.above(self.features(x)).squeeze(-1).to(x.dtype)
