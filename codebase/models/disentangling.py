"""Objectives that ask the latent dimensions to vary independently of each other over the images.

q(z) is the law of the codes of all images, 1/N Σ_n q(z|x_n), and N their number. The divergence of
the posterior from the prior falls into three,

    E KL(q(z|x) ‖ p(z)) = I(z; n) + KL(q(z) ‖ Π_j q(z_j)) + Σ_j KL(q(z_j) ‖ p(z_j)),

index-code mutual information, total correlation, dimension-wise KL (p(z) = Π_j p(z_j)).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from codebase import utils as ut
from codebase.models.distributions import DiagonalGaussian, sample_and_kl
from codebase.models.objectives import Objective, summaries
from codebase.models.precise import precise

if TYPE_CHECKING:
    from codebase.models.base import LatentVariableModel, Loss

IMAGES = 60_000  # N, until the training images were met


def covariance(m: torch.Tensor) -> torch.Tensor:
    """1/B Σ (m − m̄)(m − m̄)ᵀ over the batch: (B, Z) → (Z, Z)."""
    centred = m - m.mean(0)
    with precise(m):
        return centred.T @ centred / len(m)


class Dip(Objective):
    """rec + kl + λ_od Σ_{i≠j} C_ij² + λ_d Σ_i (C_ii − 1)² (Kumar et al., 2018).

    C is the covariance of the codes: I, of their means; II, of the codes themselves, with the mean
    of their variances on its diagonal.

    Args:
        kind: 1 or 2.
        off: λ_od.
        on: λ_d.
    """

    def __init__(self, z_dim: int, kind: int = 2, off: float = 10.0, on: float = 10.0) -> None:
        super().__init__(z_dim)
        self.kind, self.off, self.on = kind, off, on

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        q = model.posterior(x)
        z, kl = sample_and_kl(q, model.prior())
        rec = -model.likelihood(z).log_prob(x)
        c = covariance(q.mean)
        diagonal = c.diagonal()
        outside = c.square().sum() - diagonal.square().sum()
        if self.kind == 2:
            diagonal = diagonal + q.variance.mean(0)
        penalty = self.off * outside + self.on * (diagonal - 1).square().sum()
        return summaries((rec + kl).mean() + penalty, kl, rec, dip=penalty)


def log_shares(batch: int, images: int, like: torch.Tensor) -> torch.Tensor:
    """Log weights by which q(z_i) is estimated from the posteriors of a minibatch, (B, B).

    An image's own posterior has its true share 1/N, the others' stand for the N − 1 that are left,
    (N − 1)/(N(B − 1)) each: unbiased for q(z_i), and exact where the batch is all images.
    """
    others = (images - 1) / (images * (batch - 1)) if batch > 1 else 0.0
    eye = torch.eye(batch, dtype=like.dtype, device=like.device)
    own = 1 / images if batch > 1 else 1.0
    return (eye * own + (1 - eye) * others).log()


def decomposed(
    z: torch.Tensor, q: DiagonalGaussian, log_prior: torch.Tensor, images: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mutual information, total correlation and dimension-wise KL at each image's z, (B,) each.

    They add up to log q(z|x) − log p(z).

    Args:
        z: samples of q, (B, Z).
        q: the minibatch's posteriors.
        log_prior: log p(z), (B,).
        images: N.
    """
    apart = ut.log_normal(z[:, None, :, None], q.m[None, ..., None], q.v[None, ..., None])
    shares = log_shares(len(z), images, z)  # apart is (B of z, B of q, Z)
    log_q = (apart.sum(-1) + shares).logsumexp(1)
    log_q_apart = (apart + shares.unsqueeze(-1)).logsumexp(1).sum(-1)
    return q.log_prob(z) - log_q, log_q - log_q_apart, log_q_apart - log_prior


class TotalCorrelation(Objective):
    """rec + I(z; n) + β KL(q(z) ‖ Π_j q(z_j)) + Σ_j KL(q(z_j) ‖ p(z_j)) (Chen et al., 2018).

    Args:
        beta: β.
    """

    def __init__(self, z_dim: int, beta: float = 6.0) -> None:
        super().__init__(z_dim)
        self.beta, self.images = beta, IMAGES

    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        self.images = len(images())

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        q, prior = model.posterior(x), model.prior()
        assert isinstance(q, DiagonalGaussian)
        z = q.rsample()
        log_prior = prior.log_prob(z)
        mi, tc, apart = (t.mean() for t in decomposed(z, q, log_prior, self.images))
        kl, rec = q.log_prob(z) - log_prior, -model.likelihood(z).log_prob(x)
        loss = rec.mean() + mi + self.beta * tc + apart
        return summaries(loss, kl, rec, mi=mi, tc=tc, dimension_kl=apart)


class Factor(Objective):
    """rec + kl + γ KL(q(z) ‖ Π_j q(z_j)), the last by a second player (Kim & Mnih, 2018).

    A discriminator learns to tell codes from codes of other images whose dimensions were shuffled,
    each for itself. Its log odds are what the total correlation is the mean of.

    Args:
        gamma: γ.
        width: of its three hidden layers.
    """

    def __init__(self, z_dim: int, gamma: float = 10.0, width: int = 300) -> None:
        super().__init__(z_dim)
        self.gamma = gamma
        layers: list[nn.Module] = []
        for inputs in (z_dim, width, width):
            layers += [nn.Linear(inputs, width), nn.LeakyReLU(0.2)]
        self.discriminator = nn.Sequential(*layers, nn.Linear(width, 1))

    def log_odds(self, z: torch.Tensor) -> torch.Tensor:
        """That z are codes as they are, not shuffled ones: (…, Z) → (…)."""
        return self.discriminator(z).squeeze(-1).to(z.dtype)

    def players(self, model: nn.Module) -> dict[str, list[nn.Parameter]]:
        return {"discriminator": list(self.discriminator.parameters())}

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        if player == "discriminator":
            return self._discriminate(model, x)
        z, kl = sample_and_kl(model.posterior(x), model.prior())
        rec = -model.likelihood(z).log_prob(x)
        tc = self.log_odds(z).mean()
        return summaries((rec + kl).mean() + self.gamma * tc, kl, rec, tc=tc)

    def _discriminate(self, model, x):
        """Binary cross-entropy, of half of the images as they are and of the others shuffled."""
        with torch.no_grad():
            z = model.posterior(x).rsample()
        half = max(len(z) // 2, 1)
        joint, others = z[:half], z[half:] if len(z) > 1 else z
        odds = self.log_odds(joint), self.log_odds(shuffled(others))
        softplus = nn.functional.softplus
        loss = (softplus(-odds[0]).mean() + softplus(odds[1]).mean()) / 2
        return loss, {"train/discriminator": loss}


def shuffled(z: torch.Tensor) -> torch.Tensor:
    """Every dimension's values in an order of their own over the batch: (B, Z) → (B, Z)."""
    return z.gather(0, torch.rand_like(z).argsort(0))
