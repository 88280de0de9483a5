"""Objectives: what a training step minimizes. Reported is the plain bound, whatever that is.

Each is a part with a model's prior, posterior and likelihood before it. Costs are in nats, summed
over dimensions; they stay per image, (B,), to the last line.
"""

import abc
from typing import TYPE_CHECKING

import torch
from torch import nn

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

    def players(self) -> dict[str, list[nn.Parameter]]:
        """{name: parameters} of those that train beside the model."""
        return {}

    def prepare(self, images: torch.Tensor) -> None:
        """Meets the training images, (N, D) as the model takes them, before the first step."""


def summaries(
    loss: torch.Tensor, kl: torch.Tensor, rec: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss, and beside it the plain bound and its parts, of each image's or sample's terms."""
    kl, rec = kl.mean(), rec.mean()
    plain = {"gen/elbo": -(kl + rec), "gen/kl_z": kl, "gen/rec": rec}
    return loss, {"train/loss": loss} | plain


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
