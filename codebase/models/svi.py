"""A VAE without an encoder: every image's posterior is found by gradient steps of its own."""

import torch
from torch import nn

from codebase.models.base import LatentVariableModel
from codebase.models.distributions import Bernoulli, DiagonalGaussian
from codebase.models.fitted import fit
from codebase.models.nns import v1
from codebase.models.priors import StandardNormalPrior

LR = 0.3  # of the inner steps; on small digits 0.1 falls short in 20 of them, 0.6 overshoots


class SVI(StandardNormalPrior, LatentVariableModel):
    """Stochastic variational inference (Hoffman et al., 2013): q(z|x) belongs to the image.

        z ~ N(0, I)                                                  (Z,)
        x ~ Π_j Bernoulli(logits = dec(z)_j)                         (D,)
        q(z|x) = N(m, diag v),  m, v = argmin −ELBO(x; m, v)         (Z,)

    The argmin is approached by so many steps of Adam from the prior, anew for every minibatch, at
    the decoder as it is; then the decoder takes one step at what was found. Nothing is amortized,
    so whatever asks for a posterior, a test image's too, pays for those steps.

    Args:
        name: names the checkpoint folder.
        z_dim: Z, the number of latent dimensions.
        inner: steps of Adam for a posterior.
        x_dim: D, the number of pixels.
    Raises:
        ValueError: z_dim, inner or x_dim < 1.
    """

    def __init__(
        self, name: str = "svi", z_dim: int = 10, inner: int = 20, x_dim: int = v1.X_DIM
    ) -> None:
        if inner < 1:
            raise ValueError(f"inner must be at least 1, got {inner}")
        super().__init__(name)
        self.z_dim, self.x_dim, self.inner = z_dim, x_dim, inner
        self.dec: v1.Decoder = v1.Decoder(z_dim, x_dim=x_dim)
        self._init_prior()

    def posterior(self, x: torch.Tensor) -> DiagonalGaussian:
        """q(z|x): images (B, D) → a `DiagonalGaussian` over (B, Z), without gradients."""
        ones = x.new_ones(len(x), self.z_dim)
        start = DiagonalGaussian(torch.zeros_like(ones), ones)
        q = fit(start, x, self.prior(), self.likelihood, self.inner, lr=LR)
        assert isinstance(q, DiagonalGaussian)
        return q

    def likelihood(self, z: torch.Tensor) -> Bernoulli:
        """p(x|z): latents (…, Z) → a `Bernoulli` over (…, D)."""
        return Bernoulli(self.dec(z))

    def networks(self) -> dict[str, nn.Sequential]:
        """The decoder, to the pixels' probabilities."""
        return {"decoder": nn.Sequential(*self.dec.net, nn.Sigmoid())}
