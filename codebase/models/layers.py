"""VAEs with two layers of latents: plain, with the ladder's merge, and rectified."""

import torch
from torch import nn

from codebase.models.base import LatentVariableModel, Loss
from codebase.models.chains import Chain, merged, rectified
from codebase.models.distributions import Bernoulli, DiagonalGaussian
from codebase.models.nns.parts import MLP
from codebase.models.nns.v1 import X_DIM, check_size
from codebase.models.objectives import summaries

SECOND = 100  # units of each of two hidden layers between z₁ and z₂


class TwoLayer(LatentVariableModel):
    """A Gaussian latent vector above another (Burda et al. 2016, with one sample).

        z₂ ~ N(0, I)                                      (Z₂,)
        z₁ ~ N(m, diag v),  m, v = down(z₂)               (Z₁,)
        x ~ Π_j Bernoulli(logits = dec(z₁)_j)             (784,)
        q(z₁, z₂|x) = q(z₁|x) q(z₂|z₁), Gaussians of enc(x) and up(z₁)

    z is z₁ and z₂ side by side. kl is KL(q(z₂|z₁) ‖ p(z₂)) + log q(z₁|x) − log p(z₁|z₂) at one
    sample; the training loss weighs it from 0 to 1 in the first `warm_up` steps, without which z₂
    tends to stay idle.

    Args:
        name: names the checkpoint folder.
        z_dim, z2_dim: Z₁ and Z₂.
        warm_up: steps; 0: none.
        x_dim: D.
    Raises:
        ValueError: a size < 1, or warm_up < 0.
    """

    zeros: torch.Tensor

    def __init__(
        self,
        name: str = "two-layer",
        z_dim: int = 10,
        z2_dim: int = 10,
        warm_up: int = 2_000,
        x_dim: int = X_DIM,
    ) -> None:
        check_size("z_dim", z_dim)
        check_size("z2_dim", z2_dim)
        if warm_up < 0:
            raise ValueError(f"warm_up must be at least 0, got {warm_up}")
        super().__init__(name)
        self.z1_dim, self.z2_dim, self.z_dim = z_dim, z2_dim, z_dim + z2_dim
        self.x_dim, self.warm_up = x_dim, warm_up
        below, between = MLP(), MLP(hidden=SECOND)
        self.enc, self.dec = below.encoder(x_dim, z_dim), below.decoder(z_dim, x_dim)
        self.up = between.encoder(self._above(), z2_dim)
        self.down = between.encoder(z2_dim, z_dim)
        self.register_buffer("zeros", torch.zeros(z2_dim), persistent=False)

    def _above(self):
        """How many numbers the encoder of z₂ takes."""
        return self.z1_dim

    def prior(self) -> Chain:
        """p(z₂) p(z₁|z₂), over (Z₁ + Z₂,)."""
        first = DiagonalGaussian(self.zeros, torch.ones_like(self.zeros))
        return Chain(first, self.below, downwards=True)

    def below(self, z2: torch.Tensor) -> DiagonalGaussian:
        """p(z₁|z₂): (…, Z₂) → a Gaussian over (…, Z₁)."""
        m, v, _ = self.down(self.passed(z2))
        return DiagonalGaussian(m, v)

    def posterior(self, x: torch.Tensor) -> Chain:
        """q(z₁|x) q(z₂|z₁), over (B, Z₁ + Z₂), of images (B, D)."""
        m, v, _ = self.enc(x)
        return Chain(DiagonalGaussian(m, v), self._second, downwards=False)

    def _second(self, z1):
        m, v, _ = self.up(z1)
        return DiagonalGaussian(m, v)

    def likelihood(self, z: torch.Tensor) -> Bernoulli:
        """p(x|z₁): latents (…, Z₁ + Z₂) → a `Bernoulli` over (…, D)."""
        if z.shape[-1] != self.z_dim:
            raise ValueError(f"z must have shape (…, {self.z_dim}), got {tuple(z.shape)}")
        return Bernoulli(self.dec(self.passed(z[..., : self.z1_dim])))

    def passed(self, z: torch.Tensor) -> torch.Tensor:
        """What of a layer is handed down: the layer itself."""
        return z

    def negative_elbo_terms(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(kl, rec) of each image, (B,) each, with one sample of both layers."""
        q = self.posterior(x)
        z = q.rsample()
        return q.kl_at(self.prior(), z), -self.likelihood(z).log_prob(x)

    def loss(self, x: torch.Tensor) -> Loss:
        """rec + w·kl, w from 0 to 1 while it warms up; logged is the plain bound.

        Args:
            x: (B, D).
        """
        kl, rec = self.negative_elbo_terms(x)
        weight = ((self.steps_taken + 1) / (self.warm_up + 1)).clamp(max=1)
        return summaries(rec.mean() + weight * kl.mean(), kl, rec)

    def further(self, x: torch.Tensor, y: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """What z₂ has of the kl, KL(q(z₂|·) ‖ p(z₂)) at a sample, (N,)."""
        found = []
        for part in x.split(1_000):
            q = self.posterior(part)
            a, b = q.split(q.rsample())
            z2, of_z2 = (a, q.first) if q.downwards else (b, q.second(a))
            found.append(of_z2.log_prob(z2) - self.prior().first.log_prob(z2))
        return {"kl of z2": torch.cat(found)}

    def networks(self) -> dict[str, nn.Sequential]:
        """None that a page without PyTorch could compute: z has a part that the decoder lacks."""
        return {}


class Ladder(TwoLayer):
    """Two layers whose posterior goes downwards, as the prior does (Sønderby et al. 2016).

        q(z₁, z₂|x) = q(z₂|x) q(z₁|z₂, x),  q(z₁|z₂, x) ∝ p(z₁|z₂) N(z₁; m̂, v̂),  m̂, v̂ = enc(x)

    The merge weighs by precision: where the image says nothing, v̂ → ∞, z₁ is the prior's and costs
    nothing. kl is KL(q(z₂|x) ‖ p(z₂)) + KL(q(z₁|z₂, x) ‖ p(z₁|z₂)), at one sample of z₂. The
    arguments are those of `TwoLayer`.
    """

    def _above(self):
        return MLP().encoder(1, 1).features

    def posterior(self, x: torch.Tensor) -> Chain:
        """q(z₂|x) q(z₁|z₂, x), over (B, Z₁ + Z₂), of images (B, D)."""
        m, v, h = self.enc(x)
        said = DiagonalGaussian(m, v)
        return Chain(self._second(h), lambda z2: merged(said, self.below(z2)), downwards=True)


class Structured(Ladder):
    """A ladder of rectified Gaussians (Salimans 2016).

    The latents are Gaussians before they are rectified; max(z, 0) belongs to the decoders, so what
    holds of the ladder's bound holds of this one's. The arguments are those of `TwoLayer`.
    """

    def passed(self, z: torch.Tensor) -> torch.Tensor:
        """What of a layer is handed down: max(z, 0)."""
        return rectified(z)
