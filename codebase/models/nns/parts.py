"""Networks of the family: parts that make an encoder and a decoder of any size."""

import abc
from typing import cast

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.nns.v1 import check, check_size


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
        last: its last layer, whose bias is D numbers.
    """

    @abc.abstractmethod
    def forward(self, z: torch.Tensor) -> torch.Tensor: ...

    @property
    @abc.abstractmethod
    def last(self) -> nn.Linear: ...

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
    """

    def __init__(
        self, hidden: int = 300, layers: int = 2, activation: str = "elu", bias: str = "zero"
    ) -> None:
        super().__init__(bias)
        self.widths, self.activation = [hidden] * layers, ACTIVATIONS[activation]

    def encoder(self, x_dim: int, z_dim: int) -> "MLPEncoder":
        check_size("z_dim", z_dim)
        return MLPEncoder(self._net(x_dim, 2 * z_dim))

    def decoder(self, z_dim: int, x_dim: int) -> "MLPDecoder":
        check_size("z_dim", z_dim)
        return MLPDecoder(self._net(z_dim, x_dim))

    def _net(self, inputs: int, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for width in self.widths:
            layers += [nn.Linear(inputs, width), self.activation()]
            inputs = width
        return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class MLPEncoder(Encoder):
    """Hidden layers, and a linear one to (m, softplus⁻¹ v).

    Args:
        net: from D to 2Z numbers.
    """

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net
        self.x_dim, self.features = (cast(nn.Linear, net[i]).in_features for i in (0, -1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        check("x", x, self.x_dim)
        h, last = self.net[:-1](x), cast(nn.Linear, self.net[-1])
        # Densities are never taken in the lower precision that products may be taken in.
        return *ut.gaussian_parameters(last(h).to(last.weight.dtype)), h

    def mlp(self) -> nn.Sequential:
        return self.net


class MLPDecoder(Decoder):
    """Hidden layers, and a linear one to the pixels.

    Args:
        net: from Z to D numbers.
    """

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net, self.z_dim = net, cast(nn.Linear, net[0]).in_features

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        check("z", z, self.z_dim)
        return self.net(z).to(self.last.weight.dtype)

    @property
    def last(self) -> nn.Linear:
        return cast(nn.Linear, self.net[-1])

    def mlp(self) -> nn.Sequential:
        return self.net
