"""Priors that models share."""

import torch
from torch import nn

from codebase.models.distributions import DiagonalGaussian, Distribution


class StandardNormalPrior:
    """p(z) = N(0, I), for a model with z_dim; every checkpoint carries its two constants."""

    z_dim: int

    def _init_prior(self) -> None:
        self.z_prior_m = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.z_prior_v = nn.Parameter(torch.ones(1), requires_grad=False)

    @property
    def z_prior(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The prior's mean and variance, (1,) each."""
        return self.z_prior_m, self.z_prior_v

    def prior(self) -> Distribution:
        """p(z), a `DiagonalGaussian` over (Z,)."""
        return DiagonalGaussian(*(t.expand(self.z_dim) for t in self.z_prior))
