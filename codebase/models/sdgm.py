"""A semi-supervised model with two layers of latents (Maaløe et al., 2016)."""

from collections.abc import Callable

import torch

from codebase.models.adgm import LABELS, AuxiliaryLabels
from codebase.models.auxiliary import gaussian
from codebase.models.distributions import Bernoulli, DiagonalGaussian, Distribution
from codebase.models.nns.v1 import X_DIM, check, joint

Given = Callable[[torch.Tensor], DiagonalGaussian]


class Innovations(Distribution):
    """Of a and z the noise [ε, z], where a = m + √v ε for the prior p(a|z) = N(m, diag v).

    a is drawn first, q(a) q(z|a). Whatever z and label are, the prior of [ε, z] is N(0, I); its
    posterior's density is that of [a, z] times |∂a/∂ε| = Π √v.

    Args:
        a: q(a), over (…, A).
        z: a → q(z|a), over (…, Z).
        prior: z → p(a|z), over (…, A).
    """

    def __init__(self, a: DiagonalGaussian, z: Given, prior: Given) -> None:
        self.a, self.z, self.prior = a, z, prior

    @property
    def mean(self) -> torch.Tensor:
        """That of z at the mean of a, and the ε of the two, (…, A + Z)."""
        z = self.z(self.a.m).m
        p = self.prior(z)
        return torch.cat([(self.a.m - p.m) / p.v.sqrt(), z], dim=-1)

    @property
    def variance(self) -> torch.Tensor:
        """Those of a, in units of p(a|z)'s, and of z, at the means, (…, A + Z)."""
        q = self.z(self.a.m)
        return torch.cat([self.a.v / self.prior(q.m).v, q.v], dim=-1)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        return self.rsample_and_log_prob(shape)[0]

    def rsample_and_log_prob(
        self, shape: tuple[int, ...] = ()
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[ε, z], (*shape, …, A + Z), and log q of it."""
        a = self.a.rsample(shape)
        q = self.z(a)
        z = q.rsample()
        p = self.prior(z)
        log_q = self.a.log_prob(a) + q.log_prob(z) + p.v.log().sum(-1) / 2
        return torch.cat([(a - p.m) / p.v.sqrt(), z], dim=-1), log_q

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log q of [ε, z] (…, A + Z): (…)."""
        noise, z = value.split([self.a.m.shape[-1], value.shape[-1] - self.a.m.shape[-1]], dim=-1)
        p = self.prior(z)
        a = p.m + p.v.sqrt() * noise
        return self.a.log_prob(a) + self.z(a).log_prob(z) + p.v.log().sum(-1) / 2


class SDGM(AuxiliaryLabels):
    """A skip deep generative model: a is a second layer of latents, which x depends on too.

        y ~ Categorical(1/Y),  z ~ N(0, I)                (Y,) one-hot, (Z,)
        a ~ N(m, diag v),  m, v = back(z, y)              (A,)
        x ~ Π_j Bernoulli(logits = dec(a, z, y)_j)        (D,)
        q(a|x), q(y|a, x), q(z|a, x, y)

    For figures and importance weights its latents are [ε, z], see `Innovations`.

    Args:
        name: names the checkpoint folder.
        z_dim, a_dim: Z and A.
        The others as for `AuxiliaryLabels`.
    """

    def __init__(
        self,
        name: str = "sdgm",
        gen_weight: float = 1,
        class_weight: float = 100,
        *,
        z_dim: int = 64,
        a_dim: int = 64,
        labeled_elbo: bool = False,
        prune: bool = False,
        sees_x: bool = True,
        x_dim: int = X_DIM,
    ) -> None:
        weights = gen_weight, class_weight
        super().__init__(name, z_dim, a_dim, *weights, labeled_elbo, prune, sees_x, x_dim)
        self.z_dim = a_dim + z_dim
        self.back = self.net(z_dim + LABELS, 2 * a_dim)
        self.dec = self.net(a_dim + z_dim + LABELS, x_dim)

    def p_a(self, x: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> DiagonalGaussian:
        return gaussian(self.back, z, y)

    def p_x(self, a: torch.Tensor, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        return Bernoulli(joint(self.dec, a, z, y))

    def posterior(self, x: torch.Tensor, y: torch.Tensor) -> Distribution:
        """q([ε, z]|x, y): (B, D), one-hot (…, B or 1, Y) → over (…, B, A + Z)."""
        return Innovations(
            self.q_a_by_label(x, y), lambda a: self.q_z(x, a, y), lambda z: self.p_a(x, z, y)
        )

    def likelihood(self, z: torch.Tensor, y: torch.Tensor) -> Bernoulli:
        """p(x|[ε, z], y): (…, B, A + Z), one-hot (…, B or 1, Y) → over (…, B, D)."""
        check("z", z, self.z_dim)
        noise, z = z.split([self.a_dim, self.own_dim], dim=-1)
        p = gaussian(self.back, z, y)
        return self.p_x(p.m + p.v.sqrt() * noise, z, y)
