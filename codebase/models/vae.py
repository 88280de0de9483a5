"""The variational autoencoder (Kingma & Welling, 2014), with β (Higgins et al., 2017)."""

import torch
from torch.nn import Sequential, Sigmoid

from codebase.models import nns
from codebase.models.base import LatentVariableModel
from codebase.models.distributions import Bernoulli, DiagonalGaussian
from codebase.models.priors import StandardNormalPrior
from codebase.sides import sized


class VAE(StandardNormalPrior, LatentVariableModel):
    """One Gaussian latent vector per image.

        z ~ N(0, I)                              prior          (Z,)
        x ~ Π_j Bernoulli(logits = dec(z)_j)     likelihood     (D,)
        q(z|x) = N(m, diag v),  m, v = enc(x)    posterior      (Z,)

    Its bounds, loss and samples follow from the three: see `LatentVariableModel`.

    Args:
        nn: version of the networks, a module of codebase.models.nns.
        name: names the checkpoint folder.
        z_dim: Z, the number of latent dimensions.
        beta: weight of kl in the training loss, rec + β·kl. Reported bounds are always β = 1.
        x_dim: D, the number of pixels.
    Raises:
        ValueError: z_dim or x_dim < 1, or beta < 0; in the methods, an argument of another
            shape than said.
    """

    def __init__(
        self,
        nn: str = "v1",
        name: str = "vae",
        z_dim: int = 2,
        beta: float = 1.0,
        *,
        x_dim: int = 784,
    ) -> None:
        if not beta >= 0:
            raise ValueError(f"beta must be at least 0, got {beta}")
        super().__init__(name)
        self.z_dim, self.x_dim, self.beta = z_dim, x_dim, beta
        networks = nns.version(nn)
        self.enc: nns.v1.Encoder = networks.Encoder(z_dim, **sized(x_dim))
        self.dec: nns.v1.Decoder = networks.Decoder(z_dim, **sized(x_dim))
        self._init_prior()

    def posterior(self, x: torch.Tensor) -> DiagonalGaussian:
        """q(z|x): images (B, D) → a `DiagonalGaussian` over (B, Z)."""
        return DiagonalGaussian(*self.enc(x))

    def likelihood(self, z: torch.Tensor) -> Bernoulli:
        """p(x|z): latents (…, Z) → a `Bernoulli` over (…, D)."""
        return Bernoulli(self.dec(z))

    def networks(self) -> dict[str, Sequential]:
        """Encoder, to m and softplus⁻¹ v, and decoder, to the pixels' probabilities."""
        return {"encoder": self.enc.net, "decoder": Sequential(*self.dec.net, Sigmoid())}
