"""Networks of the family: parts that make an encoder and a decoder of any size."""

import abc
import math
from typing import cast

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.nns.v1 import check, check_size, mlp


class Encoder(nn.Module, abc.ABC):
    """Images (…, D) → m, v (…, Z) and the last hidden layer h (…, H).

    Attributes:
        features: H.
    """

    features: int

    @abc.abstractmethod
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]: ...

    def mlp(self) -> nn.Sequential | None:
        """From x to m in the first Z outputs, if it is an MLP that `Model.networks` may name."""
        return None


class Decoder(nn.Module, abc.ABC):
    """Latents (…, Z) → a number for each pixel, (…, D).

    Attributes:
        bias: the last that is added to them, (D,).
    """

    @abc.abstractmethod
    def forward(self, z: torch.Tensor) -> torch.Tensor: ...

    @property
    @abc.abstractmethod
    def bias(self) -> nn.Parameter: ...

    def mlp(self) -> nn.Sequential | None:
        """From z to the numbers, if it is an MLP that `Model.networks` may name."""
        return None


class Networks(abc.ABC):
    """Makes an encoder and a decoder.

    Args:
        bias: "mean": the decoder's last bias begins where an average image is drawn; "zero": as
            every other layer's does.
    """

    def __init__(self, bias: str = "zero") -> None:
        self.bias = bias

    @abc.abstractmethod
    def encoder(self, x_dim: int, z_dim: int) -> Encoder:
        """Of D pixels and Z latent dimensions."""

    @abc.abstractmethod
    def decoder(self, z_dim: int, x_dim: int) -> Decoder:
        """Of Z latent dimensions and D pixels."""


CHANNELS = 32  # of the first convolution; the second has twice as many

ACTIVATIONS = {
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


class MLP(Networks):
    """Linear layers with an activation between them; by default those of nns.v1.

    Args:
        hidden: width of the hidden layers.
        layers: how many there are.
        activation: a name of ACTIVATIONS.
    Attributes:
        plain: whether its networks are linear layers and functions between them.
    """

    plain = True

    def __init__(
        self, hidden: int = 300, layers: int = 2, activation: str = "elu", bias: str = "zero"
    ) -> None:
        super().__init__(bias)
        self.widths, self.activation = [hidden] * layers, ACTIVATIONS[activation]

    def encoder(self, x_dim: int, z_dim: int) -> "MLPEncoder":
        check_size("z_dim", z_dim)
        return MLPEncoder(self._net(x_dim, 2 * z_dim), self.plain)

    def decoder(self, z_dim: int, x_dim: int) -> "MLPDecoder":
        check_size("z_dim", z_dim)
        return MLPDecoder(self._net(z_dim, x_dim), self.plain)

    def _net(self, inputs: int, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for width in self.widths:
            layers += self.hidden(inputs, width)
            inputs = width
        return nn.Sequential(*layers, nn.Linear(inputs, outputs))

    def hidden(self, inputs: int, outputs: int) -> list[nn.Module]:
        """A hidden layer and what follows it."""
        return [nn.Linear(inputs, outputs), self.activation()]


def rectified(inputs: int, outputs: int) -> nn.Sequential:
    """v1's MLP of rectified units, whose weights begin √2 larger than Glorot & Bengio's (2010).

    Signals then keep their size from layer to layer; by PyTorch's own start they shrink, and what
    a classifier of few labels says between them is less even.
    """
    net = mlp(inputs, outputs, nn.ReLU)
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, math.sqrt(2))
            nn.init.zeros_(layer.bias)
    return net


class Gated(MLP):
    """Hidden layers (W h + b) ⊙ σ(V h + c), as Tomczak & Welling (2018) have them.

    Args:
        hidden, layers: as for `MLP`.
    """

    plain = False

    def __init__(self, hidden: int = 300, layers: int = 2, bias: str = "zero") -> None:
        super().__init__(hidden, layers, bias=bias)

    def hidden(self, inputs: int, outputs: int) -> list[nn.Module]:
        return [GatedLinear(inputs, outputs)]


class GatedLinear(nn.Module):
    """(W h + b) ⊙ σ(V h + c): (…, inputs) → (…, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.in_features = inputs
        self.both = nn.Linear(inputs, 2 * outputs)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return nn.functional.glu(self.both(h))


class Conv(Networks):
    """Two convolutions that halve the sides, and two that double them; a hidden layer between.

    Args:
        hidden: width of the hidden layer.
    """

    def __init__(self, hidden: int = 300, bias: str = "zero") -> None:
        super().__init__(bias)
        self.width = hidden

    def encoder(self, x_dim: int, z_dim: int) -> "ConvEncoder":
        check_size("z_dim", z_dim)
        return ConvEncoder(sides_of(x_dim), z_dim, self.width)

    def decoder(self, z_dim: int, x_dim: int) -> "ConvDecoder":
        check_size("z_dim", z_dim)
        return ConvDecoder(z_dim, sides_of(x_dim), self.width)


def sides_of(x_dim: int) -> tuple[int, int]:
    """Height and width of a square image of so many pixels.

    Raises:
        ValueError: there is none, of at least 4 × 4.
    """
    side = math.isqrt(x_dim)
    if side * side != x_dim or side < 4:
        raise ValueError(f"convolutions need square images of 4 × 4 or more, not {x_dim} pixels")
    return side, side


class MLPEncoder(Encoder):
    """Hidden layers, and a linear one to (m, softplus⁻¹ v).

    Args:
        net: from D to 2Z numbers.
    """

    def __init__(self, net: nn.Sequential, plain: bool = True) -> None:
        super().__init__()
        self.net, self.plain = net, plain
        self.x_dim, self.features = (cast(nn.Linear, net[i]).in_features for i in (0, -1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        check("x", x, self.x_dim)
        h, last = self.net[:-1](x), cast(nn.Linear, self.net[-1])
        # Densities are never taken in the lower precision that products may be taken in.
        return *ut.gaussian_parameters(last(h).to(last.weight.dtype)), h

    def mlp(self) -> nn.Sequential | None:
        return self.net if self.plain else None


class MLPDecoder(Decoder):
    """Hidden layers, and a linear one to the pixels.

    Args:
        net: from Z to D numbers.
    """

    def __init__(self, net: nn.Sequential, plain: bool = True) -> None:
        super().__init__()
        self.net, self.z_dim, self.plain = net, cast(nn.Linear, net[0]).in_features, plain

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        check("z", z, self.z_dim)
        return self.net(z).to(self.bias.dtype)

    @property
    def bias(self) -> nn.Parameter:
        return cast(nn.Linear, self.net[-1]).bias

    def mlp(self) -> nn.Sequential | None:
        return self.net if self.plain else None


class ConvEncoder(Encoder):
    """Two convolutions of stride 2, a hidden layer, and a linear one to (m, softplus⁻¹ v).

    Args:
        sides: height and width of the images.
        z_dim: Z.
        hidden: width of the hidden layer.
    """

    def __init__(self, sides: tuple[int, int], z_dim: int, hidden: int) -> None:
        super().__init__()
        self.sides, self.features = sides, hidden
        height, width = (side // 2 // 2 for side in sides)
        self.net = nn.Sequential(
            nn.Conv2d(1, CHANNELS, 4, stride=2, padding=1),
            nn.ELU(),
            nn.Conv2d(CHANNELS, 2 * CHANNELS, 4, stride=2, padding=1),
            nn.ELU(),
            nn.Flatten(),
            nn.Linear(2 * CHANNELS * height * width, hidden),
            nn.ELU(),
        )
        self.last = nn.Linear(hidden, 2 * z_dim)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        check("x", x, math.prod(self.sides))
        h = self.net(x.reshape(-1, 1, *self.sides)).view(*x.shape[:-1], self.features)
        return *ut.gaussian_parameters(self.last(h).to(self.last.weight.dtype)), h


class ConvDecoder(Decoder):
    """The way back: a hidden layer, and two transposed convolutions of stride 2.

    Args:
        z_dim: Z.
        sides: height and width of the images.
        hidden: width of the hidden layer.
    """

    def __init__(self, z_dim: int, sides: tuple[int, int], hidden: int) -> None:
        super().__init__()
        self.z_dim, self.sides = z_dim, sides
        half = [side // 2 for side in sides]
        quarter = [side // 2 for side in half]
        odd, odd_half = ((h % 2, w % 2) for h, w in (sides, half))
        self.net = nn.Sequential(
            nn.Linear(z_dim, hidden),
            nn.ELU(),
            nn.Linear(hidden, 2 * CHANNELS * math.prod(quarter)),
            nn.ELU(),
            nn.Unflatten(1, (2 * CHANNELS, *quarter)),
            # A side that was odd when it was halved is doubled and one more.
            nn.ConvTranspose2d(2 * CHANNELS, CHANNELS, 4, 2, 1, output_padding=odd_half),
            nn.ELU(),
            nn.ConvTranspose2d(CHANNELS, 1, 4, 2, 1, output_padding=odd, bias=False),
        )
        self.of_pixels = nn.Parameter(torch.zeros(math.prod(sides)))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        check("z", z, self.z_dim)
        drawn = self.net(z.reshape(-1, self.z_dim)).flatten(1)
        return drawn.view(*z.shape[:-1], -1).to(self.of_pixels.dtype) + self.of_pixels

    @property
    def bias(self) -> nn.Parameter:
        return self.of_pixels
