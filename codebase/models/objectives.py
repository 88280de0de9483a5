"""Objectives: what a training step minimizes. Reported is the plain bound, whatever that is.

Each is a part with a model's prior, posterior and likelihood before it. Costs are in nats, summed
over dimensions; they stay per image, (B,), to the last line.
"""

import abc
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from codebase import utils as ut

if TYPE_CHECKING:
    from codebase.models.base import LatentVariableModel, Loss


class Objective(nn.Module, abc.ABC):
    """What is minimized.

    Args:
        z_dim: Z.
    """

    def __init__(self, z_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim

    @abc.abstractmethod
    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        """What that player minimizes, a scalar, and {tag: scalar} to log.

        Args:
            x: (B, D).
            player: "model", or one of `players`.
        """

    def players(self, model: nn.Module) -> dict[str, list[nn.Parameter]]:
        """{name: parameters} of those that train beside the rest of the model."""
        return {}

    def check_size(self, x_dim: int) -> None:
        """Raises a ValueError where images of so many pixels are not for this objective."""

    def prepare(self, images: Callable[[], torch.Tensor]) -> None:
        """May ask for the training images, (N, D) grey in [0, 1], before the first step."""


def summaries(
    loss: torch.Tensor, kl: torch.Tensor, rec: torch.Tensor, **more: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss, and beside it the plain bound and its parts, of each image's or sample's terms.

    Args:
        more: {name: scalar} to log beside them.
    """
    kl, rec = kl.mean(), rec.mean()
    plain = {"gen/elbo": -(kl + rec), "gen/kl_z": kl, "gen/rec": rec}
    return loss, {"train/loss": loss} | plain | {f"gen/{tag}": t for tag, t in more.items()}


class Elbo(Objective):
    """rec + β·kl, averaged over the images.

    Args:
        beta: β, the weight of kl.
    Raises:
        ValueError: beta < 0.
    """

    def __init__(self, z_dim: int, beta: float = 1.0) -> None:
        if not beta >= 0:
            raise ValueError(f"beta must be at least 0, got {beta}")
        super().__init__(z_dim)
        self.beta = beta

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        kl, rec = model.negative_elbo_terms(x)
        return summaries(rec.mean() + self.beta * kl.mean(), kl, rec)


class Warmup(Elbo):
    """rec + β·min(1, t/T)·kl at step t, so that z is used before it has to be paid for.

    From Bowman et al. (2016).

    Args:
        beta: β, at the end.
        warmup: T, in steps.
    """

    def __init__(self, z_dim: int, beta: float = 1.0, warmup: int = 5_000) -> None:
        super().__init__(z_dim, beta)
        self.warmup = warmup

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        kl, rec = model.negative_elbo_terms(x)
        weight = self.beta * progress(model.steps_taken, self.warmup)
        return summaries(rec.mean() + weight * kl.mean(), kl, rec, kl_weight=weight)


class Capacity(Objective):
    """rec + γ·|kl − C(t)|, kl averaged over the images, C from 0 to its end over T steps.

    From Burgess et al. (2018).

    Args:
        gamma: γ.
        capacity: C at the end, in nats.
        warmup: T, in steps.
    """

    def __init__(
        self, z_dim: int, gamma: float = 30.0, capacity: float = 20.0, warmup: int = 5_000
    ) -> None:
        super().__init__(z_dim)
        self.gamma, self.capacity, self.warmup = gamma, capacity, warmup

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        kl, rec = model.negative_elbo_terms(x)
        capacity = self.capacity * progress(model.steps_taken, self.warmup)
        loss = rec.mean() + self.gamma * (kl.mean() - capacity).abs()
        return summaries(loss, kl, rec, capacity=capacity)


class FreeBits(Objective):
    """rec + Σ_j max(λ, kl_j), kl_j of dimension j averaged over the images (Kingma et al., 2016).

    Args:
        bits: λ, nats of a dimension that cost nothing more.
    """

    def __init__(self, z_dim: int, bits: float = 0.5) -> None:
        super().__init__(z_dim)
        self.bits = bits

    def forward(self, model: "LatentVariableModel", x: torch.Tensor, player: str) -> "Loss":
        q, p = model.posterior(x), model.prior()
        z = q.rsample()
        rec = -model.likelihood(z).log_prob(x)
        pairs = (t.unsqueeze(-1) for t in (q.mean, q.variance, p.mean, p.variance))
        kl = ut.kl_normal(*pairs)  # (B, Z)
        paid = kl.mean(0).clamp(min=self.bits).sum()
        return summaries(rec.mean() + paid, kl.sum(-1), rec)


def progress(steps: torch.Tensor, whole: int) -> torch.Tensor:
    """min(1, steps/whole), ()."""
    return (steps.to(torch.get_default_dtype()) / whole).clamp(max=1)
