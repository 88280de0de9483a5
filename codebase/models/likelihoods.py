"""Likelihoods p(x|z): parts that make a distribution over (…, D) from the decoder's outputs."""

import abc

import torch
from torch import nn

from codebase.models.distributions import Bernoulli, Distribution


class Likelihood(nn.Module, abc.ABC):
    """Makes p(x|z) from what the decoder gives, a number for each pixel.

    Args:
        x_dim: D.
    Attributes:
        pixels: those it is a density or a mass of, as `Abilities` has them.
    """

    pixels = "binary"

    def __init__(self, x_dim: int) -> None:
        super().__init__()
        self.x_dim = x_dim

    @abc.abstractmethod
    def forward(self, outputs: torch.Tensor) -> Distribution:
        """p(x|z), a distribution over (…, D), of the decoder's outputs (…, D)."""

    @abc.abstractmethod
    def outputs_for(self, mean: torch.Tensor) -> torch.Tensor:
        """The decoder's outputs at which the mean pixels are these, (D,) in (0, 1)."""

    def mean_function(self) -> list[nn.Module] | None:
        """From outputs to mean pixels, as layers; None where that is no function torch names."""
        return None


class BernoulliPixels(Likelihood):
    """Π_j Bernoulli(x_j; logits), of binary pixels."""

    def forward(self, outputs: torch.Tensor) -> Bernoulli:
        return Bernoulli(outputs)

    def outputs_for(self, mean: torch.Tensor) -> torch.Tensor:
        return torch.logit(mean)

    def mean_function(self) -> list[nn.Module]:
        return [nn.Sigmoid()]
