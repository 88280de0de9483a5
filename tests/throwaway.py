"""Two models that nobody needs: what passes with them, passes with any."""

import torch
from torch import nn
from torch.nn import functional as F

from codebase.models.base import Abilities, LatentVariableModel
from codebase.models.distributions import Bernoulli, DiagonalGaussian, Distribution, closed_form
from codebase.models.nns import v1
from codebase.models.priors import StandardNormalPrior
from codebase.models.vae import VAE


class FullGaussian(Distribution):
    """N(mean, L Lᵀ).

    Args:
        mean: (…, Z).
        factor: L, lower triangular with a positive diagonal, (…, Z, Z).
    """

    def __init__(self, mean, factor):
        self.mean, self.factor = mean, factor

    @property
    def variance(self):
        """Of each dimension, the diagonal of L Lᵀ: (…, Z)."""
        return self.factor.square().sum(-1)

    def rsample(self, shape=()):
        noise = torch.randn_like(self.mean.expand(*shape, *self.mean.shape))
        return self.mean + (self.factor @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value):
        centred = (value - self.mean).unsqueeze(-1)
        factor = self.factor.expand(*centred.shape[:-2], *self.factor.shape[-2:])
        noise = torch.linalg.solve_triangular(factor, centred, upper=False).squeeze(-1)
        zero, one = torch.zeros_like(noise), torch.ones_like(noise)
        return DiagonalGaussian(zero, one).log_prob(noise) - self.half_log_det()

    def half_log_det(self):
        """½ log det L Lᵀ, (…)."""
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@closed_form(FullGaussian, DiagonalGaussian)
def _full_diagonal(q, p):
    ratio = (q.variance + (q.mean - p.mean).square()) / p.variance
    return 0.5 * (ratio - 1 + p.variance.log()).sum(-1) - q.half_log_det()


class FullVAE(StandardNormalPrior, LatentVariableModel):
    """A VAE whose posterior knows how its dimensions go together: q(z|x) = N(m, L Lᵀ)."""

    def __init__(self, name="full", z_dim=2):
        super().__init__(name)
        self.z_dim = z_dim
        at = torch.zeros(z_dim, z_dim, dtype=torch.int64)
        lower = torch.tril_indices(z_dim, z_dim)
        at[tuple(lower)] = torch.arange(lower.shape[1])
        self.register_buffer("at", at, persistent=False)  # where each entry of L stands in a row
        self.enc = v1.mlp(v1.X_DIM, z_dim + lower.shape[1], nn.ELU)
        self.dec = v1.mlp(z_dim, v1.X_DIM, nn.ELU)
        self._init_prior()

    def posterior(self, x):
        m, entries = self.enc(x).split([self.z_dim, self.enc[-1].out_features - self.z_dim], -1)
        square = entries[..., self.at]
        diagonal = F.softplus(square.diagonal(dim1=-2, dim2=-1)) + 1e-4
        return FullGaussian(m, square.tril(-1) + torch.diag_embed(diagonal))

    def likelihood(self, z):
        return Bernoulli(self.dec(z))

    def networks(self):
        return {"encoder": self.enc, "decoder": nn.Sequential(*self.dec, nn.Sigmoid())}


class GreyVAE(VAE):
    """A VAE of grey pixels: x ~ N(dec(z), σ² I), σ = 0.3."""

    abilities = Abilities(pixels="grey", bounds=True, reconstructions=True, samples=True)
    s = 0.3

    def __init__(self, name="grey", z_dim=2):
        super().__init__(name=name, z_dim=z_dim)

    def likelihood(self, z):
        m = self.dec(z)
        return DiagonalGaussian(m, torch.full_like(m, self.s**2))

    def networks(self):
        return {"encoder": self.enc.net, "decoder": self.dec.net}
