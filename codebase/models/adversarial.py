"""Generators and discriminators of images, and what the two of a game lose."""

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.nns.parts import sides_of

SLOPE = 0.2  # of the leaky ReLUs below 0
CHANNELS = 16  # of the convolution next to the pixels; the other one has twice as many
SHARE, EPSILON = 0.1, 1e-5  # of a batch in the averages of `BatchNorm`; added to its variances
FIRST = 0.02  # standard deviation of the weights that convolutions begin with
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


class BatchNorm(nn.Module):
    """w (h − m)/√v + b of each unit, m and v over the batch in training (Ioffe & Szegedy, 2015).

    Otherwise m and v are moving averages of training's. Torch's own says of its averages neither
    that they change, so that a step cannot be replayed, nor does it keep real numbers alone.

    Args:
        units: U, of h (N, U) or (N, U, height, width).
    """

    m: torch.Tensor
    v: torch.Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(units)), nn.Parameter(torch.zeros(units))
        self.register_buffer("m", torch.zeros(units))
        self.register_buffer("v", torch.ones(units))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        h = h.to(self.weight.dtype)
        m, v = self.m, self.v
        if self.training:
            over = [0, *range(2, h.dim())]
            m, v = h.mean(over), h.var(over, correction=0)
            with torch.no_grad():
                self.m.lerp_(m, SHARE)
                self.v.lerp_(v, SHARE)
        scale = self.weight * (v + EPSILON).rsqrt()
        scale, shift = (t.view(-1, *[1] * (h.dim() - 2)) for t in (scale, self.bias - m * scale))
        return h * scale + shift


def generator(
    net: str, z_dim: int, x_dim: int, hidden: int, normalized: bool = False
) -> nn.Sequential:
    """Latents (N, Z) → log odds of pixels (N, D).

    Args:
        net: "mlp": two hidden layers; "conv": a linear one and two transposed convolutions of
            stride 2.
        hidden: width of the mlp's.
        normalized: whether hidden units are normalized (see `BatchNorm`), without which a generator
            is soon left behind and draws one image.
    Raises:
        ValueError: convolutions, and the images are not square with sides that 4 divides.
    """

    def behind(units: int) -> list[nn.Module]:
        return [*([BatchNorm(units)] if normalized else []), nn.LeakyReLU(SLOPE)]

    if net == "mlp":
        first = [nn.Linear(z_dim, hidden), *behind(hidden)]
        more = [nn.Linear(hidden, hidden), *behind(hidden), nn.Linear(hidden, x_dim)]
        return nn.Sequential(*first, *more)
    side = _quarter(x_dim)
    made = nn.Sequential(
        nn.Linear(z_dim, 2 * CHANNELS * side * side),
        nn.Unflatten(-1, (2 * CHANNELS, side, side)),
        *behind(2 * CHANNELS),
        nn.ConvTranspose2d(2 * CHANNELS, CHANNELS, 4, stride=2, padding=1),
        *behind(CHANNELS),
        nn.ConvTranspose2d(CHANNELS, 1, 4, stride=2, padding=1),
        nn.Flatten(),
    )
    return _begun_small(made)


def _begun_small(made):
    """Weights N(0, 0.02²) and biases 0, as Radford et al. (2016) have them of convolutions."""
    for module in made.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, FIRST)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return made


def _quarter(x_dim):
    side, _ = sides_of(x_dim)
    if side % 4:
        raise ValueError(f"convolutions need sides that 4 divides, got {side} × {side}")
    return side // 4


class Discriminator(nn.Module):
    """Images (N, D) → log odds that they are of the data, (N,).

    Args:
        net: "mlp": two hidden layers; "conv": two convolutions of stride 2.
        x_dim: D.
        hidden: width of the mlp's.
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
            first, last = [nn.Linear(x_dim, hidden), *behind()], nn.Linear(hidden, 1)
            layers = [*first, nn.Linear(hidden, hidden), nn.LeakyReLU(SLOPE)]
        else:
            side = _quarter(x_dim)
            last = nn.Linear(2 * CHANNELS * side * side, 1)
            layers = [
                nn.Unflatten(-1, (1, 4 * side, 4 * side)),
                nn.Conv2d(1, CHANNELS, 4, stride=2, padding=1),
                *behind(),
                nn.Conv2d(CHANNELS, 2 * CHANNELS, 4, stride=2, padding=1),
                nn.LeakyReLU(SLOPE),
                nn.Flatten(),
            ]
        self.below = nn.Sequential(*layers)
        self.above = nn.Sequential(nn.Dropout(dropout), last)
        if net == "conv":
            _begun_small(self)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Its last hidden layer, of images in [0, 1], (N, D) → (N, H)."""
        return self.below(2 * x - 1).to(x.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.above(self.features(x)).squeeze(-1).to(x.dtype)
