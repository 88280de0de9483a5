"""Objectives that bring the codes of all images to the prior: MMD and sliced Wasserstein distance.

Codes z ~ q(z|x) and draws of the prior are (B, Z) each.
"""

from typing import TYPE_CHECKING

import torch

from codebase.models.distributions import sample_and_kl
from codebase.models.objectives import Objective, summaries
from codebase.models.precise import precise

if TYPE_CHECKING:
    from codebase.models.base import LatentVariableModel, Loss

SCALES = 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0  # of the kernel


def kernel(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Σ_s C/(C + ‖a − b‖²), C = 2Z·s, inverse multiquadratics: (A, Z), (B, Z) → (A, B)."""
    squares = (a.unsqueeze(1) - b).square().sum(-1)
    constants = [2 * a.shape[-1] * s for s in SCALES]
    return sum((c / (c + squares) for c in constants), torch.zeros_like(squares))


def mmd(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The squared maximum mean discrepancy of two laws from n samples of each, unbiased, ().

    Off the diagonal the means of k(a, a′) and k(b, b′), minus twice the mean of all k(a, b): its
    mean is 0 where the laws are one, so it may be negative.
    """
    n = len(a)
    pairs = max(n * (n - 1), 1)
    own = [(k.sum() - k.diagonal().sum()) / pairs for k in (kernel(a, a), kernel(b, b))]
    return own[0] + own[1] - 2 * kernel(a, b).mean()


def sliced(a: torch.Tensor, b: torch.Tensor, projections: int) -> torch.Tensor:
    """The squared 2-Wasserstein distance, averaged over random directions, ().

    Args:
        a, b: (n, Z) each, as many of the one as of the other.
        projections: how many directions, uniform on the sphere.
    """
    directions = torch.randn(projections, a.shape[-1], dtype=a.dtype, device=a.device)
    directions = directions / directions.norm(dim=-1, keepdim=True)
    with precise(a):
        ranked = [(t @ directions.T).sort(dim=0).values for t in (a, b)]
    return (ranked[0] - ranked[1]).square().mean()


class InfoVae(Objective):
    """rec + (1 − α) kl + (α + λ − 1) MMD(q(z), p(z)) (Zhao et al., 2019).

    Args:
        alpha: α; at 1 the kl is gone and only the codes of all images are held to the prior.
        weight: λ.
    """

    def __init__(self, z_dim: int, alpha: float = 0.0, weight: float = 100.0) -> None:
        super().__init__(z_dim)
        self.alpha, self.weight = alpha, weight

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        prior = model.prior()
        z, kl = sample_and_kl(model.posterior(x), prior)
        rec = -model.likelihood(z).log_prob(x)
        distance = mmd(z, prior.rsample((len(z),)))
        loss = rec.mean() + (1 - self.alpha) * kl.mean()
        loss = loss + (self.alpha + self.weight - 1) * distance
        return summaries(loss, kl, rec, mmd=distance)


class Wae(Objective):
    """Σ_j (x_j − E[x_j|z])² + λ MMD(q(z), p(z)) (Tolstikhin et al., 2018).

    The bound that is reported is the plain one, which this does not minimize.

    Args:
        weight: λ.
    """

    tag = "mmd"

    def __init__(self, z_dim: int, weight: float = 10.0) -> None:
        super().__init__(z_dim)
        self.weight = weight

    def distance(self, z: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        """Of codes from draws of the prior, (B, Z) each: ()."""
        return mmd(z, drawn)

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        prior = model.prior()
        z, kl = sample_and_kl(model.posterior(x), prior)
        likelihood = model.likelihood(z)
        distance = self.distance(z, prior.rsample((len(z),)))
        cost = (x - likelihood.mean).square().sum(-1).mean()
        loss = cost + self.weight * distance
        found = {"squared_error": cost, self.tag: distance}
        return summaries(loss, kl, -likelihood.log_prob(x), **found)


class Swae(Wae):
    """Σ_j (x_j − E[x_j|z])² + λ SW²(q(z), p(z)), SW the sliced Wasserstein distance.

    From Kolouri et al. (2019).

    Args:
        weight: λ.
        projections: directions in which it is taken.
    """

    tag = "sliced_wasserstein"

    def __init__(self, z_dim: int, weight: float = 10.0, projections: int = 50) -> None:
        super().__init__(z_dim, weight)
        self.projections = projections

    def distance(self, z: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        return sliced(z, drawn, self.projections)
