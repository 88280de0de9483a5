"""A VAE whose prior is a learned mixture of Gaussians."""

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.vae import VAE


class GMVAE(VAE):
    """The VAE, but for its prior, which is learned with the rest.

        z ~ 1/K Σ_k N(m_k, diag v_k),  m, v = gaussian_parameters(z_pre)      (Z,)

    KL(q(z|x) ‖ p(z)) has no closed form; `kl` estimates it from the sample the reconstruction uses.

    Args:
        k: K, the number of components. The others are the VAE's.
    Raises:
        ValueError: k < 1, and as for the VAE.
    """

    def __init__(self, nn="v1", z_dim=2, k=500, name="gmvae", beta=1.0):
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        self.k = k
        super().__init__(nn, name, z_dim, beta)

    def _init_prior(self):
        self.z_pre = nn.Parameter(
            torch.randn(1, 2 * self.k, self.z_dim) / (self.k * self.z_dim) ** 0.5
        )
        # Uniform weights; part of every checkpoint, never trained.
        self.pi = nn.Parameter(torch.ones(self.k) / self.k, requires_grad=False)

    @property
    def z_prior(self):
        """The components' means and variances, (1, K, Z) each."""
        return ut.gaussian_parameters(self.z_pre, dim=1)

    def log_prior(self, z):
        """log p(z): (…, Z) → (…)."""
        return ut.log_normal_mixture(z.flatten(0, -2), *self.z_prior).view(z.shape[:-1])

    def kl(self, z, m, v):
        """log q(z|x) − log p(z) at each image's sample z ~ q(z|x), (B,): unbiased for the KL."""
        return ut.log_normal(z, m, v) - self.log_prior(z)

    def sample_z(self, batch):
        """Latents from the prior, (batch, Z): a component each, uniformly, then its Gaussian."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        m, v = self.z_prior
        component = torch.randint(self.k, (batch,), device=m.device)
        return ut.sample_gaussian(m[0, component], v[0, component])
