"""Likelihoods p(x|z): parts that make a distribution over (…, D) from the decoder's outputs."""

import abc

import torch
from torch import nn

from codebase.models import pixels as px
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

    def outputs_for(self, mean: torch.Tensor) -> torch.Tensor:
        """The decoder's outputs at which the mean pixels are these, (D,) in (0, 1)."""
        return torch.logit(mean)

    def mean_function(self) -> list[nn.Module] | None:
        """From outputs to mean pixels, as layers; None where that is no function torch names."""
        return [nn.Sigmoid()]


class BernoulliPixels(Likelihood):
    """Π_j Bernoulli(x_j; logits), of binary pixels."""

    def forward(self, outputs: torch.Tensor) -> Bernoulli:
        return Bernoulli(outputs)


class GaussianPixels(Likelihood):
    """N(σ(outputs), s²), of dequantized pixels, s one number for all.

    Learned, s is a parameter. Optimal, s² is the mean squared error over images and pixels of the
    minibatch, at which the likelihood is largest (Rybkin et al., 2021); elsewhere than in training
    it is what it last was there, an average of some hundred steps, and part of the checkpoint.

    Args:
        sigma: "learned", "optimal" or s itself.
    """

    pixels = "dequantized"
    v: torch.Tensor
    steps: torch.Tensor

    def __init__(self, x_dim: int, sigma: str | float = "learned") -> None:
        super().__init__(x_dim)
        self.sigma = sigma
        if sigma == "learned":
            self.log_s = nn.Parameter(torch.tensor(-1.0))
        elif sigma == "optimal":
            self.register_buffer("v", torch.ones(()))
            self.register_buffer("steps", torch.zeros(()))
        else:
            self.register_buffer("v", torch.tensor(float(sigma) ** 2), persistent=False)

    def forward(self, outputs: torch.Tensor) -> px.Gaussian:
        m = torch.sigmoid(outputs)
        if self.sigma == "learned":
            return px.Gaussian(m, (2 * self.log_s).exp())
        if self.sigma == "optimal" and self.training and torch.is_grad_enabled():
            return OptimalGaussian(m, self)
        return px.Gaussian(m, self.v)

    @torch.no_grad()
    def remember(self, v: torch.Tensor) -> None:
        """Takes a minibatch's s² into the average."""
        self.steps.add_(1)
        self.v.lerp_(v.to(self.v), (1 / self.steps).clamp(min=0.01))


class OptimalGaussian(px.Gaussian):
    """N(m, s²) whose s² is the mean squared error of what its density is asked of.

    Args:
        m: means, (…, D).
        part: the `GaussianPixels` that remembers it.
    """

    def __init__(self, m: torch.Tensor, part: GaussianPixels) -> None:
        super().__init__(m, part.v)
        self.part = part

    def log_density(self, value: torch.Tensor) -> torch.Tensor:
        # Its own gradient is 0, for it is where the density is largest.
        self.v = (value - self.m).square().mean().detach() + 1e-8
        self.part.remember(self.v)
        return super().log_density(value)


class ContinuousBernoulliPixels(Likelihood):
    """The continuous Bernoulli of dequantized pixels, by its logits."""

    pixels = "dequantized"

    def forward(self, outputs: torch.Tensor) -> px.ContinuousBernoulli:
        return px.ContinuousBernoulli(outputs)

    def outputs_for(self, mean: torch.Tensor) -> torch.Tensor:
        """By bisection: the mean rises with the logit."""
        low, high = torch.full_like(mean, -2_000), torch.full_like(mean, 2_000)
        for _ in range(60):
            middle = (low + high) / 2
            above = px.ContinuousBernoulli(middle).mean > mean
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2

    def mean_function(self) -> None:
        return None


class LogCoshPixels(Likelihood):
    """The log-cosh density around σ(outputs), of dequantized pixels, its scale learned.

    Args:
        sharpness: a: the larger, the more it is like a Laplace density.
    """

    pixels = "dequantized"

    def __init__(self, x_dim: int, sharpness: float = 10.0) -> None:
        super().__init__(x_dim)
        self.a = sharpness
        self.log_s = nn.Parameter(torch.tensor(-1.0))

    def forward(self, outputs: torch.Tensor) -> px.LogCosh:
        return px.LogCosh(torch.sigmoid(outputs), self.log_s.exp(), self.a)


class LogisticPixels(Likelihood):
    """The discretized logistic law around σ(outputs), of the 256 levels, its scale learned."""

    pixels = "grey"

    def __init__(self, x_dim: int) -> None:
        super().__init__(x_dim)
        self.log_s = nn.Parameter(torch.tensor(-2.0))

    def forward(self, outputs: torch.Tensor) -> px.DiscretizedLogistic:
        return px.DiscretizedLogistic(torch.sigmoid(outputs), self.log_s.exp())
