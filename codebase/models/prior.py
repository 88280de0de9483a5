"""The standard normal prior that the VAE and the SSVAE share."""

import torch
from torch import nn

from codebase import utils as ut


class StandardNormalPrior(nn.Module):
    """z ~ N(0, I) with self.z_dim dimensions; every checkpoint carries its two constants."""

    def _init_prior(self):
        self.z_prior_m = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.z_prior_v = nn.Parameter(torch.ones(1), requires_grad=False)

    @property
    def z_prior(self):
        """The prior's mean and variance, (1,) each."""
        return self.z_prior_m, self.z_prior_v

    def log_prior(self, z):
        """log p(z): (…, Z) → (…)."""
        return ut.log_normal(z, *self.z_prior)

    def sample_z(self, batch):
        """Latents from the prior, (batch, Z)."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}")
        m, v = self.z_prior
        shape = batch, self.z_dim
        return ut.sample_gaussian(m.expand(shape), v.expand(shape))
