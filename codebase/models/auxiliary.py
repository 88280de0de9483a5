"""A VAE whose posterior is a mixture over an auxiliary variable (Maaløe et al. 2016)."""

from collections.abc import Callable

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.base import LatentVariableModel
from codebase.models.distributions import Bernoulli, DiagonalGaussian, Distribution, kl
from codebase.models.nns.v1 import X_DIM, check, check_size, joint, mlp
from codebase.models.priors import StandardNormalPrior

Given = Callable[[torch.Tensor], DiagonalGaussian]


class Auxiliary(Distribution):
    """q(z) = ∫ q(a) q(z|a) da, whose density is known by its weight only.

    A sample comes with log q(a) + log q(z|a) − log r(a|z), r any density of a. In its place log
    q(z) would be smaller or equal on average, so bounds stay bounds; and importance weights stay
    right, since E[1 / exp(·)] is unchanged.

    Args:
        a: q(a), over (…, A).
        z: a → q(z|a), over (…, Z).
        back: z → r(a|z), over (…, A).
    """

    def __init__(self, a: DiagonalGaussian, z: Given, back: Given) -> None:
        self.a, self.z, self.back = a, z, back

    @property
    def mean(self) -> torch.Tensor:
        """That of q(z|a) at the mean of a, (…, Z)."""
        return self.z(self.a.mean).mean

    @property
    def variance(self) -> torch.Tensor:
        """That of q(z|a) at the mean of a, (…, Z)."""
        return self.z(self.a.mean).variance

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """(*shape, …, Z)."""
        return self.z(self.a.rsample(shape)).rsample()

    def rsample_and_log_prob(
        self, shape: tuple[int, ...] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """z, and log q(a) q(z|a) / r(a|z) with the a that it was drawn by."""
        a = self.a.rsample(shape)
        q = self.z(a)
        z = q.rsample()
        return z, q.log_prob(z) + self._of_a(a, z)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log q(a) q(z|a) / r(a|z) with a ~ r(a|z), a lower bound of log q(z) on average: (…)."""
        a = self.back(value).rsample()
        return self.z(a).log_prob(value) + self._of_a(a, value)

    def sample_and_kl(self, p: Distribution) -> tuple[torch.Tensor, torch.Tensor]:
        """z, (…, Z), and what it costs beside a prior p: KL(q(z|a) ‖ p) + log q(a) / r(a|z)."""
        a = self.a.rsample()
        q = self.z(a)
        z = q.rsample()
        return z, kl(q, p, z) + self._of_a(a, z)

    def _of_a(self, a, z):
        return self.a.log_prob(a) - self.back(z).log_prob(a)


def gaussian(net: nn.Sequential, a: torch.Tensor, *others: torch.Tensor | None) -> DiagonalGaussian:
    """The Gaussian whose mean and softplus⁻¹ variance a network gives of [a, …], see `joint`."""
    return DiagonalGaussian(*ut.gaussian_parameters(joint(net, a, *others)))


class AuxiliaryVAE(StandardNormalPrior, LatentVariableModel):
    """An auxiliary deep generative model without labels.

        z ~ N(0, I)                                       (Z,)
        x ~ Π_j Bernoulli(logits = dec(z)_j)              (784,)
        q(z|x) = ∫ q(a|x) q(z|a, x) da,  p(a|x, z)        Gaussians of a (A,), and of z

    p(a|x, z) belongs to no image: it only has to be near q(a|x, z), as the bound does
    E[log p(x|z) p(z) p(a|x, z) − log q(a|x) q(z|a, x)].

    Args:
        name: names the checkpoint folder.
        z_dim, a_dim: Z and A.
        x_dim: D.
    Raises:
        ValueError: a size < 1.
    """

    def __init__(
        self, name: str = "auxiliary", z_dim: int = 10, a_dim: int = 10, x_dim: int = X_DIM
    ) -> None:
        check_size("z_dim", z_dim)
        check_size("a_dim", a_dim)
        super().__init__(name)
        self.z_dim, self.a_dim, self.x_dim = z_dim, a_dim, x_dim
        self.enc_a = mlp(x_dim, 2 * a_dim, nn.ELU)
        self.enc = mlp(x_dim + a_dim, 2 * z_dim, nn.ELU)
        self.dec = mlp(z_dim, x_dim, nn.ELU)
        self.back = mlp(x_dim + z_dim, 2 * a_dim, nn.ELU)
        self._init_prior()

    def posterior(self, x: torch.Tensor) -> Auxiliary:
        """q(z|x): images (B, D) → an `Auxiliary` over (B, Z)."""
        check("x", x, self.x_dim)
        return Auxiliary(
            gaussian(self.enc_a, x),
            lambda a: gaussian(self.enc, x, a),
            lambda z: gaussian(self.back, x, z),
        )

    def likelihood(self, z: torch.Tensor) -> Bernoulli:
        """p(x|z): latents (…, Z) → a `Bernoulli` over (…, D)."""
        check("z", z, self.z_dim)
        return Bernoulli(joint(self.dec, z))

    def negative_elbo_terms(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(kl, rec) of each image, (B,) each, with one sample of a and z; kl has the part of a."""
        z, kl_z = self.posterior(x).sample_and_kl(self.prior())
        return kl_z, -self.likelihood(z).log_prob(x)

    def networks(self) -> dict[str, nn.Sequential]:
        """The decoder, to the pixels' probabilities."""
        return {"decoder": nn.Sequential(*self.dec, nn.Sigmoid())}
