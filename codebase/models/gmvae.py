"""A VAE whose prior is a learned mixture of Gaussians."""

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.distributions import DiagonalGaussian, Mixture
from codebase.models.vae import VAE


class GMVAE(VAE):
    """The VAE, but for its prior, which is learned with the rest.

        z ~ 1/K Σ_k N(m_k, diag v_k),  m, v = gaussian_parameters(z_pre)      (Z,)

    KL(q(z|x) ‖ p(z)) has no closed form; log q(z|x) − log p(z), at the sample that the
    reconstruction uses, is unbiased for it.

    Args:
        k: K, the number of components. The others are the VAE's.
    Raises:
        ValueError: k < 1, and as for the VAE.
    """

    def __init__(
        self,
        nn: str = "v1",
        z_dim: int = 2,
        k: int = 500,
        name: str = "gmvae",
        beta: float = 1.0,
        *,
        x_dim: int = 784,
    ) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.k = k
        super().__init__(nn, name, z_dim, beta, x_dim=x_dim)

    def _init_prior(self) -> None:
        self.z_pre = nn.Parameter(
            torch.randn(1, 2 * self.k, self.z_dim) / (self.k * self.z_dim) ** 0.5
        )
        # Uniform weights; part of every checkpoint, never trained.
        self.pi = nn.Parameter(torch.ones(self.k) / self.k, requires_grad=False)

    @property
    def z_prior(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The components' means and variances, (1, K, Z) each."""
        return ut.gaussian_parameters(self.z_pre, dim=1)

    def prior(self) -> Mixture:
        """p(z), a `Mixture` over (Z,)."""
        return Mixture(DiagonalGaussian(*(t.squeeze(0) for t in self.z_prior)))
