"""Latents of two layers in one tensor, and Gaussians that depend on other latents."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from codebase.models.distributions import DiagonalGaussian, Distribution, kl

Given = Callable[[torch.Tensor], DiagonalGaussian]  # (…, A) → a Gaussian over (…, B)


class Chain(Distribution):
    """One layer, and another that depends on it; as a value z₁ and z₂ side by side.

    Args:
        first: the layer that depends on nothing, over (…, A).
        second: the other's Gaussian at values of the first.
        downwards: whether the first is z₂, as in a prior; else it is z₁.
    """

    def __init__(self, first: DiagonalGaussian, second: Given, downwards: bool) -> None:
        self.first, self.second, self.downwards = first, second, downwards

    @property
    def mean(self) -> torch.Tensor:
        """The first layer's mean, and the mean of the other there, (…, Z₁ + Z₂)."""
        return self._joined(self.first.mean, self.second(self.first.mean).mean)

    @property
    def variance(self) -> torch.Tensor:
        """The first layer's variance, and that of the other at its mean, (…, Z₁ + Z₂)."""
        return self._joined(self.first.variance, self.second(self.first.mean).variance)

    def rsample(self, shape: tuple[int, ...] = ()) -> torch.Tensor:
        """(*shape, …, Z₁ + Z₂)."""
        a = self.first.rsample(shape)
        return self._joined(a, self.second(a).rsample())

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        """log p(first) + log p(second | first): (…, Z₁ + Z₂) → (…)."""
        a, b = self.split(value)
        return self.first.log_prob(a) + self.second(a).log_prob(b)

    def split(self, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A value as (first, second)."""
        width = self.first.mean.shape[-1]
        if self.downwards:
            return value[..., -width:], value[..., :-width]
        return value[..., :width], value[..., width:]

    def kl_at(self, p: "Chain", value: torch.Tensor) -> torch.Tensor:
        """An unbiased KL(self ‖ p), by formula where one of the layers has one: (…).

        Args:
            p: a prior, from z₂ downwards.
            value: a sample of this, (…, Z₁ + Z₂).
        """
        a, b = self.split(value)
        if self.downwards:
            return kl(self.first, p.first, a) + kl(self.second(a), p.second(a), b)
        below = self.first.log_prob(a) - p.second(b).log_prob(a)
        return below + kl(self.second(a), p.first, b)

    def _joined(self, a, b):
        a = a.expand(*b.shape[:-1], -1)
        return torch.cat([b, a] if self.downwards else [a, b], dim=-1)


def merged(a: DiagonalGaussian, b: DiagonalGaussian) -> DiagonalGaussian:
    """The product of two Gaussians' densities, made one: precisions add, and weigh the means."""
    precision = 1 / a.v + 1 / b.v
    return DiagonalGaussian((a.m / a.v + b.m / b.v) / precision, 1 / precision)


def rectified(z: torch.Tensor) -> torch.Tensor:
    """max(z, 0)."""
    return F.relu(z)
