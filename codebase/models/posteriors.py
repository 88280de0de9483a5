"""Posteriors q(z|x): parts that make a distribution over (B, Z) from what the encoder says."""

import abc

import torch
from torch import nn

from codebase.models.distributions import DiagonalGaussian, Distribution, FullGaussian


class Posterior(nn.Module, abc.ABC):
    """Makes q(z|x) from the encoder's mean, variance and last hidden layer.

    What a subclass adds starts out as nothing: q is N(m, diag v), the VAE's, before the first step.

    Args:
        z_dim: Z.
        features: H, the width of the encoder's last hidden layer.
    Attributes:
        mean_is_m: whether the posterior's mean is the encoder's m.
    """

    mean_is_m = True

    def __init__(self, z_dim: int, features: int) -> None:
        super().__init__()
        self.z_dim, self.features = z_dim, features

    @abc.abstractmethod
    def forward(self, m: torch.Tensor, v: torch.Tensor, h: torch.Tensor) -> Distribution:
        """q(z|x), a distribution over (…, Z).

        Args:
            m, v: mean and variance, (…, Z) each.
            h: the last hidden layer, (…, H).
        """


class Diagonal(Posterior):
    """N(m, diag v)."""

    def forward(self, m: torch.Tensor, v: torch.Tensor, h: torch.Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(m, v)


class Full(Posterior):
    """N(m, L Lᵀ), L lower triangular with √v on its diagonal.

    Below the diagonal stands a linear function of h that begins at 0.
    """

    places: torch.Tensor

    def __init__(self, z_dim: int, features: int) -> None:
        super().__init__(z_dim, features)
        self.below: nn.Module = zero_linear(features, z_dim * (z_dim - 1) // 2)
        rows, columns = torch.tril_indices(z_dim, z_dim, -1)
        self.register_buffer("places", rows * z_dim + columns, persistent=False)

    def forward(self, m: torch.Tensor, v: torch.Tensor, h: torch.Tensor) -> FullGaussian:
        flat = m.new_zeros(*m.shape[:-1], self.z_dim**2)
        places = self.places.expand(*m.shape[:-1], -1)
        below = flat.scatter(-1, places, self.below(h).to(m.dtype))
        factor = below.unflatten(-1, (self.z_dim, self.z_dim)) + torch.diag_embed(v.sqrt())
        return FullGaussian(m, factor)


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that gives 0 before it is trained."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
